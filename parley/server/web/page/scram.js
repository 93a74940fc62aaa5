/**
 * Proving a password by SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side: the password stays
 * here, and the server proves that it knows the account too. Knows no socket and no screen.
 */

import { fromBase64, hmac, pbkdf2, random, sha256, toBase64 } from "./digests.js";

/** Rounds of PBKDF2-HMAC-SHA-256 for new keys (OWASP's password storage sheet, 2023). */
export const ITERATIONS = 600_000;
/** Rounds that a server may ask for: a hostile one could keep the page busy for hours. */
const MOST_ITERATIONS = 10_000_000;
const LEAST_ITERATIONS = 4096;

const utf8 = (text) => new TextEncoder().encode(text);

/** The server's part of a login is not what it must be, or the password cannot be used. */
export class ScramError extends Error {}

/** Return a password as it goes into the derivation (SASLprep, RFC 4013). Throws ScramError. */
export function prepared(password) {
  const mapped = password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, " ")
    .replace(/[\u00ad\u034f\u1806\u180b-\u180d\u200c\u200d\u2060\ufe00-\ufe0f\ufeff]/g, "")
    .normalize("NFKC");
  if (/[\p{Cc}\p{Co}\p{Cs}\u200e\u200f\u202a-\u202e\u2028\u2029\u206a-\u206f\ufff9-\ufffd]/u.test(mapped)) {
    throw new ScramError("This password has a character that none may have.");
  }
  const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
  if (rightToLeft.test(mapped)) {
    const chars = Array.from(mapped);
    const mixed = /\p{Script=Latin}|\p{Script=Greek}|\p{Script=Cyrillic}/u.test(mapped);
    if (mixed || !rightToLeft.test(chars[0]) || !rightToLeft.test(chars.at(-1))) {
      throw new ScramError("This password mixes directions of writing in a way that none may.");
    }
  }
  if (!mapped) throw new ScramError("A password cannot be empty.");
  return mapped;
}

/**
 * What a password became for one salt: it opens the account as the password does, but no other
 * one with the same password. `salt` in base64.
 */
export async function salted(password, salt, iterations, progress) {
  const bytes = await pbkdf2(utf8(prepared(password)), fromBase64(salt), iterations, progress);
  return { salt, iterations, bytes };
}

/** Return the keys that a server keeps of a new password, as `register` wants them. */
export async function registration(password, progress) {
  const made = await salted(password, toBase64(random(16)), ITERATIONS, progress);
  return {
    salted: made,
    keys: {
      salt: made.salt,
      iterations: made.iterations,
      stored_key: toBase64(sha256(hmac(made.bytes, utf8("Client Key")))),
      server_key: toBase64(hmac(made.bytes, utf8("Server Key"))),
    },
  };
}

/** One login: `first`, then `answer` a challenge, then `check`. */
export class Proof {
  /** `secret` is `{password}`, or `{salted}` of an earlier login. `nonce` is for tests. */
  constructor(nick, secret, nonce = toBase64(random(18))) {
    this._secret = secret;
    this._nonce = nonce;
    this._bare = `n=${nick.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
    this._serverKey = null;
    this._signed = null;
    /** What came of the password, once there was a challenge. */
    this.salted = null;
  }

  /** The client-first-message. */
  get first() {
    return `n,,${this._bare}`;
  }

  /** Return client-final for server-first. Throws ScramError. */
  async answer(challenge, progress) {
    const found = /^r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([0-9]{1,9})(?:,.*)?$/.exec(challenge);
    if (found === null || !found[1].startsWith(this._nonce) || found[1] === this._nonce) {
      throw new ScramError("The server's challenge makes no sense.");
    }
    const [, nonce, salt, count] = found;
    const iterations = Number(count);
    if (iterations > MOST_ITERATIONS) {
      throw new ScramError("The server asks for more rounds than is reasonable.");
    }
    if (iterations < LEAST_ITERATIONS) {
      throw new ScramError("The server asks for so few rounds that the password would be in danger.");
    }
    if (salt.length % 4 !== 0) throw new ScramError("The server's challenge makes no sense.");
    const kept = this._secret.salted;
    if (kept && kept.salt === salt && kept.iterations === iterations) this.salted = kept;
    else if (this._secret.password !== undefined) {
      this.salted = await salted(this._secret.password, salt, iterations, progress);
    } else throw new ScramError("The password has to be typed again.");
    const clientKey = hmac(this.salted.bytes, utf8("Client Key"));
    const bare = `c=biws,r=${nonce}`;
    this._signed = utf8(`${this._bare},${challenge},${bare}`);
    this._serverKey = hmac(this.salted.bytes, utf8("Server Key"));
    const signature = hmac(sha256(clientKey), this._signed);
    return `${bare},p=${toBase64(clientKey.map((byte, i) => byte ^ signature[i]))}`;
  }

  /** Throw ScramError unless the server has proved that it knows the keys too. */
  check(final) {
    const right = this._signed && `v=${toBase64(hmac(this._serverKey, this._signed))}`;
    if (right === null || final !== right) {
      throw new ScramError(
        "The server could not prove that it knows this account: it may not be the one it says it is.",
      );
    }
  }
}
