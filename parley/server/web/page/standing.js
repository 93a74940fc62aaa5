/** How the connection stands, how somebody is, and who is writing: in words. */

import { byId, el, fill } from "./dom.js";
import { several } from "./words.js";

/** Draw the connection's state. `now` tries now, `again` comes in again after an end. */
export function connection({ status, text, word, retryAt }, waiting, now, again) {
  const line = byId("connection");
  const kept = waiting ? ` ${waiting === 1 ? "Your message is" : `Your ${waiting} messages are`} kept and will be sent.` : "";
  if (status === "online") fill(line);
  else if (status === "waiting") {
    const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    const words = `No connection: ${text}.${kept} `;
    const known = line.querySelector(".words")?.textContent === words;
    if (!known) {
      const button = el("button", { type: "button", class: "link", on: { click: now } }, "Try now");
      fill(line, el("div", {}, el("span", { class: "words" }, words), el("span", { class: "countdown", "aria-hidden": "true" }), button));
    }
    line.querySelector(".countdown").textContent = seconds ? `Next try in ${seconds} s` : "";
  } else if (status === "ended") {
    const words = word === "BANNED" ? `You are banned: ${text}.${kept}` : `${text}. You are no longer in the chat.${kept}`;
    if (line.querySelector(".bad")?.firstChild.textContent === words) return;
    const button = el("button", { type: "button", class: "link", on: { click: again } }, "Come in again");
    fill(line, el("div", { class: "bad" }, el("span", {}, words), button));
  } else if (!line.querySelector(".coming")) {
    fill(line, el("div", { class: "coming" }, `Connecting…${kept}`));
  }
}

/** Say how somebody is; or was, if that is not known any more (`live` false). */
export function of({ status, text }, live) {
  return `${live ? "" : "was "}${status}${status !== "online" && text ? `: ${text}` : ""}`;
}

/** Say who is writing in a conversation. Return whether anybody is. */
export function typing(conversation, now) {
  for (const [nick, until] of conversation.typing) if (until < now) conversation.typing.delete(nick);
  const nicks = [...conversation.typing.keys()];
  const words = nicks.length ? `${several(nicks)} ${nicks.length === 1 ? "is" : "are"} writing…` : "";
  const line = byId("typing");
  if (line.textContent !== words) line.textContent = words;
  return nicks.length > 0;
}
