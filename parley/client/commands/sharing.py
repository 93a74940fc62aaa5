"""Commands about files."""

import shlex
import shutil
import stat
import time
from collections.abc import Awaitable
from pathlib import Path

import humanize

from framing.errors import ErrorWord
from framing.events import Shared, TicketFor
from framing.filenames import FileNameError, name_key, plain_name
from framing.names import LOBBY, is_private, is_room, key
from parley.client.commands.face import CannotError, Face, UsageError
from parley.client.files.disk import FileProblemError
from parley.client.files.job import CancelledByPersonError, Job, State
from parley.client.files.paths import expanded, free_path, taken
from parley.client.files.work import FileRefusedError
from parley.client.ground.cells import cut, width_of
from parley.client.ground.clean import clean, sane
from parley.client.model.conversation import Kind

_UDP = "--udp"
_NAMES = 34  # cells of a name in a list
_QUESTION = 45  # cells of the question for another name, and of an answer, without the names


async def files(face: Face, rest: str) -> None:
    found = await face.work.files()
    for shared in found:
        face.model.files[name_key(shared.name)] = clean(shared.name)
    wanted = [shared for shared in found if rest.lower() in shared.name.lower()]
    if not wanted:
        text = "No file of that name." if rest else "Nobody has shared a file yet. /put PATH does."
        face.show("Files", text)
        return
    names = [cut(clean(shared.name), _NAMES) for shared in wanted]
    column = max(map(width_of, names))
    lines = [
        f"{name}{' ' * (column - width_of(name))}  {humanize.naturalsize(shared.size):>9}  "
        f"{_about(face, shared)}"
        for name, shared in zip(names, wanted, strict=True)
    ]
    face.show("Files", "\n".join([*lines, "/get NAME fetches one."]))


def get(face: Face, rest: str) -> Awaitable[None]:
    rest, udp = _without_udp(face, rest)
    here = face.model.current
    if not rest:
        shared = next((e.file for e in reversed(here.entries) if e.file and not e.redacted), "")
        if not shared:
            raise UsageError("Which file? None was shared here.")
        rest = shared
    return _get(face, rest, here.name, udp)


async def _get(face: Face, rest: str, here: str, udp: bool) -> None:
    try:
        ticket, where, name = await _meant(face, rest, here)
        await fetch(face, ticket, where, name, udp)
    except CancelledByPersonError:
        face.model.note(f"{clean(_unquoted(rest))} was not fetched.", time.time())


async def fetch(face: Face, ticket: TicketFor, where: str | None, name: str, udp: bool) -> None:
    """Fetch a file and say how it went; ask for another name if there is one of this."""
    path = face.downloads / name
    while taken(path):
        if await face.work.is_here(ticket, path):
            face.model.note(f"{name} is here already: {_shown(path)}", time.time())
            return
        other = free_path(path.parent, path.name).name
        answer = await face.ask(_question(path.name, other))
        if answer is None:
            face.model.note(f"{name} was not fetched.", time.time())
            return
        chosen = answer.strip() or other
        try:
            path = face.downloads / plain_name(chosen)
        except FileNameError as problem:
            face.model.note(f"{clean(chosen)}: {problem}", time.time(), Kind.TROUBLE)
    job = await face.work.get(ticket, where, path, udp)
    said = f"{job.name} is here: {_shown(job.path)} · SHA-256 {job.sha256[:16]}… is right"
    _say(face, job, said)


def put(face: Face, rest: str) -> Awaitable[None]:
    rest, udp = _without_udp(face, rest)
    to = face.model.current.name
    before, _, last = rest.rpartition(" ")
    if before and (is_room(last) or is_private(last)):
        rest, to = before, last
    if not rest:
        raise UsageError("Which file?")
    path = _path(_unquoted(rest))
    _plain(path.name)
    return _put(face, path, to, udp)


async def _put(face: Face, path: Path, to: str, udp: bool) -> None:
    job = await face.work.put(path, to, udp)
    _say(face, job, f"{job.name} is shared · SHA-256 {job.sha256[:16]}…")


async def rmfile(face: Face, rest: str) -> None:
    name = _unquoted(rest)
    if not name:
        raise UsageError("Which file?")
    await face.work.delete(name, None)
    face.model.note(f"{clean(name)} is no longer shared.", time.time())


def cancel(face: Face, rest: str) -> None:
    running = face.work.running
    wanted = [job for job in running if not rest or name_key(job.name) == name_key(_unquoted(rest))]
    if not wanted:
        raise CannotError("No such file is on its way." if running else "No file is on its way.")
    for job in wanted:
        face.work.cancel(job)


async def _meant(face: Face, typed: str, here: str) -> tuple[TicketFor, str | None, str]:
    """Return the ticket for what was typed in ``here``, a name with spaces perhaps, the
    conversation it is in, and the name to save it by."""
    words = _words(typed)
    whole = _unquoted(typed)
    tries = [(whole, whole)]
    if len(words) == 2:
        tries.insert(0, (words[0], words[1]))
        tries.reverse()
    problem: Exception = FileRefusedError("")
    for name, saved in tries:
        try:
            saved = _plain(saved)
        except CannotError as unfit:
            problem = unfit
            continue
        for where in (here, None):
            try:
                return await face.work.look(name, where), where, saved
            except FileRefusedError as refused:
                if refused.word != ErrorWord.NO_SUCH_FILE.value:
                    raise
                problem = refused
    raise problem


def _question(name: str, other: str) -> str:
    room = max(8, (shutil.get_terminal_size().columns - _QUESTION) // 2)
    shown, offered = cut(clean(name), room), cut(clean(other), room)
    return f"{shown} is there already. Save as ({offered}): "


def _path(typed: str) -> Path:
    try:
        path = expanded(Path(typed))
        found = path.stat()
    except FileProblemError as problem:
        raise CannotError(f"{clean(str(problem))}.") from None
    except FileNotFoundError:
        raise CannotError(f"There is no file {clean(typed)}.") from None
    except OSError as problem:
        raise CannotError(f"{clean(typed)}: {problem.strerror}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise CannotError(f"{clean(typed)} is no plain file.")
    return path


def _plain(name: str) -> str:
    try:
        return plain_name(name)
    except FileNameError as problem:
        raise CannotError(f"{clean(name)}: {problem}.") from None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _unquoted(text: str) -> str:
    words = _words(text)
    return words[0] if len(words) == 1 else text.strip()


def _without_udp(face: Face, rest: str) -> tuple[str, bool]:
    words = rest.split(" ")
    if _UDP in words:
        words.remove(_UDP)
        return " ".join(words).strip(), True
    return rest, face.preferences["udp"] == "on"


def _say(face: Face, job: Job, done: str) -> None:
    if job.state is State.DONE:
        face.model.note(done, time.time())
    elif job.state is State.CANCELLED:
        what = "/put" if job.upload else "/get"
        text = f"{job.name} was broken off; {what} goes on where it stopped."
        face.model.note(text, time.time())
    else:
        face.model.note(f"{job.name}: {job.problem}", time.time(), Kind.TROUBLE)


def _about(face: Face, shared: Shared) -> str:
    words = [f"from {clean(shared.from_)}" if shared.from_ else "from the server"]
    if shared.time is not None:
        at = time.localtime(sane(shared.time))
        words.append(time.strftime("%Y-%m-%d %H:%M", at))
    if key(shared.to) != LOBBY:
        mine = key(shared.to[1:]) == key(face.model.nick)
        words.append("for you alone" if mine else f"in {clean(shared.to)}")
    return ", ".join(words)


def _shown(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return clean(f"~{text[len(home) :]}" if text.startswith(f"{home}/") else text)
