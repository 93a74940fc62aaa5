/**
 * Foreign text, made safe to show. Every string from elsewhere passes here once, where it enters.
 *
 * What text could do to a page is to lie: a bidi override makes a name read as another, a
 * zero-width character makes two names look the same, a pile of marks climbs over the lines
 * above. None of these is dropped without a trace: a visible mark stands in its place.
 */

export const NAME_CHARS = 64;
/** Characters of a server's reason or topic that are shown. */
export const REASON_CHARS = 500;
/** Milliseconds since 1970 at which the year 9999 begins, about where calendars end. */
const LATEST = 253370764800;
/** Combining marks kept on one letter: Vietnamese needs two, pointed Hebrew three. */
const MARKS = 4;

const PLAIN = /^[ -~\u00a1-\u00ac\u00ae-\u02ff\u0386-\u0481\u048a-\u052f]*$/;
const BLANK = /[\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800\ufffc]/u;
const MARK = /\p{M}/u;
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;
const SPACE = /\p{Zs}/u;
const GLUE = /[\u034f\ufe00-\ufe0d\u{e0100}-\u{e01ef}]/u;
const VARIATION = /[\ufe0e\ufe0f]/u;
const SYMBOL = /[\p{So}\p{Sm}\p{Po}\p{Nd}\p{Emoji}]/u;
const PICTURE = /[\p{So}\p{Sk}\p{Emoji_Presentation}\ufe0f]/u;
const TAG = /[\u{e0020}-\u{e007f}]/u;
const JOINING =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}\p{Script=Nko}\p{Script=Adlam}]/u;

/** Return `text` as one line that does nothing but show: a newline or tab is marked too. */
export function clean(text) {
  return PLAIN.test(text) ? text : made(text.replaceAll("\r\n", "\n"), false);
}

/** Return a message's text, which may have lines and tabs. */
export function cleanText(text) {
  return PLAIN.test(text) ? text : made(text.replaceAll("\r\n", "\n"), true);
}

/** Return a name, no longer than twice what any server should let one have. */
export function cleanName(text) {
  return clean(text.slice(0, NAME_CHARS));
}

/** Return a server's reason, or a topic. */
export function cleanReason(text) {
  return clean(text.slice(0, REASON_CHARS));
}

/** Return a time (UTC seconds) that a calendar knows. */
export function sane(time) {
  return Math.min(Math.max(time, 0), LATEST) || 0;
}

/** Return what is shown for a character that is not let through. */
export function mark(char) {
  const code = char.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

function made(text, lines) {
  const chars = Array.from(text);
  const out = [];
  let marks = 0;
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at];
    if (lines && (char === "\n" || char === "\t")) {
      out.push(char);
      marks = 0;
    } else if (MARK.test(char) && !BLANK.test(char)) {
      const before = chars[at - 1];
      if (GLUE.test(char)) out.push(mark(char));
      else if (VARIATION.test(char)) out.push(before && SYMBOL.test(before) ? char : mark(char));
      else if (marks < MARKS && before !== undefined && before !== "\n") {
        marks += 1;
        out.push(char);
      } else out.push(mark(char));
    } else {
      marks = 0;
      if (HIDDEN.test(char) || BLANK.test(char)) out.push(joins(chars, at) ? char : mark(char));
      else out.push(SPACE.test(char) && char !== " " ? " " : char);
    }
  }
  return out.join("");
}

/** Tell whether an invisible character joins what needs joining. */
function joins(chars, at) {
  const char = chars[at];
  const before = chars[at - 1];
  const after = chars[at + 1];
  if (before === undefined) return false;
  // The flags of Scotland and others are a black flag and invisible letters, to a last sign.
  if (TAG.test(char)) return before === "\u{1f3f4}" || TAG.test(before);
  if (after === undefined) return false;
  if (char === "\u200d" && PICTURE.test(after)) return PICTURE.test(before);
  return (char === "\u200d" || char === "\u200c") && JOINING.test(before) && JOINING.test(after);
}
