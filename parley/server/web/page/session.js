/**
 * A session: it joins, asks, hears, and comes back by itself. No screen here.
 *
 * What was missed comes from the place that was reached (`since`), so that nothing is missing and
 * nothing comes twice. One's own messages are in `sending`, who one is in `login`.
 */

import { Answers, Refusal } from "./answers.js";
import { random, toHex } from "./digests.js";
import { Login } from "./login.js";
import { key } from "./names.js";
import { ScramError } from "./scram.js";
import { Sending } from "./sending.js";
import { Wire } from "./wire.js";
import { inOwnTime } from "./words.js";

/**
 * Milliseconds. A try comes after a random part of a delay that doubles up to this: clients of a
 * server that has restarted must not all come at once ("full jitter").
 */
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
/** Milliseconds online after which a connection that breaks is tried again soon. */
const STEADY = 10_000;
/** Milliseconds within which the cursor is kept. */
const KEEP_EVERY = 1000;

/** Refusals of a join that waiting may change. */
const LATER = new Set(["SERVER_FULL", "SHUTTING_DOWN", "STORE_UNAVAILABLE", "LIMIT_EXCEEDED"]);
/**
 * Errors by which a session that is in is ended, though nothing was asked: who was sent out or is
 * kept out comes back when the person wants to, and not by itself.
 */
export const OUT = new Set(["EVICTED", "BANNED", "FORBIDDEN"]);

export class Session {
  /**
   * As `nick`, kept in `memory`. `listen` gets everything that happens: events of the wire, those
   * of `sending`, `status`, `deriving` and `other_log`. `secret`: `{password}` or `{salted}` of an
   * account, or null for a guest.
   */
  constructor(address, nick, memory, secret, listen) {
    this.nick = nick;
    this.id = null;
    /** "connecting", "joining", "online", "waiting" (for the next try), "ended". */
    this.status = "connecting";
    this.welcome = null;
    this.cursor = null;
    this.drafts = {};
    this.places = [];
    this._address = address;
    this._memory = memory;
    this._listen = listen;
    this._login = new Login(nick, secret, memory);
    this._prefix = toHex(random(5));
    this._count = 0;
    this._wire = null;
    this._answers = new Answers();
    this.sending = new Sending({
      newRef: () => this._newRef(),
      send: (request) => this._wire.send(request),
      listen,
      keep: () => this._keepNow(),
    });
    this._tries = 0;
    this._onlineSince = 0;
    this._timers = { again: 0, keep: 0 };
    this._onNetwork = () => this.reconnect();
    this._onHide = () => this._keepNow();
  }

  /** Begin. What an earlier tab left to be sent is told first, as `queued` (and `failed`). */
  async start() {
    this.id = await this._memory.number(this.nick);
    if (this.status === "ended") return;
    const kept = this._memory.session(this.nick, this.id);
    this.cursor = kept.cursor;
    this.drafts = kept.drafts;
    this.places = kept.places;
    this.sending.start(kept.waiting);
    addEventListener("online", this._onNetwork);
    addEventListener("pagehide", this._onHide);
    this._connect();
  }

  /** Remember what is being typed in a conversation. */
  keepDraft(conversation, text) {
    if ((this.drafts[conversation] ?? "") === text) return;
    if (text) this.drafts[conversation] = text;
    else delete this.drafts[conversation];
    this._keepSoon();
  }

  /** Remember which conversations are listed, as a model has them. */
  keepPlaces(places) {
    if (JSON.stringify(this.places) === JSON.stringify(places)) return;
    this.places = places;
    this._keepSoon();
  }

  /**
   * Send a request with a ref of its own, and return the answer. Throws a Refusal: an `error`, no
   * connection, or one that breaks before the answer.
   */
  ask(request) {
    if (this.status !== "online") return Promise.reject(new Refusal("Not connected just now."));
    const ref = this._newRef();
    const answer = this._answers.expect(ref);
    this._wire.send({ ...request, ref });
    return answer;
  }

  /** Send a request that has no answer, if there is a connection. */
  tell(request) {
    if (this.status === "online") this._wire.send(request);
  }

  /** Make the nick an account, or with `change` give one's own another password. */
  register(password, change, progress) {
    return this._login.register(password, change, progress, (request) => this.ask(request));
  }

  /** Try to connect now instead of at the end of the wait. */
  reconnect() {
    if (this.status !== "waiting") return;
    clearTimeout(this._timers.again);
    this._connect();
  }

  /** End it for good; what was not acknowledged is kept for the next session. */
  end() {
    if (this.status === "online") this._wire.send({ purpose: "disconnect" });
    this._wire?.leave();
    this._wire = null;
    this._finish("", null);
  }

  // Connecting

  _connect() {
    this._change("connecting");
    const wire = new Wire(this._address, (event) => this._heard(wire, event), (why) => this._broken(wire, why));
    this._wire = wire;
    wire.onOpen(() => {
      this._change("joining");
      const since = this.cursor === null ? {} : { since: this.cursor };
      wire.send({ ...this._login.request(), nick: this.nick, id: this.id, time: Date.now() / 1000, ...since });
    });
  }

