/**
 * The field one writes in: a draft for each conversation, suggestions, changing the last message,
 * and telling others that one writes. What is typed stays until it was taken.
 */

import { complete } from "./completion.js";
import { bdi, byId, el, set } from "./dom.js";
import { Listbox } from "./listbox.js";

/** Milliseconds in which others are told once that one writes. */
const TYPING_EVERY = 3000;

export class Composer {
  /**
   * `actions`: `send(text)` and `change(entry, text)` return whether (a promise for whether) the
   * text was taken; `last()` the own message that ArrowUp changes; `typing(active)`;
   * `drafted(text)`; `known()` what `complete` wants; `files(list)`.
   */
  constructor(actions) {
    this._actions = actions;
    this._field = byId("say");
    this._send = byId("send");
    this._editing = null;
    this._name = "";
    this._found = null;
    this._typedAt = -Infinity;
    this._box = byId("suggestions");
    this._suggestions = new Listbox(this._box, "Suggestions", (option) => this._take(option), this._field);
    this._close();
    this._field.addEventListener("input", () => this._changed());
    this._field.addEventListener("keydown", (event) => this._key(event));
    this._field.addEventListener("blur", () => this._close());
    this._field.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this._actions.files(files);
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this._submit();
    });
    byId("stop-editing").addEventListener("click", () => this.stopEditing());
  }

  focus() {
    this._field.focus();
  }

  get text() {
    return this._field.value;
  }

  /** Show the draft of another conversation, called `name`. */
  show(name, draft) {
    this._leaveEditing();
    this._name = name;
    this._put(draft);
    this.stop(this.stopped);
  }

  /** Whether it takes nothing. */
  get stopped() {
    return this._field.readOnly;
  }

  /** Take nothing, or again: who is out of the chat can say nothing. What is written stays. */
  stop(whether) {
    this._field.readOnly = whether;
    set(this._field, "placeholder", whether ? "You are not in the chat" : `Write to ${this._name}`);
    set(byId("attach"), "disabled", whether);
    this._grow();
  }

  /** Change an own message instead of saying something. */
  edit(entry) {
    this._before = this._editing === null ? this.text : this._before;
    this._editing = entry;
    byId("editing").hidden = false;
    this._put(entry.text);
    this.focus();
  }

  /** Leave the message as it is. */
  stopEditing() {
    if (this._editing === null) return;
    this._leaveEditing();
    this._put(this._before ?? "");
    this.focus();
  }

  /** Put text into the field, in the place of what is there. */
  _put(text) {
    this._field.value = text;
    this._field.setSelectionRange(text.length, text.length);
    this._close();
    this._grow();
  }

  _leaveEditing() {
    this._editing = null;
    byId("editing").hidden = true;
  }

  async _submit() {
    const { text } = this;
    if (!text.trim() || this.stopped) return;
    this._close();
    const editing = this._editing;
    const taken = await (editing ? this._actions.change(editing, text) : this._actions.send(text));
    if (!taken || this.text !== text) return;
    this._leaveEditing();
    this._put(editing ? this._before ?? "" : "");
    this._actions.drafted(this.text);
    this._stopTyping();
  }

  _changed() {
    this._grow();
    if (this._editing === null) this._actions.drafted(this.text);
    this._suggest();
    const saying = this.text && !/^\/(?!me |\/)/.test(this.text) && this._editing === null;
    if (!saying) this._stopTyping();
    else if (performance.now() - this._typedAt > TYPING_EVERY) {
      this._typedAt = performance.now();
      this._actions.typing(true);
    }
  }

  _stopTyping() {
    if (this._typedAt === -Infinity) return;
    this._typedAt = -Infinity;
    this._actions.typing(false);
  }

  _key(event) {
    if (event.isComposing) return;
    if (this._found !== null) {
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        this._close();
        return;
      }
      if (event.key === "Tab" && !event.shiftKey) {
        event.preventDefault();
        this._take(this._suggestions.at ?? this._found.options[0]);
        return;
      }
      const arrows = event.key === "ArrowUp" || event.key === "ArrowDown";
      const chosen = event.key === "Enter" && !event.shiftKey && this._whole();
      if ((arrows || chosen) && this._suggestions.key(event)) return;
    }
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      this._submit();
    } else if (event.key === "ArrowUp" && !this.text) {
      const last = this._actions.last();
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    } else if (event.key === "Escape" && this._editing !== null) {
      event.preventDefault();
      event.stopPropagation();
      this.stopEditing();
    }
  }

  /** Whether Enter means the suggestion: a command without its end, or a name after an @. */
  _whole() {
    const { from, to, options } = this._found;
    const word = this.text.slice(from, to);
    return !options.some(({ text }) => text.trim() === word);
  }

  _suggest() {
    const at = this._field.selectionStart;
    this._found = this._editing === null && at === this._field.selectionEnd ? complete(this.text, at, this._actions.known()) : null;
    if (this._found === null) {
      this._close();
      return;
    }
    const options = this._found.options.map((option) => ({
      key: option.text, value: option, signature: option.shown, name: option.shown,
      content: () => [bdi(option.shown, { class: "name" }), option.about && el("span", { class: "aside" }, option.about)].filter(Boolean),
    }));
    this._suggestions.fill([{ title: null, options }]);
    this._suggestions.first();
    this._box.hidden = false;
  }

  _take(option) {
    const { from, to } = this._found;
    this._field.setRangeText(option.text, from, to, "end");
    this._close();
    this._changed();
    this.focus();
  }

  _close() {
    this._found = null;
    this._box.hidden = true;
    this._suggestions.fill([]);
  }

  /** As high as what stands in it, up to what the look allows. */
  _grow() {
    const { style, parentElement: frame } = this._field;
    // While it is measured the frame keeps its height: the timeline above would lose its place.
    frame.style.height = `${frame.offsetHeight}px`;
    style.height = "auto";
    style.height = `${this._field.scrollHeight}px`;
    frame.style.height = "";
    this._send.disabled = !this.text.trim() || this.stopped;
  }
}
