"""Requests that wait for their answers: each answer carries the ref of its request."""

import asyncio
import secrets

from framing.events import AnyEvent


class Pending:
    """The requests of one session. Refs are its own: no other run of any client has the same."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(5)
        self._count = 0
        self._answers: dict[str, asyncio.Future[AnyEvent]] = {}

    def new_ref(self) -> str:
        """Return a ref that no request has had."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def is_own(self, ref: str) -> bool:
        """Whether a request of this session has had ``ref``."""
        return ref.startswith(f"{self._prefix}-")

    def expect(self, ref: str) -> asyncio.Future[AnyEvent]:
        """Return the answer to come. It is a ``ConnectionError`` if it never will, or is none."""
        answer: asyncio.Future[AnyEvent] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._answers.pop(ref, None))
        self._answers[ref] = answer
        return answer

    def answer(self, ref: str | None, event: AnyEvent) -> bool:
        """Give an answer to the request that waits for it. False if none does."""
        answer = self._answers.get(ref or "")
        if answer is not None and not answer.done():
            answer.set_result(event)
        return answer is not None

    def fail(self, ref: str | None, why: str) -> bool:
        """Fail a request whose answer cannot be read. False if none waits by this ref."""
        answer = self._answers.get(ref or "")
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(why))
        return answer is not None

    def disconnected(self) -> None:
        """Fail them all: no answer comes over another connection."""
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the connection broke"))
