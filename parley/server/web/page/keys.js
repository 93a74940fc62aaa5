/** The keys that mean something wherever one is, and the words for all of them. */

import { isOpen } from "./dialogs.js";

/** Keys and what they do, for the help. */
export const KEYS = [
  ["Enter, Shift+Enter", "send; a new line"],
  ["Tab", "complete a command, a nick after @, a room after #"],
  ["↑ in an empty field", "change your last message"],
  ["Ctrl+K", "go to a conversation or person by any part of the name"],
  ["Ctrl+F", "search what was said; once more, the browser's own search"],
  ["Alt+↑, Alt+↓", "the conversation before, after"],
  ["Alt+A", "the next with something unread"],
  ["Alt+1 to 9", "a conversation by its number"],
  ["Escape", "close, stop changing; else to the newest message, and to the field"],
  ["↑ ↓ in the messages", "from one to the next; Tab goes to what can be done with it"],
  ["F1", "this help"],
];

/** Listen for them. `actions` are called by their names below. */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (actions.away() || event.isComposing) return;
    const control = (event.ctrlKey || event.metaKey) && !event.altKey;
    const letter = event.key.toLowerCase();
    const does = (action) => {
      event.preventDefault();
      action();
    };
    if (isOpen()) return;
    if (control && letter === "k") does(actions.switch);
    else if (control && letter === "f" && !event.shiftKey) does(actions.search);
    else if (event.key === "F1") does(actions.help);
    else if (event.altKey && !control && event.key === "ArrowUp") does(() => actions.step(-1));
    else if (event.altKey && !control && event.key === "ArrowDown") does(() => actions.step(1));
    else if (event.altKey && !control && event.code === "KeyA") does(actions.nextUnread);
    else if (event.altKey && !control && /^Digit[1-9]$/.test(event.code)) does(() => actions.number(Number(event.code[5])));
    else if (event.key === "Escape") does(actions.escape);
    else if (typed(event)) actions.type();
  });
}

/** Whether a letter is typed outside of any field: it belongs into the one for messages. */
function typed(event) {
  const plain = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
  const free = event.target.closest("input, textarea, select, [role=listbox]") === null;
  return plain && free && document.getSelection()?.isCollapsed !== false;
}
