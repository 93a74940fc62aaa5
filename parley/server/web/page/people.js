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

export class People {
  /** In the conversations of `model`. `changed` as the model's. */
  constructor(model, changed) {
    this._model = model;
    this._changed = changed;
    this._known = new Map();
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

  /** One is in: those `users` are online, of `total`, and nobody else is known to be. */
  welcome(users, total) {
    for (const person of this._known.values()) {
      person.ids.clear();
      person.status = "offline";
    }
    this.update(users);
    this.total = total;
  }

  joined({ nick, id, time, room }) {
    const where = this._comer(room, nick, true);
    if (room != null || this._came(nick, id, time)) this._coming(where, time, `${cleanName(nick)} joined`);
  }

  left({ nick, id, time, room, reason, text }) {
    const where = this._comer(room, nick, false);
    if (room != null || this._went(nick, id)) this._coming(where, time, leaving(nick, reason, text));
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
    else where.members?.delete(key(nick));
    this._changed("people");
    return where;
  }

  /**
   * A client of somebody has come. Return whether that is to be told: another one of who is here is
   * no news, unless it is of oneself.
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
    return news || this._mine(nick);
  }

  /** A client of somebody has gone. Return whether that is to be told, as of `_came`. */
  _went(nick, id) {
    const person = this.find(nick);
    if (person?.ids.delete(id) && !person.ids.size) {
      person.status = "offline";
      this.total -= 1;
      this._changed("people", "lists");
    }
    return !person?.ids.size || this._mine(nick);
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
