"""Why the past cannot be looked up now: whoever asks for it hears it by these."""


class IndexBehindError(Exception):
    """The index does not reach back yet to what was asked: it is still being filled."""


class NextTickError(IndexBehindError):
    """What a request depends on is among this tick's records: the next tick knows it."""


class IndexUnavailableError(IndexBehindError):
    """The index cannot be written: the disk is full. Nothing is forgotten meanwhile. ``told`` is
    what to say to who has asked."""

    told = "the server cannot look up the past now: try again"


class PastUnreadableError(IndexUnavailableError):
    """Something of the log cannot be read back. The text says where."""

    told = "a part of the history cannot be read: tell whoever runs this server"
