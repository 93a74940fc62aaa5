/**
 * What a person is shown, as plain data: conversations, people, the connection. `take` brings it
 * up to date; whoever shows it is told which parts have changed. It has no screen, no socket and
 * no clock. All foreign text is made safe on its way in, here and in what this imports.
 */

import { cleanName, cleanReason, cleanText, clean, sane } from "./clean.js";
import { Conversation, entry } from "./conversation.js";
import { byName, key, LOBBY } from "./names.js";
import { leaving, several } from "./words.js";

/** Seconds for which somebody is believed to be writing. */
const TYPING_FOR = 6;
/** Seconds within which comings and goings, with nothing said between them, share a line. */
const TOGETHER = 60;
const NOTE_LINES = 50;

export class Model {
  /** `changed` is told what is to be shown anew: "timeline", "lists", "people", "status". */
  constructor(changed) {
    this._changed = changed;
    /** Told of each message that asks for the person: private ones and mentions, not the past. */
    this.alerted = () => {};
    this.showsComings = true;
    this.reset("");
  }

  /** Begin anew, as `nick`. */
  reset(nick) {
    this.nick = nick;
    this.id = null;
    this.account = false;
    this.conversations = new Map();
    this.people = new Map();
    this.total = 0;
    this.motd = "";
    this.status = { status: "connecting", text: "", word: null, retryAt: null };
    this.lobby = this.conversation(LOBBY);
    this.lobby.entered = true;
    this.current = this.lobby;
    /** Whether the person looks at the end of `current`. */
    this.attentive = true;
    this._waiting = new Map();
    this._missed = new Set();
    this._resumed = false;
    this._been = false;
    this._lost = false;
    this._stopped = false;
    this._changed("timeline", "lists", "people", "status");
  }

  // For those who show it

  /** Return the conversation of this name, made if need be. */
  conversation(name) {
    let found = this.conversations.get(key(name));
    if (found === undefined) {
      found = new Conversation(name);
      this.conversations.set(found.key, found);
      this._changed("lists");
    }
    return found;
  }

  /** The conversations in the order of the list: the lobby, rooms, then people. */
  get ordered() {
    const rank = (each) => (each.key === LOBBY ? 0 : each.private ? 2 : 1);
    return [...this.conversations.values()].sort((a, b) => rank(a) - rank(b) || byName(a.name, b.name));
  }

