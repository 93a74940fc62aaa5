/**
 * Who is here, as plain data: the people that are known of, and how they come and go, which the
 * conversations of a model tell of.
 */

import { cleanName, cleanReason, sane } from "./clean.js";
import { entry } from "./conversation.js";
import { byName, key } from "./names.js";
import { leaving, several } from "./words.js";

/** Seconds within which comings and goings, with nothing said between them, share a line. */
const TOGETHER = 60;

/**
 * Seconds after one is connected again for which others are awaited: the longest that a client
 * waits between two tries (LONGEST_DELAY of the session; the terminal client's is the same).
 */
const AWAITED_FOR = 30;

/**
 * The clients that were here when the connection was lost and have not come back, as ids by the
 * keys of nicks. That they come is no news: a server that starts again has lost everybody, and
 * everybody comes back, each at their own moment. Told one by one that would be a list of all who
 * were here before, and hide who really comes. Times are the server's.
 */
class Awaited {
  constructor() {
    this._clients = new Map();
    this._until = 0;
  }

  /**
   * One is in at `time`. The people of `before`, `[[key, ids]]`, were here when the connection was
   * lost, those of `now` are. Who was still awaited then is awaited on: a server may fall twice.
   */
  connected(before, now, time) {
    if (time >= this._until) this._clients.clear();
    for (const [nick, ids] of before) {
      for (const id of this._clients.get(nick) ?? []) ids.add(id);
      this._clients.set(nick, ids);
    }
    for (const [nick, ids] of now) for (const id of ids) this._back(nick, id);
    this._until = time + AWAITED_FOR;
  }

  /**
   * A client has come. Return whether it was awaited: any of somebody who was here, but of one's
   * own only those that were.
   */
  came(nick, id, time, mine) {
    if (time >= this._until || !this._clients.has(nick)) return false;
    return this._back(nick, id) || !mine;
  }

  /** Somebody has gone, which is told: so it will be if they come again. */
  went(nick) {
    this._clients.delete(nick);
  }

  _back(nick, id) {
    const ids = this._clients.get(nick);
    const was = ids?.delete(id) === true;
    if (ids?.size === 0) this._clients.delete(nick);
    return was;
  }
}

export class People {
  /** In the conversations of `model`. `changed` as the model's. */
  constructor(model, changed) {
    this._model = model;
    this._changed = changed;
    this._known = new Map();
    this._awaited = new Awaited();
    /** How many are online; the server counts more than it names. */
    this.total = 0;
  }

  /** Who is online or away, by nick. */
  get online() {
    return [...this._known.values()].filter(({ ids }) => ids.size).sort((a, b) => byName(a.nick, b.nick));
  }

  /** Return somebody who is known of, or undefined. */
  find(nick) {
    return this._known.get(key(nick));
  }

  /** Take in what the server says of people. */
  update(users) {
    for (const { nick, status, ids, since, text, account } of users) {
      const known = { nick: cleanName(nick), status, ids: new Set(ids), since: since == null ? null : sane(since) };
      this._known.set(key(nick), { ...known, text: text ? cleanReason(text) : "", account: account === true });
    }
    this._changed("people", "lists");
  }

  /** One is in at `time`: those `users` are online, of `total`, and nobody else is known to be. */
  welcome(users, total, time) {
    const before = this._clients;
    for (const person of this._known.values()) {
      person.ids.clear();
      person.status = "offline";
    }
    this.update(users);
    this.total = total;
    this._awaited.connected(before, this._clients, sane(time));
  }

  joined({ nick, id, time, room }) {
    const where = this._comer(room, nick, true);
    if (room != null || this._came(nick, id, time)) this._coming(where, time, `${cleanName(nick)} joined`);
  }

  left({ nick, id, time, room, reason, text }) {
    const where = this._comer(room, nick, false);
    if (room != null && this._mine(nick)) {
      const text = `You have left ${where.name} from another window: /join ${where.name} goes in again.`;
      this._coming(where, time, text);
    } else if (room != null || this._went(nick, id)) this._coming(where, time, leaving(nick, reason, text));
  }

  roster({ joined, left, online, time, room }) {
    let where = this._model.lobby;
    for (const { nick } of left) where = this._comer(room, nick, false);
    for (const { nick } of joined) where = this._comer(room, nick, true);
    if (room == null) {
      left = left.filter(({ nick, id }) => this._went(nick, id));
      joined = joined.filter(({ nick, id }) => this._came(nick, id, time));
      this.total = online;
    }
    const words = [];
    if (joined.length) words.push(`${several(joined.map(({ nick }) => cleanName(nick)))} joined`);
    if (left.length) words.push(`${several(left.map(({ nick }) => cleanName(nick)))} left`);
    if (words.length) this._coming(where, time, words.join(", "));
  }

  presence({ nick, status, since, text }) {
    const person = this.find(nick);
    if (person === undefined) return;
    Object.assign(person, { status, since: sane(since), text: text ? cleanReason(text) : "" });
    this._changed("people", "lists");
  }

  /** Note somebody in or out of a room, and return its conversation. */
  _comer(room, nick, came) {
    const where = room == null ? this._model.lobby : this._model.conversation(cleanName(room));
    if (came) where.members?.add(key(nick));
    else {
      where.members?.delete(key(nick));
      const heard = room == null ? this._model.conversations.values() : [where];
      for (const each of heard) each.typing.delete(cleanName(nick)); // and writes no more
      this._changed("status");
    }
    this._changed("people");
    return where;
  }

  /**
   * A client of somebody has come. Return whether that is to be told: another one of who is here is
   * no news, unless it is of oneself, and one that is awaited is none either.
   */
  _came(nick, id, time) {
    let person = this.find(nick);
    if (person === undefined) {
      person = { nick: cleanName(nick), ids: new Set(), text: "", account: false };
      this._known.set(key(nick), person);
    }
    const news = !person.ids.size;
    if (news) {
      Object.assign(person, { status: "online", since: sane(time), text: "" });
      this.total += 1;
    }
    person.ids.add(id);
    this._changed("people", "lists");
    const awaited = this._awaited.came(key(nick), id, sane(time), this._mine(nick));
    return (news || this._mine(nick)) && !awaited;
  }

  /** A client of somebody has gone. Return whether that is to be told, as of `_came`. */
  _went(nick, id) {
    this._awaited.went(key(nick));
    const person = this.find(nick);
    if (person?.ids.delete(id) && !person.ids.size) {
      person.status = "offline";
      this.total -= 1;
      this._changed("people", "lists");
    }
    return !person?.ids.size || this._mine(nick);
  }

  /** The clients of all who are here: `[[key, ids]]`. */
  get _clients() {
    return this.online.map(({ nick, ids }) => [key(nick), new Set(ids)]);
  }

  _mine(nick) {
    return key(nick) === key(this._model.nick);
  }

  /** Tell of a coming or going, on the line of the one before if that was just now. */
  _coming(where, time, text) {
    if (!this._model.showsComings) return;
    const at = sane(time);
    const last = where.entries.at(-1);
    if (last?.kind === "comings" && at - last.time < TOGETHER && last.text.length < 400) {
      last.text = `${last.text}, ${text}`;
      last.version += 1;
    } else where.add(entry({ kind: "comings", time: at, text }));
    this._changed("timeline");
  }
}
