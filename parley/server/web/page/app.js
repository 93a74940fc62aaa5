/**
 * The chat as a whole: puts session, model and what is shown together, and goes about in it. What
 * it is asked stands in `actions` of the parts, in `commands`, and in `wiring`.
 */

import { Composer } from "./composer.js";
import { closeAll, confirm } from "./dialogs.js";
import { byId } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Entrance } from "./entrance.js";
import { openHelp } from "./help.js";
import { Lists } from "./lists.js";
import { Model } from "./model.js";
import { key } from "./names.js";
import * as notices from "./notices.js";
import { Past } from "./past.js";
import { Pictures } from "./pictures.js";
import { Requests } from "./requests.js";
import { composerActions } from "./saying.js";
import { openSearch } from "./searching.js";
import { Settings } from "./settings.js";
import { Sharing } from "./sharing.js";
import { Timeline } from "./timeline.js";
import { Trail } from "./trail.js";
import { openLists, wire } from "./wiring.js";

const utc = () => Date.now() / 1000;

export class App {
  constructor(memory) {
    this.session = null;
    this.drawing = new Drawing(this);
    this.model = new Model((...parts) => this.drawing.redraw(...parts));
    this.requests = new Requests(this);
    this.past = new Past(this.model, (request) => this.session.ask(request), (part) => this.drawing.redraw(part));
    this.model.alerted = (entry, where) => this._alert(entry, where);
    this.settings = new Settings(memory, () => this._applySettings());
    this.pictures = new Pictures(() => this.session);
    this.trail = new Trail((name) => this.goBack(name));
    this.entrance = new Entrance(this, memory);
    this.lists = new Lists(this.model, (name) => this.go(name));
    this.sharing = new Sharing(this);
    this.timeline = new Timeline(byId("timeline"), this._timelineActions());
    this.composer = new Composer(composerActions(this));
    wire(this);
    this._applySettings();
  }

  // Going about

  /** Go to a conversation. */
  go(name) {
    const person = name.startsWith("@") && this.model.people.find(name.slice(1));
    const conversation = this.model.conversation(person ? `@${person.nick}` : name);
    openLists(false);
    if (conversation.window !== null) conversation.window = null;
    if (conversation !== this.model.current) {
      this.model.show(conversation);
      this.composer.show(conversation.name, conversation.draft);
    }
    this.trail.to(conversation.name);
    this.requests.about(conversation);
    if (matchMedia("(hover: hover)").matches) this.composer.focus();
  }

  /** Go where one has been, unless that is a room that one is in no longer. */
  goBack(name) {
    if (this.entrance.gate.shown) return;
    closeAll();
    if (name.startsWith("@") || this.model.conversations.has(key(name))) this.go(name);
  }

  /** Go to what was said at `seq` in the conversation `name`. */
  async goTo(name, seq) {
    this.go(name);
    if (!(await this.past.around(this.model.current, seq))) return;
    this.timeline.lead(seq);
    this.drawing.redraw("timeline");
  }

  /** Go to a conversation, into a room if one is not in it. */
  goSomewhere(name) {
    if (name.startsWith("@") || this.model.conversations.has(key(name))) this.go(name);
    else this.requests.attempt(this.requests.enter(name, false));
  }

  /** Go to the newest message, and to the field. */
  toEnd() {
    this.model.current.window = null;
    this.drawing.redraw("timeline");
    this.timeline.toEnd();
    this.composer.focus();
  }

  search(text = "") {
    openSearch(text, {
      ask: (request) => this.session.ask(request),
      describe: (message) => ({ name: this.model.talk.place(message), entry: this.model.talk.entryOf(message, true) }),
      go: (name, seq) => this.requests.attempt(this.goTo(name, seq)),
    });
  }

  help() {
    openHelp();
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

  // What happens

  /** Take in what the session tells. */
  heard(event) {
    if (event.purpose === "deriving") {
      this.entrance.deriving(event);
      return;
    }
    this.model.take(event, utc());
    if (event.purpose === "queued" && key(event.to) === this.model.current.key) {
      this.model.current.window = null; // what one says is at the end, and so is one
      this.timeline.follow();
    }
    if (event.purpose === "status") this.entrance.status(event);
    if (event.purpose === "welcome") this.entrance.welcomed();
  }

  _alert(entry, where) {
    if (this.settings.alert !== "notice") return;
    const text = where.private ? entry.text : `${where.name}: ${entry.text}`;
    notices.notify(entry.nick, text, `parley-${entry.seq || entry.number}`, () => this.go(where.name));
  }

  // Setting up

  _timelineActions() {
    const { requests } = this;
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
        if (sure) requests.attempt(requests.redact(entry));
      },
      fetch: (file) => this.sharing.fetch(file, this.model.current.name),
      preview: (file) => this.pictures.box(file, this.model.current.name),
    };
  }

  /** Ask for a page, if there is a connection to ask over: else scrolling asks again. */
  _page(ask) {
    if (this.session.status === "online") ask();
  }

  _applySettings() {
    this.settings.apply();
    this.model.showsComings = this.settings.comings === "on";
  }
}
