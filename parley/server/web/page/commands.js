/**
 * What one can type that is no message: the commands of the terminal client, by the same words.
 * To add one: a row in `TABLE`. Each handler gets the app and what stands behind the command's
 * name, and returns a promise if it has to wait.
 */

import { Refusal } from "./answers.js";
import { clean } from "./clean.js";
import { isNick, isPrivate, isRoom, key } from "./names.js";
import { openPeople, openRooms } from "./rooms.js";
import { CHOICES, leave, openPassword, openSettings } from "./settings.js";
import { short } from "./words.js";

/** A command was typed wrongly. */
class UsageError extends Error {}

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };

/** Return what follows a nick: `bob 2h spam`. */
function whom(rest, timed) {
  const [, nick, after = ""] = /^@?(\S+)\s*([^]*)$/.exec(rest) ?? [];
  if (!nick) throw new UsageError("Whom?");
  const [, count, unit, reason] = (timed && /^(\d{1,6})([smhd])(?:\s+([^]*))?$/.exec(after)) || [];
  const why = (count ? reason ?? "" : after).trim();
  return { nick, ...(count && { seconds: Number(count) * UNITS[unit] }), ...(why && { reason: why }) };
}

async function moderate(app, purpose, rest, timed, done) {
  const request = whom(rest, timed);
  await app.session.ask({ purpose, ...request });
  const { seconds } = request;
  const until = !timed ? "" : seconds ? ` until ${short(Date.now() / 1000 + seconds)}` : " for good";
  app.note(`${done(request.nick)}${until}.`);
}

function last(app, nick) {
  const found = app.model.current.lastBy(nick);
  if (!found) throw new UsageError("There is nothing here that could be changed or taken back.");
  return found;
}

