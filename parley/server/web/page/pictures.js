/**
 * Pictures that were shared, shown small. Only what begins like a PNG, JPEG, GIF or WebP becomes
 * an image, from bytes the page has fetched and checked; never SVG, which is a document.
 */

import { el } from "./dom.js";
import { open } from "./dialogs.js";
import { Held } from "./places.js";
import { Job } from "./transfers.js";
import { size } from "./words.js";

const NAMES = /\.(png|jpe?g|gif|webp)$/i;
/** Bytes up to which a picture is fetched by itself when it comes into sight, and at all. */
const BY_ITSELF = 3e6;
const LARGEST = 40e6;
/** Pictures that stay in memory, and that are fetched at once. */
const KEPT = 40;
const AT_ONCE = 2;

/** Return the type of a picture by its first bytes, or null. */
export function typeOf(bytes) {
  const text = String.fromCharCode(...bytes.slice(0, 12));
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("GIF87a") || text.startsWith("GIF89a")) return "image/gif";
  if (text.startsWith("RIFF") && text.slice(8) === "WEBP") return "image/webp";
  return null;
}

export class Pictures {
  /** `session()` returns the session of now. */
  constructor(session) {
    this._session = session;
    this._known = new Map();
    this._queue = [];
    this._running = 0;
    this._observer = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        this._observer.unobserve(target);
        this._want(target);
      }
    }, { rootMargin: "200px" });
    this._boxes = new WeakMap();
  }

  /** Return an element for a file that may be a picture, or null. `where`: its conversation. */
  box(file, where) {
    if (!NAMES.test(file.name) || file.size > LARGEST || !file.size) return null;
    const box = el("button", { type: "button", class: "preview", "aria-label": `Picture ${file.name}`, hidden: true });
    this._boxes.set(box, { file, where });
    const known = this._known.get(file.sha256);
    if (known) this._show(box, file, known);
    else if (file.size <= BY_ITSELF) {
      // What is hidden is never in sight: a line of it is watched instead.
      const watched = el("span", { class: "watched" }, "");
      this._boxes.set(watched, { file, where, box });
      this._observer.observe(watched);
      return el("div", {}, watched, box);
    } else {
      const ask = el("button", { type: "button", class: "link", on: { click: () => {
        ask.remove();
        this._boxes.set(box, { file, where, box });
        this._want(box);
      } } }, `Show the picture (${size(file.size)})`);
      return el("div", {}, ask, box);
    }
    return box;
  }

  _want(element) {
    this._queue.push(this._boxes.get(element));
    this._next();
  }

  async _next() {
    if (this._running >= AT_ONCE || !this._queue.length) return;
    const { file, where, box } = this._queue.shift();
    const known = this._known.get(file.sha256);
    if (known) this._show(box, file, known);
    else {
      this._running += 1;
      const job = new Job(this._session(), file.name, file.size, false, () => {});
      const came = await job.fetch(where, new Held());
      this._running -= 1;
      if (came && job.sha256 === file.sha256) await this._take(box, file, job.blob);
    }
    this._next();
  }

  async _take(box, file, blob) {
    const type = typeOf(new Uint8Array(await blob.slice(0, 12).arrayBuffer()));
    if (type === null) return; // called a picture, but none
    const picture = URL.createObjectURL(new Blob([blob], { type }));
    this._known.set(file.sha256, picture);
    if (this._known.size > KEPT) {
      const [oldest, its] = this._known.entries().next().value;
      this._known.delete(oldest);
      URL.revokeObjectURL(its);
    }
    this._show(box, file, picture);
  }

  _show(box, file, picture) {
    const image = el("img", { alt: file.name });
    image.src = picture;
    image.addEventListener("load", () => (box.hidden = false));
    image.addEventListener("error", () => box.remove());
    box.replaceChildren(image);
    box.addEventListener("click", () => {
      const large = el("img", { alt: file.name });
      large.src = image.src;
      open(file.name, () => [large], { kind: "picture" });
    });
  }
}
