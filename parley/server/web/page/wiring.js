/** The page's own buttons and keys, tied to what they do. */

import { byId, set } from "./dom.js";
import { listen } from "./keys.js";
import { openAbout, openPeople, openRooms } from "./rooms.js";
import { openSettings } from "./settings.js";
import { openSwitcher } from "./switcher.js";

/** Open or close the list of conversations, where it does not stand at the side. */
export function openLists(whether) {
  const lists = byId("lists");
  const was = lists.classList.contains("open");
  lists.classList.toggle("open", whether);
  if (whether) byId("conversations").focus();
  else if (was) byId("open-lists").focus();
}

function showPeople(whether) {
  byId("people").classList.toggle("away", !whether);
  set(byId("toggle-people"), "aria-expanded", String(whether));
}

/** Make the page's own buttons and keys do what `app` can. */
export function wire(app) {
  const click = (id, does) => byId(id).addEventListener("click", does);
  click("go-room", () => openRooms(app));
  click("go-switch", () => openSwitcher(app.model, (name) => app.goSomewhere(name)));
  click("go-settings", () => openSettings(app));
  click("go-search", () => app.search());
  click("go-files", () => app.sharing.list());
  click("go-about", () => openAbout(app));
  click("go-people", () => openPeople(app));
  click("open-lists", () => openLists(true));
  click("close-lists", () => openLists(false));
  click("toggle-people", () => showPeople(byId("people").classList.contains("away")));
  click("close-people", () => {
    showPeople(false);
    byId("toggle-people").focus();
  });
  click("to-end", () => app.toEnd());
  byId("main").addEventListener("click", (event) => {
    if (!event.target.closest("#open-lists")) byId("lists").classList.remove("open");
  });
  const narrow = matchMedia("(max-width: 1000px)");
  showPeople(!narrow.matches);
  narrow.addEventListener("change", () => showPeople(!narrow.matches));
  for (const event of ["focus", "blur"]) addEventListener(event, () => app.drawing.looked());
  document.addEventListener("visibilitychange", () => {
    if (app.session === null) return;
    app.drawing.wake();
    if (!document.hidden) app.session.reconnect();
  });
  listen(keyActions(app));
}

function keyActions(app) {
  const go = (at) => {
    const all = app.model.ordered;
    if (all[at]) app.go(all[at].name);
  };
  const here = () => app.model.ordered.indexOf(app.model.current);
  return {
    away: () => app.entrance.gate.shown,
    switch: () => byId("go-switch").click(),
    search: () => app.search(),
    help: () => app.help(),
    step: (by) => go(here() + by),
    number: (number) => go(number - 1),
    nextUnread: () => {
      const { ordered } = app.model;
      const unread = ordered.filter((each) => each.unread && each !== app.model.current);
      const next = unread.find(({ mentions }) => mentions) ?? unread[0];
      if (next) app.go(next.name);
    },
    escape: () => {
      openLists(false);
      app.toEnd();
    },
    type: () => app.composer.focus(),
  };
}
