/** Longer texts one asks for: the commands and keys, and what moderators did. */

import { clean, cleanName, cleanReason } from "./clean.js";
import { commands } from "./commands.js";
import { show } from "./dialogs.js";
import { bdi, el } from "./dom.js";
import { KEYS } from "./keys.js";
import { short } from "./words.js";

/** Show the commands and the keys. */
export function openHelp() {
  const rows = (pairs) => el("dl", { class: "commands" }, pairs.map(([name, text]) =>
    [el("dt", {}, el("code", {}, name)), el("dd", {}, text)]));
  show("Help",
    el("div", { class: "section" }, el("h3", {}, "Keys"), rows(KEYS)),
    el("div", { class: "section" }, el("h3", {}, "Typed instead of a message"), rows(commands.map(({ usage, summary }) => [usage, summary]))));
}

/** Show what moderators did: `acts` as the wire has them. */
export function openActs(acts) {
  const rows = acts.reverse().map(({ time, nick, do: what, whom, until, text }) =>
    el("div", { class: "option", role: "listitem" }, el("span", { class: "words" },
      el("span", {}, bdi(cleanName(nick)), ` ${clean(what)} `, bdi(cleanName(whom)), until ? ` until ${short(until)}` : ""),
      el("span", { class: "aside", dir: "auto" }, `${short(time)}${text ? `: ${cleanReason(text)}` : ""}`))));
  const list = el("div", { class: "found", role: "list", "aria-label": "Acts" }, rows);
  show("What moderators did", rows.length ? list : el("p", { class: "empty" }, "Nothing."));
}
