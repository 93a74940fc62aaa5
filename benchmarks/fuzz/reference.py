"""The wire's grammar once more, written for clearness and not for speed: what the fuzzer compares
with. It shares no code with ``framing`` but the types and the limits.
"""

import json
import math
from typing import Any, NoReturn

import msgspec

from framing.limits import LENGTH_DIGITS
from framing.requests import AnyRequest

DEPTH = 200
"""Nesting beyond which the two JSON parsers may differ: each gives up at a depth of its own."""


def frames(data: bytes, limit: int) -> tuple[list[bytes], bool]:
    """Return the whole bodies at the beginning of ``data``, and whether what comes behind them
    can never become a frame."""
    bodies: list[bytes] = []
    at = 0
    while at < len(data):
        if data[at] != ord("$"):
            return bodies, True
        brace = at + 1
        while brace < len(data) and data[brace] in b"0123456789":
            brace += 1
        digits = data[at + 1 : brace]
        if digits.startswith(b"0") or len(digits) > LENGTH_DIGITS:
            return bodies, True
        if digits and int(digits) > limit:
            return bodies, True
        if brace == len(data):
            return bodies, False
        if not digits or data[brace] != ord("{"):
            return bodies, True
        end = brace + int(digits)
        if data[end - 1 : end] == b"$":
            return bodies, True  # its length counts the closing $
        if end >= len(data):
            return bodies, False
        if data[end] != ord("$"):
            return bodies, True
        bodies.append(data[brace:end])
        at = end + 1
    return bodies, False


def body(data: bytes, types: Any) -> Any:
    """Return the message of one of ``types`` in ``data``, or raise ``ValueError``.

    Of a field that is not named by the type nothing is kept, and nothing is looked at but that it
    is JSON in UTF-8: a number there may be out of range, a string escape a lone surrogate.
    """
    parse_int = _int_asked if types is AnyRequest else _int
    found = json.loads(
        data.decode(), parse_constant=_refuse, parse_float=_float, parse_int=parse_int
    )
    if not isinstance(found, dict):
        raise ValueError("not an object")
    if types is AnyRequest:
        found = {name: value for name, value in found.items() if value is not None}
    made = msgspec.convert(found, types)
    _check_text(msgspec.to_builtins(made))
    return made


def has_twice(data: bytes) -> bool:
    """Tell whether a field of ``data``, which is JSON, stands twice. Here the last counts, and only
    that is checked; who checks each of them, and so refuses more, is right too."""
    found = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(data.decode(), object_pairs_hook=look)
    return found


def depth(data: bytes) -> int:
    """Return how deep brackets nest in ``data`` at most, those in strings counted too."""
    deepest = now = 0
    for byte in data:
        now += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, now)
    return deepest


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class _OutOfRange:
    """A number that no field can take."""


def _float(digits: str) -> float | _OutOfRange:
    number = float(digits)
    return _OutOfRange() if math.isinf(number) else number


def _int(digits: str) -> int | float | _OutOfRange:
    if len(digits) > 300:
        return _OutOfRange()
    number = int(digits)
    # Too large for 64 bits it is a float, as in every language but Python.
    return number if -(2**63) <= number < 2**64 else _float(digits)


def _int_asked(digits: str) -> int | float | _OutOfRange:
    return _OutOfRange() if digits == "-0" else _int(digits)


def _check_text(value: object) -> None:
    """Raise ``ValueError`` if a string is no Unicode text: a lone surrogate stands in it."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for name, inner in value.items():
            name.encode()
            _check_text(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner)
