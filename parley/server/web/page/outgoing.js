/**
 * One's own messages on their way: in order, as fast as the server takes them, none forgotten.
 *
 * Pure: time is passed in (milliseconds of any steady clock), and nothing is sent here. A message
 * `{ref, to, text, time}` stays until the server has acknowledged it or it was refused for good.
 */

/**
 * Messages sent and not acknowledged. After one was refused for now they go one at a time, so that
 * none overtakes it.
 */
const IN_FLIGHT = 8;
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 60_000;

export class Outgoing {
  constructor() {
    this._own = new Map();
    this._window = IN_FLIGHT;
    this._holdUntil = 0;
    this._rate = 0;
    this._burst = 1;
    this._tokens = 0;
    this._tokensAt = 0;
  }

  has(ref) {
    return this._own.has(ref);
  }

  /** All that is not acknowledged, with `failed`: why it was refused, or null. */
  get all() {
    return [...this._own.values()].map(({ message, failed }) => ({ ...message, failed }));
  }

  /** How many are neither acknowledged nor refused. */
  get waiting() {
    return [...this._own.values()].filter((own) => own.failed === null).length;
  }

  /** Take a message, to be sent after those that are here. */
  add(message, failed = null) {
    this._own.set(message.ref, { message, failed, inFlight: false });
  }

  /** The server takes messages, within `limits`: all are to be sent (again). */
  connected(limits, now) {
    this._rate = limits.rate / 1000;
    this._burst = Math.max(1, limits.burst);
    this._tokens = this._burst;
    this._tokensAt = now;
    this._holdUntil = 0;
    this.disconnected();
  }

  /** Nobody knows what has become of what is in flight. */
  disconnected() {
    for (const own of this._own.values()) own.inFlight = false;
  }

  /** A message is acknowledged. */
  stored(ref) {
    this._own.delete(ref);
    this._window = IN_FLIGHT;
  }

  /** A message was refused for now: send nothing for `wait` milliseconds. */
  putOff(ref, wait, now) {
    this._own.get(ref).inFlight = false;
    this._window = 1;
    const sane = Math.min(Math.max(wait, SHORTEST_WAIT), LONGEST_WAIT);
    this._holdUntil = Math.max(this._holdUntil, now + sane);
  }

  /** A message was refused for good. */
  fail(ref, why) {
    const own = this._own.get(ref);
    own.inFlight = false;
    own.failed = why;
  }

  /** Take a refused message as a new one. Return it, or null if there is none. */
  retry(ref, newRef) {
    const own = this._own.get(ref);
    if (own === undefined || own.failed === null) return null;
    this._own.delete(ref);
    const message = { ...own.message, ref: newRef };
    this.add(message);
    return message;
  }

  /** Forget a refused message. False if there is none. */
  drop(ref) {
    const own = this._own.get(ref);
    return own !== undefined && own.failed !== null && this._own.delete(ref);
  }

  /**
   * Return the messages to be sent now, and `again`: in how many milliseconds to ask again, null
   * if an acknowledgement has to come first, or there is nothing.
   */
  due(now) {
    this._tokens = Math.min(this._burst, this._tokens + (now - this._tokensAt) * this._rate);
    this._tokensAt = now;
    // Near the limit a refusal is to be expected: with others in flight they would overtake.
    const near = this._rate > 0 && this._tokens < 2 * IN_FLIGHT;
    const window = near ? 1 : this._window;
    const own = [...this._own.values()];
    let inFlight = own.filter((each) => each.inFlight).length;
    const messages = [];
    for (const each of own) {
      if (each.inFlight || each.failed !== null) continue;
      if (inFlight >= window) break;
      const wait = this._wait(now);
      if (wait > 0) return { messages, again: Math.max(wait, SHORTEST_WAIT / 10) };
      each.inFlight = true;
      inFlight += 1;
      messages.push(each.message);
    }
    return { messages, again: null };
  }

  /** Take a token of the server's rate, or return the milliseconds until there is one. */
  _wait(now) {
    if (this._holdUntil > now || !this._rate) return Math.max(0, this._holdUntil - now);
    if (this._tokens < 1) return (1 - this._tokens) / this._rate;
    this._tokens -= 1;
    return 0;
  }
}
