/** The way in: whom one wants to be, a password if the nick has one, and why it did not work. */

import { byId, set } from "./dom.js";
import { isNick } from "./names.js";
import { native } from "./digests.js";

/** What a refusal means for a person, by its word. Others are shown as the server says them. */
const WHY = {
  ACCOUNT_REQUIRED: (nick) => `${nick} is registered. Type its password, or take another nick.`,
  AUTH_FAILED: () => "That is not the password of this nick.",
  USER_IN_USE: (nick) => `Somebody else is ${nick} just now. Take another nick.`,
  INVALID_NICK: () => "That cannot be a nick.",
  BANNED: (nick, text) => `You are banned: ${text}.`,
};

export class Gate {
  /** `come` gets a nick, and a password or null. */
  constructor(come) {
    this._nick = byId("gate-nick");
    this._password = byId("gate-password");
    this._go = byId("gate-go");
    byId("gate-plain").hidden = native();
    byId("gate-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const nick = this._nick.value.trim();
      if (!isNick(nick)) {
        this._trouble(nick ? "A nick has letters a to z, digits, and _ - . alone, 32 at most." : "You need a name to come in.", this._nick);
        return;
      }
      this._busy("Coming in…");
      come(nick, this._password.value || null);
    });
  }

  /** Show it, with a nick to begin with. */
  show(nick) {
    delete document.documentElement.dataset.inside;
    byId("gate").hidden = false;
    byId("app").hidden = true;
    this._trouble("");
    this._rest();
    if (nick) this._nick.value = nick;
    document.title = "Parley";
    (this._nick.value ? this._password : this._nick).focus();
  }

  /** Show it if it is not to be seen: hidden, or left out for who goes straight in. */
  appear(nick) {
    if (!this.shown || "inside" in document.documentElement.dataset) this.show(nick);
  }

  /** One is in. */
  hide() {
    delete document.documentElement.dataset.inside;
    byId("gate").hidden = true;
    byId("app").hidden = false;
    this._password.value = "";
    this._rest();
  }

  get shown() {
    return !byId("gate").hidden;
  }

  /** Say why one is not let in. `word` is the wire's. */
  refused(nick, text, word) {
    this._rest();
    const why = Object.hasOwn(WHY, word ?? "") ? WHY[word](nick, text) : text;
    const password = word === "ACCOUNT_REQUIRED" || word === "AUTH_FAILED" || word === "NOT_PROVED";
    if (password) this._password.value = "";
    this._trouble(why, password ? this._password : this._nick);
  }

  /** Say how far one is. `text` null: there is no answer, and why; it goes on trying. */
  progress(text) {
    this._busy(text);
  }

  /** The server cannot be reached: it is tried again. */
  waiting(text) {
    this._trouble(`${text}. It is tried again by itself.`);
  }

  _trouble(text, field = null) {
    const line = byId("gate-trouble");
    line.textContent = text;
    line.hidden = !text;
    for (const each of [this._nick, this._password]) set(each, "aria-invalid", text && each === field ? "true" : null);
    field?.focus();
  }

  _busy(text) {
    this._go.disabled = true;
    this._go.textContent = text;
  }

  _rest() {
    this._go.disabled = false;
    this._go.textContent = "Come in";
  }
}