  _broken(wire, why) {
    if (this._wire !== wire) return;
    const steady = this.status === "online" && performance.now() - this._onlineSince > STEADY;
    this._disconnected();
    if (steady) this._tries = 0;
    const delay = Math.random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this._tries);
    this._tries += 1;
    this._timers.again = setTimeout(() => this._connect(), delay);
    this._change("waiting", why, null, performance.now() + delay);
  }

  _disconnected() {
    this._wire = null;
    this._login.disconnected();
    this.sending.disconnected();
    this._answers.disconnected();
    this._keepNow();
  }

  /** Give up: the server will not let one in. */
  _finish(why, word) {
    if (this.status === "ended") return;
    this._wire?.leave();
    this._disconnected();
    clearTimeout(this._timers.again);
    removeEventListener("online", this._onNetwork);
    removeEventListener("pagehide", this._onHide);
    this._change("ended", why, word);
  }

  // What comes

  _heard(wire, event) {
    if (this._wire !== wire) return;
    switch (event.purpose) {
      case "message":
        if (this.cursor !== null && event.seq <= this.cursor) return;
        this._moved(event.seq);
        break;
      case "history":
        if (event.replay) this._replayed(event);
        else if (!this._answers.take(event)) return;
        break;
      case "welcome":
        if (!this._welcomed(wire, event)) return;
        break;
      case "challenge":
        this._respond(wire, event.data);
        return;
      case "ok":
        if (!this.sending.acknowledged(event)) this._answers.take(event);
        return;
      case "broken":
        this._answers.refuse(event.ref, event.text);
        return;
      case "error":
        if (this._error(wire, event)) return;
        break;
      case "shutdown":
        wire.send({ purpose: "shutdown_ack" });
        break;
      case "pong":
        return;
      default:
        if (typeof event.ref === "string" && !this._answers.take(event)) return;
    }
    this._listen(event);
  }

  _replayed(event) {
    const { cursor } = this;
    if (cursor !== null) event.messages = event.messages.filter(({ seq }) => seq > cursor);
    if (event.messages.length) this._moved(event.messages.at(-1).seq);
  }

  _welcomed(wire, event) {
    if (this.status !== "joining" || key(event.nick) !== key(this.nick)) {
      wire.end("the server welcomes somebody else");
      return false;
    }
    try {
      this._login.welcomed(event);
    } catch (problem) {
      if (!(problem instanceof ScramError)) throw problem;
      this._finish(problem.message, "NOT_PROVED");
      return false;
    }
    this.welcome = event;
    this.nick = event.nick;
    if (this.cursor !== null && event.seq < this.cursor) {
      // The server's log is shorter than what was read: it is another log.
      this.cursor = null;
      this._listen({ purpose: "other_log" });
    }
    wire.joined(event.limits.timeout);
    this._onlineSince = performance.now();
    this.sending.connected(event.limits);
    this._change("online");
    // After the page has taken the welcome in: what is said now belongs behind it.
    queueMicrotask(() => this.sending.go());
    return true;
  }

  async _respond(wire, challenge) {
    try {
      const data = await this._login.answer(challenge, (part) => {
        this._listen({ purpose: "deriving", part });
      });
      if (data === null || this._wire !== wire) return;
      wire.patience();
      wire.send({ purpose: "response", data });
    } catch (problem) {
      if (!(problem instanceof ScramError)) throw problem;
      if (this._wire === wire) this._finish(problem.message, "NOT_PROVED");
    }
  }

  /** Deal with an error. Return whether that was all: the page need not hear of it. */
  _error(wire, event) {
    const { ref } = event;
    event.text = inOwnTime(event.text);
    if (this.sending.refusal(event) || this._answers.refuse(ref, event.text, event.error)) return true;
    if (this.status === "joining") {
      const taken = event.error === "USER_IN_USE" && this.welcome !== null;
      if (LATER.has(event.error) || taken) wire.end(event.text);
      else this._finish(event.text, event.error);
      return true;
    }
    if (OUT.has(event.error) && ref == null) {
      this._finish(event.text, event.error);
      return true;
    }
    return false;
  }

  // Small things

  _newRef() {
    this._count += 1;
    return `${this._prefix}-${this._count}`;
  }

  _change(status, text = "", word = null, retryAt = null) {
    this.status = status;
    this._listen({ purpose: "status", status, text, word, retryAt });
  }

  _moved(seq) {
    this.cursor = seq;
    this._keepSoon();
  }

  _keepSoon() {
    this._timers.keep ||= setTimeout(() => this._keepNow(), KEEP_EVERY);
  }

  _keepNow() {
    clearTimeout(this._timers.keep);
    this._timers.keep = 0;
    if (this.id === null) return;
    const { cursor, drafts, places } = this;
    this._memory.keepSession(this.nick, this.id, { cursor, drafts, places, waiting: this.sending.all });
  }
}
