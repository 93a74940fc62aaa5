/**
 * The chat as a whole: puts session, model and what is shown together, and does what one asks of
 * it. What it is asked stands in `actions` of the parts, in `commands`, and in `wiring`.
 */

import { Refusal } from "./answers.js";
import { cleanName, cleanReason } from "./clean.js";
import { commands, run } from "./commands.js";
import { Composer } from "./composer.js";
import { confirm } from "./dialogs.js";
import { byId } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Gate } from "./gate.js";
import { openActs, openHelp } from "./help.js";
import { Lists } from "./lists.js";
import { Model } from "./model.js";
import { key, LOBBY } from "./names.js";
import * as notices from "./notices.js";
import { Past } from "./past.js";
import { Pictures } from "./pictures.js";
import { openSearch } from "./searching.js";
import { OUT, Session } from "./session.js";
import { Settings } from "./settings.js";
import { Sharing } from "./sharing.js";
import { Timeline } from "./timeline.js";
import { openLists, wire } from "./wiring.js";

/** A text of more lines is asked about first: it may have been pasted by mistake. */
const MANY_LINES = 30;
const utc = () => Date.now() / 1000;

export class App {
  constructor(memory) {
    this._memory = memory;
    this.session = null;
    /** Whether one may moderate. The server decides: this is only for what is offered. */
    this.moderator = false;
    this.drawing = new Drawing(this);
    this.model = new Model((...parts) => this.drawing.redraw(...parts));
    this.past = new Past(this.model, (request) => this.session.ask(request), (part) => this.drawing.redraw(part));
    this.model.alerted = (entry, where) => this._alert(entry, where);
    this.settings = new Settings(memory, () => this._applySettings());
    this.pictures = new Pictures(() => this.session);
    this.gate = new Gate((nick, password) => this.come(nick, password === null ? null : { password }));
    this.lists = new Lists(this.model, (name) => this.go(name));
    this.sharing = new Sharing(this);
    this.timeline = new Timeline(byId("timeline"), this._timelineActions());
    this.composer = new Composer(this._composerActions());
    wire(this);
    this._applySettings();
  }

  // Coming and going

  /** Begin: straight in if this browser was, else at the gate. */
  begin() {
    const { nick, inside, key: salted } = this._memory;
    const secret = salted ? { salted } : null;
    if (inside && nick) this.come(nick, secret);
    else this.gate.show(nick ?? "");
  }

  /** Come in as `nick`. */
  come(nick, secret) {
    this.session?.end();
    this.model.reset(nick);
    this.timeline.forget();
    const address = new URL("chat", document.baseURI);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.session = new Session(address.href, nick, this._memory, secret, (event) => this._heard(event));
    this._begun = this.session;
    this.session.start();
  }

  /** Go, and be asked next time. */
  signOut() {
    this.session?.end();
    this._memory.be(this.model.nick, false);
    this._memory.key = null;
    this.gate.show(this.model.nick);
  }

  /** The nick is an account now, or has another password. */
  registered(change) {
    this.model.account = true;
    this.note(change ? "The password is changed." : `${this.model.nick} is yours now, by this password.`);
    this.drawing.redraw("status");
  }

  // Going about

  /** Go to a conversation. */
  go(name) {
    const person = name.startsWith("@") && this.model.person(name.slice(1));
    const conversation = this.model.conversation(person ? `@${person.nick}` : name);
    openLists(false);
    if (conversation.window !== null) conversation.window = null;
    if (conversation !== this.model.current) {
      this.model.show(conversation);
      this.composer.show(conversation.name, conversation.draft);
    }
    this._ask(conversation);
    if (matchMedia("(hover: hover)").matches) this.composer.focus();
  }

  /** Go to what was said at `seq` in the conversation `name`. */
  async goTo(name, seq) {
    this.go(name);
    if (!(await this.past.around(this.model.current, seq))) return;
    this.timeline.lead(seq);
    this.drawing.redraw("timeline");
  }

  /** Go into a room, or make it. Throws a Refusal. */
  async enter(room, hidden) {
    await this.session.ask({ purpose: "enter", room, ...(hidden && { private: true }) });
    this.model.conversation(room).entered = true;
    this.go(room);
  }

  /** Leave a room. Throws a Refusal. */
  async leave(room) {
    await this.session.ask({ purpose: "leave", room });
    if (key(this.model.current.name) === key(room)) this.go(LOBBY);
    this.model.takeOut(room);
  }

