/**
 * A list one chooses from, by mouse, touch or keys (ARIA's listbox): the conversations, the
 * people, what is suggested, what was found. Knows nothing of what stands in it.
 */

import { el, set } from "./dom.js";

let made = 0;

export class Listbox {
  /**
   * Make `element` a list called `label`. `choose` gets the value of an option that is chosen.
   * With `input`, the keys come from that field, which keeps the focus (ARIA's combobox).
   */
  constructor(element, label, choose, input = null) {
    made += 1;
    this.element = element;
    this._prefix = `list${made}`;
    this._choose = choose;
    this._input = input;
    this._options = [];
    this._made = new Map();
    this._at = null;
    set(element, "role", "listbox");
    set(element, "aria-label", label);
    element.id ||= this._prefix;
    const keys = input ?? element;
    if (input === null) set(element, "tabindex", "0");
    else {
      // A field of several lines may not be called a combobox (ARIA in HTML).
      if (input.localName === "input") {
        set(input, "role", "combobox");
        set(input, "aria-expanded", "true");
      }
      set(input, "aria-autocomplete", "list");
      set(input, "aria-controls", element.id);
    }
    this._keys = keys;
    if (input === null) keys.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("focus", () => this._mark(this._at ?? this._selected() ?? this._options[0]));
    element.addEventListener("mousedown", (event) => {
      if (input !== null) event.preventDefault(); // the field keeps the focus
    });
    element.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      const found = this._options.find((each) => each.element === option);
      if (found) this._choose(found.value, event);
    });
  }

  /**
   * Show `groups`: each `{title, options}`, of options `{key, value, signature, content, name,
   * selected, kind}`. `content` returns what stands in one; it is asked again when `signature`
   * is another. A title of null: no group.
   */
  fill(groups) {
    const before = this._at?.key;
    const used = new Map();
    this._options = [];
    const parts = groups.filter(({ options }) => options.length).map(({ title, options }, number) => {
      const elements = options.map((option) => this._option(option, used));
      if (title === null) return elements;
      const id = `${this._prefix}-g${number}`;
      return el("div", { class: "group", role: "group", "aria-labelledby": id },
        el("div", { class: "group-title", id }, title), elements);
    });
    this._made = used;
    this.element.replaceChildren(...parts.flat());
    this._mark(this._options.find(({ key }) => key === before) ?? null);
  }

  /** What the list is called. */
  set label(label) {
    set(this.element, "aria-label", label);
  }

  get size() {
    return this._options.length;
  }

  /** The value of the option the keys are at, or undefined. */
  get at() {
    return this._at?.value;
  }

  /** Go to the first option. */
  first() {
    this._mark(this._options[0] ?? null);
  }

  /** Do what a key means here. Return whether it means anything. */
  key(event) {
    const { length } = this._options;
    if (!length || event.ctrlKey || event.altKey || event.metaKey) return false;
    const at = this._options.indexOf(this._at);
    const to = {
      ArrowDown: Math.min(at + 1, length - 1),
      ArrowUp: at < 0 ? length - 1 : Math.max(at - 1, 0),
      ...(this._input === null && { Home: 0, End: length - 1 }),
    }[event.key];
    if (to !== undefined) this._mark(this._options[to], true);
    else if ((event.key === "Enter" || (event.key === " " && this._input === null)) && this._at) {
      this._choose(this._at.value, event);
    } else if (this._input === null && event.key.length === 1 && event.key !== " ") {
      const letter = event.key.toLowerCase();
      const later = [...this._options.slice(at + 1), ...this._options.slice(0, at + 1)];
      const found = later.find(({ name }) => name.toLowerCase().replace(/^[#@]/, "").startsWith(letter));
      if (!found) return false;
      this._mark(found, true);
    } else return false;
    event.preventDefault();
    return true;
  }

  _option(option, used) {
    const { key, signature, name, selected = false, kind = "" } = option;
    let known = this._made.get(key);
    if (known?.signature !== signature) {
      const element = el("div", { class: "option", role: "option", id: known?.element.id ?? `${this._prefix}-${made++}` });
      element.append(...option.content());
      known = { element, signature };
    }
    const { element } = known;
    element.className = `option ${kind}`.trim();
    set(element, "aria-selected", selected ? "true" : "false");
    used.set(key, known);
    this._options.push({ key, name: name ?? String(key), value: option.value, element, selected });
    return element;
  }

  _selected() {
    return this._options.find(({ selected }) => selected);
  }

  _mark(option, visible = false) {
    this._at?.element.classList.remove("at");
    this._at = option ?? null;
    set(this._keys, "aria-activedescendant", option?.element.id ?? null);
    option?.element.classList.add("at");
    if (visible) option?.element.scrollIntoView({ block: "nearest" });
  }
}
