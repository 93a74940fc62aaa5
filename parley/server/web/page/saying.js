/** What is done with what one types: it is sent, it is a command, it is kept as a draft. */

import { commands, run } from "./commands.js";
import { confirm } from "./dialogs.js";
import { key } from "./names.js";

/** A text of more lines is asked about first: it may have been pasted by mistake. */
const MANY_LINES = 30;

/** Return what the composer of `app` (as `App` is) asks for. */
export function composerActions(app) {
  const { model } = app;
  return {
    send: (text) => send(app, text),
    change: (entry, text) => app.requests.attempt(app.requests.change(entry, text)),
    last: () => {
      const last = model.current.lastBy(model.nick);
      return last && !last.file ? last : null;
    },
    typing: (active) => {
      if (app.settings.typing !== "on") return;
      app.session.tell({ purpose: "typing", to: model.current.name, state: active ? "active" : "done" });
    },
    drafted: (text) => {
      const had = Boolean(model.current.draft);
      keep(app, model.current, text);
      if (had !== Boolean(text)) app.drawing.redraw("lists");
    },
    known: () => ({
      commands,
      people: model.people.online.map(({ nick }) => nick).filter((nick) => key(nick) !== key(model.nick)),
      rooms: model.ordered.filter((each) => !each.private).map(({ name }) => name),
    }),
    files: (files) => app.sharing.share(files),
  };
}

/** Say or do what was typed. Returns whether it was taken. */
async function send(app, text) {
  if (text.startsWith("/") && !text.startsWith("//")) return perform(app, text);
  const said = text.startsWith("//") ? text.slice(1) : text;
  const most = app.session.welcome?.limits.text ?? 16_000;
  const size = new TextEncoder().encode(said).length;
  if (size > most) {
    app.note(`This is too long: ${size} bytes, and the server takes ${most}. It stays in the field.`, "trouble");
    return false;
  }
  const to = app.model.current.name;
  const lines = said.split("\n").length;
  if (lines > MANY_LINES && !(await confirm("Send all of it?", `These are ${lines} lines.`, "Send"))) return false;
  app.session.sending.say(said, to);
  return true;
}

/** Do a command. What was typed is no draft any more, wherever the command leads. */
function perform(app, text) {
  const { current } = app.model;
  keep(app, current, "");
  const understood = run(app, text);
  if (!understood) keep(app, current, text);
  return understood;
}

function keep(app, conversation, draft) {
  conversation.draft = draft;
  app.session.keepDraft(conversation.name, draft);
}
