"""Sharing: which files there are, who may have them, and tickets for them.

Bytes never pass through here: a ticket lets a connection of its own carry them
(``parley.server.carrying.transfers``). A file that has come whole is shared by a deed in the log,
and by a message that everybody in the conversation sees, later too.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import humanize

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import FileChanged, FileFacts, Files, Message, Ok, Quic, Shared, TicketFor
from framing.limits import PAGE
from framing.names import LOBBY, is_private, is_room, key
from framing.requests import DeleteFile, Get, ListFiles, Put
from parley.server.accounts.scram import Secret
from parley.server.chat.bans import Bans
from parley.server.chat.finding import Finding
from parley.server.chat.hall import Hall
from parley.server.chat.session import Session
from parley.server.chat.talk import Talk
from parley.server.chat.uploads import Uploads, exists
from parley.server.files.shelf import Item, Shelf, public_id
from parley.server.files.tickets import LASTS, Download, TicketError, Tickets, Upload
from parley.server.ground.clock import Moment
from parley.server.index.errors import IndexBehindError
from parley.server.log.records import Deed, Record, SharedFile

_WAITING: Final = 16  # files that one session waits for
_PAGE_BYTES: Final = 48 * 1024
_CLEARED: Final = 64  # files of rooms that are gone, in a tick

Answer = Callable[[Ok | TicketError], None]
"""What the connection of an upload is told in the end."""

logger = logging.getLogger(__name__)


class Sharing:
    """What those in ``hall`` share on ``shelf``. ``append`` hands a record to the log."""

    def __init__(
        self,
        hall: Hall,
        finding: Finding,
        bans: Bans,
        talk: Talk,
        shelf: Shelf,
        append: Callable[[Record], None],
        new_secret: Callable[[], str],
        secret: Secret,
    ) -> None:
        self._hall = hall
        self._finding = finding
        self._bans = bans
        self._talk = talk
        self.shelf = shelf
        self.counts = hall.counts
        self._append = append
        self._new_secret = new_secret
        self.uploads = Uploads(hall, finding, bans, talk, shelf, secret, self._sees)
        self.tickets = Tickets(new_secret, self.uploads.ended)
        self.quic: Quic | None = None
        self._homeless: deque[Item] = deque()
        self._waiting: list[tuple[Session, Get]] = []
        self._read = 0
        self._asked: dict[int, tuple[Session, str]] = {}
        self._answers: dict[int, tuple[Upload, Answer]] = {}

    # Requests

    def files(self, session: Session, request: ListFiles, moment: Moment) -> None:
        """Answer with a page of the files somebody may have."""
        if self.shelf.behind(moment.mono):
            raise IndexBehindError  # what was put there by hand this very moment is listed too
        where = None if request.with_ is None else key(request.with_)
        files: list[Shared] = []
        size = 0
        end = True
        limit = min(request.limit, PAGE)
        for item in self.shelf.after(request.after):
            if where is not None and not _may_be_in(where, item):
                continue  # of many thousands most are elsewhere
            if not self._sees(session.person, item):
                continue
            if where is not None and key(self._place(session, item)) != where:
                continue
            shared = self._described(item)
            size += len(encode(Files("", [shared], True)))
            # Files of one name stay on one page, if they fit: the next begins behind the name.
            again = bool(files) and public_id(files[-1].name) == item.order[0]
            if (len(files) >= limit and not again) or size > _PAGE_BYTES:
                end = False
                break
            files.append(shared)
        self._hall.tell(session, Files(request.ref, files, end))

    def get(self, session: Session, request: Get, moment: Moment) -> None:
        """Answer with a ticket for a file; if it is still being read through, later."""
        item = self._find(session, request, moment)
        if item is None:
            return
        self.shelf.check(item)
        item = self._find(session, request, moment)
        if item is None:
            return
        if not item.sha256:
            self._wait(session, request, item)
            return
        who = session.person, session.key, session.address
        leave = Download(*who, item.id, item.name, item.size, item.sha256)
        ticket = self.tickets.issue(leave, session, moment.mono)
        self._hand(session, request.ref, ticket, item.name, item.size, item.sha256, 0)

    def put(self, session: Session, request: Put, moment: Moment) -> None:
        """Answer with a ticket to bring a file."""
        ref = request.ref
        try:
            upload = self.uploads.offer(session, request, moment)
        except TicketError as problem:
            retry = None
            if problem.word is ErrorWord.LIMIT_EXCEEDED:
                retry = 86400 - moment.utc % 86400
            self._hall.refuse(session, problem.word, str(problem), ref, retry)
            return
        ticket = self.tickets.issue(upload, session, moment.mono)
        if ticket is not None:
            self.uploads.announced(upload)
        here = self.shelf.parts.here(upload.part)
        self._hand(session, ref, ticket, upload.name, upload.size, upload.sha256, here)

    def delete(self, session: Session, request: DeleteFile, moment: Moment) -> None:
        """Take an own file from the shelf, or as a moderator another's."""
        item = self._find(session, request, moment)
        if item is None:
            return
        own = item.by == session.person
        if not own:
            role = self._finding.role(item.by, item.nick) if item.by else None
            if not session.moderator or (role is not None and session.role != "admin"):
                text = "only who shared a file may take it away, and a moderator"
                self._hall.refuse(session, ErrorWord.FORBIDDEN, text, request.ref)
                return
        try:
            self.shelf.remove(item)
        except OSError as problem:
            logger.error("%s cannot be deleted: %s", item.path, problem.strerror)
            text = f"the server cannot delete the file: {problem.strerror}"
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, request.ref)
            return
        file = SharedFile(item.id, item.name, item.size, item.sha256, item.to)
        do = "unshare" if own else "take"
        deed = Deed(0, moment.utc, do, session.person, session.nick, file=file)
        deed.who, deed.whom = item.by or None, item.nick or None
        deed.text = None if own else self._named_for_moderators(item)
        self._asked[id(deed)] = session, request.ref
        self._append(deed)

    # What the connections for files ask

    def open(self, ticket: str, moment: Moment) -> tuple[Item, Download] | Upload:
        """Return what a ticket is for. Raises ``TicketError``."""
        leave = self.tickets.take(ticket, moment.mono)
        if isinstance(leave, Upload):
            try:
                self.uploads.begin(leave, moment)
            except TicketError:
                self.uploads.ended(leave)
                raise
            return leave
        why = self._bans.banned(leave.person, leave.nick, leave.address, moment)
        if why is not None:
            raise TicketError(ErrorWord.BANNED, why)
        item = self.shelf.there(leave.id)
        if (
            item is None
            or (item.size, item.sha256) != (leave.size, leave.sha256)
            or not self._sees(leave.person, item)
        ):
            raise TicketError(ErrorWord.NO_SUCH_FILE, "the file is no longer there")
        return item, leave

    def come(self, upload: Upload, moment: Moment, answer: Answer) -> None:
        """An upload is whole and durable: tell the log, and then give it its name and tell all."""
        try:
            self.uploads.finish(upload, moment)
        except TicketError as problem:
            self.uploads.ended(upload)
            answer(problem)
            return
        file = SharedFile(
            upload.item,
            upload.name,
            upload.size,
            upload.sha256,
            upload.to,
            upload.part,
            "" if upload.payer == upload.person else upload.payer,
        )
        deed = Deed(0, moment.utc, "share", upload.person, upload.nick, who=upload.for_, file=file)
        self._answers[id(deed)] = upload, answer
        self._append(deed)

    # The log's answer

    def done(self, deed: Deed, moment: Moment) -> None:
        """The log has a deed to a file: it is so from now on."""
        file = deed.file
        assert file is not None
        known = self.shelf.shared(file.id)
        self.shelf.apply(deed)
        answered = self._answers.pop(id(deed), None)
        if answered is not None and not self._brought_in(deed, *answered, moment):
            return
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            self._hall.tell(asked[0], Ok(asked[1], deed.seq, deed.time))
        changed = FileChanged(
            file.name, file.to, deed.nick, deed.time, file.size, file.sha256, deed.ends
        )
        self._tell(changed, known, deed)

    def not_done(self, deed: Deed, text: str) -> None:
        """The log could not take a deed."""
        asked = self._asked.pop(id(deed), None)
        if asked is not None:
            session, ref = asked
            self._hall.refuse(session, ErrorWord.STORE_UNAVAILABLE, text, ref, retry_after=1.0)
        answered = self._answers.pop(id(deed), None)
        if answered is not None:
            upload, answer = answered
            self.uploads.ended(upload)
            answer(TicketError(ErrorWord.STORE_UNAVAILABLE, text))

    def _brought_in(self, deed: Deed, upload: Upload, answer: Answer, moment: Moment) -> bool:
        """Give a file that the log has its name, and say so; False if that cannot be."""
        self.uploads.ended(upload)
        self.tickets.void(upload.part)
        item = self.shelf.shared(upload.item)
        assert item is not None and deed.file is not None
        try:
            self.shelf.bring_in(item)
        except OSError as problem:
            logger.error("%s cannot be shared: %s", item.path, problem.strerror)
            undo = Deed(0, moment.utc, "unshare", deed.by, deed.nick, file=deed.file)
            self._append(undo)
            if isinstance(problem, FileExistsError):
                answer(exists(upload.name))
            else:
                text = f"the server cannot store the file: {problem.strerror}"
                answer(TicketError(ErrorWord.STORE_UNAVAILABLE, text))
            return False
        self.shelf.count(upload.payer, upload.size)
        logger.info("shared nick=%s file=%r bytes=%d", deed.nick, upload.name, upload.size)
        self._say(upload, moment)
        answer(Ok(seq=deed.seq, sha256=upload.sha256))
        return True

    def _say(self, upload: Upload, moment: Moment) -> None:
        """Let the conversation have a line about a file, now and later."""
        text = f"shared {upload.name} ({humanize.naturalsize(upload.size)})"
        message = Message(
            seq=0,
            from_=upload.nick,
            id=upload.id,
            to=upload.to,
            text=text,
            time=moment.utc,
            size=len(text.encode()),
            file=FileFacts(upload.name, upload.size, upload.sha256),
        )
        self._talk.say_for(upload.person, message, f"file-{self._new_secret()}", upload.for_)

    def _wait(self, session: Session, request: Get, item: Item) -> None:
        """Answer when a file has been read through; refuse if that will not be soon."""
        if item.id in self.shelf.writing:
            self.shelf.writing.discard(item.id)
            text = f"{item.name} is being written: try again when it is whole"
            word = ErrorWord.STORE_UNAVAILABLE
            self._hall.refuse(session, word, text, request.ref, retry_after=5.0)
            return
        if sum(waiting is session for waiting, _ in self._waiting) >= _WAITING:
            text = f"{_WAITING} files are being read through for you: wait for them"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, request.ref, 5.0)
            return
        self._waiting.append((session, request))

    def advance(self, moment: Moment) -> None:
        """Take away what is in rooms that are gone; hand out the tickets of files that have been
        read through by now."""
        for _ in range(min(_CLEARED, len(self._homeless))):
            self._clear(self._homeless.popleft(), moment)
        if self._read == self.shelf.read:
            return
        self._read = self.shelf.read
        waiting, self._waiting = self._waiting, []
        for session, request in waiting:
            if session.state != "joined":
                continue
            try:
                self.get(session, request, moment)
            except IndexBehindError:
                self._waiting.append((session, request))
                self._read = -1  # the next tick asks again

    # Files of rooms that are gone

    def clear_away(self, places: Iterable[str]) -> None:
        """Take away, a few a tick, what is shared in those of these places that are rooms and
        are gone: nobody could ever have it again."""
        gone = {
            place for place in places if is_room(place) and self._hall.rooms.get(place) is None
        } - {LOBBY}
        if gone:
            self._homeless += (item for item in self.shelf.all_shared() if item.to in gone)

    @property
    def clearing(self) -> bool:
        """Whether there is something to take away."""
        return bool(self._homeless)

    def _clear(self, item: Item, moment: Moment) -> None:
        if self.shelf.shared(item.id) is not item:
            return
        try:
            self.shelf.remove(item)
        except OSError as problem:
            logger.error("%s cannot be deleted: %s", item.path, problem.strerror)
            return
        file = SharedFile(item.id, item.name, item.size, item.sha256, item.to)
        self._append(Deed(0, moment.utc, "unshare", item.by, item.nick, file=file))

    # Who may what

    def _sees(self, person: str, item: Item) -> bool:
        if is_private(item.to):
            return person in (item.by, item.for_)
        stream = self._hall.rooms.stream(person, item.to)
        return stream is not None and (item.to == LOBBY or item.seq > stream.floor)

    def _place(self, session: Session, item: Item) -> str:
        """Name the conversation that a file is in, seen from a session."""
        if is_private(item.to) and session.person != item.by:
            return f"@{item.nick}"
        return item.to

    def _find(self, session: Session, request: Get | DeleteFile, moment: Moment) -> Item | None:
        """Return the file that is meant, of several the newest; refuse if there is none."""
        where = None if request.with_ is None else key(request.with_)
        found = [
            item
            for item in self.shelf.named(request.name)
            if self._sees(session.person, item)
            and (where is None or key(self._place(session, item)) == where)
        ]
        if not found:
            if self.shelf.behind(moment.mono):
                raise IndexBehindError  # it may have been put there by hand this very moment
            text = f"there is no file {request.name!r}"
            self._hall.refuse(session, ErrorWord.NO_SUCH_FILE, text, request.ref)
            return None
        return max(found, key=lambda item: item.seq)

    # Telling

    def _hand(
        self,
        session: Session,
        ref: str,
        ticket: str | None,
        name: str,
        size: int,
        sha256: str,
        offset: int,
    ) -> None:
        if ticket is None:
            text = "too many tickets that were not used: wait until they have lapsed"
            self._hall.refuse(session, ErrorWord.LIMIT_EXCEEDED, text, ref, LASTS)
            return
        told = TicketFor(ref, ticket, name, size, sha256, LASTS, self.quic, offset)
        self._hall.tell(session, told)

    def _named_for_moderators(self, item: Item) -> str:
        """Say in the list of acts which file it was; of what is private, nothing."""
        if is_private(item.to):
            return "a private file"
        if not self._hall.rooms.is_public(item.to):
            return "a file in a private room"
        return f"file {item.name} in {item.to}"

    def _described(self, item: Item) -> Shared:
        return Shared(item.name, item.size, item.sha256, item.nick or None, item.time, item.to)

    def _tell(self, changed: FileChanged, known: Item | None, deed: Deed) -> None:
        """Tell those who may have a file that it came or went."""
        if changed.to == LOBBY:
            self._hall.announce(changed)
            return
        if is_private(changed.to):
            people = {deed.by, deed.who} if known is None else {known.by, known.for_}
            for person in people - {None}:
                for session in self._hall.people.sessions_of(person or ""):
                    self._hall.tell(session, changed)
            return
        room = self._hall.rooms.get(changed.to)
        if room is None:
            return
        if known is None or not room.private:
            self._hall.say_in(room, encode(changed))
            return
        for person in room.members:
            if known.seq > room.floor(person):
                for session in self._hall.people.sessions_of(person):
                    self._hall.tell(session, changed)


def _may_be_in(conversation: str, item: Item) -> bool:
    """Tell, without a look at who asks, whether a file may be in a conversation, given by its
    key."""
    if is_private(conversation):
        return is_private(item.to)
    return key(item.to) == conversation
