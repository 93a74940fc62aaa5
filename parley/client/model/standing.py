"""Where one stands with the server, and what of it is worth a line in the lobby."""

from dataclasses import replace

from parley.client.ground.clean import REASON_CHARS, clean
from parley.client.ground.times import in_own_time
from parley.client.model.conversation import Kind
from parley.client.session.happenings import Change, Status


class Standing:
    """The last ``change`` of the connection, and what came before it."""

    def __init__(self) -> None:
        self.change = Change(Status.CONNECTING)
        self.been_online = False
        self._lost = False
        self._stopping = False

    def welcomed(self) -> None:
        """The server has let one in."""
        self.been_online = True

    def stopping(self, reason: str) -> str:
        """The server stops. Return what to say of it."""
        self._stopping = True
        return f"The server is stopping: {reason}."

    def changed(self, change: Change) -> tuple[str, Kind] | None:
        """Take in a change. Return what to say of it, if anything."""
        text = clean(in_own_time(change.text[:REASON_CHARS]))
        change = replace(change, text=text)
        before, self.change = self.change, change
        said = None
        if change.status is Status.WAITING and before.status is Status.ONLINE:
            said = f"Connection lost: {change.text}.", Kind.TROUBLE
            if self._stopping:
                said = "It has stopped. You are back here as soon as it is.", Kind.NOTICE
        elif change.status is Status.ONLINE and self.been_online and self._lost:
            said = "Connected again.", Kind.NOTICE
            self._lost = self._stopping = False
        if change.status is Status.WAITING:
            self._lost = True
        return said
