"""What moderators may do: send out, keep out, silence; and read what they did. Pure.

Each act is a deed in the log, done when it is there. An admin may all, a moderator may not
touch an admin or another moderator.
"""

import ipaddress
import logging
from collections.abc import Callable
from typing import Final

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Act, Acts, Ok
from framing.limits import MAX_SEQ, TOPIC
from framing.names import is_line, is_nick, key
from framing.requests import Ban, Kick, ListActs, Mute, Unban, Unmute
from parley.server.chat.bans import Bans, until
from parley.server.chat.finding import Finding, NobodyError
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.ground.clock import Moment
from parley.server.index.archive import Archive
from parley.server.log.records import Deed, Record

_ACTS_BYTES: Final = 48 * 1024

logger = logging.getLogger(__name__)


class Moderation:
    """Acts on those in ``hall``, kept in ``bans``. ``append`` hands a record to the log."""

    def __init__(
        self,
        hall: Hall,
        bans: Bans,
        finding: Finding,
        archive: Archive,
        append: Callable[[Record], None],
    ) -> None:
        self._hall = hall
        self._bans = bans
        self._finding = finding
        self._archive = archive
        self._append = append
        self._asked: dict[int, tuple[Session, str]] = {}

    def kick(self, session: Session, request: Kick, moment: Moment) -> None:
        """Send somebody out."""
        deed = self._against(session, request, "kick", request.reason, None, moment)
        if deed is None:
            return
        if self._hall.people.by_name(deed.who or "") is None:
            text = f"{deed.whom} is not here"
            self._hall.refuse(session, ErrorWord.NO_SUCH_NICK, text, request.ref)
            return
        self._ask(session, deed, request.ref)

    def ban(self, session: Session, request: Ban, moment: Moment) -> None:
        """Keep somebody out."""
        deed = self._against(session, request, "ban", request.reason, request.seconds, moment)
        if deed is None:
            return
        if request.address and deed.who is not None:
            theirs = {other.address for other in self._hall.people.sessions_of(deed.who)}
            deed.addresses = sorted(theirs) or None
        self._ask(session, deed, request.ref)

    def mute(self, session: Session, request: Mute, moment: Moment) -> None:
        """Let somebody say nothing."""
        deed = self._against(session, request, "mute", request.reason, request.seconds, moment)
        if deed is not None:
            self._ask(session, deed, request.ref)

    def unban(self, session: Session, request: Unban, moment: Moment) -> None:
        """End the bans of a nick or an address."""
        if self._may(session, request.ref):
            old = self._bans.bans_of(request.nick.removeprefix("@"))
            self._end(session, "unban", old, request, moment)

    def unmute(self, session: Session, request: Unmute, moment: Moment) -> None:
        """End the mutes of a nick."""
        if self._may(session, request.ref):
            old = self._bans.mutes_of(request.nick.removeprefix("@"))
            self._end(session, "unmute", old, request, moment)

    def acts(self, session: Session, request: ListActs, moment: Moment) -> None:
        """Answer with a page of what moderators did."""
        if not self._may(session, request.ref):
            return
        before = MAX_SEQ if request.before is None else request.before
        deeds, end = self._archive.acts(before, min(request.limit, 100))
        acts: list[Act] = []
        size = 0
        for d in reversed(deeds):
            act = Act(d.seq, d.time, d.do, d.nick, d.whom or "", d.room, d.text, d.until)
            size += len(encode(Acts("", [act], True)))
            if size > _ACTS_BYTES and acts:
                end = False
                break
            acts.append(act)
        self._hall.tell(session, Acts(request.ref, acts[::-1], end))

    # The log's answer

    def done(self, deed: Deed, moment: Moment) -> None:
        """The log has an act: it holds from now on."""
        self._bans.apply(deed)
        logger.info("%s %s by=%s reason=%s", deed.do, deed.whom, deed.nick, deed.text)
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            self._hall.tell(asked[0], Ok(asked[1], deed.seq, deed.time))
        reason = f": {deed.text}" if deed.text else ""
        if deed.do == "mute":
            text = f"{deed.nick} has silenced you {until(deed)}{reason}"
            for session in self._hall.people.sessions_of(deed.who or ""):
                self._hall.refuse(session, ErrorWord.MUTED, text)
        if deed.do not in ("kick", "ban"):
            return
        if deed.do == "kick":
            word, text = ErrorWord.FORBIDDEN, f"{deed.nick} has sent you out{reason}"
        else:
            word = ErrorWord.BANNED
            text = self._bans.banned(deed.who, key(deed.whom or ""), "", moment) or "kept out"
        out = list(self._hall.people.sessions_of(deed.who or ""))
        if deed.who is None and (person := self._hall.people.get(key(deed.whom or ""))):
            out += person.sessions.values()  # came in this very tick
        for address in deed.addresses or ():
            out += [s for s in self._hall.people.sessions() if s.address == address]
        for session in dict.fromkeys(out):
            if not session.moderator or session.person == deed.who:
                self._hall.refuse(session, word, text)
                self._hall.go(session, "kicked", moment, deed.text)
                self._hall.closing.append(session)

    def not_done(self, deed: Deed, text: str) -> None:
        """The log could not take an act."""
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            session, ref = asked
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, retry_after=1.0)

    # Who may

    def _may(self, session: Session, ref: str) -> bool:
        if not session.moderator:
            self._hall.refuse(session, ErrorWord.FORBIDDEN, "this is for moderators", ref)
        return session.moderator

    def _against(
        self,
        session: Session,
        request: Kick | Ban | Mute,
        do: str,
        reason: str | None,
        seconds: float | None,
        moment: Moment,
    ) -> Deed | None:
        """Return the deed against somebody, or refuse."""
        ref = request.ref
        if not self._may(session, ref):
            return None
        if reason is not None and len(reason.encode()) > TOPIC:
            text = f"a reason has at most {TOPIC} bytes"
            self._hall.refuse(session, ErrorWord.TOO_LARGE, text, ref)
            return None
        if reason is not None and not is_line(reason):
            text = "a reason is one line, without control characters"
            self._hall.refuse(session, ErrorWord.BAD_REQUEST, text, ref)
            return None
        deed = Deed(0, moment.utc, do, session.person, session.nick, text=reason or None)
        if seconds is not None:
            deed.until = round(moment.utc + seconds, 3)
        nick = request.nick.removeprefix("@")
        try:
            other = self._finding.other(nick if is_nick(nick) else "")
        except NobodyError as problem:
            if do == "ban" and (address := _address(nick)) is not None:
                deed.whom, deed.addresses = address, [address]
                return deed
            if do == "ban" and is_nick(nick):
                deed.whom = nick  # nobody yet, and nobody from now on
                return deed
            self._hall.refuse(session, ErrorWord.NO_SUCH_NICK, str(problem), ref)
            return None
        role = self._finding.role(other.person, other.nick)
        if other.person == session.person or (role is not None and session.role != "admin"):
            text = f"you cannot {do} {other.nick}" + (f", who is {role}" if role else "")
            self._hall.refuse(session, ErrorWord.FORBIDDEN, text, ref)
            return None
        deed.who, deed.whom = other.person, other.nick
        return deed

    def _end(
        self, session: Session, do: str, old: list[Deed], request: Unban | Unmute, moment: Moment
    ) -> None:
        if not old:
            text = f"{request.nick} is not {'kept out' if do == 'unban' else 'silenced'}"
            self._hall.refuse(session, ErrorWord.NO_SUCH_NICK, text, request.ref)
            return
        for ended in old:
            deed = Deed(0, moment.utc, do, session.person, session.nick)
            deed.who, deed.whom, deed.addresses = ended.who, ended.whom, ended.addresses
            if ended is old[-1]:
                self._ask(session, deed, request.ref)
            else:
                self._append(deed)

    def _ask(self, session: Session, deed: Deed, ref: str) -> None:
        self._asked[id(deed)] = session, ref
        self._append(deed)


def _address(text: str) -> str | None:
    try:
        return None if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return None
