/** What reaches a person who looks elsewhere: the title's count, and the system's notices. */

import { byId } from "./dom.js";

/** Characters of a message in a notice. */
const SHOWN = 200;

/** Whether the browser can give notices to this page at all. */
export const able = () => "Notification" in globalThis && isSecureContext;

/** "granted", "denied" or "default": not asked yet. */
export const permission = () => (able() ? Notification.permission : "denied");

/**
 * Ask the person. Only upon a click: browsers refuse anything else, and rightly. Return whether
 * notices can be given, by giving the first one.
 */
export async function ask() {
  if (!able() || (await Notification.requestPermission()) !== "granted") return false;
  return give("Parley", "This is how you are told.", "parley-first", () => {});
}

/** Tell of a message, unless one is looking at the page. `go` is called upon a click. */
export function notify(nick, text, tag, go) {
  if (permission() === "granted" && !document.hasFocus()) give(nick, text.slice(0, SHOWN), tag, go);
}

function give(title, body, tag, go) {
  let notice;
  try {
    notice = new Notification(title, { body, tag, icon: "icon.svg" });
  } catch (problem) {
    if (!(problem instanceof TypeError)) throw problem;
    return false; // a browser that lets only service workers do so, as on Android
  }
  notice.onclick = () => {
    focus();
    notice.close();
    go();
  };
  return true;
}

/** Put what is unread into the title. */
export function title(unread, name) {
  const words = `${unread ? `(${unread}) ` : ""}${name} · Parley`;
  if (document.title !== words) document.title = words;
}

/** Say something to those who hear the page, where nothing on it would. */
export function announce(text) {
  byId("announcer").textContent = text;
}
