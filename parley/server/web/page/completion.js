/** What could be meant by a word that is being typed: commands, nicks, rooms. Pure. */

import { key } from "./names.js";

const MOST = 8;

/**
 * Return what `text` with the cursor at `at` could go on as: `{from, to, options}`, of options
 * `{text, shown, about}` that would stand between those two places; or null.
 */
export function complete(text, at, { commands, people, rooms }) {
  const from = text.slice(0, at).search(/\S+$/);
  if (from < 0) return null;
  const word = text.slice(from, at);
  const found = (options) => (options.length ? { from, to: at, options: options.slice(0, MOST) } : null);
  if (from === 0 && /^\/[a-z]*$/i.test(word)) {
    const part = word.slice(1).toLowerCase();
    return found(commands.filter(({ name }) => name.startsWith(part)).map(({ name, usage, summary }) => ({
      text: `/${name} `, shown: usage, about: summary,
    })));
  }
  if (word.startsWith("#") && word.length > 1) {
    const matching = rooms.filter((name) => key(name).startsWith(key(word)) && key(name) !== key(word));
    return found(matching.map((name) => ({ text: `${name} `, shown: name, about: "" })));
  }
  const command = /^\/(msg|w|query|invite|kick|ban|mute|redact|go|unban|unmute)\s+\S*$/i.test(text.slice(0, at));
  if (!word.startsWith("@") && !command) return null;
  const part = key(word.replace(/^@/, ""));
  const matching = people.filter((nick) => key(nick).startsWith(part) && key(nick) !== part);
  const end = from === 0 && !command ? ": " : " ";
  return found(matching.map((nick) => ({ text: `${command ? "" : "@"}${nick}${end}`, shown: nick, about: "" })));
}
