"""What is being typed: offered completions, kept as a draft, looked at before it is sent."""

import contextlib
import time
from collections.abc import Callable
from typing import Final

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition

from framing.requests import Typing
from parley.client.ground.clean import sendable
from parley.client.ground.preferences import Preferences
from parley.client.model.model import Model
from parley.client.screen.completion import EMOJI_FROM, ChatCompleter
from parley.client.session.session import Session

_ASK_OVER_LINES: Final = 10
_TYPING: Final = 3.0  # seconds between two times of telling that one is writing


class Composer:
    """The input and its ``buffer``. ``enter`` is called with a text that goes, ``edited`` after
    each change. ``confirming`` is what the person is asked about the text, if anything."""

    def __init__(
        self,
        model: Model,
        session: Session,
        preferences: Preferences,
        enter: Callable[[str], None],
        edited: Callable[[], None],
    ) -> None:
        self._model = model
        self._session = session
        self._preferences = preferences
        self._enter = enter
        self._edited = edited
        self.confirming = ""
        self._told_typing = 0.0
        self.buffer = Buffer(
            completer=ChatCompleter(model),
            complete_while_typing=Condition(self._typing_a_name),
            multiline=True,
            tempfile_suffix=".txt",
            on_text_changed=self._changed,
        )

    def show_draft(self) -> None:
        """Show the draft of the current conversation."""
        self.buffer.set_document(Document(self._model.current.draft))

    def give_back(self, name: str, text: str) -> None:
        """Put a text that was entered behind the draft of the conversation it was for."""
        where = self._model.conversation(name)
        if where is self._model.current:
            text = "\n".join(filter(None, (self.buffer.text, text)))
            self.buffer.set_document(Document(text))
        else:
            where.draft = "\n".join(filter(None, (where.draft, text)))
            self._session.memory.keep_draft(where.name, where.draft)

    def submit(self) -> None:
        """Send what is typed, or do what it says."""
        text = self.buffer.text.strip("\n")  # an Enter typed ahead, the end of what was pasted
        if not text.strip():
            return
        if (over := self._over(text)) > 0:
            self.confirming = f"Too long by {over} bytes: a file or several messages would do."
            return
        lines = text.count("\n") + 1
        if lines > _ASK_OVER_LINES and not self.confirming:
            self.confirming = f"{lines} lines: Enter sends them, any other key edits."
            return
        self.confirming = ""
        self.buffer.reset(append_to_history=True)
        self._changed(self.buffer)  # a reset is not told of as an edit
        self._enter(text)

    def _changed(self, _buffer: Buffer) -> None:
        text = sendable(self.buffer.text)
        if text != self.buffer.text:
            self.buffer.document = Document(text, self.buffer.cursor_position)  # comes back here
            return
        self.confirming = ""
        self._session.memory.keep_draft(self._model.current.name, text)
        self._edited()
        self._tell_typing()

    def _tell_typing(self) -> None:
        """Tell the others that one is writing, now and then; a command is nobody's business."""
        text = self.buffer.text
        writing = bool(text) and not text.startswith("/") and self._preferences["typing"] == "on"
        now = time.monotonic()
        if writing and now - self._told_typing >= _TYPING:
            self._told_typing = now
            with contextlib.suppress(ConnectionError):
                self._session.send_raw(Typing(self._model.current.name, "active"))

    def _typing_a_name(self) -> bool:
        """Tell whether to offer completions although nobody asked for them."""
        line = self.buffer.document.current_line_before_cursor
        word = line.rpartition(" ")[2]
        emoji = word.startswith(":") and len(word) > EMOJI_FROM
        return line.startswith("/") or word.startswith("@") or emoji

    def _over(self, text: str) -> int:
        """Return the bytes by which ``text`` is longer than this server takes."""
        welcome = self._session.welcome
        return len(text.encode(errors="replace")) - welcome.limits.text if welcome else 0
