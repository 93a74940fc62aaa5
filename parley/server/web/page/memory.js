/**
 * What the browser keeps between visits: who one is here, the token that proves a guest, and for
 * each session (a nick and the number of one tab) what was read last, what is still to be sent,
 * what was being typed, and which conversations are listed. No password is ever kept.
 *
 * A tab that is closed leaves its number to the next one, with all that was still to be sent; two
 * tabs at once have two. Where the browser keeps nothing (private windows, a full disk) the page
 * works all the same, for as long as it is open, and `failed` says so.
 */

const PREFIX = "parley.";
const MOST_ID = 2 ** 31 - 1;
/** Milliseconds in which the other tabs say which numbers they have. */
const ASKING = 120;

export class Memory {
  /** `kept` outlives tabs (localStorage), `tab` is this tab's own (sessionStorage). */
  constructor(kept, tab) {
    this._kept = kept;
    this._tab = tab;
    /** Whether something could not be kept. */
    this.failed = false;
    this._here = null;
    this._between = new BroadcastChannel(`${PREFIX}tabs`);
    this._between.onmessage = ({ data }) => {
      if (data === "who" && this._here !== null) this._between.postMessage({ here: this._here });
      if (typeof data?.here === "string") this._others?.add(data.here);
    };
    this._others = null;
  }

  /** The nick used last here, or null. In a tab that knows its own: that. */
  get nick() {
    return this._read(this._tab, "nick") ?? this._read(this._kept, "nick");
  }

  /** Whether this tab is to go in by itself: it was in, and has not signed out. */
  get inside() {
    return this._read(this._tab, "inside") ?? this._read(this._kept, "inside") ?? false;
  }

  /** Remember whom one is. `inside`: come in again by itself. */
  be(nick, inside) {
    for (const place of [this._kept, this._tab]) {
      this._write(place, "nick", nick);
      this._write(place, "inside", inside);
    }
  }

  token(nick) {
    return this._read(this._kept, `token.${nick.toLowerCase()}`);
  }

  /** Keep a guest's token; null forgets it. */
  keepToken(nick, token) {
    this._write(this._kept, `token.${nick.toLowerCase()}`, token);
  }

  /** What an account's password became, for this tab alone, until it is closed. */
  get key() {
    const key = this._read(this._tab, "key");
    return key && { ...key, bytes: Uint8Array.from(key.bytes) };
  }

  set key(salted) {
    this._write(this._tab, "key", salted && { ...salted, bytes: Array.from(salted.bytes) });
  }

  /** Return this tab's number for `nick`, which no other tab has. */
  async number(nick) {
    const person = nick.toLowerCase();
    this._others = new Set();
    this._between.postMessage("who");
    await new Promise((resolve) => setTimeout(resolve, ASKING));
    const own = this._read(this._tab, `id.${person}`);
    const known = this._sessions(person);
    const free = [own, ...known].find((id) => id !== null && !this._others.has(`${person}.${id}`));
    const id = free ?? crypto.getRandomValues(new Uint32Array(1))[0] % MOST_ID;
    this._here = `${person}.${id}`;
    this._write(this._tab, `id.${person}`, id);
    return id;
  }

  /** Return what is kept of a session: `cursor` (a seq or null), `waiting`, `drafts`, `places`. */
  session(nick, id) {
    const kept = this._read(this._kept, `session.${nick.toLowerCase()}.${id}`);
    return {
      cursor: Number.isSafeInteger(kept?.cursor) ? kept.cursor : null,
      waiting: Array.isArray(kept?.waiting) ? kept.waiting : [],
      drafts: typeof kept?.drafts === "object" && kept.drafts !== null ? kept.drafts : {},
      places: Array.isArray(kept?.places) ? kept.places : [],
    };
  }

  keepSession(nick, id, session) {
    this._write(this._kept, `session.${nick.toLowerCase()}.${id}`, session);
  }

  /** What one has set: an object of names and values. */
  get settings() {
    return this._read(this._kept, "settings") ?? {};
  }

  set settings(settings) {
    this._write(this._kept, "settings", settings);
  }

  /** Return the numbers that tabs of this nick had, those with something to be sent first. */
  _sessions(person) {
    const prefix = `${PREFIX}session.${person}.`;
    const found = Object.keys(this._kept)
      .filter((each) => each.startsWith(prefix))
      .map((each) => Number(each.slice(prefix.length)))
      .filter((id) => Number.isSafeInteger(id) && id >= 0 && id <= MOST_ID);
    const urgent = (id) => this.session(person, id).waiting.length;
    return found.sort((a, b) => urgent(b) - urgent(a));
  }

  _read(place, name) {
    const text = place[PREFIX + name];
    if (typeof text !== "string") return null;
    try {
      return JSON.parse(text);
    } catch (problem) {
      if (!(problem instanceof SyntaxError)) throw problem;
      return null; // somebody else's, or cut short: as if it were not there
    }
  }

  _write(place, name, value) {
    try {
      if (value === null || value === undefined) delete place[PREFIX + name];
      else place[PREFIX + name] = JSON.stringify(value);
    } catch (problem) {
      if (!(problem instanceof DOMException)) throw problem;
      this.failed = true;
    }
  }
}

/** Return the memory of this browser, or one for this page alone if it has none. */
export function ownMemory() {
  const place = (name) => {
    try {
      return globalThis[name];
    } catch (problem) {
      if (!(problem instanceof DOMException)) throw problem;
      return null; // forbidden in this browser
    }
  };
  const [kept, tab] = [place("localStorage"), place("sessionStorage")];
  const memory = new Memory(kept ?? {}, tab ?? {});
  memory.failed = kept === null || tab === null;
  return memory;
}
