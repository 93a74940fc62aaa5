/**
 * Coming in and going: between the gate, the session and what this browser remembers. What becomes
 * of the connection meanwhile is told here too.
 */

import { cleanName, cleanReason } from "./clean.js";
import { Gate } from "./gate.js";
import { OUT, Session } from "./session.js";

export class Entrance {
  /** Into `app`, as `App` is. */
  constructor(app, memory) {
    this._app = app;
    this._memory = memory;
    this._begun = null; // the session that was never in yet
    this._counting = 0;
    this.gate = new Gate((nick, password) => this.come(nick, password === null ? null : { password }));
  }

  /** Begin: straight in if this browser was, else at the gate. */
  begin() {
    const { nick, inside, key: salted } = this._memory;
    const secret = salted ? { salted } : null;
    if (inside && nick) this.come(nick, secret);
    else this.gate.show(nick ?? "");
  }

  /** Come in as `nick`. */
  come(nick, secret) {
    const { _app: app } = this;
    app.session?.end();
    app.model.reset(nick);
    app.timeline.forget();
    const address = new URL("chat", document.baseURI);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    app.session = new Session(address.href, nick, this._memory, secret, (event) => app.heard(event));
    this._begun = app.session;
    app.session.start();
  }

  /** Go, and be asked next time. */
  signOut() {
    const { session, model, trail } = this._app;
    session?.end();
    trail.end();
    this._memory.be(model.nick, false);
    this._memory.key = null;
    this.gate.show(model.nick);
  }

  /** The nick is an account now, or has another password. */
  registered(change) {
    const { model, drawing } = this._app;
    model.account = true;
    this._app.note(change ? "The password is changed." : `${model.nick} is yours now, by this password.`);
    drawing.redraw("status");
  }

  /** A password is being proved, of which `part` is done. */
  deriving({ part }) {
    if (this.gate.shown) this.gate.progress(`Proving your password… ${Math.round(part * 100)} %`);
  }

  /** One is in. */
  welcomed() {
    const { session, model, composer, requests, trail } = this._app;
    this._memory.be(session.nick, true);
    if (this.gate.shown || this._begun === session) {
      this._begun = null;
      for (const [name, draft] of Object.entries(session.drafts)) {
        if (/^[#@]./.test(name) && typeof draft === "string") model.conversation(cleanName(name)).draft = draft;
      }
      model.restore(session.places);
      this.gate.hide();
      composer.show(model.current.name, model.current.draft);
      composer.focus();
      const was = trail.begin(session.nick);
      if (was !== null) this._app.goBack(was);
      trail.to(model.current.name);
      if (this._memory.failed) this._app.note("This browser keeps nothing for this page: what is not sent is lost when you close it, and so is your nick.", "trouble");
    }
    requests.about(model.current);
    requests.role();
  }

  /** The connection has changed. */
  status({ status, text, word }) {
    const { session, model } = this._app;
    if (status === "connecting" && session.cursor !== null) model.talk.resume();
    const inside = this._begun !== session;
    if (status === "ended" && text && !(inside && OUT.has(word))) {
      this.gate.appear(model.nick);
      if (word === "AUTH_FAILED" || word === "NOT_PROVED") this._memory.key = null;
      this.gate.refused(model.nick, cleanReason(text), word);
    } else if (!inside && status === "waiting") {
      this.gate.appear(model.nick);
      this.gate.waiting(cleanReason(text));
      this.gate.progress("Trying again…");
    }
    if (status === "waiting") this._count();
  }

  /** Count the seconds to the next try. */
  _count() {
    clearTimeout(this._counting);
    if (this._app.model.status.status !== "waiting") return;
    this._app.drawing.redraw("status");
    this._counting = setTimeout(() => this._count(), 500);
  }
}
