"""Saying things: who gets what, when, once."""

import json

import pytest

from tests.conftest import ChatServer, Make
from tests.wire import Event, frame, texts


def test_a_message_goes_to_all_but_the_session_that_sent_it(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ok = ann.say("hello")
    message = bob.until("message")
    assert message == {
        "purpose": "message", "seq": ok["seq"], "from": "ann", "id": 1, "to": "#lobby",
        "text": "hello", "time": ok["time"], "size": 5,
    }  # fmt: skip
    assert texts(ann.quiet()) == []


def test_the_senders_other_sessions_get_the_message(server: ChatServer) -> None:
    wire = server.wire()
    token = wire.join("ann", 1)["token"]
    other = server.joined("ann", 2, token=token)
    wire.say("from one to two")
    assert other.until("message")["id"] == 1
    wire.say("and in private", "@ann")
    assert other.until("message")["text"] == "and in private"


def test_ok_comes_after_the_message_is_in_the_file(server: ChatServer) -> None:
    ann = server.joined("ann")
    for number in range(20):
        ok = ann.say(f"m{number}")
        assert server.records[-1]["seq"] == ok["seq"]
        assert server.records[-1]["text"] == f"m{number}"


def test_size_counts_bytes_and_sent_is_the_clients_clock(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.send(purpose="message", ref="x", text="é😀", time=12.5)
    message = bob.until("message")
    assert (message["size"], message["sent"], message["text"]) == (6, 12.5, "é😀")


def test_a_private_message_reaches_one_person_and_nobody_else(server: ChatServer) -> None:
    ann, bob, eve = server.joined("ann"), server.joined("bob"), server.joined("eve")
    ann.say("psst", "@BOB")
    assert bob.until("message")["to"] == "@bob"
    assert texts(eve.quiet()) == []
    again = server.wire()
    again.join("eva", since=0)
    assert texts([again.until("history")]) == []
    eve.send(purpose="history", ref="h", **{"with": "@ann"})
    assert eve.until("history", ref="h")["messages"] == []
    eve.send(purpose="history", ref="h2", **{"with": "@bob"})
    assert eve.until("history", ref="h2")["messages"] == []
    bob.send(purpose="history", ref="h3", **{"with": "@ann"})
    assert texts([bob.until("history", ref="h3")]) == ["psst"]


def test_answers_come_in_the_order_of_the_requests(server: ChatServer) -> None:
    ann = server.joined("ann")
    kinds = [
        "ping", "message", "ping", "files", "message", "nothing", "enter", "message", "topic",
        "rooms", "leave", "history", "message", "ping",
    ]  # fmt: skip
    asked = [f"{number}-{kind}" for number, kind in enumerate(kinds)]
    requests = b""
    for ref in asked:
        kind = ref.partition("-")[2]
        to = "#lab" if ref.startswith("7") else "#lobby"
        fields = {"purpose": kind, "ref": ref, "text": "t", "to": to, "room": "#lab", "with": to}
        requests += frame(json.dumps(fields).encode())
    ann.raw(requests)
    answered: list[str] = []
    while answered[-1:] != asked[-1:]:
        event = ann.recv()
        assert event is not None
        if "ref" in event:
            answered.append(event["ref"])
            assert (event["purpose"] == "error") == event["ref"].endswith("nothing"), event
    assert answered == asked


def test_who_asks_right_behind_a_message_finds_it(server: ChatServer) -> None:
    ann = server.joined("ann")
    said = {"purpose": "message", "ref": "m", "text": "first needle"}
    page = {"purpose": "history", "ref": "h", "with": "#lobby"}
    search = {"purpose": "search", "ref": "s", "text": "needle"}
    ann.raw(b"".join(frame(json.dumps(request).encode()) for request in (said, page, search)))
    assert texts([ann.until("history", ref="h")]) == ["first needle"]
    assert texts([ann.until("history", ref="s")]) == ["first needle"]


def test_last_words_are_heard_before_the_leaving(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    said = {"purpose": "message", "ref": "m", "text": "bye"}
    ann.raw(b"".join(frame(json.dumps(r).encode()) for r in (said, {"purpose": "disconnect"})))
    assert [(e["purpose"], e.get("ref")) for e in ann.ended() if e["purpose"] == "ok"] == [
        ("ok", "m"), ("ok", None),
    ]  # fmt: skip
    assert [bob.recv()["purpose"] for _ in range(2)] == ["message", "left"]  # type: ignore[index]


def test_nobody_by_that_nick(server: ChatServer) -> None:
    ann = server.joined("ann")
    ann.send(purpose="message", ref="r", text="x", to="@nobody")
    assert ann.error("NO_SUCH_NICK")["ref"] == "r"
    ann.send(purpose="message", ref="r", text="x", to="#nowhere")
    assert ann.error("NO_SUCH_ROOM")["code"] == 404
    ann.send(purpose="message", ref="r", text="x", to="anywhere")
    ann.error("BAD_REQUEST")
    assert server.messages == []


def test_the_same_ref_is_one_message(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    body = json.dumps({"purpose": "message", "ref": "one", "text": "once"}).encode()
    ann.raw(frame(body) + frame(body))
    first, second = ann.until("ok"), ann.until("ok")
    assert first == second
    assert ann.say("once", ref="one") == first
    assert texts(bob.quiet()) == ["once"]
    assert server.messages == ["once"]


def test_the_same_ref_is_one_message_after_a_kill_too(server: ChatServer) -> None:
    wire = server.wire()
    token = wire.join("ann")["token"]
    ok = wire.say("once", ref="one")
    server.kill()
    server.start()
    again = server.joined("ann", token=token)
    assert again.say("once", ref="one")["seq"] == ok["seq"]
    without_token = server.joined("bea")
    assert without_token.say("once", ref="one")["seq"] != ok["seq"]
    assert server.messages == ["once", "once"]


def test_a_message_sent_again_has_its_answer_though_it_could_no_longer_be_said(
    accounts_server: ChatServer,
) -> None:
    server = accounts_server
    users = json.loads((server.data / "users.json").read_text())
    users["Alice"]["role"] = "admin"
    (server.data / "users.json").write_text(json.dumps(users))
    alice, ann, bea = server.wire(), server.joined("ann"), server.joined("bea")
    alice.login("alice", "123")
    for comer in (ann, bea):
        comer.send(purpose="enter", ref="in", room="#lab")
        comer.until("ok", ref="in")
    room, lobby = ann.say("once", "#Lab", ref="room"), ann.say("once", ref="lobby")
    ann.send(purpose="leave", ref="out", room="#lab")
    ann.until("ok", ref="out")
    assert ann.say("once", "#lab", ref="room") == room
    for ref, text in ("other", "once"), ("room", "twice"):
        ann.send(purpose="message", ref=ref, text=text, to="#lab")
        assert ann.error("FORBIDDEN")["ref"] == ref
    bea.send(purpose="leave", ref="out", room="#lab")
    bea.until("ok", ref="out")
    assert ann.say("once", "#lab", ref="room") == room, "the room has gone"
    alice.send(purpose="mute", ref="m", nick="ann")
    alice.until("ok", ref="m")
    ann.error("MUTED")
    assert ann.say("once", ref="lobby") == lobby
    ann.send(purpose="message", ref="new", text="once")
    assert ann.error("MUTED")["ref"] == "new"
    assert server.messages == ["once", "once"]


def test_a_ref_used_for_another_text_is_refused_and_not_swallowed(server: ChatServer) -> None:
    ann = server.joined("ann")
    ann.say("first", ref="one")
    ann.send(purpose="message", ref="one", text="second")
    assert ann.error("BAD_REQUEST")["ref"] == "one"
    assert server.messages == ["first"]


def test_a_new_holder_of_a_nick_is_not_the_old_one_by_ref(server: ChatServer) -> None:
    first, bob = server.joined("ann"), server.joined("bob")
    first.say("secret", "@bob", ref="1")
    first.close()
    bob.until("left")
    second = server.joined("ann")
    second.say("other", "@bob", ref="1")
    assert server.messages == ["secret", "other"]


def test_text_has_at_most_16000_bytes(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.say("é" * 8000)
    assert bob.until("message")["size"] == 16000
    ann.send(purpose="message", ref="r", text="x" * 16001)
    assert ann.error("TOO_LARGE")["code"] == 413
    ann.send(purpose="message", ref="r", text="\x01" * 10_000)
    assert ann.until("ok", ref="r")["seq"]
    assert bob.until("message")["size"] == 10_000
    ann.send(purpose="message", ref="r", text="")
    ann.error("BAD_REQUEST")


def test_everybody_sees_ascending_seq(server: ChatServer) -> None:
    wires = [server.joined(f"n{i}") for i in range(5)]
    for number in range(40):
        wire = wires[number % 5]
        to = "#lobby" if number % 3 else f"@n{(number + 1) % 5}"
        wire.send(purpose="message", ref=f"r{number}", text=str(number), to=to)
    for wire in wires:
        events: list[Event] = []
        while sum(event["purpose"] == "ok" for event in events) < 8:
            events += wire.quiet()
        seqs = [event["seq"] for event in events if event["purpose"] in ("message", "ok")]
        assert seqs == sorted(set(seqs))


def test_too_many_messages_a_second_are_refused_with_when_to_try_again(
    make_server: Make,
) -> None:
    server = make_server("--rate", "5", "--burst", "3").start()
    ann = server.joined("ann")
    for number in range(6):
        ann.send(purpose="message", ref=f"r{number}", text="x")
    answers = [ann.recv() for _ in range(6)]
    refused = [a for a in answers if a is not None and a["purpose"] == "error"]
    assert len(refused) == 3
    for answer in refused:
        assert (answer["code"], answer["error"]) == (429, "LIMIT_EXCEEDED")
        assert 0 < answer["retry_after"] <= 1
    assert len(server.messages) == 3


def test_who_says_and_asks_much_without_a_pause_is_not_refused(make_server: Make) -> None:
    server = make_server().start()
    ann = server.joined("ann")
    seqs = [ann.say(f"m{number}")["seq"] for number in range(700)]
    paged: list[int] = []
    end = False
    while not end:
        ann.send(purpose="history", ref="p", limit=2, before=min(paged, default=1 << 30),
                 **{"with": "#lobby"})  # fmt: skip
        answer = ann.until("history", ref="p")
        paged += [message["seq"] for message in answer["messages"]]
        end = answer["end"]
    assert sorted(paged) == seqs
    for number in range(300):
        ann.send(purpose="users", ref=f"u{number}")
        assert ann.until("users", ref=f"u{number}")["total"] == 1


def test_a_field_that_is_null_is_as_good_as_left_out(server: ChatServer) -> None:
    wire = server.wire()
    wire.send(purpose="join", nick="ann", id=1, time=0, token=None, since=None, bot=None)
    wire.until("welcome")
    wire.send(purpose="message", ref="m", text="null", to=None, time=None)
    seq = wire.until("ok", ref="m")["seq"]
    assert server.records[seq - 1]["to"] == "#lobby"
    wire.send(purpose="history", ref="h", before=None, limit=None, **{"with": "#lobby"})
    assert texts([wire.until("history", ref="h")]) == ["null"]
    wire.send(purpose="message", ref="n", text=None, to=None)
    assert wire.error("BAD_REQUEST")["ref"] == "n"


@pytest.mark.parametrize("name", ["#lobby", "#LOBBY"])
def test_pages_before_and_after_any_seq(server: ChatServer, name: str) -> None:
    ann = server.joined("ann")
    seqs = [ann.say(f"m{i}")["seq"] for i in range(25)]

    def page(**fields: int) -> tuple[list[int], bool]:
        ann.send(purpose="history", ref="p", **{"with": name}, **fields)
        answer = ann.until("history", ref="p")
        return [m["seq"] for m in answer["messages"]], answer["end"]

    assert page() == (seqs, True)
    assert page(limit=10) == (seqs[-10:], False)
    assert page(limit=25) == (seqs, True)
    assert page(limit=10, before=seqs[10]) == (seqs[:10], True)
    assert page(limit=5, before=seqs[10]) == (seqs[5:10], False)
    assert page(limit=10, after=seqs[4]) == (seqs[5:15], False)
    assert page(limit=20, after=seqs[4]) == (seqs[5:], True)
    assert page(after=seqs[4], before=seqs[8]) == (seqs[5:8], True)
    assert page(limit=100000) == (seqs, True)
    ann.send(purpose="history", ref="p", limit=0, **{"with": name})
    ann.error("BAD_REQUEST")


def test_a_page_fits_a_frame_whatever_is_in_it(server: ChatServer) -> None:
    ann = server.joined("ann")
    sent = [ann.say(chr(65 + i) * 16000)["seq"] for i in range(12)]
    got: list[int] = []
    end = False
    while not end:
        before = {"before": got[0]} if got else {}
        ann.send(purpose="history", ref="p", **{"with": "#lobby"}, **before)
        answer = ann.until("history", ref="p")
        assert answer["messages"] or answer["end"]
        got[:0] = [m["seq"] for m in answer["messages"]]
        end = answer["end"]
    assert got == sent
    late = server.wire()
    late.join("late")
    replay = []
    while True:
        event = late.until("history", replay=True)
        replay += [m["seq"] for m in event["messages"]]
        if event["end"]:
            break
    assert replay == sent
