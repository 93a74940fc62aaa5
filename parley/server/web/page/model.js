/**
 * What a person is shown, as plain data: conversations, what is said in them (`talk`), `people`, the
 * connection. `take` brings it up to date; whoever shows it is told which parts have changed. It has
 * no screen, no socket and no clock. All foreign text is made safe on its way in, here and in what
 * this imports.
 */

import { clean, cleanName, cleanReason, cleanText, sane } from "./clean.js";
import { Conversation, entry } from "./conversation.js";
import { byName, isPrivate, key, LOBBY } from "./names.js";
import { People } from "./people.js";
import { Talk } from "./talk.js";

/** Seconds for which somebody is believed to be writing. */
const TYPING_FOR = 6;
const NOTE_LINES = 50;
/** Conversations that are listed again when the page is loaded again. */
const MOST_PLACES = 200;

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
    /** Whether one may moderate. The server decides: this is only for what is offered. */
    this.moderator = false;
    this.conversations = new Map();
    this.people = new People(this, this._changed);
    this.talk = new Talk(this, this._changed);
    this.motd = "";
    this.status = { status: "connecting", text: "", word: null, retryAt: null };
    this.lobby = this.conversation(LOBBY);
    this.current = this.lobby;
    /** Whether the person looks at the end of `current`. */
    this.attentive = true;
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

  /**
   * What only this page knows of the list, as `[{name, unread, mentions}]`: with whom one talks, and
   * what a guest has not read (the server counts it for accounts).
   */
  get places() {
    const known = [...this.conversations.values()].filter((each) => each.private || each.unread);
    return known.slice(-MOST_PLACES).map(({ name, unread, mentions }) => ({ name, unread, mentions }));
  }

  /** List again what an earlier visit listed. */
  restore(places) {
    for (const { name, unread, mentions } of places) {
      if (typeof name !== "string" || !(isPrivate(name) || this.conversations.has(key(name)))) continue;
      const where = this.conversation(name);
      if (!this.account && [unread, mentions].every(Number.isSafeInteger)) Object.assign(where, { unread, mentions });
    }
    this._changed("lists");
  }

  /** Whether what is known of people is so now, and not as it was when the connection was lost. */
  get live() {
    return this.status.status === "online";
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, each) => sum + each.unread, 0);
  }

  /** Who is online in the current conversation, by nick. */
  get present() {
    const { members, private: alone, key: name } = this.current;
    if (alone) return this.people.online.filter(({ nick }) => [name.slice(1), key(this.nick)].includes(key(nick)));
    return members === null ? this.people.online : this.people.online.filter(({ nick }) => members.has(key(nick)));
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
      case "message": return this.talk.message(event, false);
      case "history": return event.replay ? event.messages.forEach((each) => this.talk.message(each, true)) : undefined;
      case "queued": return this.talk.queued(event);
      case "stored": return this.talk.stored(event);
      case "failed": return this.talk.failed(event);
      case "dropped": return this.talk.dropped(event);
      case "joined": return this.people.joined(event);
      case "left": return this.people.left(event);
      case "roster": return this.people.roster(event);
      case "presence": return this.people.presence(event);
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

  _welcome(event, time) {
    const before = this.nick;
    this.nick = cleanName(event.nick);
    this.id = event.id;
    this.account = event.account === true;
    this.people.welcome(event.users, event.users_total, event.time);
    const motd = cleanText(event.motd);
    if (motd && motd !== this.motd) for (const line of motd.split("\n").slice(0, NOTE_LINES)) this._tell(line, time);
    this.motd = motd;
    for (const room of event.rooms) this.conversation(cleanName(room));
    if (this.account) {
      for (const each of this.conversations.values()) each.unread = 0;
      for (const [name, count] of Object.entries(event.unread)) {
        if (/^[#@]./.test(name) && name.length <= 64) this.conversation(cleanName(name)).unread = count;
      }
      if (this.attentive) this.current.read();
    }
    for (const each of this.conversations.values()) each.members = null;
    if (this._been) this.talk.resume();
    this._been = true;
    this.talk.welcome(before);
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

  _otherLog(time) {
    for (const each of this.conversations.values()) each.forgetPlaces();
    this._tell("The server has another history than before.", time, "trouble");
  }

  /** Say something about the server, in the lobby wherever one is. */
  _tell(text, time, kind = "notice") {
    this.lobby.add(entry({ kind, time, text: clean(text) }));
    this._changed("timeline");
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
