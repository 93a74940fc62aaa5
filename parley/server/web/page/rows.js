/** An entry of the timeline as elements. What they do when clicked is asked of `actions`. */

import { bdi, el, set } from "./dom.js";
import { draw } from "./icons.js";
import { parts } from "./links.js";
import { clock, day, full, iso, size } from "./words.js";

/** Characters of a message, and lines, above which it is folded until one wants all. */
const LONG = 2500;
const LONG_LINES = 30;
const COLOURS = 12;
const FATES = {
  sent: ["…", "On its way"],
  stored: ["✓", "Stored on the server"],
  failed: ["✗", "Not sent"],
};

/** Return the class of a nick's own colour, the same everywhere. */
export function colour(nick) {
  let sum = 0;
  for (const char of nick.toLowerCase()) sum = (sum * 31 + char.charCodeAt(0)) % 997;
  return `n${sum % COLOURS}`;
}

/** Return the line that begins a day. */
export function dayRule(time) {
  return el("div", { class: "rule day", role: "separator", "aria-label": day(time) }, day(time));
}

/** Return the line above what is new. */
export function newRule() {
  return el("div", { class: "rule new", role: "separator", "aria-label": "New" }, "New");
}

/** Return what stands above the first message of a conversation. */
export function beginning(name, alone) {
  const words = alone
    ? ["Between you and ", bdi(name.slice(1)), ". Nobody else sees it."]
    : name === "#lobby" ? ["Everybody who comes in is here."] : ["The beginning of ", bdi(name), "."];
  return el("div", { class: "beginning" }, el("strong", {}, bdi(name)), words);
}

/**
 * Return the element of an entry. `first`: it is not one of a run by the same person, so that it
 * says by whom it is. `own`: by oneself. `mayTake`: one may take it back.
 */
export function row(entry, { first, own, mayTake, seen }, actions) {
  if (entry.kind !== "said") {
    const kind = entry.kind === "trouble" ? " trouble" : "";
    return el("div", { class: `aside-line${kind}`, dir: "auto" }, entry.text);
  }
  const doing = entry.text.startsWith("/me ");
  const kinds = ["message", first && "first", entry.mention && "mention", own && "own"];
  const element = el("div", {
    class: kinds.filter(Boolean).join(" "), tabindex: "-1", "data-seq": entry.seq || null, "data-number": entry.number,
  });
  element.append(el("time", { datetime: iso(entry.time), title: full(entry.time) }, clock(entry.time)));
  if (first) element.append(who(entry, actions));
  // That a file is shared is shown by the file; other words with it stand above.
  const named = entry.file && entry.text.startsWith(`shared ${entry.file.name}`);
  const body = el("div", { class: "body" }, named ? entry.past && pastMark() : words(entry, doing));
  if (entry.file && !entry.redacted) body.append(shared(entry, actions));
  if (entry.fate === "failed") body.append(failure(entry, actions));
  if (seen) body.append(el("p", { class: "seen" }, "Read"));
  element.append(body);
  if (FATES[entry.fate]) {
    const [sign, meaning] = FATES[entry.fate];
    element.append(el("span", { class: `fate ${entry.fate}`, role: "img", "aria-label": meaning, title: meaning }, sign));
  }
  const doings = doingsOf(entry, own, mayTake, actions);
  if (doings) element.append(doings);
  for (const each of element.querySelectorAll("a, button")) set(each, "tabindex", "-1");
  return element;
}

function who(entry, actions) {
  const open = { click: () => actions.openPerson(entry.nick) };
  const name = el("button", { type: "button", class: `nick ${colour(entry.nick)}`, title: `Write to ${entry.nick} alone`, on: open }, bdi(entry.nick));
  return el("div", { class: "who" }, name);
}

/** The mark of what was said before one came. */
function pastMark() {
  return el("span", { class: "past", dir: "ltr" }, "[History]");
}

function words(entry, doing) {
  const past = entry.past && pastMark();
  if (entry.redacted) return el("p", { class: "text gone" }, past, "taken back");
  const edited = entry.changed && el("span", { class: "edited", dir: "ltr" }, "(edited)");
  const text = doing ? entry.text.slice(4) : entry.text;
  const linked = parts(text).map((part) =>
    part.href
      ? el("a", { href: part.href, rel: "noopener noreferrer", target: "_blank" }, part.text)
      : part.text);
  const fenced = fence(text);
  if (fenced !== null) return [past, el("pre", { class: "text code", dir: "ltr" }, fenced), edited];
  const long = text.length > LONG || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
  const kinds = `text${doing ? " deed" : ""}${long ? " long" : ""}`;
  const paragraph = el("div", { class: kinds, dir: "auto" }, past, doing && [bdi(entry.nick), " "], linked, edited);
  if (!long) return paragraph;
  const more = el("button", { type: "button", class: "link", on: { click: () => {
    paragraph.classList.remove("long");
    more.remove();
  } } }, "Show all of it");
  return [paragraph, more];
}

/** Return what stands between three backticks and three, if that is all of a text. */
function fence(text) {
  const found = /^```[^\n`]*\n([^]*?)\n?```\s*$/.exec(text);
  return found && !found[1].includes("```") ? found[1] : null;
}

function shared(entry, actions) {
  const { file } = entry;
  const fetch = el("button", { type: "button", class: "quiet", "aria-label": `Fetch ${file.name}`, title: "Fetch", on: { click: () => actions.fetch(file, entry) } }, draw.fetch());
  const box = el("div", { class: "shared" }, draw.file(),
    el("span", {}, bdi(file.name, { class: "name" }), " ", el("span", { class: "aside" }, size(file.size))), fetch);
  return el("div", {}, box, actions.preview(file, entry));
}

function failure(entry, actions) {
  const button = (text, doing) =>
    el("button", { type: "button", class: "link", on: { click: () => doing(entry.ref) } }, text);
  return el("p", { class: "why" }, `Not sent: ${entry.why} `,
    button("Send it again", actions.retry), " ", button("Forget it", actions.drop));
}

function doingsOf(entry, own, mayTake, actions) {
  if (!entry.seq || entry.redacted) return null;
  const button = (label, drawing, doing) =>
    el("button", { type: "button", class: "quiet", "aria-label": label, title: label, on: { click: () => doing(entry) } }, drawing);
  const doings = [
    own && !entry.file && button("Change this message", draw.edit(), actions.edit),
    (own || mayTake) && button("Take this message back", draw.trash(), actions.redact),
  ].filter(Boolean);
  return doings.length ? el("div", { class: "doings" }, doings) : null;
}
