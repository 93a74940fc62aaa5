/** What is asked of the server beside messages and files, and what its answers change here. */

import { Refusal } from "./answers.js";
import { cleanReason } from "./clean.js";
import { openActs } from "./help.js";
import { key, LOBBY } from "./names.js";

export class Requests {
  /** Of `app`, as `App` is. */
  constructor(app) {
    this._app = app;
  }

  /** Wait for something that may be refused; then say so. Return whether it went well. */
  async attempt(work) {
    try {
      await work;
      return true;
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      if (problem.word !== null) this._app.note(cleanReason(problem.message), "trouble");
      return false;
    }
  }

  /**
   * Go into a room, or make it: at once, since what is said next is meant for it, and follows the
   * request. Throws a Refusal, back where one was.
   */
  async enter(room, hidden) {
    const { model, session } = this._app;
    const asked = this._ask({ purpose: "enter", room, ...(hidden && { private: true }) });
    if (session.status !== "online") await asked; // which it says
    const before = model.conversations.has(key(room)) ? null : model.current;
    const conversation = model.conversation(room);
    conversation.entering = true;
    this._app.go(room);
    try {
      await asked;
    } catch (problem) {
      if (before !== null && !conversation.own && !conversation.draft) {
        if (model.current === conversation) this._app.go(model.conversations.has(before.key) ? before.name : LOBBY);
        model.takeOut(room);
      }
      throw problem;
    } finally {
      conversation.entering = false;
    }
    this.about(conversation);
  }

  /** Leave a room, or close a private conversation, of which nothing is lost. Throws a Refusal. */
  async leave(name) {
    const { model, session } = this._app;
    try {
      if (!name.startsWith("@")) await this._ask({ purpose: "leave", room: name });
    } catch (problem) {
      // One may have said something to a room before one knew that one may not enter.
      const isNotIn = problem instanceof Refusal && ["NO_SUCH_ROOM", "FORBIDDEN"].includes(problem.word);
      if (!isNotIn || key(name) === LOBBY || !model.conversations.has(key(name))) throw problem;
    }
    if (key(model.current.name) === key(name)) this._app.go(LOBBY);
    session.keepDraft(name, "");
    model.takeOut(name);
  }

  /** Give an own message another text. Throws a Refusal. */
  async change(entry, text) {
    const where = this._app.model.current;
    await this._ask({ purpose: "edit", seq: entry.seq, text });
    where.change(entry.seq, text, false, 0);
    this._app.drawing.redraw("timeline");
  }

  /** Take a message back. Throws a Refusal. */
  async redact(entry) {
    const where = this._app.model.current;
    await this._ask({ purpose: "redact", seq: entry.seq });
    where.change(entry.seq, "", true, 0);
    this._app.drawing.redraw("timeline");
  }

  /** Ask for all pages of a list. `place` names an entry, behind which the next page begins. */
  async pages(request, list, place) {
    const found = [];
    let after = null;
    for (;;) {
      const page = await this._ask({ ...request, ...(after !== null && { after }) });
      const entries = page[list];
      found.push(...entries);
      const last = entries.length ? place(entries.at(-1)) : "";
      if (page.end || key(last) <= key(after ?? "")) return found;
      after = last;
    }
  }

  /** Ask who there is, in `room` or at all. Throws a Refusal. */
  async everybody(room) {
    const users = await this.pages({ purpose: "users", ...(room !== null && { room }) }, "users", ({ nick }) => nick);
    this._app.model.people.update(users);
    return users;
  }

  /** Ask what is to be known of a conversation that is opened: its topic, who is in it. */
  about(conversation) {
    const { name: room, members, entering } = conversation;
    if (this._app.session.status !== "online" || conversation.private || entering || members !== null) return;
    if (conversation.key !== LOBBY || !conversation.topicKnown) this.attempt(this._ask({ purpose: "topic", room }));
    if (conversation.key === LOBBY) return;
    conversation.members = new Set();
    this.attempt(this.everybody(room).then((users) => {
      conversation.members = new Set(users.map(({ nick }) => key(nick)));
      this._app.drawing.redraw("people");
    }));
  }

  /** Ask whether one may moderate: what moderators did is told to moderators alone. */
  async role() {
    const { model, drawing } = this._app;
    model.moderator = false;
    if (!model.account) return;
    try {
      await this._ask({ purpose: "acts", limit: 1 });
      model.moderator = true;
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
    }
    drawing.redraw("timeline");
  }

  /** Show what moderators did. Throws a Refusal. */
  async acts() {
    openActs((await this._ask({ purpose: "acts", limit: 100 })).acts);
  }

  _ask(request) {
    return this._app.session.ask(request);
  }
}
