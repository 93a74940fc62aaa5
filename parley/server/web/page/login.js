/**
 * Who a session is, and how it proves that: an account by its password (SCRAM), a guest by the
 * token that this browser keeps. No password outlives the login; its derived key does, in this tab.
 */

import { Proof, registration } from "./scram.js";

export class Login {
  /** As `nick`; `secret`: `{password}` or `{salted}` of an account, or null for a guest. */
  constructor(nick, secret, memory) {
    this._nick = nick;
    this._secret = secret;
    this._memory = memory;
    this._proof = null;
  }

  /** Return the request to be let in, without what the session adds of itself. */
  request() {
    if (this._secret !== null) {
      this._proof = new Proof(this._nick, this._secret);
      return { purpose: "login", mechanism: "SCRAM-SHA-256", data: this._proof.first };
    }
    const token = this._memory.token(this._nick);
    return { purpose: "join", ...(token !== null && { token }) };
  }

  /** Return the answer to a challenge, or null if none can be meant. Throws a ScramError. */
  async answer(challenge, progress) {
    return this._proof === null ? null : this._proof.answer(challenge, progress);
  }

  /** One is in: check that the server knows the account too. Throws a ScramError. */
  welcomed({ nick, token, data }) {
    if (this._proof !== null) {
      this._proof.check(data);
      this._known(this._proof.salted);
      this._proof = null;
    }
    if (typeof token === "string") this._memory.keepToken(nick, token);
  }

  disconnected() {
    this._proof = null;
  }

  /** Make the nick an account, or with `change` give it another password; `ask` sends the request. */
  async register(password, change, progress, ask) {
    const { salted, keys } = await registration(password, progress);
    await ask({ purpose: "register", ...keys, ...(change && { change: true }) });
    this._known(salted);
    this._memory.keepToken(this._nick, null);
  }

  _known(salted) {
    this._secret = { salted };
    this._memory.key = salted;
  }
}
