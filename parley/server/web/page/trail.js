/**
 * Where one has been: the browser's back and forward lead from conversation to conversation, and a
 * page that is loaded again begins where one was. It stands in the browser's history of this tab,
 * not in the address, which another page could choose.
 */

import { isPrivate, isRoom, key } from "./names.js";

export class Trail {
  /** `go` gets the name of a conversation to which one has gone back or forward. */
  constructor(go) {
    this._nick = null;
    addEventListener("popstate", () => {
      const name = this._here();
      if (name !== null) go(name);
    });
  }

  /** Return where this tab was as `nick`, or null. From here on one goes about as that. */
  begin(nick) {
    this._nick = nick;
    return this._here();
  }

  /** One has gone to the conversation `name`, or was led back there. */
  to(name) {
    const here = this._here();
    if (this._nick === null || (here !== null && key(here) === key(name))) return;
    const state = { nick: this._nick, name };
    if (here === null) history.replaceState(state, "");
    else history.pushState(state, "");
  }

  /** One has signed out: nobody is led anywhere. */
  end() {
    this._nick = null;
    history.replaceState(null, "");
  }

  _here() {
    const { nick, name } = history.state ?? {};
    if (typeof nick !== "string" || typeof name !== "string" || this._nick === null) return null;
    return key(nick) === key(this._nick) && (isRoom(name) || isPrivate(name)) ? name : null;
  }
}
