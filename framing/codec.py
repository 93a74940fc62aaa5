"""Between bodies and typed messages: the JSON of the wire.

One decoder per direction, built once. Everything that can go wrong with a
well-framed body ends in ``BodyError``: malformed JSON, a lone surrogate,
nesting deeper than the decoder goes, a number out of range, a wrong type.
"""

from collections.abc import Callable

import msgspec

from framing.errors import BodyError, UnknownPurposeError
from framing.events import AnyEvent, Event
from framing.requests import AnyRequest, Request


class _Envelope(msgspec.Struct, gc=False):
    purpose: object = None
    ref: str | None = None


_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_events: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_envelope = msgspec.json.Decoder(_Envelope)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

# Fields whose names are no words of Python's: all numbers are among these.
_AS_NAMED = sorted(
    {
        of.encode_name
        for kind in AnyRequest.__args__
        for of in msgspec.structs.fields(kind)
        if of.encode_name == of.name
    }
)
_as_written: msgspec.json.Decoder[msgspec.Struct] = msgspec.json.Decoder(
    msgspec.defstruct("_AsWritten", [(name, msgspec.Raw, msgspec.Raw()) for name in _AS_NAMED])
)


def _purposes(union: object) -> frozenset[str]:
    return frozenset(str(kind.__struct_config__.tag) for kind in union.__args__)  # type: ignore[attr-defined]


REQUEST_PURPOSES = _purposes(AnyRequest)
EVENT_PURPOSES = _purposes(AnyEvent)


encode: Callable[[Request | Event], bytes] = msgspec.json.Encoder().encode
"""Return the body of a message: one JSON object as UTF-8."""


def decode_request(body: bytes) -> AnyRequest:
    """Return the request in ``body``; a field that is null is as good as left out. Raises
    ``BodyError``."""
    try:
        if not body.isascii():
            body.decode()  # msgspec looks only into the strings that it keeps
        try:
            request = _requests.decode(body)
        except msgspec.ValidationError:
            if b"null" not in body:
                raise
            request = _requests.decode(_without_nulls(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise _explain(body, problem, REQUEST_PURPOSES) from None
    if b"-0" in body:
        _refuse_minus_zero(body, request)
    return request


def decode_event(body: bytes) -> AnyEvent:
    """Return the event in ``body``.

    Raises ``UnknownPurposeError`` for one of a later version, which a client passes
    over, and ``BodyError`` for anything else that is not an event.
    """
    try:
        if not body.isascii():
            body.decode()
        return _events.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise _explain(body, problem, EVENT_PURPOSES) from None


def _without_nulls(body: bytes) -> bytes:
    """Return the same object without its fields that are null: some languages write those that
    their programs have not set."""
    fields = _fields.decode(body)
    there = {name: value for name, value in fields.items() if bytes(value) != b"null"}
    return msgspec.json.encode(there)


def _refuse_minus_zero(body: bytes, request: AnyRequest) -> None:
    """Raise if a number of ``request`` is written ``-0``, which only some languages tell from 0."""
    written = _as_written.decode(body)
    for name in request.__struct_fields__:
        if bytes(getattr(written, name, b"")) == b"-0":
            raise BodyError(f"-0 is no number here - at `$.{name}`", getattr(request, "ref", None))


def _explain(body: bytes, problem: Exception, purposes: frozenset[str]) -> BodyError:
    """Say in a sentence what is wrong with ``body``, with the request's ref if it has one."""
    if isinstance(problem, RecursionError):
        return BodyError("nested too deeply")
    if isinstance(problem, UnicodeDecodeError):
        return BodyError("not UTF-8")
    try:
        envelope = _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return BodyError(str(problem))
    ref = envelope.ref if envelope.ref is not None and 1 <= len(envelope.ref) <= 64 else None
    if isinstance(envelope.purpose, str) and envelope.purpose not in purposes:
        return UnknownPurposeError("unknown purpose", ref)
    return BodyError(str(problem), ref)
