/** Finds the addresses in a text that one may follow. Knows no page: it returns parts. */

import { safeAddress } from "./dom.js";

const ADDRESS = /https?:\/\/[^\s<>"'`\u2018-\u201f]+/giu;
/** Ends of a sentence that are no ends of an address. */
const TAIL = /[.,;:!?*_~]+$/u;
const LONGEST = 2000;

/** Return the parts of `text`: `{text}` or `{text, href}`. */
export function parts(text) {
  const found = [];
  let at = 0;
  for (const { 0: raw, index } of text.matchAll(ADDRESS)) {
    const shown = trimmed(raw);
    const href = shown.length <= LONGEST ? safeAddress(shown) : null;
    // A name before an @ would make one address read as another.
    if (href === null || new URL(href).username || new URL(href).password) continue;
    if (index > at) found.push({ text: text.slice(at, index) });
    found.push({ text: shown, href });
    at = index + shown.length;
  }
  if (at < text.length) found.push({ text: text.slice(at) });
  return found;
}

function trimmed(raw) {
  let shown = raw.replace(TAIL, "");
  // A bracket belongs to an address that has opened it.
  for (const [open, close] of ["()", "[]", "{}"]) {
    while (shown.endsWith(close) && shown.split(close).length > shown.split(open).length) {
      shown = shown.slice(0, -1).replace(TAIL, "");
    }
  }
  return shown;
}
