/** Going to a conversation or person by any part of the name (Ctrl+K). */

import { bdi, el } from "./dom.js";
import { open } from "./dialogs.js";
import { Listbox } from "./listbox.js";
import { isNick, isRoom, key } from "./names.js";

const MOST = 30;

/** Ask where to go, among what `model` knows; `go` gets the name. */
export function openSwitcher(model, go) {
  const input = el("input", { type: "text", "aria-label": "Name of a room or person", placeholder: "Part of a name", autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
  const box = el("div", { class: "found" });
  const { close } = open("Go to", () => [input, box]);
  const list = new Listbox(box, "Places to go", (name) => {
    close();
    go(name);
  }, input);
  const redraw = () => {
    list.fill([{ title: null, options: choices(model, input.value.trim()).map(option) }]);
    list.first();
  };
  input.addEventListener("input", redraw);
  input.addEventListener("keydown", (event) => list.key(event));
  redraw();
}

function option({ name, about }) {
  return {
    key: key(name), value: name, name, signature: about,
    content: () => [bdi(name, { class: "name" }), about && el("span", { class: "aside" }, about)].filter(Boolean),
  };
}

/** Return what a part of a name may mean, what asks for one first. */
function choices(model, part) {
  const wanted = key(part.replace(/^[#@]/, ""));
  const found = new Map();
  const add = (name, about) => {
    const sort = part.startsWith("#") || part.startsWith("@") ? part[0] : name[0];
    const fits = name[0] === sort && key(name.slice(1)).includes(wanted);
    if (fits && !found.has(key(name))) found.set(key(name), { name, about });
  };
  const rank = (each) => (each.mentions ? 0 : each.unread ? 1 : 2);
  for (const each of [...model.ordered].sort((a, b) => rank(a) - rank(b))) {
    add(each.name, each.unread ? `${each.unread} unread` : "");
  }
  for (const { nick } of model.people.online) if (key(nick) !== key(model.nick)) add(`@${nick}`, "");
  const all = [...found.values()];
  // A name that begins so comes before one that has it somewhere.
  const begins = ({ name }) => (key(name.slice(1)).startsWith(wanted) ? 0 : 1);
  if (part) all.sort((a, b) => begins(a) - begins(b));
  const shown = all.slice(0, MOST);
  const room = part.startsWith("#") ? part : `#${part}`;
  if (isRoom(room) && !found.has(key(room)) && !part.startsWith("@")) shown.push({ name: room, about: "go in, or make it" });
  const nick = part.replace(/^@/, "");
  if (isNick(nick) && !found.has(key(`@${nick}`)) && !part.startsWith("#")) shown.push({ name: `@${nick}`, about: "write to" });
  return shown;
}