const TABLE = [
  ["msg", "NICK [TEXT]", "write to one person, in private", (app, rest) => {
    const [, nick, text = ""] = /^@?(\S+)\s*([^]*)$/.exec(rest) ?? [];
    if (!nick || !isNick(nick)) throw new UsageError("Write to whom?");
    app.go(`@${nick}`);
    if (text.trim()) app.session.sending.say(text.trim(), app.model.current.name);
  }],
  ["go", "NAME", "go to a conversation", (app, rest) => {
    const { conversations } = app.model;
    const known = [rest, `@${rest}`, `#${rest}`].find((name) => conversations.has(key(name)));
    if (known) app.go(known);
    else if (isRoom(rest)) return app.requests.enter(rest, false);
    else if (isNick(rest.replace(/^@/, ""))) app.go(`@${rest.replace(/^@/, "")}`);
    else throw new UsageError("Go where?");
    return undefined;
  }],
  ["me", "TEXT", "say what you do", (app, rest) => {
    if (!rest) throw new UsageError("Do what?");
    app.session.sending.say(`/me ${rest}`, app.model.current.name);
  }],
  ["join", "ROOM [private]", "go into a room, or make it", async (app, rest) => {
    const [name, how, ...more] = rest.split(/\s+/);
    const room = name.startsWith("#") ? name : `#${name}`;
    if (!name) throw new UsageError("Which room?");
    if (!isRoom(room) || more.length || !["private", undefined].includes(how)) throw new UsageError("A room's name has letters a to z, digits, and _ - . alone, 32 at most.");
    await app.requests.enter(room, how === "private");
  }],
  ["leave", "[NAME]", "go out of a room, or close a private conversation", async (app, rest) => {
    const name = rest || app.model.current.name;
    if (!name.startsWith("#") && !isPrivate(name)) throw new UsageError("Which room?");
    await app.requests.leave(name);
  }],
  ["rooms", "[PART]", "which rooms there are", (app, rest) => openRooms(app, rest)],
  ["topic", "[TEXT]", "what this room is about; lock or unlock it", async (app, rest) => {
    const { name: room, topic } = app.model.current;
    if (!isRoom(room)) throw new UsageError("This is no room.");
    if (rest === "lock" || rest === "unlock") await app.session.ask({ purpose: "topic", room, locked: rest === "lock" });
    else if (rest) await app.session.ask({ purpose: "topic", room, text: rest });
    else app.note(topic ? `${room} is about ${topic}.` : `Nobody has said what ${room} is about.`);
  }],
  ["invite", "NICK", "let somebody into this private room", async (app, rest) => {
    const nick = rest.replace(/^@/, "");
    const room = app.model.current.name;
    if (!isNick(nick) || !isRoom(room)) throw new UsageError("Whom? In the room you invite to.");
    await app.session.ask({ purpose: "invite", room, nick });
    app.note(`${nick} may enter ${room} now, and was told.`);
  }],
  ["search", "WORDS", "find what was said; from:NICK in:NAME after:DAY before:DAY", (app, rest) => app.search(rest)],
  ["edit", "TEXT", "say your last message anew", async (app, rest) => {
    const found = last(app, app.model.nick);
    if (!rest) throw new UsageError("What should it say instead?");
    await app.requests.change(found, rest);
  }],
  ["redact", "[NICK]", "take your last message back; moderators: theirs", (app, rest) =>
    app.requests.redact(last(app, rest.replace(/^@/, "") || app.model.nick))],
  ["users", "[PART]", "who is here, away, or registered", (app, rest) => openPeople(app, rest)],
  ["who", "[PART]", "who is in this room", (app, rest) => {
    const { name } = app.model.current;
    if (!isRoom(name)) throw new UsageError("This is no room.");
    return openPeople(app, rest, name);
  }],
  ["files", "[PART]", "which files are shared", (app, rest) => app.sharing.list(rest)],
  ["get", "[NAME]", "fetch a file; the newest one shared here", async (app, rest) => {
    const here = app.model.current;
    const shared = here.entries.findLast(({ file }) => file && (!rest || key(file.name) === key(rest)));
    if (shared) {
      await app.sharing.fetch(shared.file, here.name);
      return;
    }
    if (!rest) throw new UsageError("Which file? None was shared here.");
    const all = await app.requests.pages({ purpose: "files" }, "files", ({ name }) => name);
    const found = all.find(({ name }) => key(name) === key(rest));
    if (!found) throw new UsageError("There is no file of that name.");
    await app.sharing.fetch(found, undefined);
  }],
  ["put", "", "choose files to share here", (app) => app.sharing.choose()],
  ["rmfile", "NAME", "take a file you shared away again", async (app, rest) => {
    if (!rest) throw new UsageError("Which file?");
    await app.session.ask({ purpose: "delete_file", name: rest });
    app.note(`${clean(rest)} is no longer shared.`);
  }],
  ["cancel", "[NAME]", "break off what is being fetched or shared", (app, rest) => {
    if (!app.sharing.cancel(rest)) throw new UsageError("Nothing is on its way.");
  }],
  ["history", "", "older messages of this conversation", (app) => app.past.older(app.model.current.shown)],
  ["away", "[TEXT]", "say that you are away, and why", async (app, rest) => {
    await app.session.ask({ purpose: "away", text: rest || "away" });
    app.note("You are away. /back ends that.");
  }],
  ["back", "", "say that you are back", async (app) => {
    await app.session.ask({ purpose: "away" });
    app.note("You are back.");
  }],
  ["register", "", "make your nick an account with a password", (app) => {
    if (app.model.account) throw new UsageError("Your nick is registered already: /passwd changes the password.");
    openPassword(app, false);
  }],
  ["passwd", "", "change your password", (app) => {
    if (!app.model.account) throw new UsageError("Your nick is not registered: /register makes it an account.");
    openPassword(app, true);
  }],
  ["retry", "", "send again what was refused", (app) => {
    if (!app.session.sending.refused.length) throw new UsageError("No message was refused.");
    for (const ref of app.session.sending.refused) app.session.sending.retry(ref);
  }],
  ["drop", "", "forget what was refused", (app) => {
    if (!app.session.sending.refused.length) throw new UsageError("No message was refused.");
    for (const ref of app.session.sending.refused) app.session.sending.drop(ref);
  }],
  ["set", "[NAME VALUE]", "colours, notices, what is told", (app, rest) => {
    if (!rest) return openSettings(app);
    const [name, value] = rest.toLowerCase().split(/\s+/);
    if (!app.settings.set(name, value)) {
      const known = Object.entries(CHOICES).map(([each, { values }]) => `${each}: ${values.join(", ")}`);
      throw new UsageError(`What can be set: ${known.join("; ")}.`);
    }
    app.note(`${name} is ${value} now.`);
    return undefined;
  }],
  ["reconnect", "", "connect now instead of later", (app) => app.session.reconnect()],
  ["clear", "", "clear the screen; nothing is deleted", (app) => app.clear()],
  ["kick", "NICK [REASON]", "moderators: send somebody out", (app, rest) =>
    moderate(app, "kick", rest, false, (nick) => `${nick} was sent out`)],
  ["ban", "NICK [TIME] [REASON]", "moderators: keep somebody out; TIME as in 30m, 2h, 7d", (app, rest) =>
    moderate(app, "ban", rest, true, (nick) => `${nick} is kept out`)],
  ["unban", "NICK", "moderators: end a ban", (app, rest) =>
    moderate(app, "unban", rest, false, (nick) => `${nick} may come again`)],
  ["mute", "NICK [TIME] [REASON]", "moderators: silence somebody", (app, rest) =>
    moderate(app, "mute", rest, true, (nick) => `${nick} is silenced`)],
  ["unmute", "NICK", "moderators: end that", (app, rest) =>
    moderate(app, "unmute", rest, false, (nick) => `${nick} may speak again`)],
  ["acts", "", "moderators: what was done", (app) => app.requests.acts()],
  ["help", "[COMMAND]", "all commands and keys", (app) => app.help()],
  ["quit", "", "sign out", (app) => leave(app)],
].map(([name, args, summary, handler]) => ({ name, usage: `/${name} ${args}`.trim(), summary, handler }));

