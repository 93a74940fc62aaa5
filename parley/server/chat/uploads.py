"""Uploads: who may bring which file, and how much. Asked when a ticket is wanted, again when the
bytes begin to come, and again when all have: much may have changed in between.

Pure but for the shelf, which looks at the disk.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import humanize

from framing.errors import ErrorWord
from framing.filenames import FileNameError, plain_name
from framing.names import LOBBY, is_private, key
from framing.requests import Put
from parley.server.accounts.scram import Secret
from parley.server.chat.addresses import network_of
from parley.server.chat.bans import Bans
from parley.server.chat.finding import Finding, NobodyError
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.chat.talk import NoWayError, Talk
from parley.server.files.parts import LEAST
from parley.server.files.shelf import FILES, FILES_A_DAY, Item, Shelf, new_id, public_id
from parley.server.files.tickets import TicketError, Upload
from parley.server.ground.clock import Moment
from parley.server.index.errors import IndexBehindError

_FULL: Final = "the shelf is full: something must be deleted first"


class Uploads:
    """The uploads that are announced or on their way to ``shelf``. ``sees`` tells whether a
    person may have a file."""

    def __init__(
        self,
        hall: Hall,
        finding: Finding,
        bans: Bans,
        talk: Talk,
        shelf: Shelf,
        secret: Secret,
        sees: Callable[[str, Item], bool],
    ) -> None:
        self._hall = hall
        self._finding = finding
        self._bans = bans
        self._talk = talk
        self._shelf = shelf
        self._secret = secret
        self._sees = sees
        self._announced: set[Upload] = set()
        self._coming: set[Upload] = set()

    def offer(self, session: Session, request: Put, moment: Moment) -> Upload:
        """Return the upload that is asked for. Raises ``TicketError``."""
        if (until := self._bans.muted(session.person, session.key, moment)) is not None:
            raise TicketError(ErrorWord.MUTED, f"you can say nothing {until}")
        try:
            name = plain_name(request.name)
        except FileNameError as problem:
            raise TicketError(ErrorWord.BAD_REQUEST, str(problem)) from None
        try:
            to, for_ = self._talk.recipient(session, request.to)
        except NoWayError as problem:
            raise TicketError(problem.word, str(problem)) from None
        limits = self._shelf.limits
        if not limits.file:
            raise TicketError(ErrorWord.FORBIDDEN, "nobody can share files here")
        if request.size > limits.file:
            most = humanize.naturalsize(limits.file)
            raise TicketError(ErrorWord.TOO_LARGE, f"a file has at most {most} here")
        upload = Upload(
            session.person,
            session.nick,
            session.id,
            session.address,
            session.person if session.account else self._secret.name(network_of(session.address)),
            name,
            request.size,
            request.sha256,
            to,
            for_,
            self._part(session, request, name, key(to)),
            public_id(name) if to == LOBBY else new_id(),
        )
        self._check_room(upload, moment)
        return upload

    def announced(self, upload: Upload) -> None:
        """There is a ticket for it."""
        self._announced.add(upload)

    def begin(self, upload: Upload, moment: Moment) -> None:
        """Its bytes begin to come. Raises ``TicketError`` if they may no more."""
        self._check_rights(upload, moment)
        self._check_room(upload, moment)
        self._announced.discard(upload)
        self._coming.add(upload)

    def finish(self, upload: Upload, moment: Moment) -> None:
        """All has come. Raises ``TicketError`` if it may not be shared any more."""
        self._check_rights(upload, moment)
        if self._twin(upload):
            raise exists(upload.name)

    def ended(self, upload: Upload) -> None:
        """It has come to an end, or to nothing."""
        self._announced.discard(upload)
        self._coming.discard(upload)

    def _part(self, session: Session, request: Put, name: str, to: str) -> str:
        """Return under what name this very upload is gathered, also when it is tried again."""
        identity = f"{session.person}\0{to}\0{name}\0{request.size}\0{request.sha256}"
        while True:
            part = hashlib.sha256(identity.encode()).hexdigest()[:32]
            if not self._shelf.was_part(part):
                return part
            identity = part

    def _check_room(self, upload: Upload, moment: Moment) -> None:
        """Raise ``TicketError`` if there is a file of its name, or no room for another."""
        # Several tickets for the same are one upload. What others have only announced takes no
        # room yet: nobody can fill the shelf by asking.
        others = {u.part: u for u in self._announced if u.payer == upload.payer}
        others |= {u.part: u for u in self._coming}
        others.pop(upload.part, None)
        if self._twin(upload) or any(_place(u) == _place(upload) for u in others.values()):
            raise exists(upload.name)
        mine = [upload, *(u for u in others.values() if u.payer == upload.payer)]
        size = sum(max(u.size, LEAST) for u in mine)
        if not self._shelf.fits_today(upload.payer, size, len(mine), moment.utc):
            most = humanize.naturalsize(self._shelf.limits.daily)
            text = f"at most {most} and {FILES_A_DAY} files a day: wait"
            raise TicketError(ErrorWord.LIMIT_EXCEEDED, text)
        if len(self._shelf) + len(others) >= FILES:
            raise TicketError(ErrorWord.STORE_UNAVAILABLE, _FULL)
        coming = sum(max(u.size, LEAST) for u in [upload, *others.values()])
        if not self._shelf.make_room(coming, upload.part):
            raise TicketError(ErrorWord.STORE_UNAVAILABLE, _FULL)

    def _twin(self, upload: Upload) -> bool:
        """Tell whether there is a file of its name where it is to be. Of one that who brings it
        may not see nothing is to be learned."""
        place = _place(upload)
        return any(
            _place(item) == place and self._sees(upload.person, item)
            for item in self._shelf.named(upload.name)
        )

    def _check_rights(self, upload: Upload, moment: Moment) -> None:
        """Raise ``TicketError`` if who brings a file may not share it any more."""
        nick = key(upload.nick)
        if (until := self._bans.muted(upload.person, nick, moment)) is not None:
            raise TicketError(ErrorWord.MUTED, f"you can say nothing {until}")
        if (why := self._bans.banned(upload.person, nick, upload.address, moment)) is not None:
            raise TicketError(ErrorWord.BANNED, why)
        try:
            holder = self._finding.other(upload.nick).person
        except NobodyError:
            holder = ""
        except IndexBehindError:
            text = "who you are cannot be looked up just now: try again"
            raise TicketError(ErrorWord.STORE_UNAVAILABLE, text) from None
        if holder != upload.person:
            text = f"{upload.nick} is somebody else by now"
            raise TicketError(ErrorWord.FORBIDDEN, text)
        if is_private(upload.to) or upload.to == LOBBY:
            return
        room = self._hall.rooms.seen_by(upload.to, upload.person)
        if room is None:
            raise TicketError(ErrorWord.NO_SUCH_ROOM, f"there is no room {upload.to}")
        if upload.person not in room.members:
            raise TicketError(ErrorWord.FORBIDDEN, f"enter {room.name} first")


def exists(name: str) -> TicketError:
    """Return what somebody is told who brings a file where there is one of its name."""
    return TicketError(ErrorWord.FILE_EXISTS, f"there is a file {name} already")


def _place(file: Upload | Item) -> tuple[str, str, str | None, str]:
    """Return what only one file can have: its name, in its conversation."""
    name = public_id(file.name)
    if file.for_ is None:
        return name, key(file.to), None, ""
    by = file.person if isinstance(file, Upload) else file.by
    return name, "", file.for_, by
