/**
 * Elements, made safely. Everything on the page is made here, out of tags, known attributes and
 * text nodes: no string ever becomes markup, whoever wrote it. Knows nothing of the chat.
 */

const PLAIN = new Set([
  "class", "id", "type", "name", "for", "role", "title", "placeholder", "autocomplete", "autocapitalize",
  "spellcheck", "enterkeyhint", "inputmode", "maxlength", "rows", "tabindex", "dir", "lang", "rel",
  "target", "alt", "width", "height", "datetime", "value", "min", "max", "download", "hidden", "disabled",
  "checked", "required", "multiple", "accept", "viewBox", "d", "fill", "stroke", "stroke-width",
  "stroke-linecap", "stroke-linejoin", "focusable", "loading", "method", "novalidate",
]);
const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a new element. `attributes`: names in a list of harmless ones, `aria-*`, `data-*`; `on`
 * is an object of listeners; `href` takes only what `safeAddress` lets through. `false` and
 * `null` leave one out. `children`: elements, texts, or nothing.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      set(element, name, value);
    }
  }
  append(element, children);
  return element;
}

/** Set or, with `false` or `null`, remove an attribute of the kinds that `el` takes. */
export function set(element, name, value) {
  if (name === "href" && value != null && value !== false) {
    const address = safeAddress(value);
    if (address !== null) element.setAttribute("href", address);
    return;
  }
  if (!PLAIN.has(name) && !name.startsWith("aria-") && !name.startsWith("data-")) {
    throw new TypeError(`no attribute to be set: ${name}`);
  }
  if (value === false || value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
}

/** Put new `children` in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child);
  }
}

/** Return an address one may follow, http and https alone, in its full form; else null. */
export function safeAddress(text) {
  if (!URL.canParse(text)) return null;
  const address = new URL(text);
  return address.protocol === "http:" || address.protocol === "https:" ? address.href : null;
}

/** Return a drawing from the paths of a 24 by 24 grid. It is decoration: never read out. */
export function icon(...paths) {
  const svg = document.createElementNS(SVG, "svg");
  const about = {
    viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false",
    fill: "none", stroke: "currentColor", "stroke-width": "1.75", "stroke-linecap": "round",
    "stroke-linejoin": "round",
  };
  for (const [name, value] of Object.entries(about)) set(svg, name, value);
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    set(path, "d", d);
    svg.append(path);
  }
  return svg;
}

/** Return a foreign name, kept from changing the direction of what stands beside it. */
export function bdi(text, attributes = {}) {
  return el("bdi", attributes, text);
}

/** The element of the page with this id. It is an error of ours if there is none. */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}
