/** Files as one sees them: those on their way, with how far they are, and all that are shared. */

import { Refusal } from "./answers.js";
import { clean } from "./clean.js";
import { confirm, open, troubleLine } from "./dialogs.js";
import { bdi, byId, el, fill, set } from "./dom.js";
import { draw } from "./icons.js";
import { key } from "./names.js";
import { Held, onDisk } from "./places.js";
import { address, Job } from "./transfers.js";
import { duration, short, size } from "./words.js";

/** Above this a file is not held in memory while it comes. */
const HELD = 256e6;
/** Milliseconds in which the browser has taken over what it saves. */
const SAVING = 60_000;
/** Milliseconds that a transfer which is over stays in sight, if nothing went wrong. */
const LINGER = 3000;

export class Sharing {
  /** `app` as `App` is: its session, model and conversation of now. */
  constructor(app) {
    this._app = app;
    this._jobs = new Map();
    const input = byId("file-input");
    byId("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.share([...input.files]);
      input.value = "";
    });
    this._acceptDrops();
  }

  /** The files that are on their way. */
  get running() {
    return [...this._jobs.keys()].filter((job) => !job.over);
  }

  /** Choose files to share. */
  choose() {
    byId("file-input").click();
  }

  /** Share files (File objects) with the current conversation, one after the other. */
  async share(files, to = this._app.model.current.name, called = null) {
    for (const file of files) {
      const name = called ?? file.name.normalize("NFC");
      const job = this._begin(name, file.size, true, (other) => this.share([file], to, other));
      // The next begins when this is over: they would share one line to the server anyway.
      if (await job.share(file, to)) this._app.say(`${clean(job.name)} is shared.`);
    }
  }

  /** Fetch a file of the conversation `where`. */
  async fetch(file, where) {
    let place;
    try {
      place = file.size > HELD ? await onDisk(file.name) : new Held();
    } catch (problem) {
      if (problem.name === "AbortError") return; // no place was wanted
      throw problem;
    }
    if (place === null) {
      await this._hand(file, where);
      return;
    }
    const job = this._begin(file.name, file.size, false, () => this.fetch(file, where));
    if (!(await job.fetch(where, place))) return;
    if (job.blob !== null) {
      const url = URL.createObjectURL(job.blob);
      save(url, job.name);
      setTimeout(() => URL.revokeObjectURL(url), SAVING);
    }
    this._app.say(`${clean(job.name)} is here.`);
  }

  /** Break off what is on its way; with `name` only that. Return how many. */
  cancel(name) {
    const meant = this.running.filter((job) => !name || key(job.name) === key(name));
    for (const job of meant) job.cancel();
    return meant.length;
  }

  /** Show which files there are; `part` of a name to begin with. */
  async list(part = "") {
    const trouble = troubleLine();
    const found = el("div", { class: "found", role: "list", "aria-label": "Files" });
    const input = el("input", { type: "search", "aria-label": "Part of a name", placeholder: "Part of a name", value: part });
    open("Files", () => [
      el("div", { class: "row" }, el("span", { class: "grow" }, input),
        el("button", { type: "button", class: "plain", on: { click: () => this.choose() } }, "Share a file…")),
      trouble.element, found,
    ]);
    let files = [];
    const redraw = () => {
      const wanted = files.filter(({ name }) => name.toLowerCase().includes(input.value.toLowerCase()));
      fill(found, wanted.map((file) => this._listed(file, async () => {
        files = files.filter((each) => each !== file);
        redraw();
      }, trouble.say)));
      if (!wanted.length) fill(found, el("p", { class: "empty", role: "listitem" }, files.length ? "No file of that name." : "Nobody has shared a file yet. Drop one anywhere on the page."));
    };
    input.addEventListener("input", redraw);
    try {
      files = await this._app.requests.pages({ purpose: "files" }, "files", ({ name }) => name);
      redraw();
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      trouble.say(problem.message);
    }
  }

  _listed(file, gone, trouble) {
    const { model } = this._app;
    const to = file.to ?? "#lobby";
    const mine = to.startsWith("@") && key(to.slice(1)) === key(model.nick);
    const where = mine ? `@${file.from}` : to;
    const by = file.from ? `${clean(file.from)}, ${short(file.time ?? 0)}, ` : "";
    const name = clean(file.name);
    const own = file.from && key(file.from) === key(model.nick);
    const remove = async () => {
      if (!(await confirm("Take it away?", `${name} will no longer be shared.`, "Take it away", "danger"))) return;
      try {
        await this._app.session.ask({ purpose: "delete_file", name: file.name, with: where });
        await gone();
      } catch (problem) {
        if (!(problem instanceof Refusal)) throw problem;
        trouble(problem.message);
      }
    };
    return el("div", { class: "option", role: "listitem" }, draw.file(),
      el("span", { class: "words" }, bdi(name, { class: "name" }),
        el("span", { class: "aside" }, `${by}${clean(where)}, ${size(file.size)}`)),
      el("button", { type: "button", class: "quiet", "aria-label": `Fetch ${name}`, title: "Fetch", on: { click: () => this.fetch(file, where) } }, draw.fetch()),
      own && el("button", { type: "button", class: "quiet", "aria-label": `No longer share ${name}`, title: "No longer share it", on: { click: remove } }, draw.trash()));
  }

  /** Give a large file to the browser's own downloads. */
  async _hand(file, where) {
    try {
      const { ticket } = await this._app.session.ask({ purpose: "get", name: file.name, with: where });
      save(address(ticket), file.name);
      this._app.note(`${clean(file.name)} is large, and left to your browser's own downloads, which do not check it: its SHA-256 has to be ${file.sha256}.`);
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      this._app.note(`${clean(file.name)}: ${problem.message}`, "trouble");
    }
  }

  _begin(name, bytes, up, again) {
    const job = new Job(this._app.session, name, bytes, up, (changed) => this._draw(changed));
    const bar = el("progress", { max: 1, value: 0, "aria-label": `${up ? "Sharing" : "Fetching"} ${clean(name)}` });
    const words = el("span", { class: "words" });
    const stop = el("button", { type: "button", class: "quiet", "aria-label": `Cancel ${clean(name)}`, title: "Cancel", on: { click: () => this._stop(job) } }, draw.close());
    const redo = el("button", { type: "button", class: "link", hidden: true, on: { click: () => {
      this._forget(job);
      again(job.word === "FILE_EXISTS" ? another(job.name) : job.name);
    } } }, "Go on");
    const element = el("div", { class: "transfer" }, words, el("span", { class: "row" }, redo, stop), bar);
    this._jobs.set(job, { element, bar, words, redo, began: performance.now(), from: null });
    byId("transfers").append(element);
    return job;
  }

  _draw(job) {
    const shown = this._jobs.get(job);
    if (shown === undefined) return;
    if (job.state === "moving" && shown.from === null) {
      shown.from = job.done;
      shown.began = performance.now();
    }
    const seconds = (performance.now() - shown.began) / 1000;
    const rate = seconds > 1 && shown.from !== null ? (job.done - shown.from) / seconds : 0;
    const left = rate > 0 ? `, ${size(rate)}/s, ${duration((job.size - job.done) / rate)} left` : "";
    const words = {
      checking: "reading it", waiting: "waiting for the server", done: job.up ? "shared" : "here",
      failed: job.why, cancelled: "cancelled", moving: `${size(job.done)} of ${size(job.size)}${left}`,
    }[job.state];
    shown.words.textContent = `${clean(job.name)}: ${clean(words)}`;
    shown.words.title = shown.words.textContent;
    shown.words.className = `words${job.state === "failed" ? " trouble" : ""}`;
    set(shown.bar, "value", job.size ? job.done / job.size : 1);
    const taken = job.up && job.word === "FILE_EXISTS";
    shown.redo.textContent = taken ? `Share it as ${clean(another(job.name))}` : job.state === "failed" ? "Try again" : "Go on";
    shown.redo.hidden = job.state !== "failed" && job.state !== "cancelled";
    if (job.state === "done") setTimeout(() => this._forget(job), LINGER);
  }

  _stop(job) {
    if (job.over) this._forget(job);
    else job.cancel();
  }

  _forget(job) {
    this._jobs.get(job)?.element.remove();
    this._jobs.delete(job);
  }

  _acceptDrops() {
    const veil = byId("drop");
    const carries = (event) => event.dataTransfer?.types.includes("Files") && !this._app.entrance.gate.shown;
    addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      veil.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) veil.hidden = true;
    });
    addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      veil.hidden = true;
      this.share([...event.dataTransfer.files]);
    });
  }
}

/** Return another name for a file: `plan.png`, `plan (2).png`, `plan (3).png`. */
function another(name) {
  const [, stem, number, end] = /^(.*?)(?: \((\d{1,6})\))?(\.[^.]*)?$/s.exec(name);
  return `${stem} (${Number(number ?? 1) + 1})${end ?? ""}`;
}

/** Let the browser save what is behind an address of our own. */
function save(url, name) {
  const link = el("a", { download: name });
  link.href = url;
  link.click();
}
