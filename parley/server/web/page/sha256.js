/**
 * SHA-256 (FIPS 180-4), HMAC (RFC 2104) and PBKDF2 (RFC 8018) in plain JavaScript.
 *
 * A browser has these only where a page came over https or from the same machine
 * (`crypto.subtle`, "secure contexts"); in a LAN over plain http it has none of them. And its
 * digest takes a whole file at once, where `Sha256` takes it piece by piece. Knows no password
 * and no server.
 */

// Signed, as JavaScript's operators on 32 bits are: nothing is ever a float.
const K = new Int32Array(64);
const START = new Int32Array(8);

/** The constants are the first 32 bits of the fractions of cube and square roots of primes. */
function constants() {
  let found = 0;
  for (let n = 2; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
    if (!prime) continue;
    if (found < 8) START[found] = Math.floor((Math.sqrt(n) % 1) * 2 ** 32) | 0;
    K[found++] = Math.floor((Math.cbrt(n) % 1) * 2 ** 32) | 0;
  }
}
constants();

const W = new Int32Array(64);

/** Take one block of 16 big-endian words, which stand in `W`, into `state`. */
function compress(state) {
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3];
  let e = state[4], f = state[5], g = state[6], h = state[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/** A digest that grows: `update` with bytes as often as one likes, then `digest`. */
export class Sha256 {
  constructor() {
    this._state = START.slice();
    this._block = new Uint8Array(64);
    this._filled = 0;
    this._size = 0;
  }

  /** Take in a Uint8Array. */
  update(bytes) {
    this._size += bytes.length;
    let at = 0;
    if (this._filled) {
      at = Math.min(64 - this._filled, bytes.length);
      this._block.set(bytes.subarray(0, at), this._filled);
      this._filled += at;
      if (this._filled < 64) return this;
      this._take(this._block, 0);
      this._filled = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this._take(bytes, at);
    this._block.set(bytes.subarray(at));
    this._filled = bytes.length - at;
    return this;
  }

  /** Return the 32 bytes. Nothing more can be taken in. */
  digest() {
    const rest = new Uint8Array(this._filled < 56 ? 64 : 128);
    rest.set(this._block.subarray(0, this._filled));
    rest[this._filled] = 0x80;
    const view = new DataView(rest.buffer);
    view.setUint32(rest.length - 8, Math.floor(this._size / 2 ** 29));
    view.setUint32(rest.length - 4, (this._size * 8) >>> 0);
    for (let at = 0; at < rest.length; at += 64) this._take(rest, at);
    return bytesOf(this._state);
  }

  _take(bytes, at) {
    for (let i = 0; i < 16; i++, at += 4) {
      W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    compress(this._state);
  }
}

function bytesOf(words) {
  const out = new Uint8Array(words.length * 4);
  const view = new DataView(out.buffer);
  words.forEach((word, i) => view.setInt32(i * 4, word));
  return out;
}

/** Return the SHA-256 of a Uint8Array. */
export function sha256(bytes) {
  return new Sha256().update(bytes).digest();
}

function padded(key, byte) {
  const block = new Uint8Array(64).fill(byte);
  (key.length > 64 ? sha256(key) : key).forEach((value, i) => (block[i] ^= value));
  return block;
}

/** Return HMAC-SHA-256 of `bytes` under `key`. */
export function hmac(key, bytes) {
  const inner = new Sha256().update(padded(key, 0x36)).update(bytes).digest();
  return new Sha256().update(padded(key, 0x5c)).update(inner).digest();
}

/** Rounds between two looks at the clock, a millisecond or so. */
const ROUNDS = 1000;
/** Milliseconds that are worked without letting the page live. */
const SLICE = 12;

/**
 * Return 32 bytes of PBKDF2-HMAC-SHA-256, in slices between which the page lives on. `breathe`
 * returns a promise for the next turn; `progress` gets the part done, 0 to 1.
 */
export async function pbkdf2(password, salt, iterations, breathe, progress = () => {}) {
  const inner = new Sha256().update(padded(password, 0x36))._state;
  const outer = new Sha256().update(padded(password, 0x5c))._state;
  let last = hmac(password, new Uint8Array([...salt, 0, 0, 0, 1]));
  const u = new Int32Array(8);
  const view = new DataView(last.buffer);
  for (let i = 0; i < 8; i++) u[i] = view.getInt32(i * 4);
  const sum = u.slice();
  const state = new Int32Array(8);
  let began = performance.now();
  for (let done = 1; done < iterations; done++) {
    // Both hashes have one block more: 32 bytes, their end, and the length of 64 + 32 bytes.
    state.set(inner);
    block(u);
    compress(state);
    u.set(outer);
    block(state);
    compress(u);
    for (let i = 0; i < 8; i++) sum[i] ^= u[i];
    if (done % ROUNDS === 0 && performance.now() - began > SLICE) {
      progress(done / iterations);
      await breathe();
      began = performance.now();
    }
  }
  return bytesOf(sum);
}

function block(words) {
  for (let i = 0; i < 8; i++) W[i] = words[i];
  W[8] = 0x80000000 | 0;
  W.fill(0, 9, 15);
  W[15] = 768;
}
