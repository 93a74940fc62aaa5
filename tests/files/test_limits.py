"""How much anybody may put on the shelf: bytes, files, tickets, and what is not whole."""

import signal

from tests.conftest import ChatServer, Make
from tests.files.carrying import Carrying, bring, names, put
from tests.files.test_shelf import begun
from tests.server.test_rooms import ask

DATA = bytes(range(256)) * 2000


def test_limits_of_a_file_the_shelf_and_the_day(make_server: Make) -> None:
    server = make_server(
        "--rate", "0", "--file-size", "1K", "--shelf-size", "2600", "--file-day", "2500"
    ).start()
    ann = server.joined("ann")
    assert put(ann, "big", b"x" * 1025)["error"] == "TOO_LARGE"
    assert bring(server, ann, "one", b"x" * 1024)["purpose"] == "ok"
    assert bring(server, ann, "two", b"x" * 1000)["purpose"] == "ok"
    refused = put(ann, "three", b"x" * 600)
    assert refused["error"] == "LIMIT_EXCEEDED" and 0 < refused["retry_after"] <= 86400
    (server.data / "files" / "by hand").write_bytes(b"y" * 470)
    assert names(ann) == ["by hand", "one", "two"]
    refused = put(ann, "four", b"x" * 20)
    assert refused["error"] == "STORE_UNAVAILABLE" and "full" in refused["text"]
    assert names(ann) == ["by hand", "one", "two"]


def test_limits_are_read_again(make_server: Make) -> None:
    server = make_server()
    conf = server.data / "server.conf"
    conf.write_text("file-size = 10\n")
    server.options = ("--config", str(conf))
    server.start()
    ann = server.joined("ann")
    assert put(ann, "file", DATA)["error"] == "TOO_LARGE"
    conf.write_text("file-size = 1M\n")
    server.signal(signal.SIGHUP)
    server.wait_for("read again")
    assert put(ann, "file", DATA)["purpose"] == "ticket"


def test_unfinished_uploads_take_nobody_the_room(make_server: Make) -> None:
    server = make_server("--rate", "0", "--shelf-size", "1000000").start()
    ann, bob = server.joined("ann"), server.joined("ben")
    for number in range(4):
        upload = begun(server, ann, f"part{number}", bytes([number]) * 240_000)
        upload.sock.sendall(bytes([number]) * 200_000)
        while not [p for p in (server.data / "files/.parts").iterdir() if p.stat().st_size == 2e5]:
            ann.quiet()
        upload.close()
    assert put(ann, "part3", bytes([3]) * 240_000)["purpose"] == "ticket", (
        "its own part counts once"
    )
    assert bring(server, bob, "whole", b"x" * 600_000)["purpose"] == "ok"


def test_nobody_shares_where_files_have_no_size(make_server: Make) -> None:
    server = make_server("--file-size", "0").start()
    assert put(server.joined("ann"), "empty", b"")["error"] == "FORBIDDEN"


def parts(server: ChatServer) -> list[str]:
    """Return the names of the uploads that are not whole."""
    return sorted(path.name for path in (server.data / "files" / ".parts").iterdir())


def test_of_an_upload_of_which_nothing_came_nothing_stays(server: ChatServer) -> None:
    ann = server.joined("ann")
    for number in range(5):
        ticket = put(ann, f"file {number}", b"x" * 1000)["ticket"]
        carrying = Carrying(server.port, purpose="store", ticket=ticket)
        assert carrying.event()["offset"] == 0
        carrying.close()
    assert bring(server, ann, "whole", b"x")["purpose"] == "ok"  # the others are done with by now
    assert parts(server) == []


