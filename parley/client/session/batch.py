"""What has happened, told in batches: one for each read of the socket, so that a flood costs a
redraw for each batch and not for each message."""

from collections.abc import Callable

from parley.client.session.happenings import Happening


class Batch:
    """What ``listen`` has not been told yet."""

    def __init__(self, listen: Callable[[list[Happening]], None]) -> None:
        self._listen = listen
        self._happenings: list[Happening] = []

    def add(self, happening: Happening) -> None:
        """Tell of it with the next batch."""
        self._happenings.append(happening)

    def emit(self, happening: Happening) -> None:
        """Tell of it now, behind what has gathered."""
        self.add(happening)
        self.flush()

    def flush(self) -> None:
        """Tell of what has gathered."""
        if not self._happenings:
            return
        batch, self._happenings = self._happenings, []
        try:
            self._listen(batch)
        except OSError as problem:
            # Not the connection's trouble, which OSError stands for in a session.
            raise RuntimeError(f"what happened could not be shown: {problem}") from problem
