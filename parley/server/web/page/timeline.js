/**
 * The timeline: the part of a conversation that is in sight, and a little around it. However much
 * was said, at most `MOST` entries are elements; scrolling exchanges them, and asks for pages.
 * What one reads stays where it is while others are added above or below.
 */

import { el, set } from "./dom.js";
import { key } from "./names.js";
import { beginning, dayRule, newRule, row } from "./rows.js";
import { sameDay } from "./words.js";

/** Entries that are elements at once, and how many are added at an edge. */
const MOST = 300;
const STEP = 80;
/** Pixels from an edge at which more is wanted, and from the end at which one follows it. */
const NEAR = 600;
const AT_END = 48;
/** Seconds within which messages of one person need no new name above them. */
const TOGETHER = 300;

export class Timeline {
  /**
   * In `scroller`. `actions` as `row` wants them, and: `older(stretch)`, `newer(stretch)` ask for
   * pages; `moved()` is told when what is in sight has changed.
   */
  constructor(scroller, actions) {
    this._scroller = scroller;
    this._list = el("div", { class: "messages" });
    scroller.append(this._list);
    this._actions = actions;
    this._conversation = null;
    this._stretch = null;
    this._first = null; // the first and the last entry that are elements
    this._last = null;
    this._following = true;
    this._made = new Map();
    this._wanted = null;
    this._entered = null;
    this._top = 0; // where the last scrolling has led
    this._own = {};
    scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    scroller.addEventListener("keydown", (event) => this._key(event));
    this._list.addEventListener("focusin", ({ target }) => this._enter(target.closest(".message")));
    const observer = new ResizeObserver(() => this._following && this._toBottom());
    observer.observe(this._list);
    observer.observe(scroller);
  }

  /** Whether the newest message of now is in sight, and what comes is followed. */
  get following() {
    return this._following && this._stretch?.atEnd === true;
  }

  /** Show `conversation` as it is now. `own`: `{nick, moderator}`. */
  render(conversation, own) {
    this._own = own;
    const stretch = conversation.shown;
    const { entries } = stretch;
    // A window that has reached what is known up to now is part of that: one stays where one is.
    const grown = conversation === this._conversation && entries.includes(this._first);
    const another = conversation !== this._conversation || (stretch !== this._stretch && !grown);
    if (another) this._begin(conversation, stretch);
    else this._stretch = stretch;
    let from = this._first ? entries.indexOf(this._first) : -1;
    let to = this._last ? this._placeOf(entries, this._last) + 1 : 0;
    if (from < 0 || to <= from) {
      // Nothing of it is left, or nothing was there: begin at the end, or where one is led.
      const at = this._target(stretch);
      to = at < 0 ? entries.length : Math.min(entries.length, at + STEP);
      from = Math.max(0, at < 0 ? to - STEP : at - STEP);
    }
    if (this._following && stretch.atEnd) {
      to = entries.length;
      from = Math.max(from, to - MOST);
    } else if (to - from < STEP) to = Math.min(entries.length, from + STEP);
    this._place(from, to, another);
    if (another) this._open(stretch);
    this._lookAround();
  }

  /** From the next drawing on be at the end. */
  follow() {
    this._following = true;
    this._first = this._last = null;
  }

  /** Go to the end. */
  toEnd() {
    this.follow();
    if (this._conversation === null) return;
    this.render(this._conversation, this._own);
    this._toBottom();
    this._actions.moved();
  }

  /** Show what was said at `seq`, which is in the stretch that is shown. */
  lead(seq) {
    this._wanted = seq;
    this._following = false;
    this._first = this._last = null;
  }

  /** Forget what was shown: another person has come in. */
  forget() {
    this._conversation = this._stretch = this._first = this._last = null;
    this._made.clear();
    this._list.replaceChildren();
  }

  _begin(conversation, stretch) {
    this._conversation = conversation;
    this._stretch = stretch;
    this._first = this._last = null;
    this._made.clear();
    this._following = this._wanted === null && stretch.atEnd;
  }

  _target({ entries }) {
    return this._wanted === null ? -1 : entries.findIndex(({ seq }) => seq === this._wanted);
  }

  _placeOf(entries, entry) {
    const at = entries.indexOf(entry);
    return at < 0 && entry.seq ? entries.findIndex(({ seq }) => seq === entry.seq) : at;
  }

  /** A conversation or stretch has been opened: go where one wants to be in it. */
  _open(stretch) {
    if (this._wanted !== null) {
      const found = this._made.get(stretch.find(this._wanted)?.number)?.element;
      this._wanted = null;
      if (found) {
        this._list.querySelector(".led")?.classList.remove("led");
        found.classList.add("led");
        found.scrollIntoView({ block: "center" });
        found.focus({ preventScroll: true });
        return;
      }
    }
    if (this._following) this._toBottom();
  }