const ALIASES = { names: "who", j: "join", part: "leave", s: "search", w: "msg", query: "msg", exit: "quit" };

/** All commands, as `{name, usage, summary}`. */
export const commands = TABLE;

/** Return the command that a word means, or undefined. */
function find(word) {
  const name = word.toLowerCase();
  const meant = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  return TABLE.find((each) => each.name === meant);
}

/**
 * Do what `line`, which begins with a slash, says. Return whether it was understood: if not, it
 * stays where it was typed. What goes wrong later is said in the conversation.
 */
export function run(app, line) {
  const [, word, rest] = /^\/(\S*)\s*([^]*)$/.exec(line);
  const command = find(word);
  if (command === undefined) {
    const near = TABLE.filter(({ name }) => distance(name, word.toLowerCase()) <= 2).map(({ name }) => `/${name}`);
    const hint = near.length ? ` Did you mean ${near.slice(0, 3).join(" or ")}?` : "";
    app.note(`There is no command /${word.slice(0, 40)}.${hint} /help lists all; //text sends a slash.`, "trouble");
    return false;
  }
  const failed = (problem) => {
    if (problem instanceof UsageError) app.note(`${problem.message} It is typed: ${command.usage}`, "trouble");
    else if (problem instanceof Refusal) app.note(`/${command.name}: ${problem.message}`, "trouble");
    else throw problem;
  };
  try {
    Promise.resolve(command.handler(app, rest.trim())).catch(failed);
  } catch (problem) {
    failed(problem);
    return !(problem instanceof UsageError);
  }
  return true;
}

/** How many letters make one word another (Levenshtein). */
function distance(a, b) {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
