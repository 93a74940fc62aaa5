/**
 * Files on their way, by HTTP beside the chat: a ticket for each try, asked of the session. What
 * breaks off goes on where it stopped, as soon as there is a connection again; a file is only
 * handed over when its SHA-256 is right. Knows no screen.
 */

import { Refusal } from "./answers.js";
import { hashFile, toHex } from "./digests.js";
import { Sha256 } from "./sha256.js";

/** Milliseconds before a transfer that broke off is tried again, and how often without a byte. */
const PAUSE = 1000;
const TRIES = 8;
/** Milliseconds without a byte after which a connection is dead: a network that is gone says nothing. */
const STALL = 60_000;

/** A transfer was not possible, in words for people. */
class TransferError extends Error {}

/** It broke off: another try may go on with it. */
class BrokenOff extends Error {}

/** Calls `stop` once nothing has moved for too long. */
class Patience {
  constructor(stop) {
    this._stop = stop;
    this.moved();
  }

  moved() {
    this.end();
    this._timer = setTimeout(this._stop, STALL);
  }

  end() {
    clearTimeout(this._timer);
  }
}

/** One file that goes or comes. `changed` is called whenever something of it has. */
export class Job {
  constructor(session, name, size, up, changed) {
    this.name = name;
    this.size = size;
    this.up = up;
    this.done = 0;
    /** "checking" (reading it for its SHA-256), "moving", "waiting", "done", "failed", "cancelled". */
    this.state = "waiting";
    this.why = "";
    /** What came, to be saved; null if it is where it was to be. */
    this.blob = null;
    /** The wire's word for why it was refused, or null. */
    this.word = null;
    this._session = session;
    this._changed = changed;
    this._controller = new AbortController();
  }

  get over() {
    return ["done", "failed", "cancelled"].includes(this.state);
  }

  /** Break it off. What is there stays: the next try goes on with it. */
  cancel() {
    if (!this.over) this._controller.abort();
  }

  /** Bring `file` to the conversation `to`. Returns whether it is there now. */
  async share(file, to) {
    return this._run(async () => {
      this._be("checking", 0);
      const sha256 = await hashFile(file, (done) => this._be("checking", done), this._signal);
      await this._tries(async () => {
        const ticket = await this._ask({ purpose: "put", name: this.name, size: file.size, sha256, to });
        const offset = Math.min(ticket.offset ?? 0, file.size);
        this._be("moving", offset);
        await this._put(ticket.ticket, file, offset);
      });
    });
  }

  /** Fetch a file of the conversation `where` into a place (`places`). Returns whether it is there. */
  async fetch(where, place) {
    let hash = new Sha256();
    const whole = await this._run(async () => {
      await this._tries(async () => {
        const ticket = await this._ask({ purpose: "get", name: this.name, with: where });
        if (ticket.size !== this.size || (this.sha256 && this.sha256 !== ticket.sha256)) {
          // Another file has this name by now: what came of the first is none of it.
          await place.restart();
          hash = new Sha256();
          this._be("moving", 0);
        }
        [this.size, this.sha256] = [ticket.size, ticket.sha256];
        await this._get(ticket.ticket, place, hash);
        if (toHex(hash.digest()) !== ticket.sha256) {
          throw new TransferError("What came is not what was shared: its SHA-256 is another.");
        }
      });
      this.blob = await place.finish();
    });
    if (!whole) await place.discard();
    return whole;
  }

  get _signal() {
    return this._controller.signal;
  }

  async _run(work) {
    try {
      await work();
      this._be("done", this.size);
      return true;
    } catch (problem) {
      if (this._signal.aborted) this._be("cancelled");
      else if (problem instanceof TransferError || problem instanceof Refusal) {
        this.why = problem.message;
        this.word = problem.word ?? null;
        this._be("failed");
      } else if (problem instanceof DOMException) {
        // Changed or gone since it was chosen; or there is no room for it.
        this.why = `It cannot be ${this.up ? "read" : "kept here"}: ${problem.message}`;
        this._be("failed");
      } else throw problem;
      return false;
    }
  }

