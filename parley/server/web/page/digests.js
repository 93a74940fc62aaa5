/**
 * The digests a login needs, by the browser's own means where it has them (WebCrypto), else by
 * `sha256`. Knows no server.
 */

import * as plain from "./sha256.js";

/** Whether the browser gives this page its cryptography: over https, or on this machine. */
export const native = () => globalThis.crypto?.subtle !== undefined;

/** Wait for the next turn of the page, without the delay of timers. */
export function breathe() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Return 32 bytes of PBKDF2-HMAC-SHA-256 (RFC 8018). Slow by design. */
export async function pbkdf2(password, salt, iterations, progress) {
  if (!native()) return plain.pbkdf2(password, salt, iterations, breathe, progress);
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

export const { hmac, sha256 } = plain;

/** Return `count` random bytes. */
export function random(count) {
  return crypto.getRandomValues(new Uint8Array(count));
}

export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** Return the bytes of a base64 text. Throws a DOMException if it is none. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How much of a file is read and hashed at once. */
const PIECE = 1 << 20;

/** Return the SHA-256 of a File in hex. `progress` gets bytes done; `signal` breaks it off. */
export async function hashFile(file, progress, signal) {
  const hash = new plain.Sha256();
  for (let at = 0; at < file.size; at += PIECE) {
    signal.throwIfAborted();
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    progress(Math.min(at + PIECE, file.size));
  }
  return toHex(hash.digest());
}
