/**
 * One connection to the server: a WebSocket with JSON objects in text messages, both ways, and the
 * deadlines that a connection has. It ends once; `session` makes the next. Knows no chat beyond
 * the ping.
 */

import { decode, EventError } from "./events.js";

/** Milliseconds for a connection to open, and for the server to let one in. */
const OPENING = 10_000;
const JOINING = 20_000;

export class Wire {
  /** `heard` gets each event; `ended` gets, once, why the connection is over. */
  constructor(address, heard, ended) {
    this._heard = heard;
    this._ended = ended;
    this._over = false;
    this._timer = setTimeout(() => this.end("the server does not answer"), OPENING);
    this._silence = 0;
    this._sentAt = 0;
    this._heardAt = 0;
    this._askedAt = 0;
    this._pings = 0;
    this._socket = new WebSocket(address);
    this._socket.onclose = () => this.end(this._opened ? "the connection broke" : "the server cannot be reached");
    this._socket.onmessage = ({ data }) => this._take(data);
    this._opened = false;
  }

  /** Call `then` when it is open. The server has to let one in soon after. */
  onOpen(then) {
    this._socket.onopen = () => {
      this._opened = true;
      clearTimeout(this._timer);
      this._timer = setTimeout(() => this.end("the server lets nobody in"), JOINING);
      then();
    };
  }

  /** One has joined: from here on only silence, of `timeout` seconds at most, ends it. */
  joined(timeout) {
    clearTimeout(this._timer);
    this._silence = Math.max(500, (timeout * 1000) / 3);
    this._heardAt = performance.now();
    this._watch();
  }

  /** The person takes a while (a password is derived): the deadline begins anew. */
  patience() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.end("the server lets nobody in"), JOINING);
  }

  /** Send a request, if the connection is open. */
  send(request) {
    if (this._over || this._socket.readyState !== WebSocket.OPEN) return;
    this._sentAt = performance.now();
    this._socket.send(JSON.stringify(request));
  }

  /** End it, and say why. */
  end(why) {
    if (this._over) return;
    this._over = true;
    clearTimeout(this._timer);
    this._socket.onmessage = null;
    this._socket.close();
    this._ended(why);
  }

  /** Let what was sent go out, and end it without a word. */
  leave() {
    this._over = true;
    clearTimeout(this._timer);
    this._socket.onmessage = null;
    this._socket.close();
  }

  _take(data) {
    if (this._over) return;
    this._heardAt = performance.now();
    try {
      const event = decode(typeof data === "string" ? data : "");
      if (event !== null) this._heard(event);
    } catch (problem) {
      if (!(problem instanceof EventError)) throw problem;
      // An answer that cannot be read fails what was asked; anything else, the connection.
      if (problem.ref === null) this.end(problem.message);
      else this._heard({ purpose: "broken", ref: problem.ref, text: problem.message });
    }
  }

  /**
   * Ask whether the server lives when it is silent, and let it know that the page does. Timers of
   * a tab in the background may come a minute late, so that lateness proves nothing: only a ping
   * that was not answered does.
   */
  _watch() {
    const now = performance.now();
    const unanswered = this._askedAt > this._heardAt;
    if (unanswered && now - this._askedAt >= this._silence) {
      const seconds = Math.round((now - this._heardAt) / 1000);
      this.end(`the server has said nothing for ${seconds} s`);
      return;
    }
    const quiet = now - this._heardAt >= this._silence || now - this._sentAt >= this._silence;
    if (quiet && !unanswered) {
      this._pings += 1;
      this._askedAt = now;
      this.send({ purpose: "ping", ref: `ping-${this._pings}` });
    }
    this._timer = setTimeout(() => this._watch(), this._silence / 2);
  }
}
