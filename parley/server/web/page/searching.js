/** Finding what was said: the search, what it found, and the way there. */

import { Refusal } from "./answers.js";
import { bdi, el } from "./dom.js";
import { open, troubleLine } from "./dialogs.js";
import { Listbox } from "./listbox.js";
import { short } from "./words.js";

const DAY = /^(\d{4})-(\d{2})-(\d{2})$/;

/** A search is typed wrongly; the text says how. */
export class SearchError extends Error {}

/**
 * Return the request that a person means: words, and `from:NICK`, `in:NAME`, `before:2026-11-21`,
 * `after:2026-11-21` among them. Throws SearchError.
 */
export function parse(text) {
  const request = { purpose: "search" };
  const words = [];
  for (const part of text.split(" ")) {
    const [, name, value] = /^(from|in|before|after):(.+)$/.exec(part) ?? [];
    if (name === undefined) words.push(part);
    else if (name === "from") request.from = value.replace(/^@/, "");
    else if (name === "in") request.with = /^[#@]/.test(value) ? value : `#${value}`;
    else {
      const [, year, month, day] = DAY.exec(value) ?? [];
      const at = year && new Date(Number(year), Number(month) - 1, Number(day));
      if (!at || at.getMonth() !== Number(month) - 1) throw new SearchError(`${value} is no day: as in 2026-11-21.`);
      request[name === "before" ? "until" : "since"] = at.getTime() / 1000;
    }
  }
  request.text = words.join(" ").trim();
  return request;
}

/**
 * Open the search. `ask` sends a request, `describe` turns a message into `{name, entry}`, `go`
 * leads to one. `text`: what to look for at once.
 */
export function openSearch(text, { ask, describe, go }) {
  const input = el("input", { type: "text", enterkeyhint: "search", "aria-label": "Words to look for", placeholder: "Words, from:nick, in:room, after:2026-11-01", value: text, autocomplete: "off", autocapitalize: "none" });
  const trouble = troubleLine();
  const box = el("div", { class: "found" });
  const outcome = el("p", { class: "hint", role: "status" }, "All words have to be there. “Words in quotes” stand side by side, wor* begins a word.");
  const older = el("button", { type: "button", class: "plain", hidden: true, on: { click: () => more() } }, "Look further back");
  const form = el("form", { class: "row", on: { submit: (event) => {
    event.preventDefault();
    if (list.at !== undefined && input.value === asked) choose(list.at);
    else begin();
  } } }, el("span", { class: "grow" }, input), el("button", { type: "submit", class: "primary" }, "Search"));
  const { close } = open("Search", () => [form, trouble.element, outcome, box, older]);
  const choose = ({ name, entry }) => {
    close();
    go(name, entry.seq);
  };
  const list = new Listbox(box, "What was found", choose, input);
  let asked = null;
  let found = [];
  let request = null;
  const redraw = () => list.fill([{ title: null, options: found.map(option) }]);

  async function begin() {
    trouble.say("");
    found = [];
    redraw();
    if (!input.value.trim()) return;
    try {
      request = parse(input.value.trim());
    } catch (problem) {
      if (!(problem instanceof SearchError)) throw problem;
      trouble.say(problem.message);
      return;
    }
    asked = input.value;
    await more();
    list.first();
  }

  async function more() {
    outcome.textContent = "Looking…";
    older.hidden = true;
    try {
      const before = found.at(-1)?.entry.seq;
      const page = await ask({ ...request, ...(before && { before }) });
      found.push(...page.messages.map(describe).reverse());
      outcome.textContent = found.length ? `${found.length}${page.end ? "" : " or more"} found, the newest first.` : "Nothing was found.";
      older.hidden = page.end;
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      outcome.textContent = "";
      trouble.say(problem.message);
    }
    redraw();
  }

  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") list.key(event);
  });
  if (text) begin();
}

function option(hit) {
  const { name, entry } = hit;
  return {
    key: `${name} ${entry.seq}`, value: hit, name: entry.text, signature: "",
    content: () => [el("span", { class: "words" },
      el("span", { class: "aside" }, bdi(entry.nick), " in ", bdi(name), `, ${short(entry.time)}`),
      el("span", { class: "hit", dir: "auto" }, entry.text || "taken back"))],
  };
}
