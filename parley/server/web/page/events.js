/**
 * What a server may say, and the check that it did: each event by its fields and their types
 * (docs/PROTOCOL.md). What does not fit never reaches the rest of the page, which is therefore
 * free of checks. Fields that are not named here are dropped.
 */

const string = (value) => typeof value === "string";
const name = (value) => string(value) && value.length > 0 && value.length <= 1024;
const number = (value) => Number.isFinite(value);
const count = (value) => Number.isSafeInteger(value) && value >= 0;
const flag = (value) => value === true || value === false;
const oneOf = (...words) => (value) => words.includes(value);
const list = (check) => (value) => Array.isArray(value) && value.every(check);
const maybe = (check) => (value) => value === undefined || value === null || check(value);

/** Return a check that also drops what is not named. */
function object(fields) {
  const names = Object.keys(fields);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    for (const each of Object.keys(value)) if (!Object.hasOwn(fields, each)) delete value[each];
    return names.every((each) => fields[each](value[each]));
  };
}

/** Tell whether a value is an object of numbers, under any names. */
function counts(value) {
  return typeof value === "object" && value !== null && Object.values(value).every(count);
}

const user = object({
  nick: name, status: oneOf("online", "away", "offline"), since: maybe(number), ids: list(count),
  text: maybe(string), account: maybe(flag),
});
const limits = object({
  frame: count, text: count, page: count, rate: number, burst: count, timeout: number,
});
const file = object({ name, size: count, sha256: string });
const message = {
  purpose: oneOf("message"), seq: count, from: name, id: count, to: name, text: string, time: number,
  size: maybe(count), sent: maybe(number), edit_of: maybe(count), redact_of: maybe(count),
  changed: maybe(count), redacted: maybe(flag), file: maybe(file),
};
const room = object({
  room: name, people: count, topic: maybe(string), private: maybe(flag), member: maybe(flag),
  owner: maybe(name), locked: maybe(flag),
});
const shared = object({
  name, size: count, sha256: string, from: maybe(name), time: maybe(number), to: maybe(name),
});
const act = object({
  seq: count, time: number, do: name, nick: name, whom: name, room: maybe(name), text: maybe(string),
  until: maybe(number),
});
const who = object({ nick: name, id: count });
const gone = object({ nick: name, id: count, reason: string });

const EVENTS = {
  welcome: {
    nick: name, id: count, seq: count, motd: string, rooms: list(name), users: list(user),
    users_total: count, unread: counts, limits, time: number, account: maybe(flag),
    token: maybe(string), data: maybe(string), fsync: maybe(string),
  },
  message,
  history: {
    messages: list(object(message)), end: flag, ref: maybe(string), with: maybe(name),
    replay: maybe(flag),
  },
  joined: { nick: name, id: count, time: number, room: maybe(name) },
  left: {
    nick: name, id: count, time: number, reason: string, room: maybe(name), text: maybe(string),
  },
  roster: { joined: list(who), left: list(gone), online: count, time: number, room: maybe(name) },
  presence: { nick: name, status: oneOf("online", "away", "offline"), since: number, text: maybe(string) },
  challenge: { data: string },
  ok: { ref: maybe(string), seq: maybe(count), time: maybe(number) },
  files: { ref: string, files: list(shared), end: flag },
  ticket: {
    ref: string, ticket: name, name, size: count, sha256: string, lasts: number, offset: maybe(count),
  },
  file: {
    name, to: name, nick: name, time: number, size: maybe(count), sha256: maybe(string),
    deleted: maybe(flag),
  },
  pong: { ref: string },
  users: { ref: string, users: list(user), total: count, end: flag },
  rooms: { ref: string, rooms: list(room), end: flag },
  topic: { room: name, text: string, nick: string, time: number, locked: maybe(flag) },
  invited: { room: name, nick: name, time: number },
  read: { with: name, seq: count, nick: maybe(name) },
  typing: { nick: name, to: name, state: oneOf("active", "done") },
  acts: { ref: string, acts: list(act), end: flag },
  shutdown: { reason: string, grace: number },
  error: {
    code: number, error: string, text: string, ref: maybe(string), retry_after: maybe(number),
  },
};

const CHECKS = new Map(
  Object.entries(EVENTS).map(([purpose, fields]) => [purpose, object({ purpose: oneOf(purpose), ...fields })]),
);

/** What came is no event. `ref` is that of the request it would have answered, if there is one. */
export class EventError extends Error {
  constructor(text, ref = null) {
    super(text);
    this.ref = ref;
  }
}

/** Return the event of a JSON text, or null for one of a later version. Throws EventError. */
export function decode(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (problem) {
    if (!(problem instanceof SyntaxError)) throw problem;
    throw new EventError("the server sent something that is no JSON");
  }
  const purpose = value?.purpose;
  if (typeof purpose !== "string") throw new EventError("the server sent something that is no event");
  const check = CHECKS.get(purpose);
  if (check === undefined) return null;
  const ref = typeof value.ref === "string" ? value.ref : null;
  if (!check(value)) throw new EventError(`the server sent a "${purpose}" that is none`, ref);
  return value;
}
