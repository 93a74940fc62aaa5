/**
 * Dialogs: what is asked or shown over the page. The browser's own `<dialog>` keeps the focus
 * inside and the rest of the page out, and Escape closes it; the focus goes back where it was.
 */

import { el, fill, set } from "./dom.js";
import { draw } from "./icons.js";

let count = 0;

/**
 * Open a dialog. `build` gets `close` and returns what stands in it. Returns `{element, body,
 * close, closed}`; `closed` is a promise for what `close` was given, undefined for Escape.
 */
export function open(title, build, { kind = "" } = {}) {
  count += 1;
  const id = `dialog${count}`;
  const before = document.activeElement;
  const body = el("div", { class: "dialog-body" });
  const shut = el("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => close() } }, draw.close());
  const element = el("dialog", { class: kind, "aria-labelledby": id },
    el("div", { class: "dialog-bar" }, el("h2", { id }, title), shut), body);
  let result;
  const close = (value) => {
    result = value;
    element.close();
  };
  const closed = new Promise((resolve) => {
    element.addEventListener("close", () => {
      element.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(result);
    });
  });
  element.addEventListener("mousedown", (event) => {
    if (event.target === element) close(); // beside it
  });
  fill(body, build(close));
  document.body.append(element);
  element.showModal();
  const first = body.querySelector("input:not([hidden]), textarea, select, [tabindex='0']") ?? body.querySelector("button");
  (first ?? shut).focus();
  return { element, body, close, closed };
}

/** Whether one is open. */
export function isOpen() {
  return document.querySelector("dialog[open]") !== null;
}

/** Close all, as Escape does. */
export function closeAll() {
  for (const each of document.querySelectorAll("dialog[open]")) each.close();
}

/** Ask whether to do something. Return a promise for whether. */
export async function confirm(title, text, doIt, kind = "primary") {
  const { closed } = open(title, (close) => [
    el("p", {}, text),
    el("div", { class: "row end" },
      el("button", { type: "button", class: "plain", on: { click: () => close(false) } }, "Cancel"),
      el("button", { type: "button", class: kind, on: { click: () => close(true) } }, doIt)),
  ]);
  return (await closed) === true;
}

/** Return a labelled field: `{element, input}`. `hint` stands below it. */
export function field(label, attributes = {}, hint = null, tag = "input") {
  count += 1;
  const id = `field${count}`;
  const input = el(tag, { id, ...attributes, ...(hint && { "aria-describedby": `${id}-hint` }) });
  const element = el("div", { class: "field" }, el("label", { for: id }, label), input,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
  return { element, input };
}

/** Return a line for what goes wrong, and a function that says it there (or nothing). */
export function troubleLine() {
  const element = el("p", { class: "trouble", role: "alert", hidden: true });
  const say = (text) => {
    element.textContent = text;
    element.hidden = !text;
  };
  return { element, say };
}

/** Show a longer text, or elements, until it is closed. */
export function show(title, ...children) {
  const shown = open(title, () => children);
  // Longer than the screen, it is scrolled by keys.
  set(shown.body, "tabindex", "0");
  shown.body.focus();
  return shown;
}
