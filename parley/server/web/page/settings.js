/** What one can set, and one's own account: colours, notices, a password, signing out. */

import { Refusal } from "./answers.js";
import { confirm, field, open, troubleLine } from "./dialogs.js";
import { el } from "./dom.js";
import { native } from "./digests.js";
import { able, ask, permission } from "./notices.js";
import { ScramError } from "./scram.js";

/** What can be set: the values, the first of which stands at the beginning, and what it is. */
export const CHOICES = {
  theme: { values: ["auto", "light", "dark"], about: "Colours" },
  alert: { values: ["off", "notice"], about: "Notices of private messages and mentions" },
  comings: { values: ["on", "off"], about: "Say who comes and goes" },
  typing: { values: ["on", "off"], about: "Tell others that you are writing, and see it of them" },
  receipts: { values: ["off", "on"], about: "Let the other in a private conversation know what you have read" },
};
const WORDS = { auto: "as the system", light: "light", dark: "dark" };

export class Settings {
  /** Kept in `memory`; `changed` is called after each change. */
  constructor(memory, changed) {
    this._memory = memory;
    this._changed = changed;
    const kept = memory.settings;
    for (const [name, { values }] of Object.entries(CHOICES)) {
      this[name] = values.includes(kept[name]) ? kept[name] : values[0];
    }
  }

  /** Change one. Returns whether there is such a value. */
  set(name, value) {
    if (!Object.hasOwn(CHOICES, name) || !CHOICES[name].values.includes(value)) return false;
    this[name] = value;
    this._memory.settings = Object.fromEntries(Object.keys(CHOICES).map((each) => [each, this[each]]));
    this.apply();
    this._changed(name);
    return true;
  }

  /** Give the page its colours. */
  apply() {
    const { dataset } = document.documentElement;
    if (this.theme === "auto") delete dataset.theme;
    else dataset.theme = this.theme;
  }
}

/** Open the settings. `app` as `App` is. */
export function openSettings(app) {
  const { settings, model } = app;
  const trouble = troubleLine();
  const theme = el("div", { class: "row", role: "radiogroup", "aria-label": CHOICES.theme.about }, CHOICES.theme.values.map((value) =>
    el("label", { class: "choice" },
      el("input", { type: "radio", name: "theme", value, checked: settings.theme === value, on: { change: () => settings.set("theme", value) } }),
      WORDS[value])));
  const toggle = (name, on, off, disabled = false) => {
    const input = el("input", { type: "checkbox", checked: settings[name] === on, disabled });
    input.addEventListener("change", async () => {
      if (name === "alert" && input.checked && !(await ask())) {
        input.checked = false;
        trouble.say("This browser does not let the page give notices. Its settings for this site decide; on Android none may.");
        return;
      }
      settings.set(name, input.checked ? on : off);
    });
    return el("label", { class: "choice" }, input, CHOICES[name].about);
  };
  const { close } = open("Settings", () => [
    el("div", { class: "section" }, el("h3", {}, "Colours"), theme),
    el("div", { class: "section" }, el("h3", {}, "What is told"),
      toggle("alert", "notice", "off", !able() || permission() === "denied"),
      !able() && el("p", { class: "hint" }, "Notices need https, or this machine."),
      toggle("comings", "on", "off"), toggle("typing", "on", "off"), toggle("receipts", "on", "off"), trouble.element),
    el("div", { class: "section" }, el("h3", {}, "You"),
      el("p", {}, model.account
        ? `You are ${model.nick}, by your password.`
        : `You are ${model.nick}, a guest: this browser alone can prove it. With a password the nick is yours on every device.`),
      el("div", { class: "row" },
        el("button", { type: "button", class: "plain", on: { click: () => openPassword(app, model.account) } }, model.account ? "Change the password…" : "Register this nick…"),
        el("button", { type: "button", class: "danger", on: { click: async () => {
          if (await leave(app)) close();
        } } }, "Sign out"))),
    el("div", { class: "row end" }, el("button", { type: "button", class: "link", on: { click: () => app.help() } }, "Commands and keys")),
  ]);
}

/** Sign out, after asking if that would lose something. Returns whether one did. */
export async function leave(app) {
  const guest = !app.model.account && app.session;
  const lost = "You are a guest here. Your nick and what was written to you alone stay with this browser: come in again under the same nick.";
  if (guest && !(await confirm("Sign out?", lost, "Sign out"))) return false;
  app.entrance.signOut();
  return true;
}

/** Ask for a new password, twice, and make an account with it or `change` one's own. */
export function openPassword(app, change) {
  const trouble = troubleLine();
  const { nick } = app.model;
  const first = field("New password", { type: "password", autocomplete: "new-password" });
  const second = field("Once more", { type: "password", autocomplete: "new-password" });
  const go = el("button", { type: "submit", class: "primary" }, change ? "Change it" : "Register");
  const { close } = open(change ? "Change your password" : `Register ${nick}`, () => [
    el("form", { class: "section", on: { submit: (event) => {
      event.preventDefault();
      work();
    } } },
    // Where a browser's own keeper of passwords looks for the name.
    el("input", { type: "text", name: "username", autocomplete: "username", value: nick, hidden: true, "aria-label": "Nick" }),
    first.element, second.element,
    el("p", { class: "hint" }, "It never leaves this page: the server gets what can check it, and no more."),
    !native() && el("p", { class: "caution" }, "This page came over plain http: whoever stands between you and the server could have changed it to read what you type. Choose a password that you use nowhere else."),
    trouble.element, el("div", { class: "row end" }, go)),
  ]);
  async function work() {
    const password = first.input.value;
    if (password !== second.input.value) {
      trouble.say("The two are not the same.");
      second.input.focus();
      return;
    }
    go.disabled = true;
    trouble.say("");
    try {
      await app.session.register(password, change, (part) => (go.textContent = `${Math.round(part * 100)} %`));
      app.entrance.registered(change);
      close();
    } catch (problem) {
      if (!(problem instanceof Refusal || problem instanceof ScramError)) throw problem;
      trouble.say(problem.message);
      go.disabled = false;
      go.textContent = change ? "Change it" : "Register";
    }
  }
}
