/** What may be called what, as docs/PROTOCOL.md says it: nicks, rooms, conversations. */

export const LOBBY = "#lobby";
const NAME = /^[A-Za-z0-9_.-]{1,32}$/;

export const isNick = (name) => NAME.test(name);
export const isRoom = (name) => name.startsWith("#") && isNick(name.slice(1));
export const isPrivate = (name) => name.startsWith("@") && isNick(name.slice(1));

/** Return the form in which two names of the same person or room are equal. */
export const key = (name) => name.toLowerCase();

/** Order names as people look for them. */
export const byName = (a, b) => (key(a) < key(b) ? -1 : 1);