  search(text = "") {
    openSearch(text, {
      ask: (request) => this.session.ask(request),
      describe: (message) => ({ name: this.model.place(message), entry: this.model.entryOf(message, true) }),
      go: (name, seq) => this._try(this.goTo(name, seq)),
    });
  }

  help() {
    openHelp();
  }

  /** Show what moderators did. Throws a Refusal. */
  async acts() {
    openActs((await this.session.ask({ purpose: "acts", limit: 100 })).acts);
  }

  /** Clear what is shown of the conversation; nothing is deleted. */
  clear() {
    const { current } = this.model;
    current.window = null;
    current.entries.splice(0, current.entries.findLastIndex(({ fate }) => fate !== "sent" && fate !== "failed") + 1);
    current.atBegin = true;
    this.timeline.forget();
    this.drawing.redraw("timeline");
  }

  /** Say something of the page's own, in the conversation. */
  note(text, kind = "notice") {
    this.model.note(text, utc(), kind);
  }

  /** Say something to those who hear the page. */
  say(text) {
    notices.announce(text);
  }

  // What is asked of the server

  /** Give an own message another text. Throws a Refusal. */
  async change(entry, text) {
    const where = this.model.current;
    await this.session.ask({ purpose: "edit", seq: entry.seq, text });
    where.change(entry.seq, text, false, 0);
    this.drawing.redraw("timeline");
  }

  /** Take a message back. Throws a Refusal. */
  async redact(entry) {
    const where = this.model.current;
    await this.session.ask({ purpose: "redact", seq: entry.seq });
    where.change(entry.seq, "", true, 0);
    this.drawing.redraw("timeline");
  }