  /** Make entries `from` up to `to` the ones that are elements; what is in sight stays there. */
  _place(from, to, another) {
    const { entries } = this._stretch;
    const anchor = another || this._following ? null : this._anchor();
    const wanted = [];
    const kept = new Map();
    if (from === 0 && this._stretch.atBegin) {
      const { name, private: alone } = this._conversation;
      wanted.push(this._keep(kept, "beginning", name, () => beginning(name, alone)));
    }
    const seen = this._conversation.seenUpTo();
    for (let at = from; at < to; at++) {
      const entry = entries[at];
      const before = entries[at - 1];
      if (!before || !sameDay(before.time, entry.time)) {
        wanted.push(this._keep(kept, `day${entry.number}`, "", () => dayRule(entry.time)));
      }
      const isNew = entry === this._conversation.marker;
      if (isNew) wanted.push(this._keep(kept, `new${entry.number}`, "", newRule));
      wanted.push(this._row(kept, entry, before, isNew, entry === seen));
    }
    this._made = kept;
    // Whole pages, and another conversation, are not read out: only what comes.
    const many = another || wanted.length - this._list.childElementCount > 20;
    if (many) set(this._scroller, "aria-busy", "true");
    this._reconcile(wanted);
    if (many) setTimeout(() => set(this._scroller, "aria-busy", null), 100);
    this._first = entries[from] ?? null;
    this._last = entries[to - 1] ?? null;
    if (anchor) this._scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    else if (this._following) this._toBottom();
  }

  _row(kept, entry, before, isNew, seen) {
    const own = key(entry.nick) === key(this._own.nick);
    const run = before?.kind === "said" && before.nick === entry.nick && !isNew &&
      entry.time - before.time < TOGETHER && sameDay(before.time, entry.time);
    const about = { first: !run, own, mayTake: this._own.moderator && entry.to.startsWith("#"), seen };
    const signature = [entry.version, entry.seq, ...Object.values(about)].join();
    return this._keep(kept, entry.number, signature, () => row(entry, about, this._actions));
  }

  _keep(kept, name, signature, make) {
    let known = this._made.get(name);
    if (known?.signature !== signature) known = { signature, element: make() };
    kept.set(name, known);
    return known.element;
  }

  _reconcile(wanted) {
    const staying = new Set(wanted);
    const focused = this._focused();
    for (const each of [...this._list.children]) if (!staying.has(each)) each.remove();
    let next = this._list.firstElementChild;
    for (const each of wanted) {
      if (each === next) next = next.nextElementSibling;
      else this._list.insertBefore(each, next);
    }
    if (focused && !focused.message.isConnected) this._focusAgain(focused);
  }

  /** The message that has the focus, and which of its buttons and links if it is one of them. */
  _focused() {
    const { activeElement } = document;
    const message = this._list.contains(activeElement) ? activeElement.closest(".message") : null;
    return message && { message, name: nameOf(activeElement), within: activeElement !== message };
  }

  /** A message that was drawn anew gets back the focus that it had: nobody loses their place. */
  _focusAgain({ message, name, within }) {
    const anew = this._made.get(Number(message.dataset.number))?.element;
    if (!anew) return;
    const same = within && [...anew.querySelectorAll("a, button")].find((each) => nameOf(each) === name);
    (same || anew).focus({ preventScroll: true });
  }

  /** The first element in sight, and where it stands. */
  _anchor() {
    const { top } = this._scroller.getBoundingClientRect();
    for (const { element } of this._made.values()) {
      const box = element.getBoundingClientRect();
      if (element.isConnected && box.bottom > top && element.classList.contains("message")) return { element, top: box.top };
    }
    return null;
  }

  _scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    const { entries, atEnd } = this._stretch ?? { entries: [], atEnd: true };
    const near = scrollHeight - scrollTop - clientHeight < AT_END;
    // Only who goes up leaves the end: that more has come below is no wish to stay here.
    if (this._following) this._following = near || scrollTop >= this._top;
    else this._following = near && atEnd && this._last === (entries.at(-1) ?? null);
    this._top = scrollTop;
    this._lookAround();
    this._actions.moved();
  }

  /** Exchange elements, or ask for a page, if an edge is near. */
  _lookAround() {
    const stretch = this._stretch;
    if (stretch === null) return;
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    const { entries } = stretch;
    const from = Math.max(0, entries.indexOf(this._first));
    const to = this._last ? entries.indexOf(this._last) + 1 : 0;
    if (scrollTop < NEAR) {
      if (from > 0) {
        const earlier = Math.max(0, from - STEP);
        const until = this._following ? to : Math.min(to, earlier + MOST);
        if (!this._following || to - earlier <= MOST) this._place(earlier, until, false);
      } else if (!stretch.atBegin && !stretch.loading) this._actions.older(stretch);
    }
    if (scrollHeight - scrollTop - clientHeight < NEAR && !this._following) {
      if (to < entries.length) {
        const later = Math.min(entries.length, to + STEP);
        this._place(Math.max(from, later - MOST), later, false);
      } else if (!stretch.atEnd && !stretch.loading) this._actions.newer(stretch);
    }
  }

  _toBottom() {
    this._scroller.scrollTop = this._scroller.scrollHeight;
    this._top = this._scroller.scrollTop;
  }

  /** What can be done with a message is in Tab's way only for the one that has the focus. */
  _enter(message) {
    if (message === this._entered) return;
    for (const [row, order] of [[this._entered, "-1"], [message, "0"]]) {
      for (const each of row?.querySelectorAll("a, button") ?? []) set(each, "tabindex", order);
    }
    this._entered = message;
  }

  /** Arrows go from message to message. */
  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest(".message") === null && event.target !== this._scroller) return;
    if (event.key === "End") {
      event.preventDefault();
      this.toEnd();
      return;
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const all = [...this._list.querySelectorAll(".message")];
    const at = all.indexOf(document.activeElement?.closest(".message"));
    const to = at < 0 ? all.at(-1) : all[at + step];
    to?.focus();
  }
}

/** By what a button or a link of a message is known. */
function nameOf(element) {
  return element.title || element.textContent;
}
