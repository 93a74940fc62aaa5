/** Requests whose answers are still to come, each by its ref. */

/** A request was refused, or there is no connection to ask over. `word` is the wire's, or null. */
export class Refusal extends Error {
  constructor(text, word = null) {
    super(text);
    this.word = word;
  }
}

export class Answers {
  constructor() {
    this._waiting = new Map();
  }

  /** Return the answer to the request `ref`, when it has come. Throws a Refusal. */
  expect(ref) {
    return new Promise((resolve, reject) => this._waiting.set(ref, { resolve, reject }));
  }

  /** Take in an answer. Return whether something was waiting for it. */
  take(event) {
    const asked = this._waiting.get(event.ref);
    this._waiting.delete(event.ref);
    asked?.resolve(event);
    return asked !== undefined;
  }

  /** Take in that the request `ref` is refused. Return whether something was waiting for it. */
  refuse(ref, text, word = null) {
    const asked = this._waiting.get(ref);
    this._waiting.delete(ref);
    asked?.reject(new Refusal(text, word));
    return asked !== undefined;
  }

  /** No answer comes any more. */
  disconnected() {
    for (const ref of [...this._waiting.keys()]) this.refuse(ref, "The connection broke before the answer.");
  }
}
