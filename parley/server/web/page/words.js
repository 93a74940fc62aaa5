/** Sentences and figures for people: times, sizes, comings and goings, lists of names. */

import { clean, cleanName } from "./clean.js";

const WORDS = {
  disconnect: "left",
  lost: "lost the connection",
  timeout: "was no longer heard of",
  slow: "was too slow to follow",
  kicked: "was sent out",
};

/** Say that somebody went, and why; `text` is their own last word. */
export function leaving(nick, reason, text) {
  const words = Object.hasOwn(WORDS, reason) ? WORDS[reason] : `left (${clean(reason.slice(0, 60))})`;
  return `${cleanName(nick)} ${words}${text ? ` (${clean(text.slice(0, 500))})` : ""}`;
}

/** Name a few of many. */
export function several(names) {
  if (names.length <= 5) return names.join(", ");
  return `${names.slice(0, 4).join(", ")} and ${names.length - 4} more`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** Whether the clock says AM and PM, which takes more room. */
export const twelveHours = CLOCK.resolvedOptions().hour12 === true;

const date = (time) => new Date(time * 1000);
/** The words for a time in UTC seconds, in the person's own zone and language. */
export const clock = (time) => CLOCK.format(date(time));
export const day = (time) => DAY.format(date(time));
export const full = (time) => FULL.format(date(time));
export const iso = (time) => date(time).toISOString();
/** The day, and the time of day. */
export const short = (time) => `${SHORT.format(date(time))}, ${CLOCK.format(date(time))}`;

/** Return a server's sentence with the times in it, which are UTC, as those of the person's zone. */
export function inOwnTime(text) {
  return text.replace(/\b(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d) UTC\b/g, (told, year, month, ...rest) => {
    const time = Date.UTC(year, month - 1, ...rest.slice(0, 3)) / 1000;
    return Number.isFinite(time) ? short(time) : told;
  });
}

/** Tell whether two times are of one day, here. */
export function sameDay(a, b) {
  return date(a).toDateString() === date(b).toDateString();
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/** Return a size for people, in decimal units. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Return how long something lasts, roughly. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  const days = Math.round(seconds / 86400);
  return days === 1 ? "1 day" : `${days} days`;
}

/** Return `count` with the right form of a noun. */
export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
