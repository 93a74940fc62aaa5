/**
 * A session: it joins, sends, and comes back by itself. No screen here.
 *
 * A message that was given to `say` is kept until the server has acknowledged it: over a broken
 * connection, a server that restarts, a page that is loaded again. It is sent again under the
 * same ref, which the server takes once. What was missed comes from the place that was reached
 * (`since`), so that nothing is missing and nothing comes twice.
 */

import { random, toHex } from "./digests.js";
import { key } from "./names.js";
import { Outgoing } from "./outgoing.js";
import { Proof, registration, ScramError } from "./scram.js";
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

/** Refusals of a message that another try may change. */
const AGAIN = new Set(["LIMIT_EXCEEDED", "STORE_UNAVAILABLE", "SHUTTING_DOWN", "INTERNAL_ERROR"]);
/** Refusals of a join that waiting may change. */
const LATER = new Set(["SERVER_FULL", "SHUTTING_DOWN", "STORE_UNAVAILABLE", "LIMIT_EXCEEDED"]);
/**
 * Errors by which a session that is in is ended, though nothing was asked: who was sent out or is
 * kept out comes back when the person wants to, and not by itself.
 */
export const OUT = new Set(["EVICTED", "BANNED", "FORBIDDEN"]);

/** A request was refused, or there is no connection to ask over. `word` is the wire's, or null. */
export class Refusal extends Error {
  constructor(text, word = null) {
    super(text);
    this.word = word;
  }
}

export class Session {
  /**
   * As `nick`, kept in `memory`. `listen` gets everything that happens: events of the wire, and
   * `status`, `queued`, `stored`, `failed`, `dropped`, `other_log`. `secret`: `{password}` or
   * `{salted}` of an account, or null for a guest.
   */
  constructor(address, nick, memory, secret, listen) {
    this.nick = nick;
    this.id = null;
    /** "connecting", "joining", "online", "waiting" (for the next try), "ended". */
    this.status = "connecting";
    this.welcome = null;
    this.cursor = null;
    this.drafts = {};
    this._address = address;
    this._memory = memory;
    this._secret = secret;
    this._listen = listen;
    this._outgoing = new Outgoing();
    this._prefix = toHex(random(5));
    this._count = 0;
    this._wire = null;
    this._proof = null;
    this._answers = new Map();
    this._tries = 0;
    this._onlineSince = 0;
    this._timers = { again: 0, send: 0, keep: 0 };
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
    for (const { ref, to, text, time, failed } of kept.waiting) {
      if (![ref, to, text].every((each) => typeof each === "string")) continue;
      const why = typeof failed === "string" ? failed : null;
      this._outgoing.add({ ref, to, text, time: Number(time) || 0 }, why);
      this._listen({ purpose: "queued", ref, to, text, time: Number(time) || 0 });
      if (why !== null) this._listen({ purpose: "failed", ref, text: why });
    }
    addEventListener("online", this._onNetwork);
    addEventListener("pagehide", this._onHide);
    this._connect();
  }

  /** How many own messages are on their way. */
  get waiting() {
    return this._outgoing.waiting;
  }

  /** Send `text` to a conversation, now or when that is possible. Return its ref. */
  say(text, to) {
    const message = { ref: this._newRef(), to, text, time: now() };
    this._outgoing.add(message);
    this._keepNow();
    this._listen({ purpose: "queued", ...message });
    this._sendOwn();
    return message.ref;
  }

  /** Send a refused message again. */
  retry(ref) {
    const message = this._outgoing.retry(ref, this._newRef());
    if (message === null) return;
    this._listen({ purpose: "dropped", ref });
    this._listen({ purpose: "queued", ...message });
    this._keepNow();
    this._sendOwn();
  }

  /** Forget a refused message. */
  drop(ref) {
    if (!this._outgoing.drop(ref)) return;
    this._keepNow();
    this._listen({ purpose: "dropped", ref });
  }

  /** The refs of refused messages. */
  get refused() {
    return this._outgoing.all.filter((each) => each.failed !== null).map((each) => each.ref);
  }

  /** Remember what is being typed in a conversation. */
  keepDraft(conversation, text) {
    if ((this.drafts[conversation] ?? "") === text) return;
    if (text) this.drafts[conversation] = text;
    else delete this.drafts[conversation];
    this._keepSoon();
  }

  /**
   * Send a request with a ref of its own, and return the answer. Throws a Refusal: an `error`, no
   * connection, or one that breaks before the answer.
   */
  ask(request) {
    if (this.status !== "online") return Promise.reject(new Refusal("Not connected just now."));
    const ref = this._newRef();
    return new Promise((resolve, reject) => {
      this._answers.set(ref, { resolve, reject });
      this._wire.send({ ...request, ref });
    });
  }

  /** Send a request that has no answer, if there is a connection. */
  tell(request) {
    if (this.status === "online") this._wire.send(request);
  }

