/**
 * A conversation as it is shown: what was said in it, what of that is unread, the draft. Data
 * alone: no screen, no socket, no clock.
 *
 * `entries` are without a gap up to now; a `window`, if there is one, is another stretch of the
 * same conversation, somewhere in its past, to which a search has led.
 */

import { key } from "./names.js";

/**
 * Entries of one conversation that stay in memory; older ones come again when one scrolls. A
 * quarter goes at once, so that it is rarely done.
 */
const MOST_ENTRIES = 20_000;

let entriesMade = 0;

/**
 * Return an entry of a timeline. `kind`: "said", "comings" (people who came and went), "notice" or
 * "trouble" (the page's own words). `seq` 0: none yet. `fate` of an own message: "sent", "stored",
 * "failed"; else "none". `past`: said before one came. `version` changes with what is shown.
 */
export function entry(fields) {
  entriesMade += 1;
  return {
    number: entriesMade, version: 0, kind: "said", time: 0, text: "", nick: "", to: "", seq: 0,
    ref: "", fate: "none", past: false, mention: false, changed: false, redacted: false, why: "",
    file: null, ...fields,
  };
}

/** A run of entries without a gap. `atBegin`, `atEnd`: nothing older, or newer, is on the server. */
export class Stretch {
  constructor(entries = []) {
    this.entries = entries;
    this.atBegin = false;
    this.atEnd = false;
    this.loading = false;
  }

  /** The least seq here, or null. */
  get oldest() {
    return this.entries.find(({ seq }) => seq)?.seq ?? null;
  }

  /** The greatest seq here, or null. */
  get newest() {
    return this.entries.findLast(({ seq }) => seq)?.seq ?? null;
  }

  find(seq) {
    return this.entries.findLast((each) => each.seq === seq);
  }
}

export class Conversation extends Stretch {
  /** `name`: `#room` or `@nick`. */
  constructor(name) {
    super();
    this.name = name;
    this.key = key(name);
    this.atEnd = true;
    this.window = null;
    this.unread = 0;
    this.mentions = 0;
    this.marker = null;
    this.draft = "";
    this.topic = "";
    this.locked = false;
    this.members = null;
    this.typing = new Map();
    this.toldRead = 0;
    this.seen = 0;
    this.entering = false;
    this._own = new Set();
    this._greatest = 0;
  }

  get private() {
    return this.name.startsWith("@");
  }

  /** Whether anything here was said by oneself in this page, stored or not. */
  get own() {
    return this.entries.some(({ fate }) => fate !== "none");
  }

  /** What is shown: the window, or the stretch up to now. */
  get shown() {
    return this.window ?? this;
  }

  /** The greatest seq that was ever here. */
  get greatest() {
    return this._greatest;
  }

  /** Add an entry at the end. False if it is here already. */
  add(added) {
    if (added.seq) {
      if (added.seq <= this._greatest || this._own.has(added.seq)) return false;
      this._greatest = added.seq;
    }
    // Own messages that are still on their way will be stored behind this one.
    let at = this.entries.length;
    if (added.seq) while (at && isWaiting(this.entries[at - 1])) at -= 1;
    this.entries.splice(at, 0, added);
    if (this.entries.length > MOST_ENTRIES) {
      this.entries.splice(0, MOST_ENTRIES / 4);
      this.atBegin = false;
    }
    return true;
  }

  /** Add an older page that was asked for, ascending. */
  addOlder(entries) {
    const { oldest } = this;
    const fresh = entries.filter(({ seq }) => oldest === null || seq < oldest);
    if (oldest === null && fresh.length) this._greatest = Math.max(this._greatest, fresh.at(-1).seq);
    this.entries.unshift(...fresh);
    if (this.marker === null && this.unread) {
      const said = this.entries.filter(({ kind, seq, fate }) => kind === "said" && seq && fate === "none");
      this.marker = said.at(-this.unread) ?? null;
    }
  }

  /** An own entry has its place: behind everything that has one. */
  stored(own, seq, time) {
    if (own.seq === seq) return;
    this.entries.splice(this.entries.indexOf(own), 1);
    if (seq <= this._greatest && this.find(seq)) return; // it came back from the server meanwhile
    Object.assign(own, { fate: "stored", seq, time, version: own.version + 1 });
    let at = this.entries.length;
    while (at && (isWaiting(this.entries[at - 1]) || this.entries[at - 1].seq > seq)) at -= 1;
    this.entries.splice(at, 0, own);
    this._own.add(seq);
  }

  /** Give what was said at `seq` another text. */
  change(seq, text, redacted, newest) {
    this._greatest = Math.max(this._greatest, newest);
    for (const stretch of [this, this.window]) {
      const found = stretch?.find(seq);
      if (!found) continue;
      Object.assign(found, { text, changed: !redacted, redacted, version: found.version + 1 });
      found.mention = found.mention && !redacted;
      if (redacted) found.file = null;
    }
  }

  /** Return the last message of `nick` that has a place and was not taken back. */
  lastBy(nick) {
    const theirs = key(nick);
    return this.entries.findLast(
      (each) => each.kind === "said" && key(each.nick) === theirs && each.seq && !each.redacted,
    );
  }

  remove(gone) {
    const at = this.entries.indexOf(gone);
    if (at >= 0) this.entries.splice(at, 1);
  }

  /** Count an entry that nobody has looked at yet. */
  count(added, alert) {
    if (!this.unread) this.marker = added;
    this.unread += 1;
    this.mentions += alert ? 1 : 0;
  }

  /** All in it has been looked at. The marker stays, so that one sees where one was. */
  read() {
    this.unread = this.mentions = 0;
  }

  /** Another device has read up to `seq`. */
  readElsewhere(seq, nick) {
    const later = this.entries.filter((each) => each.kind === "said" && each.seq > seq && each.nick !== nick);
    this.unread = Math.min(this.unread, later.length);
    this.mentions = Math.min(this.mentions, later.filter(({ mention }) => mention).length);
  }

  /** The last own message here that the other is known to have read, if there is one. */
  seenUpTo() {
    if (!this.seen) return undefined;
    return this.entries.findLast(({ seq, to }) => seq && seq <= this.seen && key(to) === this.key);
  }

  /** The server has another log: the places of what is here mean nothing any more. */
  forgetPlaces() {
    for (const each of this.entries) each.seq = 0;
    this._own.clear();
    this._greatest = this.seen = this.toldRead = 0;
    this.atBegin = false;
    this.window = null;
  }

  /** If the window has reached what is known up to now, make one of both. */
  join() {
    const { window, oldest } = this;
    if (window === null || window.newest === null) return;
    if (!window.atEnd && (oldest === null || window.newest < oldest)) return;
    const before = window.entries.filter(({ seq }) => oldest === null || seq < oldest);
    this.entries.unshift(...before);
    this._greatest = Math.max(this._greatest, window.newest);
    this.atBegin = window.atBegin;
    this.window = null;
  }
}

const isWaiting = ({ fate }) => fate === "sent" || fate === "failed";
