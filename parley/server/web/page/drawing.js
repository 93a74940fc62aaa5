/** Draws what has changed, once before the next frame, and notes what has been looked at. */

import { bdi, byId, fill, set } from "./dom.js";
import * as notices from "./notices.js";
import * as standing from "./standing.js";

const utc = () => Date.now() / 1000;

export class Drawing {
  /** Of `app`, as `App` is. */
  constructor(app) {
    this._app = app;
    this._dirty = new Set();
    this._drawing = false;
    this._typing = 0;
  }

  /** Draw parts anew, once, before the next frame. */
  redraw(...parts) {
    for (const part of parts) this._dirty.add(part);
    if (this._drawing || this._app.session === null) return;
    this._drawing = true;
    const draw = () => {
      if (!this._drawing) return;
      this._drawing = false;
      this._draw();
    };
    // Frames do not come in a tab that is not looked at; its title has to be right all the same.
    if (document.hidden) setTimeout(draw, 100);
    else requestAnimationFrame(draw);
  }

  /** The tab is looked at, or no longer: a frame that was waited for may never come. */
  wake() {
    this._drawing = false;
    this.redraw("timeline", "lists", "people", "status");
  }

  _draw() {
    const dirty = this._dirty;
    this._dirty = new Set();
    const { model, session, entrance, lists, settings, composer } = this._app;
    if (entrance.gate.shown) return;
    if (dirty.has("timeline")) this._drawTimeline();
    if (dirty.has("lists")) {
      lists.conversations();
      session.keepPlaces(model.places);
    }
    if (dirty.has("people")) lists.people();
    if (dirty.has("status") || dirty.has("people")) {
      lists.me(session);
      byId("app").classList.toggle("stale", !model.live);
      const out = model.status.status === "ended";
      if (out !== composer.stopped) composer.stop(out);
      standing.connection(model.status, session.sending.waiting, () => session.reconnect(), () => this._app.entrance.begin());
      this._heading();
      if (settings.typing === "on" && standing.typing(model.current, utc())) this._typingLater();
    }
    notices.title(model.unread, model.current.name);
    set(byId("open-lists"), "aria-label", model.unread ? `Conversations, ${model.unread} unread` : "Conversations");
    byId("open-lists").classList.toggle("unread", model.unread > 0);
  }

  _drawTimeline() {
    const { model, timeline } = this._app;
    timeline.render(model.current, { nick: model.nick, moderator: model.moderator });
    this.looked();
  }

  _heading() {
    const { model } = this._app;
    const { current } = model;
    const person = current.private && model.people.find(current.name.slice(1));
    const words = current.private ? person ? standing.of(person, model.live) : "" : current.topic;
    if (byId("title").textContent !== current.name) fill(byId("title"), bdi(current.name));
    if (byId("topic").textContent !== words) byId("topic").textContent = words;
  }

  _typingLater() {
    clearTimeout(this._typing);
    this._typing = setTimeout(() => this.redraw("status"), 1000);
  }

  /** What is in sight has changed: it may be read now. */
  looked() {
    const { model, timeline, session, settings } = this._app;
    if (session === null) return;
    const { current } = model;
    const looks = document.visibilityState === "visible" && document.hasFocus();
    model.attend(timeline.following && looks);
    const button = byId("to-end");
    button.hidden = timeline.following;
    byId("to-end-words").textContent = current.unread ? `${current.unread} new` : "To the newest";
    if (!model.attentive || session.status !== "online") return;
    const newest = current.newest ?? 0;
    const shows = current.private && settings.receipts === "on";
    if (newest > current.toldRead && (model.account || shows)) {
      current.toldRead = newest;
      session.tell({ purpose: "read", with: current.name, seq: newest, ...(shows && { show: true }) });
    }
  }
}
