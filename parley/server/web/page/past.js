/** What was said earlier, asked of the server page by page: above, below, and around a message. */

import { Refusal } from "./answers.js";
import { Stretch } from "./conversation.js";

/** Messages of a page that is asked for, and on each side of one that was searched for. */
const PAGE = 100;
const CONTEXT = 50;

export class Past {
  /** For the conversations of `model`. `ask` sends a request; `changed` is told what is new. */
  constructor(model, ask, changed) {
    this._model = model;
    this._ask = ask;
    this._changed = changed;
  }

  /** Bring older messages into a stretch of the current conversation. */
  older(stretch) {
    return this._page(stretch, "before", stretch.oldest, (entries, end) => {
      if (stretch === this._model.current) stretch.addOlder(entries);
      else stretch.entries.unshift(...entries);
      stretch.atBegin = end;
    });
  }

  /** Bring newer messages into a window of the current conversation. */
  newer(stretch) {
    return this._page(stretch, "after", stretch.newest, (entries, end) => {
      stretch.entries.push(...entries);
      stretch.atEnd = end;
    });
  }

  /** Open a window of `conversation` around a seq. Return whether it is there. Throws a Refusal. */
  async around(conversation, seq) {
    if (conversation.find(seq)) return true;
    const request = { purpose: "history", with: conversation.name, limit: CONTEXT };
    const [before, after] = await Promise.all([
      this._ask({ ...request, before: seq }),
      this._ask({ ...request, after: seq - 1 }),
    ]);
    const pages = [before, after].map(({ messages }) => this._model.talk.pageOf(conversation, messages));
    const window = new Stretch(pages.flat());
    window.atBegin = before.end;
    window.atEnd = after.end;
    if (!window.find(seq)) return false;
    conversation.window = window;
    conversation.join();
    return true;
  }

  async _page(stretch, side, seq, take) {
    const { current } = this._model;
    if (stretch.loading) return;
    stretch.loading = true;
    const place = seq === null ? {} : { [side]: seq };
    try {
      const page = await this._ask({ purpose: "history", with: current.name, limit: PAGE, ...place });
      take(this._model.talk.pageOf(current, page.messages), page.end);
      current.join();
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
      // No such person, or no longer one's room: nothing older is to be had. (Without a word it
      // is the connection; scrolling asks again.)
      if (problem.word !== null && side === "before") stretch.atBegin = true;
    } finally {
      stretch.loading = false;
    }
    this._changed("timeline");
  }
}
