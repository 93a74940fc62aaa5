/** What reaches a person who looks elsewhere: the title's count, and the system's notices. */

import { byId } from "./dom.js";

/** Characters of a message in a notice. */
const SHOWN = 200;

/** Whether the browser can give notices to this page at all. */
export const able = () => "Notification" in globalThis && isSecureContext;

/** "granted", "denied" or "default": not asked yet. */
export const permission = () => (able() ? Notification.permission : "denied");

/** Ask the person. Only upon a click: browsers refuse anything else, and rightly. */
export async function ask() {
  return able() && (await Notification.requestPermission()) === "granted";
}

/** Tell of a message, unless one is looking at the page. `go` is called upon a click. */
export function notify(nick, text, tag, go) {
  if (permission() !== "granted" || document.hasFocus()) return;
  const notice = new Notification(nick, { body: text.slice(0, SHOWN), tag, icon: "icon.svg" });
  notice.onclick = () => {
    focus();
    notice.close();
    go();
  };
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
