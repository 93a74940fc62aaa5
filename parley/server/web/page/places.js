/**
 * Where a file is gathered while it comes: in memory, or on the disk if it is large. A place takes
 * bytes in order (`write`, `size`), begins anew (`restart`), gives what to save (`finish`: a Blob, or
 * null if it is saved already), or forgets all (`discard`). Knows no server.
 */

import { random, toHex } from "./digests.js";

/** The page's own folder, and the milliseconds after which nobody needs what is left in it. */
const FOLDER = "fetched";
const OLD = 3_600_000;

/** In memory. */
export class Held {
  constructor() {
    this.restart();
  }

  write(bytes) {
    this._parts.push(bytes);
    this.size += bytes.length;
  }

  restart() {
    this._parts = [];
    this.size = 0;
  }

  finish() {
    return new Blob(this._parts);
  }

  discard() {
    this.restart();
  }
}

/** In a file, `handle`. `own`: in a folder of the page's own, out of which the browser saves it. */
class Kept {
  constructor(handle, stream, own) {
    this.size = 0;
    this._handle = handle;
    this._stream = stream;
    this._own = own;
  }

  async write(bytes) {
    await this._stream.write(bytes);
    this.size += bytes.length;
  }

  async restart() {
    await this._stream.truncate(0);
    this.size = 0;
  }

  async finish() {
    await this._stream.close();
    return this._own ? this._handle.getFile() : null;
  }

  async discard() {
    try {
      await this._stream.abort();
      await this._own?.removeEntry(this._handle.name);
    } catch (problem) {
      if (!(problem instanceof DOMException)) throw problem; // else a later visit throws it away
    }
  }
}

/**
 * Return a place on the disk for a file called `name`: one that the person chooses, where browsers
 * let them, else a folder of the page's own. Null if there is neither, as over plain http. Throws
 * an AbortError if the person wants none.
 */
export async function onDisk(name) {
  if (!("createWritable" in (globalThis.FileSystemFileHandle?.prototype ?? {}))) return null;
  if ("showSaveFilePicker" in globalThis) {
    try {
      const handle = await showSaveFilePicker({ suggestedName: name });
      return new Kept(handle, await handle.createWritable(), null);
    } catch (problem) {
      // Not upon a click, or a name that it does not let pages suggest: then the other way.
      const otherwise = problem instanceof DOMException || problem instanceof TypeError;
      if (!otherwise || problem.name === "AbortError") throw problem;
    }
  }
  try {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    await clear(folder);
    const handle = await folder.getFileHandle(toHex(random(16)), { create: true });
    return new Kept(handle, await handle.createWritable(), folder);
  } catch (problem) {
    if (!(problem instanceof DOMException)) throw problem;
    return null; // forbidden in this browser, or there is no room
  }
}

/** Throw away what earlier visits have left. What another tab is at is locked, and stays. */
async function clear(folder) {
  for await (const [name, handle] of folder.entries()) {
    try {
      const { lastModified } = await handle.getFile();
      if (Date.now() - lastModified > OLD) await folder.removeEntry(name);
    } catch (problem) {
      if (!(problem instanceof DOMException)) throw problem;
    }
  }
}
