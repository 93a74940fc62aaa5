"""What nobody foresaw, in words: it is said, and the program goes on."""

from parley.client.ground.clean import clean


def fault(problem: BaseException | None, what: str = "") -> str:
    """Say what went wrong: ``problem``, or if that is not known ``what``."""
    if problem is None:
        return f"a fault of this program: {clean(what)}"
    return f"a fault of this program: {type(problem).__name__}: {clean(str(problem))}"