  /** Ask for all pages of a list. `place` names an entry, behind which the next page begins. */
  async pages(request, list, place) {
    const found = [];
    let after = null;
    for (;;) {
      const page = await this.session.ask({ ...request, ...(after !== null && { after }) });
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
    this.model.users(users);
    return users;
  }

  /** Ask what is to be known of a conversation that is opened: its topic, who is in it. */
  _ask(conversation) {
    const { name: room, members } = conversation;
    if (this.session.status !== "online" || conversation.private || members !== null) return;
    if (conversation.key !== LOBBY || !conversation.topicKnown) this._try(this.session.ask({ purpose: "topic", room }));
    if (conversation.key === LOBBY) return;
    conversation.members = new Set();
    this._try(this.everybody(room).then((users) => {
      conversation.members = new Set(users.map(({ nick }) => key(nick)));
      this.drawing.redraw("people");
    }));
  }

  /** Ask for a page, if there is a connection to ask over: else scrolling asks again. */
  _page(ask) {
    if (this.session.status === "online") ask();
  }

  /** Wait for something that may be refused; then say so. */
  async _try(work) {
    try {
      await work;
      return true;
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      if (problem.word !== null) this.note(cleanReason(problem.message), "trouble");
      return false;
    }
  }

  // What happens

  _heard(event) {
    if (event.purpose === "deriving") {
      if (this.gate.shown) this.gate.progress(`Proving your password… ${Math.round(event.part * 100)} %`);
      return;
    }
    this.model.take(event, utc());
    if (event.purpose === "queued" && key(event.to) === this.model.current.key) {
      this.model.current.window = null; // what one says is at the end, and so is one
      this.timeline.follow();
    }
    if (event.purpose === "status") this._status(event);
    if (event.purpose === "welcome") this._welcomed();
  }

  _welcomed() {
    const { nick } = this.session;
    this._memory.be(nick, true);
    if (this.gate.shown || this._begun === this.session) {
      this._begun = null;
      for (const [name, draft] of Object.entries(this.session.drafts)) {
        if (/^[#@]./.test(name) && typeof draft === "string") this.model.conversation(cleanName(name)).draft = draft;
      }
      this.gate.hide();
      const { current } = this.model;
      this.composer.show(current.name, current.draft);
      this.composer.focus();
      if (this._memory.failed) this.note("This browser keeps nothing for this page: what is not sent is lost when you close it, and so is your nick.", "trouble");
    }
    this._ask(this.model.current);
    this._askRole();
  }

  /** Ask whether one may moderate: what moderators did is told to moderators alone. */
  async _askRole() {
    this.moderator = false;
    if (!this.model.account) return;
    try {
      await this.session.ask({ purpose: "acts", limit: 1 });
      this.moderator = true;
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
    }
    this.drawing.redraw("timeline");
  }

  _status({ status, text, word }) {
    if (status === "connecting" && this.session.cursor !== null) this.model.resume();
    const inside = this._begun !== this.session;
    if (status === "ended" && text && !(inside && OUT.has(word))) {
      this.gate.appear(this.model.nick);
      if (word === "AUTH_FAILED" || word === "NOT_PROVED") this._memory.key = null;
      this.gate.refused(this.model.nick, cleanReason(text), word);
    } else if (!inside && status === "waiting") {
      this.gate.appear(this.model.nick);
      this.gate.waiting(cleanReason(text));
      this.gate.progress("Trying again…");
    }
    if (status === "waiting") this._count();
  }

  /** Count the seconds to the next try. */
  _count() {
    clearTimeout(this._counting);
    if (this.model.status.status !== "waiting") return;
    this.drawing.redraw("status");
    this._counting = setTimeout(() => this._count(), 500);
  }

  _alert(entry, where) {
    if (this.settings.alert !== "notice") return;
    const text = where.private ? entry.text : `${where.name}: ${entry.text}`;
    notices.notify(entry.nick, text, `parley-${entry.seq || entry.number}`, () => this.go(where.name));
  }

  // Setting up

  _timelineActions() {
    return {
      older: (stretch) => this._page(() => this.past.older(stretch)),
      newer: (stretch) => this._page(() => this.past.newer(stretch)),
      moved: () => this.drawing.looked(),
      openPerson: (nick) => (key(nick) === key(this.model.nick) ? undefined : this.go(`@${nick}`)),
      retry: (ref) => this.session.sending.retry(ref),
      drop: (ref) => this.session.sending.drop(ref),
      edit: (entry) => this.composer.edit(entry),
      redact: async (entry) => {
        const sure = await confirm("Take this message back?", entry.text.slice(0, 200) || "It", "Take it back", "danger");
        if (sure) this._try(this.redact(entry));
      },
      fetch: (file) => this.sharing.fetch(file, this.model.current.name),
      preview: (file) => this.pictures.box(file, this.model.current.name),
    };
  }

  _composerActions() {
    return {
      send: (text) => this._send(text),
      change: (entry, text) => this._try(this.change(entry, text)),
      last: () => {
        const last = this.model.current.lastBy(this.model.nick);
        return last && !last.file ? last : null;
      },
      typing: (active) => {
        if (this.settings.typing !== "on") return;
        this.session.tell({ purpose: "typing", to: this.model.current.name, state: active ? "active" : "done" });
      },
      drafted: (text) => {
        const { current } = this.model;
        const had = Boolean(current.draft);
        current.draft = text;
        this.session.keepDraft(current.name, text);
        if (had !== Boolean(text)) this.drawing.redraw("lists");
      },
      known: () => ({
        commands,
        people: this.model.online.map(({ nick }) => nick).filter((nick) => key(nick) !== key(this.model.nick)),
        rooms: this.model.ordered.filter((each) => !each.private).map(({ name }) => name),
      }),
      files: (files) => this.sharing.share(files),
    };
  }

  /** Say or do what was typed. Returns whether it was taken. */
  async _send(text) {
    if (text.startsWith("/") && !text.startsWith("//")) return this._do(text);
    const said = text.startsWith("//") ? text.slice(1) : text;
    const most = this.session.welcome?.limits.text ?? 16_000;
    const size = new TextEncoder().encode(said).length;
    if (size > most) {
      this.note(`This is too long: ${size} bytes, and the server takes ${most}. It stays in the field.`, "trouble");
      return false;
    }
    const to = this.model.current.name;
    const lines = said.split("\n").length;
    if (lines > MANY_LINES && !(await confirm("Send all of it?", `These are ${lines} lines.`, "Send"))) return false;
    this.session.sending.say(said, to);
    return true;
  }

  /** Do a command. What was typed is no draft any more, wherever the command leads. */
  _do(text) {
    const { current } = this.model;
    const keep = (draft) => {
      current.draft = draft;
      this.session.keepDraft(current.name, draft);
    };
    keep("");
    const understood = run(this, text);
    if (!understood) keep(text);
    return understood;
  }

  _applySettings() {
    this.settings.apply();
    this.model.showsComings = this.settings.comings === "on";
  }

  /** Go to the newest message, and to the field. */
  toEnd() {
    this.model.current.window = null;
    this.drawing.redraw("timeline");
    this.timeline.toEnd();
    this.composer.focus();
  }

  /** Go to a conversation, into a room if one is not in it. */
  goSomewhere(name) {
    if (name.startsWith("@") || this.model.conversations.has(key(name))) this.go(name);
    else this._try(this.enter(name, false));
  }
}

