/** Rooms: which there are, going in, making one; and what one may do in the one that is shown. */

import { Refusal } from "./answers.js";
import { clean, cleanName, cleanReason } from "./clean.js";
import { confirm, field, open, troubleLine } from "./dialogs.js";
import { bdi, el, fill } from "./dom.js";
import { draw } from "./icons.js";
import { isNick, isRoom, key, LOBBY } from "./names.js";
import * as standing from "./standing.js";

/** Do something that may be refused; then say so in `trouble`. Return whether it went well. */
async function attempt(trouble, work) {
  trouble.say("");
  try {
    await work();
    return true;
  } catch (problem) {
    if (!(problem instanceof Refusal)) throw problem;
    trouble.say(cleanReason(problem.message));
    return false;
  }
}

/** Show which rooms there are, to go into one or make one. `app` as `App` is. */
export async function openRooms(app, part = "") {
  const trouble = troubleLine();
  const list = el("div", { class: "found", role: "list", "aria-label": "Rooms" });
  const name = field("Name", { placeholder: "a name for a room", maxlength: "33", autocomplete: "off", autocapitalize: "none", spellcheck: "false", value: part });
  const alone = el("input", { type: "checkbox", id: "room-private" });
  let rooms = [];
  const { close } = open("Rooms", () => [
    el("form", { class: "section", on: { submit: (event) => {
      event.preventDefault();
      enter(name.input.value.trim(), alone.checked);
    } } }, name.element,
    el("div", { class: "row" }, el("label", { class: "choice grow", for: "room-private" }, alone, "Private: only for whom somebody inside invites"),
      el("button", { type: "submit", class: "primary" }, "Go in, or make it"))),
    trouble.element, list,
  ]);
  async function enter(typed, hidden) {
    const room = typed.startsWith("#") ? typed : `#${typed}`;
    if (!isRoom(room)) trouble.say("A room's name has letters a to z, digits, and _ - . alone, 32 at most.");
    else if (await attempt(trouble, () => app.requests.enter(room, hidden))) close();
  }
  const redraw = () => {
    const wanted = rooms.filter(({ room }) => key(room).includes(key(name.input.value.replace(/^#/, ""))));
    fill(list, wanted.map((each) => listed(each, (room) => enter(room, false))));
    if (!wanted.length) fill(list, el("p", { class: "empty", role: "listitem" }, rooms.length > 1 ? "No room of that name: you can make it." : "There is no room yet beside the lobby. You can make the first."));
  };
  name.input.addEventListener("input", redraw);
  await attempt(trouble, async () => {
    rooms = await app.requests.pages({ purpose: "rooms" }, "rooms", ({ room }) => room);
    redraw();
  });
}

function listed({ room, people, topic, private: hidden, member }, enter) {
  const name = cleanName(room);
  const words = [`${people} here`, member && "you are in it", topic && cleanReason(topic)].filter(Boolean).join(" · ");
  return el("div", { class: "option", role: "listitem" },
    el("span", { class: "hash", "aria-hidden": "true" }, hidden ? draw.lock() : "#"),
    el("span", { class: "words" }, bdi(name, { class: "name" }), el("span", { class: "aside", dir: "auto" }, words)),
    el("button", { type: "button", class: "plain", "aria-label": `${member ? "Open" : "Go into"} ${name}`, on: { click: () => enter(name) } }, member ? "Open" : "Go in"));
}

/** Show what a conversation is about, and what one may do with it. */
export function openAbout(app) {
  const { current } = app.model;
  if (current.private) openPerson(app, current.name.slice(1));
  else if (current.key === LOBBY) openLobby(current);
  else openRoom(app, current);
}

function openLobby({ topic }) {
  open(LOBBY, () => [
    topic && el("p", { class: "about", dir: "auto" }, topic),
    el("p", {}, "Everybody who comes in is here, and nobody leaves it. For what is not for everybody there are rooms, and what is written to one person alone."),
  ].filter(Boolean));
}

function openRoom(app, current) {
  const trouble = troubleLine();
  const said = el("p", { class: "hint", role: "status" });
  const topic = field("What it is about", { value: current.topic, maxlength: "500", dir: "auto" });
  const nick = field("Invite somebody, into a private room", { placeholder: "nick", maxlength: "33", autocapitalize: "none", autocomplete: "off" });
  const locked = el("input", { type: "checkbox", id: "topic-locked", checked: current.locked });
  const done = async (work, words) => {
    said.textContent = "";
    if (await attempt(trouble, work)) said.textContent = words;
  };
  const submit = (work) => ({ submit: (event) => {
    event.preventDefault();
    work();
  } });
  const { close } = open(current.name, () => [
    el("form", { class: "row end", on: submit(() => done(
      () => app.session.ask({ purpose: "topic", room: current.name, text: topic.input.value.trim() }), "It is said.")) },
    el("span", { class: "grow" }, topic.element), el("button", { type: "submit", class: "plain" }, "Say so")),
    el("label", { class: "choice", for: "topic-locked" }, locked, "Only its owner and moderators may say so"),
    el("form", { class: "row end", on: submit(() => {
      const who = nick.input.value.trim().replace(/^@/, "");
      if (!isNick(who)) trouble.say("Whom?");
      else done(() => app.session.ask({ purpose: "invite", room: current.name, nick: who }), `${who} may come in now, and was told.`);
    }) }, el("span", { class: "grow" }, nick.element), el("button", { type: "submit", class: "plain" }, "Invite")),
    trouble.element, said,
    el("div", { class: "row end" }, el("button", { type: "button", class: "danger", on: { click: leave } }, "Leave this room")),
  ]);
  locked.addEventListener("change", async () => {
    const wanted = locked.checked;
    if (!(await attempt(trouble, () => app.session.ask({ purpose: "topic", room: current.name, locked: wanted })))) locked.checked = !wanted;
  });
  async function leave() {
    if (!(await confirm("Leave this room?", `You will hear nothing of ${current.name} until you come again.`, "Leave", "danger"))) return;
    if (await attempt(trouble, () => app.requests.leave(current.name))) close();
  }
}

function openPerson(app, nick) {
  const person = app.model.people.find(nick);
  const words = [
    ["Status", person ? standing.of(person, app.model.live) : "not known"],
    ["Kind", person ? (person.account ? "registered" : "guest") : "not known"],
  ];
  const { close } = open(clean(nick), () => [
    el("dl", { class: "commands" }, words.map(([name, text]) => [el("dt", {}, name), el("dd", { dir: "auto" }, text)])),
    el("p", { class: "hint" }, "What you write to each other here nobody else sees, not even who takes this nick later."),
    el("div", { class: "row end" }, el("button", { type: "button", class: "plain", on: { click: () => {
      app.requests.leave(`@${nick}`);
      close();
    } } }, "Close this conversation")),
  ]);
}

/** Show everybody: here, away, or registered and not here. */
export async function openPeople(app, part = "", room = null) {
  const trouble = troubleLine();
  const list = el("div", { class: "found", role: "list", "aria-label": "People" });
  const input = el("input", { type: "search", "aria-label": "Part of a nick", placeholder: "Part of a nick", value: part });
  const { close } = open(room === null ? "People" : `In ${room}`, () => [input, trouble.element, list]);
  let people = [];
  const redraw = () => {
    const wanted = people.filter(({ nick }) => key(nick).includes(key(input.value)));
    fill(list, wanted.slice(0, 500).map(({ nick, status, text, account }) =>
      el("div", { class: "option", role: "listitem" },
        el("span", { class: `dot ${status}`, role: "img", "aria-label": status }),
        el("span", { class: "words" }, bdi(cleanName(nick), { class: "name" }),
          el("span", { class: "aside", dir: "auto" }, [account ? "registered" : "guest", status !== "online" && status, text && cleanReason(text)].filter(Boolean).join(" · "))),
        el("button", { type: "button", class: "plain", "aria-label": `Write to ${cleanName(nick)}`, on: { click: () => {
          close();
          app.go(`@${cleanName(nick)}`);
        } } }, "Write"))));
    if (wanted.length > 500) list.append(el("p", { class: "empty", role: "listitem" }, `${wanted.length - 500} more: type part of a nick.`));
  };
  input.addEventListener("input", redraw);
  await attempt(trouble, async () => {
    people = await app.requests.everybody(room);
    redraw();
  });
}
