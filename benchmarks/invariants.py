"""What must hold after any run, whatever broke in it. Pure: a history and what clients saw.

- What was acknowledged is in the history, under the seq that was told, once.
- Nothing stands there that nobody sent, and nobody's ref stands there twice.
- What one client sent in order, each after the answer to the one before, stands in that order.
- seq counts from 1 without a gap.
- Each client saw every message it may see from its first join on, once, ascending - over all
  its connections - and none that it may not see.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]


@dataclass(slots=True)
class Sent:
    """A message a client has sent under ``ref``; ``seq`` once it was acknowledged."""

    ref: str
    to: str
    text: str
    seq: int | None = None


@dataclass(slots=True)
class Witness:
    """A client: who it was (by token, or by account), and what it sent and saw.

    ``after``: the seq after which it must have seen everything, None if it never joined.
    """

    nick: str
    id: int
    token: str | None = None
    account: str | None = None
    after: int | None = None
    upto: int = 0
    sent: dict[str, Sent] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)


def check(history: Iterable[Record], witnesses: Iterable[Witness]) -> list[str]:
    """Return what is violated, a sentence each; nothing if all is well."""
    records = list(history)
    witnesses = list(witnesses)
    wrong = [
        f"seq {record['seq']} stands at place {place}"
        for place, record in enumerate(records, 1)
        if record["seq"] != place
    ]
    persons = {r["token"]: r.get("person", f"~{r['seq']}") for r in records if "token" in r}
    messages = [record for record in records if record["purpose"] == "message"]
    wrong += _sent(messages, witnesses, persons)
    for witness in witnesses:
        wrong += _seen(messages, witness, _person(witness, persons))
    return wrong


def _person(witness: Witness, persons: dict[str, str]) -> str | None:
    if witness.account is not None:
        return witness.account
    if witness.token is None:
        return None
    return persons.get(hashlib.sha256(witness.token.encode()).hexdigest())


def _sent(messages: list[Record], witnesses: list[Witness], persons: dict[str, str]) -> list[str]:
    wrong: list[str] = []
    sent = {(_person(w, persons), w.id, s.ref): s for w in witnesses for s in w.sent.values()}
    stored: dict[tuple[str | None, int, str], int] = {}
    for message in messages:
        key = message["by"], message["id"], message["ref"]
        if key in stored:
            wrong.append(f"ref {key} stands at seq {stored[key]} and at {message['seq']}")
        stored[key] = message["seq"]
        known = sent.get(key)
        if known is None:
            wrong.append(f"nobody sent what stands at seq {message['seq']}: {message}")
        elif (known.text, known.to.lower()) != (message["text"], message["to"].lower()):
            wrong.append(f"seq {message['seq']} is not what was sent under {key}: {message}")
    for key, one in sent.items():
        if one.seq is not None and stored.get(key) != one.seq:
            wrong.append(f"{key} was acknowledged as seq {one.seq}; stored: {stored.get(key)}")
    for witness in witnesses:
        last = 0
        for one in witness.sent.values():
            if one.seq is None:
                continue
            if one.seq < last:
                wrong.append(f"{witness.nick} {witness.id}: {one.ref} stands before an earlier one")
            last = one.seq
    return wrong


def _seen(messages: list[Record], witness: Witness, person: str | None) -> list[str]:
    wrong: list[str] = []
    who = f"{witness.nick} {witness.id}"
    if any(b <= a for a, b in zip(witness.seen, witness.seen[1:], strict=False)):
        wrong.append(f"{who} saw a message twice or out of order")
    if witness.after is None:
        return wrong
    seen = set(witness.seen)
    visible = {m["seq"] for m in messages if "for" not in m or person in (m["by"], m["for"])}
    if seen - visible:
        wrong.append(f"{who} ({person}) saw what it may not: {sorted(seen - visible)[:5]}")
    own = {s.seq for s in witness.sent.values()}
    own |= {m["seq"] for m in messages if m["by"] == person and m["id"] == witness.id}
    due = {seq for seq in visible if witness.after < seq <= witness.upto}
    missing = due - seen - own
    if missing:
        wrong.append(f"{who} missed {len(missing)}: {sorted(missing)[:5]}")
    return wrong