  /** Try until it is done; give up when several tries in a row have moved nothing. */
  async _tries(once) {
    for (let idle = 0; ; idle++) {
      const before = this.done;
      try {
        await once();
        return;
      } catch (problem) {
        if (!(problem instanceof BrokenOff)) throw problem;
        if (this.done !== before) idle = 0;
        if (idle >= TRIES) throw new TransferError("It broke off again and again.");
        this._be("waiting");
        await this._pause();
      }
    }
  }

  /** Ask for a ticket, as soon as there is a connection. */
  async _ask(request) {
    while (this._session.status !== "online") {
      if (this._session.status === "ended") throw new TransferError("The connection is over.");
      this._be("waiting");
      await this._pause();
    }
    this._signal.throwIfAborted();
    try {
      return await this._session.ask(request);
    } catch (problem) {
      // A refusal without a word is the connection's end.
      if (problem instanceof Refusal && problem.word === null) throw new BrokenOff();
      throw problem;
    }
  }

  _pause() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, PAUSE);
      this._signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(this._signal.reason);
      }, { once: true });
    });
  }

  _put(ticket, file, offset) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch() does not tell how much has gone
      request.open("PUT", `${address(ticket)}?offset=${offset}`);
      const patience = new Patience(() => request.abort());
      request.onloadend = () => patience.end();
      request.upload.onprogress = ({ loaded }) => {
        patience.moved();
        this._be("moving", Math.min(file.size, offset + loaded));
      };
      request.onload = () => {
        if (request.status === 200 || request.status === 201) resolve();
        else reject(refusal(request.status, request.responseText));
      };
      request.onerror = request.onabort = () => reject(new BrokenOff());
      this._signal.addEventListener("abort", () => request.abort(), { once: true });
      request.send(file.slice(offset));
    });
  }

  async _get(ticket, place, hash) {
    const at = place.size;
    this._be("moving", at);
    if (at === this.size && at) return;
    const stalled = new AbortController();
    const patience = new Patience(() => stalled.abort());
    try {
      const headers = at ? { Range: `bytes=${at}-` } : {};
      const signal = AbortSignal.any([this._signal, stalled.signal]);
      const response = await fetch(address(ticket), { headers, cache: "no-store", signal });
      if (!response.ok) throw refusal(response.status, await response.text());
      if (at && response.status !== 206) throw new TransferError("The server sent another part than was asked for.");
      const reader = response.body.getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        await place.write(read.value);
        hash.update(read.value);
        patience.moved();
        this._be("moving", this.done + read.value.length);
        if (this.done > this.size) throw new TransferError("The server sent more than the file has.");
      }
    } catch (problem) {
      // A TypeError is how fetch() says "network".
      if (problem instanceof TypeError || stalled.signal.aborted) throw new BrokenOff();
      throw problem;
    } finally {
      patience.end();
    }
    if (this.done < this.size) throw new BrokenOff();
  }

  _be(state, done = this.done) {
    this.state = state;
    this.done = done;
    this._changed(this);
  }
}

/** Where a file is got or brought by a ticket. Relative: the page may stand under a path. */
export function address(ticket) {
  return new URL(`files/${encodeURIComponent(ticket)}`, document.baseURI).href;
}

/** Turn a refusal of HTTP into an error: of what breaks off, another try may come through. */
function refusal(status, text) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch (problem) {
    if (!(problem instanceof SyntaxError)) throw problem;
  }
  const again = status === 503 || answer?.error === "TICKET_EXPIRED" || (status === 409 && /go on from/.test(answer?.text ?? ""));
  if (again) return new BrokenOff();
  const words = typeof answer?.text === "string" ? answer.text.slice(0, 500) : `The server answered ${status}.`;
  return new TransferError(words);
}