  /** Make the nick an account, or with `change` give one's own another password. */
  async register(password, change, progress) {
    const { salted, keys } = await registration(password, progress);
    await this.ask({ purpose: "register", ...keys, ...(change && { change: true }) });
    this._secret = { salted };
    this._memory.key = salted;
    this._memory.keepToken(this.nick, null);
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
      wire.send(this._request());
    });
  }

  _request() {
    const who = { nick: this.nick, id: this.id, time: now() };
    const since = this.cursor === null ? {} : { since: this.cursor };
    if (this._secret !== null) {
      this._proof = new Proof(this.nick, this._secret);
      const login = { purpose: "login", mechanism: "SCRAM-SHA-256", data: this._proof.first };
      return { ...login, ...who, ...since };
    }
    const token = this._memory.token(this.nick);
    return { purpose: "join", ...who, ...(token !== null && { token }), ...since };
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
    this._proof = null;
    clearTimeout(this._timers.send);
    this._timers.send = 0;
    this._outgoing.disconnected();
    const answers = [...this._answers.values()];
    this._answers.clear();
    for (const { reject } of answers) reject(new Refusal("The connection broke before the answer."));
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
        else if (!this._answer(event)) return;
        break;
      case "welcome":
        if (!this._welcomed(wire, event)) return;
        break;
      case "challenge":
        this._respond(wire, event.data);
        return;
      case "ok":
        this._ok(event);
        return;
      case "broken":
        this._answers.get(event.ref)?.reject(new Refusal(event.text));
        this._answers.delete(event.ref);
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
        if (typeof event.ref === "string" && !this._answer(event)) return;
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
    if (this._proof !== null) {
      try {
        this._proof.check(event.data);
      } catch (problem) {
        if (!(problem instanceof ScramError)) throw problem;
        this._finish(problem.message, "NOT_PROVED");
        return false;
      }
      this._secret = { salted: this._proof.salted };
      this._memory.key = this._proof.salted;
      this._proof = null;
    }
    this.welcome = event;
    this.nick = event.nick;
    if (typeof event.token === "string") this._memory.keepToken(this.nick, event.token);
    if (this.cursor !== null && event.seq < this.cursor) {
      // The server's log is shorter than what was read: it is another log.
      this.cursor = null;
      this._listen({ purpose: "other_log" });
    }
    wire.joined(event.limits.timeout);
    this._onlineSince = performance.now();
    this._outgoing.connected(event.limits, performance.now());
    this._change("online");
    // After the page has taken the welcome in: what is said now belongs behind it.
    queueMicrotask(() => this._sendOwn());
    return true;
  }

  async _respond(wire, challenge) {
    const proof = this._proof;
    if (proof === null) return;
    try {
      const data = await proof.answer(challenge, (part) => {
        this._listen({ purpose: "deriving", part });
      });
      if (this._wire !== wire) return;
      wire.patience();
      wire.send({ purpose: "response", data });
    } catch (problem) {
      if (!(problem instanceof ScramError)) throw problem;
      if (this._wire === wire) this._finish(problem.message, "NOT_PROVED");
    }
  }

  _ok(event) {
    if (this._outgoing.has(event.ref) && Number.isSafeInteger(event.seq)) {
      this._outgoing.stored(event.ref);
      this._listen({ purpose: "stored", ref: event.ref, seq: event.seq, time: event.time ?? now() });
      this._keepNow();
      this._sendOwn();
    } else this._answer(event);
  }

  /** Deal with an error. Return whether that was all: the page need not hear of it. */
  _error(wire, event) {
    const { ref } = event;
    event.text = inOwnTime(event.text);
    if (this._outgoing.has(ref)) {
      if (AGAIN.has(event.error)) {
        this._outgoing.putOff(ref, (event.retry_after ?? 1) * 1000, performance.now());
      } else {
        this._outgoing.fail(ref, event.text);
        this._listen({ purpose: "failed", ref, text: event.text });
        this._keepNow();
      }
      this._sendOwn();
      return true;
    }
    if (this._answers.has(ref)) {
      this._answers.get(ref).reject(new Refusal(event.text, event.error));
      this._answers.delete(ref);
      return true;
    }
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

  /** Return whether something was waiting for this answer. */
  _answer(event) {
    const asked = this._answers.get(event.ref);
    this._answers.delete(event.ref);
    asked?.resolve(event);
    return asked !== undefined;
  }

  // Small things

  /** Send own messages in their order, as far as the server takes them now. */
  _sendOwn() {
    if (this.status !== "online") return;
    const { messages, again } = this._outgoing.due(performance.now());
    for (const message of messages) this._wire.send({ purpose: "message", ...message });
    if (again !== null && !this._timers.send) {
      this._timers.send = setTimeout(() => {
        this._timers.send = 0;
        this._sendOwn();
      }, again);
    }
  }

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
    const { cursor, drafts } = this;
    this._memory.keepSession(this.nick, this.id, { cursor, drafts, waiting: this._outgoing.all });
  }
}

const now = () => Math.round(Date.now()) / 1000;