  /** Whether what is known of people is so now, and not as it was when the connection was lost. */
  get live() {
    return this.status.status === "online";
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, each) => sum + each.unread, 0);
  }

  /** Who is online or away, by nick. */
  get online() {
    return [...this.people.values()].filter(({ ids }) => ids.size).sort((a, b) => byName(a.nick, b.nick));
  }

  /** Who of them is in the current conversation. */
  get present() {
    const { members, private: alone, key: name } = this.current;
    if (alone) return this.online.filter(({ nick }) => [name.slice(1), key(this.nick)].includes(key(nick)));
    return members === null ? this.online : this.online.filter(({ nick }) => members.has(key(nick)));
  }

  person(nick) {
    return this.people.get(key(nick));
  }

  /** Make `conversation` the one that is looked at: all in it is read. */
  show(conversation) {
    const before = this.current;
    this.current = conversation;
    if (before !== conversation && !before.unread) before.marker = null;
    this.attend(true);
    this._changed("timeline", "lists", "people", "status");
  }

  /** The person looks at the end of the current conversation, or no longer does. */
  attend(attentive) {
    this.attentive = attentive;
    if (attentive && this.current.unread) {
      this.current.read();
      this._changed("lists");
    }
  }

  /** Say something of the page's own in the current conversation. */
  note(text, time, kind = "notice") {
    for (const line of text.split("\n").slice(0, NOTE_LINES)) {
      this.current.add(entry({ kind, time, text: clean(line) }));
    }
    this._changed("timeline");
  }

  /** One has left a room: its conversation goes. */
  takeOut(name) {
    const gone = this.conversations.get(key(name));
    if (!this.conversations.delete(key(name))) return;
    if (gone === this.current) this.show(this.lobby);
    this._changed("lists");
  }

  // What happens

  /** Take in one event of the wire, or of the session. `time` is UTC seconds now. */
  take(event, time) {
    switch (event.purpose) {
      case "message": return this._said(event, false);
      case "history": return event.replay ? event.messages.forEach((each) => this._said(each, true)) : undefined;
      case "queued": return this._queued(event);
      case "stored": return this._stored(event);
      case "failed": return this._failed(event);
      case "dropped": return this._dropped(event);
      case "joined": return this._joined(event);
      case "left": return this._left(event);
      case "roster": return this._roster(event);
      case "presence": return this._presence(event);
      case "typing": return this._typing(event, time);
      case "read": return this._read(event);
      case "topic": return this._topic(event);
      case "file": return this._file(event);
      case "invited": return this._invited(event, time);
      case "welcome": return this._welcome(event, time);
      case "status": return this._status(event, time);
      case "other_log": return this._otherLog(time);
      case "shutdown":
        this._stopped = true;
        return this._tell(`The server is stopping: ${cleanReason(event.reason)}.`, time);
      case "error": return this.note(cleanReason(event.text), time, "trouble");
      default: return undefined;
    }
  }

  /** Return a message as an entry. */
  entryOf(message, past) {
    const nick = cleanName(message.from);
    const made = entry({
      time: sane(message.time), text: cleanText(message.text), nick, to: message.to, seq: message.seq,
      past, redacted: message.redacted === true,
    });
    made.changed = message.changed != null && !made.redacted;
    const file = made.redacted ? null : message.file;
    // A name that is not what it seems is never fetched by a click.
    if (file && clean(file.name) === file.name) made.file = file;
    if (nick !== this.nick) made.mention = mentions(message.text, key(this.nick));
    return made;
  }

  /** Name the conversation that a message belongs to, seen from here. */
  place({ to, from }) {
    if (!to.startsWith("@")) return cleanName(to);
    return `@${cleanName(from === this.nick ? to.slice(1) : from)}`;
  }

  /** Turn a page of `conversation` into entries: what of it belongs there, in its order. */
  pageOf(conversation, messages) {
    const entries = [];
    for (const each of messages) {
      const there = key(this.place(each)) === conversation.key;
      const changes = each.edit_of != null || each.redact_of != null;
      const last = entries.at(-1)?.seq ?? -1;
      if (there && !changes && each.seq > last) entries.push(this.entryOf(each, true));
    }
    return entries;
  }

  /** Take in what the server says of people. */
  users(users) {
    for (const { nick, status, ids, since, text, account } of users) {
      const known = { nick: cleanName(nick), status, ids: new Set(ids), since: since == null ? null : sane(since) };
      this.people.set(key(nick), { ...known, text: text ? cleanReason(text) : "", account: account === true });
    }
    this._changed("people", "lists");
  }

  _said(message, past) {
    const where = this.conversation(this.place(message));
    where.typing.delete(cleanName(message.from));
    this._changed("timeline", "status");
    const original = message.edit_of ?? message.redact_of;
    if (original != null) {
      where.change(original, cleanText(message.text), message.redact_of != null, message.seq);
      return;
    }
    const own = past && message.id === this.id && message.from === this.nick;
    const sent = own && [...this._waiting.values()].find(
      (each) => each.where === where && each.entry.fate === "sent" && each.entry.text === cleanText(message.text),
    );
    if (sent) {
      // It was stored, and the answer was lost; the server will say so once more.
      where.stored(sent.entry, message.seq, sane(message.time));
      return;
    }
    const made = this.entryOf(message, past);
    if (!where.add(made) || made.nick === this.nick) return;
    const alert = where.private || made.mention;
    const looked = this.attentive && where === this.current;
    if (!past) {
      if (!looked) where.count(made, alert);
      if (alert) this.alerted(made, where);
    } else if (this._resumed) {
      if (!this._missed.has(where) && (!where.unread || this.account)) where.marker = made;
      this._missed.add(where);
      if (!looked && !this.account) where.count(made, alert);
      else if (!looked) where.mentions += alert ? 1 : 0; // an account was told how much is unread
    }
    if (!looked) this._changed("lists");
  }

  _queued({ ref, to, text, time }) {
    const where = this.conversation(to);
    const made = entry({ time, text: cleanText(text), nick: this.nick, to, ref, fate: "sent" });
    where.add(made);
    where.marker = null;
    this._waiting.set(ref, { where, entry: made });
    this._changed("timeline", "status");
  }

  _stored({ ref, seq, time }) {
    const waiting = this._waiting.get(ref);
    if (waiting === undefined) return;
    this._waiting.delete(ref);
    waiting.where.stored(waiting.entry, seq, sane(time));
    this._changed("timeline", "status");
  }

  _failed({ ref, text }) {
    const own = this._waiting.get(ref)?.entry;
    if (own === undefined) return;
    Object.assign(own, { fate: "failed", why: cleanReason(text), version: own.version + 1 });
    this._changed("timeline", "status");
  }

  _dropped({ ref }) {
    const waiting = this._waiting.get(ref);
    this._waiting.delete(ref);
    waiting?.where.remove(waiting.entry);
    this._changed("timeline", "status");
  }

  _welcome(event, time) {
    const before = this.nick;
    this.nick = cleanName(event.nick);
    this.id = event.id;
    for (const { entry: own } of this._waiting.values()) if (own.nick === before) own.nick = this.nick;
    this.account = event.account === true;
    for (const person of this.people.values()) {
      person.ids.clear();
      person.status = "offline";
    }
    this.users(event.users);
    this.total = event.users_total;
    const motd = cleanText(event.motd);
    if (motd && motd !== this.motd) for (const line of motd.split("\n").slice(0, NOTE_LINES)) this._tell(line, time);
    this.motd = motd;
    for (const room of event.rooms) this.conversation(cleanName(room)).entered = true;
    if (this.account) {
      for (const each of this.conversations.values()) each.unread = 0;
      for (const [name, count] of Object.entries(event.unread)) {
        if (/^[#@]./.test(name) && name.length <= 64) this.conversation(cleanName(name)).unread = count;
      }
      if (this.attentive) this.current.read();
    }
    for (const each of this.conversations.values()) each.members = null;
    this._resumed = this._resumed || this._been;
    this._been = true;
    this._missed.clear();
    this._changed("timeline", "lists", "people", "status");
  }

  _status({ status, text, word, retryAt }, time) {
    const before = this.status;
    this.status = { status, text: cleanReason(text), word, retryAt };
    if (status === "waiting") {
      if (before.status === "online" && this._stopped) {
        this._tell("It has stopped. You are back here as soon as it is.", time);
      } else if (before.status === "online") {
        this._tell(`Connection lost: ${this.status.text}.`, time, "trouble");
      }
      this._lost = this._lost || before.status === "online";
    } else if (status === "online" && this._lost) {
      this._tell("Connected again.", time);
      this._stopped = this._lost = false;
    }
    this._changed("status", "lists", "people");
  }

  /** What was read in an earlier visit is known: what comes now was missed. */
  resume() {
    this._resumed = true;
  }

  _otherLog(time) {
    for (const each of this.conversations.values()) each.forgetPlaces();
    this._tell("The server has another history than before.", time, "trouble");
  }

  /** Say something about the server, in the lobby wherever one is. */
  _tell(text, time, kind = "notice") {
    this.lobby.add(entry({ kind, time, text: clean(text) }));
    this._changed("timeline");
  }

  _joined({ nick, id, time, room }) {
    const where = this._comer(room, nick, true);
    if (room == null) this._came(nick, id, time);
    this._coming(where, time, `${cleanName(nick)} joined`);
  }

  _left({ nick, id, time, room, reason, text }) {
    const where = this._comer(room, nick, false);
    if (room == null) this._went(nick, id);
    this._coming(where, time, leaving(nick, reason, text));
  }

  _roster({ joined, left, online, time, room }) {
    let where = this.lobby;
    for (const { nick, id } of left) {
      where = this._comer(room, nick, false);
      if (room == null) this._went(nick, id);
    }
    for (const { nick, id } of joined) {
      where = this._comer(room, nick, true);
      if (room == null) this._came(nick, id, time);
    }
    if (room == null) this.total = online;
    const words = [];
    if (joined.length) words.push(`${several(joined.map(({ nick }) => cleanName(nick)))} joined`);
    if (left.length) words.push(`${several(left.map(({ nick }) => cleanName(nick)))} left`);
    if (words.length) this._coming(where, time, words.join(", "));
  }

  /** Note somebody in or out of a room, and return its conversation. */
  _comer(room, nick, came) {
    const where = room == null ? this.lobby : this.conversation(cleanName(room));
    if (came) where.members?.add(key(nick));
    else where.members?.delete(key(nick));
    this._changed("people");
    return where;
  }

  _came(nick, id, time) {
    let person = this.person(nick);
    if (person === undefined) {
      person = { nick: cleanName(nick), ids: new Set(), text: "", account: false };
      this.people.set(key(nick), person);
    }
    if (!person.ids.size) {
      Object.assign(person, { status: "online", since: sane(time), text: "" });
      this.total += 1;
    }
    person.ids.add(id);
    this._changed("people", "lists");
  }

  _went(nick, id) {
    const person = this.person(nick);
    if (!person?.ids.delete(id) || person.ids.size) return;
    person.status = "offline";
    this.total -= 1;
    this._changed("people", "lists");
  }

  /** Tell of a coming or going, on the line of the one before if that was just now. */
  _coming(where, time, text) {
    if (!this.showsComings) return;
    const at = sane(time);
    const last = where.entries.at(-1);
    if (last?.kind === "comings" && at - last.time < TOGETHER && last.text.length < 400) {
      last.text = `${last.text}, ${text}`;
      last.version += 1;
    } else where.add(entry({ kind: "comings", time: at, text }));
    this._changed("timeline");
  }

  _presence({ nick, status, since, text }) {
    const person = this.person(nick);
    if (person === undefined) return;
    Object.assign(person, { status, since: sane(since), text: text ? cleanReason(text) : "" });
    this._changed("people", "lists");
  }

  _typing({ nick, to, state }, time) {
    const name = cleanName(nick);
    const where = this.conversations.get(key(to.startsWith("#") ? cleanName(to) : `@${name}`));
    if (where === undefined) return;
    if (state === "active") where.typing.set(name, time + TYPING_FOR);
    else where.typing.delete(name);
    this._changed("status");
  }

  _read({ with: name, seq, nick }) {
    const where = this.conversation(cleanName(name));
    if (nick == null || key(nick) === key(this.nick)) where.readElsewhere(seq, this.nick);
    else where.seen = Math.max(where.seen, seq);
    this._changed("lists", "status", "timeline");
  }

  _topic({ room, text, nick, time, locked }) {
    const where = this.conversation(cleanName(room));
    const topic = cleanReason(text);
    const news = topic !== where.topic && where.topicKnown;
    Object.assign(where, { topic, topicKnown: true, locked: locked === true });
    if (news) {
      const words = `${cleanName(nick)} says what ${where.name} is about: ${topic || "nothing"}`;
      where.add(entry({ kind: "notice", time: sane(time), text: words }));
    }
    this._changed("timeline", "status");
  }

  _file({ name, to, nick, time, deleted }) {
    if (deleted !== true || key(nick) === key(this.nick)) return;
    const mine = to.startsWith("@") && key(to.slice(1)) === key(this.nick);
    const where = this.conversation(cleanName(mine ? `@${nick}` : to));
    const text = `${cleanName(nick)} no longer shares ${clean(name.slice(0, 200))}`;
    where.add(entry({ kind: "notice", time: sane(time), text }));
    this._changed("timeline");
  }

  _invited({ room, nick }, time) {
    const [name, by] = [cleanName(room), cleanName(nick)];
    this.note(`${by} invites you to ${name}: /join ${name}`, time);
    this.alerted(entry({ kind: "notice", time, text: `invites you to ${name}`, nick: by }), this.current);
  }
}

/** Tell whether `text` names the nick (a key), as a word of its own. */
export function mentions(text, nick) {
  const lowered = text.toLowerCase();
  const word = /[\p{L}\p{N}_-]/u;
  for (let at = nick ? lowered.indexOf(nick) : -1; at >= 0; at = lowered.indexOf(nick, at + 1)) {
    const before = lowered[at - 1] ?? " ";
    const after = lowered[at + nick.length] ?? " ";
    if (!word.test(before) && !word.test(after)) return true;
  }
  return false;
}
