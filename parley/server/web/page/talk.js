/**
 * What is said, on its way into the conversations of a model: others' messages, one's own from the
 * field to the server's log, changes, and pages of the past. Data alone.
 */

import { clean, cleanName, cleanReason, cleanText, sane } from "./clean.js";
import { entry } from "./conversation.js";
import { key } from "./names.js";

export class Talk {
  /** In the conversations of `model`. `changed` as the model's. */
  constructor(model, changed) {
    this._model = model;
    this._changed = changed;
    this._waiting = new Map();
    this._missed = new Set();
    this._resumed = false;
  }

  /** What was read in an earlier visit is known: what comes now was missed. */
  resume() {
    this._resumed = true;
  }

  /** One is in, as the model's nick instead of `before`: a replay of what was missed begins. */
  welcome(before) {
    const { nick } = this._model;
    for (const { entry: own } of this._waiting.values()) if (own.nick === before) own.nick = nick;
    this._missed.clear();
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
    if (nick !== this._model.nick) made.mention = mentions(message.text, key(this._model.nick));
    return made;
  }

  /** Name the conversation that a message belongs to, seen from here. */
  place({ to, from }) {
    if (!to.startsWith("@")) return cleanName(to);
    return `@${cleanName(from === this._model.nick ? to.slice(1) : from)}`;
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

  message(message, past) {
    const where = this._model.conversation(this.place(message));
    where.typing.delete(cleanName(message.from));
    this._changed("timeline", "status");
    const original = message.edit_of ?? message.redact_of;
    if (original != null) {
      where.change(original, cleanText(message.text), message.redact_of != null, message.seq);
      return;
    }
    const own = past && message.id === this._model.id && message.from === this._model.nick;
    const sent = own && [...this._waiting.values()].find(
      (each) => each.where === where && each.entry.fate === "sent" && each.entry.text === cleanText(message.text),
    );
    if (sent) {
      // It was stored, and the answer was lost; the server will say so once more.
      where.stored(sent.entry, message.seq, sane(message.time));
      return;
    }
    const made = this.entryOf(message, past);
    if (!where.add(made) || made.nick === this._model.nick) return;
    const alert = where.private || made.mention;
    const looked = this._model.attentive && where === this._model.current;
    if (!past) {
      if (!looked) where.count(made, alert);
      if (alert) this._model.alerted(made, where);
    } else if (this._resumed) {
      if (!this._missed.has(where) && (!where.unread || this._model.account)) where.marker = made;
      this._missed.add(where);
      if (!looked && !this._model.account) where.count(made, alert);
      else if (!looked) where.mentions += alert ? 1 : 0; // an account was told how much is unread
    }
    if (!looked) this._changed("lists");
  }

  queued({ ref, to, text, time }) {
    const where = this._model.conversation(to);
    const made = entry({ time, text: cleanText(text), nick: this._model.nick, to, ref, fate: "sent" });
    where.add(made);
    where.marker = null;
    this._waiting.set(ref, { where, entry: made });
    this._changed("timeline", "status");
  }

  stored({ ref, seq, time }) {
    const waiting = this._waiting.get(ref);
    if (waiting === undefined) return;
    this._waiting.delete(ref);
    waiting.where.stored(waiting.entry, seq, sane(time));
    this._changed("timeline", "status");
  }

  failed({ ref, text }) {
    const own = this._waiting.get(ref)?.entry;
    if (own === undefined) return;
    Object.assign(own, { fate: "failed", why: cleanReason(text), version: own.version + 1 });
    this._changed("timeline", "status");
  }

  dropped({ ref }) {
    const waiting = this._waiting.get(ref);
    this._waiting.delete(ref);
    waiting?.where.remove(waiting.entry);
    this._changed("timeline", "status");
  }
}

/** Tell whether `text` names the nick (a key), as a word of its own. */
function mentions(text, nick) {
  const lowered = text.toLowerCase();
  const word = /[\p{L}\p{N}_-]/u;
  for (let at = nick ? lowered.indexOf(nick) : -1; at >= 0; at = lowered.indexOf(nick, at + 1)) {
    const before = lowered[at - 1] ?? " ";
    const after = lowered[at + nick.length] ?? " ";
    if (!word.test(before) && !word.test(after)) return true;
  }
  return false;
}