def test_of_one_person_only_so_many_broken_uploads_are_kept(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    for number in range(20):
        ticket = put(ann, f"file {number}", b"x" * 1000)["ticket"]
        carrying = Carrying(server.port, purpose="store", ticket=ticket)
        assert carrying.event()["offset"] == 0
        carrying.sock.sendall(b"some")
        carrying.sock.shutdown(1)
        assert carrying.rest() == b""
        carrying.close()
    assert names(ann) == []  # by now the server has seen that all were broken off
    assert len(parts(server)) == 16
    assert put(ann, "file 3", b"x" * 1000).get("offset", 0) == 0  # the oldest went
    assert put(ann, "file 19", b"x" * 1000)["offset"] == 4
    assert put(bob, "file 19", b"x" * 1000).get("offset", 0) == 0


def test_many_tickets_for_the_same_are_one_upload(make_server: Make) -> None:
    server = make_server("--rate", "0", "--file-day", "1000000").start()
    ann, bob = server.joined("ann"), server.joined("bob")
    for to in ("@bob", "#lobby"):
        tickets = [put(ann, f"to {to[1:]}", b"x" * 400_000, to=to)["ticket"] for _ in range(3)]
        first, *others = tickets
        carrying = Carrying(server.port, purpose="store", ticket=first)
        carrying.event()
        carrying.sock.sendall(b"x" * 400_000)
        assert carrying.event()["purpose"] == "ok"
        for ticket in others:
            again = Carrying(server.port, purpose="store", ticket=ticket).event()
            assert again["error"] in ("TICKET_EXPIRED", "FILE_EXISTS")
    assert put(ann, "one more", b"x" * 400_000)["error"] == "LIMIT_EXCEEDED"
    assert names(bob) == ["to bob", "to lobby"]


def test_what_is_only_announced_takes_others_no_room(make_server: Make, demo_users: str) -> None:
    server = make_server("--rate", "0", "--shelf-size", "3000000")
    (server.data / "users.json").write_text(demo_users)
    server.start()
    ann, alice = server.joined("ann"), server.wire()
    alice.login("Alice", "123")
    for number in range(2):
        assert put(ann, f"file {number}", b"%d" % number * 1_400_000)["purpose"] == "ticket"
    refused = put(ann, "file 3", b"x" * 1_400_000)
    assert refused["error"] == "STORE_UNAVAILABLE" and "full" in refused["text"]
    assert bring(server, alice, "mine", b"x" * 1_400_000)["purpose"] == "ok"


def test_what_guests_brought_today_is_known_after_a_restart(make_server: Make) -> None:
    server = make_server("--rate", "0", "--file-day", "1000000").start()
    assert bring(server, server.joined("ann"), "one", b"x" * 900_000)["purpose"] == "ok"
    server.stop()
    text = (server.data / "history.json").read_text()
    assert "127.0.0.1" not in text  # the address itself is kept nowhere
    server.start()
    refused = put(server.joined("bob"), "two", b"x" * 900_000)
    assert refused["error"] == "LIMIT_EXCEEDED"


def test_files_of_a_room_that_is_gone_go_with_it(server: ChatServer) -> None:
    ann = server.joined("ann")
    for room in ("#one", "#two"):
        assert ask(ann, "enter", room=room)["purpose"] == "ok"
        assert bring(server, ann, "plan", DATA, to=room)["purpose"] == "ok"
    kept = server.data / "files" / ".kept"
    assert len(list(kept.iterdir())) == 2
    assert ask(ann, "leave", room="#one")["purpose"] == "ok"
    assert names(ann) == ["plan"]
    assert len(list(kept.iterdir())) == 1
    assert ask(ann, "enter", room="#one")["purpose"] == "ok"
    assert [file["to"] for file in ask(ann, "files")["files"]] == ["#two"]
    assert bring(server, ann, "plan", DATA, to="#one")["purpose"] == "ok"


def test_what_a_kill_left_of_rooms_that_are_gone_goes_at_the_start(server: ChatServer) -> None:
    ann = server.joined("ann")
    ask(ann, "enter", room="#one")
    bring(server, ann, "plan", DATA, to="#one")
    kept = server.data / "files" / ".kept"
    (file,) = kept.iterdir()
    data = file.read_bytes()
    ask(ann, "leave", room="#one")
    assert names(ann) == []
    server.kill()
    # As if it had been killed between the room's end and the file's.
    history = server.data / "history.json"
    lines = history.read_text().split(",\n")
    assert '"unshare"' in lines[-1]
    history.write_text(",\n".join(lines[:-1]) + "\n]\n")
    (server.data / "history.index").unlink()
    file.write_bytes(data)
    server.start()
    assert names(server.joined("bob")) == []
    assert list(kept.iterdir()) == []
