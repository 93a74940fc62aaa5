/**
 * One's own messages as a session sends them: each is kept until the server has acknowledged it or
 * refused it for good, over a broken connection, a server that restarts, a page that is loaded
 * again. It is sent again under the same ref, which the server takes once.
 */

import { Outgoing } from "./outgoing.js";

/** Refusals of a message that another try may change. */
const AGAIN = new Set(["LIMIT_EXCEEDED", "STORE_UNAVAILABLE", "SHUTTING_DOWN", "INTERNAL_ERROR"]);

const NO_FRAME = "it takes more bytes to send than a frame holds";

export class Sending {
  /**
   * `newRef` makes refs, `send` sends a request, `listen` is told `queued`, `stored`, `failed` and
   * `dropped`, and `keep` is called when there is something else to be kept.
   */
  constructor({ newRef, send, listen, keep }) {
    this._newRef = newRef;
    this._send = send;
    this._listen = listen;
    this._keep = keep;
    this._outgoing = new Outgoing();
    this._online = false;
    this._frame = 0; // bytes, known once there is a connection
    this._again = 0;
  }

  /** Take in what an earlier tab left to be sent: it is told as `queued` (and `failed`). */
  start(kept) {
    for (const { ref, to, text, time, failed } of kept) {
      if (![ref, to, text].every((each) => typeof each === "string")) continue;
      const why = typeof failed === "string" ? failed : null;
      const message = { ref, to, text, time: Number(time) || 0 };
      this._outgoing.add(message, why);
      this._listen({ purpose: "queued", ...message });
      if (why !== null) this._listen({ purpose: "failed", ref, text: why });
    }
  }

  /** All that is to be kept for the next session. */
  get all() {
    return this._outgoing.all;
  }

  /** How many are on their way. */
  get waiting() {
    return this._outgoing.waiting;
  }

  /** The refs of refused messages. */
  get refused() {
    return this._outgoing.all.filter((each) => each.failed !== null).map((each) => each.ref);
  }

  /** Send `text` to a conversation, now or when that is possible. Return its ref. */
  say(text, to) {
    const message = { ref: this._newRef(), to, text, time: now() };
    this._outgoing.add(message);
    this._keep();
    this._listen({ purpose: "queued", ...message });
    this.go();
    return message.ref;
  }

  /** Send a refused message again. */
  retry(ref) {
    const message = this._outgoing.retry(ref, this._newRef());
    if (message === null) return;
    this._listen({ purpose: "dropped", ref });
    this._listen({ purpose: "queued", ...message });
    this._keep();
    this.go();
  }

  /** Forget a refused message. */
  drop(ref) {
    if (!this._outgoing.drop(ref)) return;
    this._keep();
    this._listen({ purpose: "dropped", ref });
  }

  /** The server takes messages, within `limits`: the next `go` sends all. */
  connected(limits) {
    this._online = true;
    this._frame = limits.frame;
    this._outgoing.connected(limits, performance.now());
  }

  disconnected() {
    this._online = false;
    clearTimeout(this._again);
    this._again = 0;
    this._outgoing.disconnected();
  }

  /** Send what is to be sent, in its order, as far as the server takes it now. */
  go() {
    if (!this._online) return;
    const { messages, again } = this._outgoing.due(performance.now());
    for (const message of messages) {
      const request = { purpose: "message", ...message };
      if (new TextEncoder().encode(JSON.stringify(request)).length <= this._frame) this._send(request);
      else this._refused(message.ref, NO_FRAME); // the server could only hang up, each time
    }
    if (again !== null && !this._again) {
      this._again = setTimeout(() => {
        this._again = 0;
        this.go();
      }, again);
    }
  }

  /** Take in an `ok`. Return whether it was for one of these. */
  acknowledged({ ref, seq, time }) {
    if (!this._outgoing.has(ref) || !Number.isSafeInteger(seq)) return false;
    this._outgoing.stored(ref);
    this._listen({ purpose: "stored", ref, seq, time: time ?? now() });
    this._keep();
    this.go();
    return true;
  }

  /** Take in an `error`. Return whether it was for one of these. */
  refusal({ ref, error, text, retry_after: after }) {
    if (!this._outgoing.has(ref)) return false;
    // What cannot be read back will not be there in a second.
    const lasts = error === "STORE_UNAVAILABLE" && typeof after !== "number";
    if (AGAIN.has(error) && !lasts) this._outgoing.putOff(ref, (after ?? 1) * 1000, performance.now());
    else this._refused(ref, text);
    this.go();
    return true;
  }

  _refused(ref, why) {
    this._outgoing.fail(ref, why);
    this._listen({ purpose: "failed", ref, text: why });
    this._keep();
  }
}

const now = () => Math.round(Date.now()) / 1000;
