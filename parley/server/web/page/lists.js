/** The two lists at the sides: conversations with what is unread in them, and people. */

import { bdi, byId, el, fill } from "./dom.js";
import { draw } from "./icons.js";
import { Listbox } from "./listbox.js";
import { key, LOBBY } from "./names.js";
import { colour } from "./rows.js";
import { counted, duration } from "./words.js";

/** People shown at first in a list, and how many more each time. */
const PEOPLE = 200;
/** A count above this is not told exactly: the server counts no further. */
const MOST_UNREAD = 999;

/** Return the dot that tells whether somebody is there, or was when that was last known. */
function presence(status, live) {
  return el("span", { class: `dot ${status}`, role: "img", "aria-label": live ? status : `was ${status}` });
}

/** Say how somebody is. */
export function about(person, now) {
  if (person.status === "online") return "";
  const since = person.since ? ` for ${duration(Math.max(1, now - person.since))}` : "";
  return person.status === "away" ? person.text || `away${since}` : `offline${since}`;
}

export class Lists {
  /** `go` gets the name of a conversation that is chosen. */
  constructor(model, go) {
    this._model = model;
    this._conversations = new Listbox(byId("conversations"), "Conversations", go);
    this._people = new Listbox(byId("people-list"), "People here", (nick) =>
      nick === null ? this._more() : go(`@${nick}`));
    this._most = PEOPLE;
  }

  /** Draw the conversations. */
  conversations() {
    const { ordered, current, live } = this._model;
    const option = (each) => {
      const loud = each.private ? each.unread : each.mentions;
      const person = each.private ? this._model.people.find(each.name.slice(1)) : null;
      const status = person?.status ?? "offline";
      const drafted = each.draft && each !== current;
      return {
        key: each.key, value: each.name, name: each.name, selected: each === current,
        kind: each.unread ? "unread" : "",
        signature: [each.name, each.unread, loud, status, live, drafted].join(),
        content: () => [
          each.private ? presence(status, live) : el("span", { class: "hash", "aria-hidden": "true" }, "#"),
          bdi(each.name.slice(1), { class: "name" }),
          drafted && el("span", { class: "aside", title: "Something is written here" }, draw.edit()),
          each.unread > 0 && badge(each.unread, loud),
        ].filter(Boolean),
      };
    };
    const rooms = ordered.filter((each) => !each.private);
    const people = ordered.filter((each) => each.private);
    this._conversations.fill([
      { title: "Rooms", options: rooms.map(option) },
      { title: "People", options: people.map(option) },
    ]);
  }

  /** Draw the people of the current conversation. */
  people() {
    const { present, current, nick, live } = this._model;
    const now = Date.now() / 1000;
    const here = current.members === null && current.key === LOBBY ? Math.max(this._model.people.total, present.length) : present.length;
    byId("people-title").textContent = current.private || !here ? "People" : live ? `${here} here` : `${here} were here`;
    this._people.label = live ? "People here" : "People who were here when the connection was lost";
    const shown = present.slice(0, this._most);
    const options = shown.map((person) => {
      const words = about(person, now);
      return {
        key: key(person.nick), value: person.nick, name: person.nick,
        signature: [person.nick, person.status, live, words].join(),
        content: () => [
          presence(person.status, live),
          el("span", { class: "words" },
            el("span", { class: "name" }, bdi(person.nick, { class: colour(person.nick) }), key(person.nick) === key(nick) && el("span", { class: "aside" }, " (you)")),
            words && el("span", { class: "aside", dir: "auto" }, words)),
        ],
      };
    });
    const left = present.length - shown.length;
    if (left) {
      options.push({ key: " more", value: null, name: "more", signature: String(left), content: () => [`${counted(left, "more", "more")}: show them`] });
    }
    this._people.fill([{ title: null, options }]);
  }

  /** Draw oneself, at the bottom of the list. */
  me(session) {
    const { nick, account, status } = this._model;
    const person = this._model.people.find(nick);
    const connected = status.status === "online";
    byId("me-nick").textContent = nick;
    byId("me-mark").className = `dot ${connected ? person?.status ?? "online" : "offline"}`;
    const waiting = session?.sending.waiting ?? 0;
    const words = !connected ? "not connected" : person?.status === "away" ? `away: ${person.text}` : account ? "registered" : "guest";
    fill(byId("me-status"), waiting ? `${words} · ${waiting} on the way` : words);
  }

  _more() {
    this._most += PEOPLE;
    this.people();
  }
}

function badge(count, loud) {
  const words = count > MOST_UNREAD ? `${MOST_UNREAD}+` : String(count);
  const meaning = loud ? `${words} unread, ${loud} for you` : `${words} unread`;
  return el("span", { class: `badge${loud ? " loud" : ""}`, role: "img", "aria-label": meaning, title: meaning }, words);
}
