"""The chat server: options -> parts -> run.

    python chat_server.py [PORT]        see --help for the rest

The house in a page. One thread turns one loop (``parley.server.net.loop``); each turn is a tick
(``server``): bytes of a client come through its connection (``net.connection``, over ``net.tls``
if that is wanted) and door (``doors.native``, the wire of ``framing``; ``web``, for browsers) as
requests; the chat (``chat.chat`` and its rules: ``entrance``, ``talk``, ``reading``, ``visits``,
``searching``, ``moderation``, ``sharing``, over ``hall``, ``people``, ``rooms``, ``bans``) hands
what must last to the log (``log``, kept in history.json), which writes and syncs it once; what is
durable goes to the outbox (``chat.outbox``), and each client gets its share of the tick in one
send. An index (``index``) beside the log finds the past. Files (``files``) leave the chat by
connections of their own (``carrying``). Accounts stand in users.json (``accounts``).
"""

import gc
import getpass
import os
import sqlite3
import sys
import time

try:
    from parley.server.accounts.accounts import AccountsError
except ModuleNotFoundError:
    sys.exit(
        "chat_server: Parley is not installed for this Python: python3 run.py installs it, and "
        "after that, in each terminal: source .venv/bin/activate"
    )

from parley.server.encryption import make_certificate
from parley.server.log.log import LogBrokenError
from parley.server.log.recovery import HistoryError
from parley.server.net.certificate import CertificateError
from parley.server.operating import reporting
from parley.server.options import Options, parse
from parley.server.start import (
    StartError,
    compact_history,
    open_accounts,
    remove_index,
    start,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the program. Return its exit code: 0 ended well, 1 could not, 2 bad usage, 74 (sysexits'
    EX_IOERR) the disk did not keep what was written, so that nobody starts it again unasked."""
    options = parse(arguments)
    reporting.set_up(options.log_level, options.log_json)
    try:
        if options.add_user or options.set_password or options.admin:
            try:
                return make_admin(options) if options.admin else set_password(options)
            except OSError as problem:
                raise StartError(
                    f"{problem.filename or options.data}: {problem.strerror}"
                ) from None
        if options.make_cert is not None:
            print(make_certificate(options))
            return 0
        if options.compact:
            print(compact_history(options))
            return 0
        start(options, lambda: parse(arguments)).run()
        # What is left dies with the process. The interpreter would look through all of it first,
        # for seconds on a machine with much else to do.
        gc.freeze()
    except (StartError, HistoryError, AccountsError, CertificateError) as problem:
        print(f"chat_server: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it was starting; later the loop hears of it
        return 130
    except sqlite3.DatabaseError as problem:
        try:
            remove_index(options.data)
        except (OSError, sqlite3.OperationalError) as why:
            done = f"It cannot be removed ({why}): remove it"
        else:
            done = "It has been removed"
        print(
            f"chat_server: history.index is damaged ({problem}). {done}; history.json "
            f"is whole, and the next start makes the index from it",
            file=sys.stderr,
        )
        return 1
    except LogBrokenError as problem:
        print(
            f"chat_server: history.json cannot be written safely any more: {problem.strerror}. "
            f"Nothing after the last acknowledged message was promised. Check the disk before "
            f"starting again",
            file=sys.stderr,
        )
        return os.EX_IOERR
    return 0


def set_password(options: Options) -> int:
    """Make an account or change its password, asked on the terminal or read from a pipe."""
    nick = options.add_user or options.set_password or ""
    options.data.mkdir(parents=True, exist_ok=True)
    accounts = open_accounts(options.data)
    if options.add_user and accounts.get(nick):
        raise AccountsError(f"{nick} is an account already; --set-password changes its password")
    if not options.add_user and not accounts.get(nick):
        raise AccountsError(f"{nick} is no account; --add-user makes it")
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {nick}: ")
        if password != getpass.getpass("Once more: "):
            raise AccountsError("the two were not the same; nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\n")
    for _ in range(50):
        try:
            made = accounts.set_password(nick, password)
        except BlockingIOError:
            time.sleep(0.1)  # the server is writing the file
            continue
        print(f"{nick}: {'account made' if made else 'password changed'}")
        return 0
    raise AccountsError(f"{accounts.path} is being written by another process: try again")


def make_admin(options: Options) -> int:
    """Make an account an admin."""
    accounts = open_accounts(options.data)
    nick = options.admin or ""
    accounts.set_role(nick, "admin")
    print(f"{nick}: an admin now. A running server knows it at the next login or SIGHUP")
    return 0


if __name__ == "__main__":
    sys.exit(main())
