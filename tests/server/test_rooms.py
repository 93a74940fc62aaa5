"""Rooms: going in and out, who hears and who sees what, over restarts."""

import json
import signal

from tests.conftest import ChatServer, Make
from tests.wire import Event, Wire, frame, texts


def ask(who: Wire, purpose: str, **fields: object) -> Event:
    """Send a request and return what comes back under its ref: the answer or the error."""
    ref = f"ask-{len(who.passed)}-{purpose}"
    who.send(purpose=purpose, ref=ref, **fields)
    while True:
        event = who.recv()
        assert event is not None
        who.passed.append(event)
        if event.get("ref") == ref:
            return event


def other_rooms(who: Wire) -> list[Event]:
    """Return the rooms one may know of, beside the lobby, which is always there."""
    first, *others = sorted(ask(who, "rooms")["rooms"], key=lambda room: room["room"] != "#lobby")
    assert (first["room"], first["member"]) == ("#lobby", True)
    return others


def test_a_room_is_made_by_the_first_and_heard_by_those_in_it(server: ChatServer) -> None:
    ann, bob, cyd = server.joined("ann"), server.joined("bob"), server.joined("cyd")
    assert ask(ann, "message", to="#Lab", text="no such room yet")["error"] == "NO_SUCH_ROOM"
    assert ask(ann, "enter", room="#Lab")["purpose"] == "ok"
    assert ask(bob, "enter", room="#lab")["purpose"] == "ok"
    joined = ann.until("joined", room="#Lab")
    assert joined["nick"] == "bob"
    ann.say("hello", "#lab")
    message = bob.until("message")
    assert (message["to"], message["text"]) == ("#Lab", "hello")
    assert ask(cyd, "message", to="#lab", text="x")["error"] == "FORBIDDEN"
    assert ask(cyd, "history", **{"with": "#lab"})["error"] == "FORBIDDEN"
    assert ask(cyd, "search", text="x", **{"with": "#lab"})["error"] == "FORBIDDEN"
    assert ask(cyd, "search", text="x", **{"with": "#none"})["error"] == "NO_SUCH_ROOM"
    assert ask(cyd, "search", text="x", **{"with": "none"})["error"] == "BAD_REQUEST"
    assert ask(bob, "leave", room="#lab")["purpose"] == "ok"
    left = ann.until("left", room="#Lab")
    assert (left["nick"], left["reason"]) == ("bob", "left")
    ann.say("bob is gone", "#lab")
    assert texts(bob.quiet()) == []
    assert texts(cyd.quiet()) == []
    assert ask(ann, "enter", room="lab")["error"] == "BAD_REQUEST"


def test_the_lobby_is_a_room_that_nobody_leaves(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    [lobby] = ask(ann, "rooms")["rooms"]
    assert lobby == {"room": "#lobby", "people": 2, "member": True}
    assert ask(ann, "enter", room="#lobby")["purpose"] == "ok"
    assert ask(ann, "leave", room="#lobby")["error"] == "FORBIDDEN"
    assert ask(ann, "invite", room="#lobby", nick="bob")["error"] == "FORBIDDEN"
    assert ask(ann, "topic", text="for all of us")["purpose"] == "ok"
    told = bob.until("topic")
    assert (told["room"], told["text"], told["nick"]) == ("#lobby", "for all of us", "ann")
    assert ask(bob, "topic", room="#Lobby", locked=True)["error"] == "FORBIDDEN"
    for wipe in (False, True):
        server.kill()
        if wipe:
            (server.data / "history.index").unlink()
        server.start()
        bob = server.joined("bob", token=bob.passed[0].get("token"))
        bob.send(purpose="topic", ref="t")
        assert bob.until("topic")["text"] == "for all of us"
        assert bob.until("ok", ref="t")
        ask(bob, "enter", room="#a"), ask(bob, "enter", room="#z")
        names, after = [], ""
        while True:
            page = ask(bob, "rooms", after=after, limit=1)
            names += [room["room"] for room in page["rooms"]]
            if page["end"]:
                break
            after = names[-1]
        assert names == ["#a", "#lobby", "#z"]


def test_membership_and_rooms_last_over_restarts(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    tokens = {who.passed[0]["nick"]: who.passed[0]["token"] for who in (ann, bob)}
    for who in (ann, bob):
        ask(who, "enter", room="#lab")
    ask(ann, "topic", room="#lab", text="what we found")
    ask(bob, "leave", room="#lab")
    for wipe in (False, True):
        server.kill()
        if wipe:
            (server.data / "history.index").unlink()
        server.start()
        ann, bob = server.wire(), server.wire()
        assert ann.join("ann", token=tokens["ann"])["rooms"] == ["#lobby", "#lab"]
        assert bob.join("bob", token=tokens["bob"])["rooms"] == ["#lobby"]
        [room] = other_rooms(bob)
        assert room == {
            "room": "#lab", "people": 1, "topic": "what we found", "owner": "ann",
        }  # fmt: skip
        assert other_rooms(ann)[0]["member"] is True
        ann.say("still here", "#lab")
        ann.close()
        bob.close()


def test_what_was_missed_in_a_room_is_replayed(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    token = bob.passed[0]["token"]
    for who in (ann, bob):
        ask(who, "enter", room="#lab")
    seq = ann.say("heard", "#lab")["seq"]
    bob.until("message")
    bob.close()
    ann.until("left")
    ann.say("missed", "#lab")
    bob = server.wire()
    bob.join("bob", token=token, since=seq)
    assert [m["text"] for m in bob.until("history", replay=True)["messages"]] == ["missed"]
    ann.say("live", "#lab")
    assert bob.until("message")["text"] == "live"


def test_a_private_room_is_for_the_invited_and_from_then_on(server: ChatServer) -> None:
    ann, bob, eve = server.joined("ann"), server.joined("bob"), server.joined("eve")
    assert ask(ann, "enter", room="#secret", private=True)["purpose"] == "ok"
    early = ann.say("before bob came", "#secret")["seq"]
    assert ask(bob, "enter", room="#secret")["error"] == "FORBIDDEN"
    assert other_rooms(bob) == []
    assert ask(bob, "message", to="#secret", text="x")["error"] == "NO_SUCH_ROOM"
    assert ask(bob, "invite", room="#secret", nick="eve")["error"] == "NO_SUCH_ROOM"
    assert ask(ann, "invite", room="#secret", nick="bob")["purpose"] == "ok"
    assert bob.until("invited")["room"] == "#secret"
    assert ask(bob, "enter", room="#secret")["purpose"] == "ok"
    ann.say("bob hears this", "#secret")
    assert bob.until("message")["text"] == "bob hears this"
    page = ask(bob, "history", **{"with": "#secret"})
    assert texts(page["messages"]) == ["bob hears this"] and page["end"]
    assert texts(ask(bob, "search", text="bob")["messages"]) == ["bob hears this"]
    assert texts(ask(ann, "search", text="bob")["messages"]) == [
        "before bob came",
        "bob hears this",
    ]
    assert ask(bob, "redact", seq=early)["error"] == "NO_SUCH_MESSAGE"
    for request in (
        {"purpose": "history", "with": "#secret"}, {"purpose": "users", "room": "#secret"},
        {"purpose": "topic", "room": "#secret"}, {"purpose": "leave", "room": "#secret"},
        {"purpose": "search", "text": "bob", "with": "#secret"},
    ):  # fmt: skip
        assert ask(eve, **request)["error"] == "NO_SUCH_ROOM", request
    assert ask(eve, "search", text="bob")["messages"] == []
    assert texts(eve.quiet()) == []
    assert ask(bob, "leave", room="#secret")["purpose"] == "ok"
    assert ask(bob, "history", **{"with": "#secret"})["error"] == "FORBIDDEN"
    assert ask(bob, "search", text="bob")["messages"] == []


def test_a_room_goes_with_the_last_and_its_name_is_free_without_its_past(
    server: ChatServer,
) -> None:
    ann, eve = server.joined("ann"), server.joined("eve")
    ask(ann, "enter", room="#lab", private=True)
    ann.say("a secret of the first", "#lab")
    ask(ann, "topic", room="#lab", text="secret topic")
    ask(ann, "leave", room="#lab")
    assert other_rooms(ann) == []
    assert ask(eve, "enter", room="#lab")["purpose"] == "ok"
    token = eve.passed[0]["token"]
    for _ in range(2):
        [room] = other_rooms(eve)
        assert room == {"room": "#lab", "people": 1, "member": True, "owner": "eve"}
        assert ask(eve, "history", **{"with": "#lab"})["messages"] == []
        assert ask(eve, "search", text="secret")["messages"] == []
        server.kill()
        (server.data / "history.index").unlink()
        server.start()
        eve = server.wire()
        assert eve.join("eve", token=token, since=0)["rooms"] == ["#lobby", "#lab"]
        assert "secret" not in str(eve.until("history", replay=True))


def test_who_is_in_a_room(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ask(ann, "enter", room="#lab")
    answer = ask(bob, "users", room="#lab")
    assert ([user["nick"] for user in answer["users"]], answer["total"]) == (["ann"], 1)
    assert ask(bob, "users", room="#lobby")["total"] == 2
    assert ask(bob, "users", room="#none")["error"] == "NO_SUCH_ROOM"


def test_topics_and_their_lock(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    for who in (ann, bob):
        ask(who, "enter", room="#lab")
    assert ask(bob, "topic", room="#lab", text="bob's topic")["purpose"] == "ok"
    told = ann.until("topic")
    assert (told["text"], told["nick"]) == ("bob's topic", "bob")
    assert ask(bob, "topic", room="#lab", locked=True)["error"] == "FORBIDDEN"
    assert ask(ann, "topic", room="#lab", locked=True)["purpose"] == "ok"
    assert ask(bob, "topic", room="#lab", text="again")["error"] == "FORBIDDEN"
    assert ask(ann, "topic", room="#lab", text="x" * 501)["error"] == "TOO_LARGE"
    ask(bob, "topic", room="#lab")
    told = [event for event in bob.passed if event["purpose"] == "topic"][-1]
    assert (told["text"], told["locked"]) == ("bob's topic", True)


def test_who_enters_while_others_talk_hears_just_what_comes_after(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ask(ann, "enter", room="#lab", private=True)
    ask(ann, "invite", room="#lab", nick="bob")
    for turn in range(20):
        # In what tick each of these is dealt with is open: what counts is the order in the log.
        for number in range(6):
            ann.send(purpose="message", ref=f"{turn}-{number}", to="#lab", text="x")
            if number == 1:
                bob.send(purpose="enter", ref=f"e{turn}", room="#lab")
            if number == 3:
                bob.send(purpose="leave", ref=f"l{turn}", room="#lab")
        seqs = [ann.until("ok", ref=f"{turn}-{number}")["seq"] for number in range(6)]
        entered, left, heard = 0, 0, []
        while not left:
            event = bob.recv()
            assert event is not None
            if event.get("ref") == f"e{turn}":
                entered = event["seq"]
            elif event.get("ref") == f"l{turn}":
                left = event["seq"]
            elif event["purpose"] == "message":
                heard.append(event["seq"])
        assert heard == [seq for seq in seqs if entered < seq < left]


def test_typing_is_told_now_and_then_and_not_to_oneself(server: ChatServer) -> None:
    ann, bob, cyd = server.joined("ann"), server.joined("bob"), server.joined("cyd")
    for _ in range(5):
        ann.send(purpose="typing", to="#lobby", state="active")
    assert bob.until("typing") == {
        "purpose": "typing", "nick": "ann", "to": "#lobby", "state": "active",
    }  # fmt: skip
    ann.send(purpose="typing", to="#lobby", state="done")
    assert bob.until("typing")["state"] == "done"
    assert [e for e in ann.quiet() if e["purpose"] == "typing"] == []
    assert [e["state"] for e in cyd.quiet() if e["purpose"] == "typing"] == ["active", "done"]
    cyd.send(purpose="typing", to="@bob", state="active")
    assert bob.until("typing")["to"] == "@bob"
    assert [e for e in ann.quiet() if e["purpose"] == "typing"] == []


def test_requests_of_one_segment_are_done_one_after_the_other(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    for who in (ann, bob):
        ask(who, "enter", room="#lab")

    def at_once(*requests: dict[str, object]) -> None:
        frames = [
            frame(json.dumps({"ref": f"s{number}", "room": "#lab", **fields}).encode())
            for number, fields in enumerate(requests)
        ]
        ann.raw(b"".join(frames))
        for number in range(len(requests)):
            ann.until("ok", ref=f"s{number}")

    at_once({"purpose": "leave"}, {"purpose": "enter"})
    ann.say("still in", "#lab")
    at_once({"purpose": "topic", "locked": True}, {"purpose": "topic", "text": "new"})
    assert other_rooms(bob)[0]["topic"] == "new"
    assert other_rooms(bob)[0]["locked"] is True
    new = "#new"
    at_once(
        {"purpose": "enter", "room": new},
        {"purpose": "topic", "room": new, "text": "t"},
        {"purpose": "message", "to": new, "text": "in the same breath"},
        {"purpose": "leave", "room": new},
    )
    bob.quiet()
    again: list[dict[str, object]] = [{"purpose": "enter"}] * 20
    at_once(*again)
    assert [event for event in bob.quiet() if event["purpose"] == "joined"] == []


def test_a_guest_who_stays_away_leaves_and_an_account_stays(
    make_server: Make, demo_users: str
) -> None:
    server = make_server("--rate", "0", "--guest-days", "0.00003")  # 2.6 seconds
    (server.data / "users.json").write_text(demo_users)
    server.start()
    alice, ann, bob = server.wire(), server.wire(), server.joined("bea")
    alice.login("Alice", "123")
    token = ann.join("Ann")["token"]
    for wire in (bob, alice, ann):
        assert ask(wire, "enter", room="#lab")["purpose"] == "ok"
    assert ask(ann, "enter", room="#alone")["purpose"] == "ok"
    alice.close()
    ann.close()
    left = bob.until("left", room="#lab", patience=30)
    assert (left["nick"], left["reason"]) == ("Ann", "left")
    bob.say("still here", to="#lab")
    [lab] = other_rooms(bob)  # and the room where nobody else was is gone
    assert (lab["room"], lab["member"]) == ("#lab", True)
    leaves = [r["whom"] for r in server.records if r.get("do") == "leave"]
    assert leaves == ["Ann", "Ann"]
    server.kill()
    server.start()
    back = server.wire()
    assert back.join("Ann", token=token)["rooms"] == ["#lobby"]
    again = server.wire()
    assert again.login("Alice", "123")["rooms"] == ["#lobby", "#lab"]


def test_ones_other_windows_are_told_of_coming_and_going(server: ChatServer) -> None:
    ann, bob = server.wire(), server.joined("bob")
    token = ann.join("ann", 1)["token"]
    window = server.wire()
    window.join("ann", 2, token=token)
    assert ask(bob, "enter", room="#Lab")["purpose"] == "ok"
    assert ask(ann, "enter", room="#lab")["purpose"] == "ok"
    joined = window.until("joined", room="#Lab")
    assert (joined["nick"], joined["id"]) == ("ann", 2)
    bob.say("for both", "#lab")
    assert window.until("message")["text"] == ann.until("message")["text"] == "for both"
    assert ask(window, "leave", room="#lab")["purpose"] == "ok"
    left = ann.until("left", room="#Lab")
    assert (left["nick"], left["id"], left["reason"]) == ("ann", 1, "left")
    assert [e for e in window.quiet() if e["purpose"] == "left"] == []


def test_the_people_in_a_room_are_counted_once_however_many_windows(server: ChatServer) -> None:
    ann, bob = server.wire(), server.joined("bea")
    token = ann.join("ann", 1)["token"]
    window = server.wire()

    def people() -> int:
        [lab] = other_rooms(bob)
        return int(lab["people"])

    assert ask(bob, "enter", room="#lab")["purpose"] == "ok"
    assert ask(ann, "enter", room="#lab")["purpose"] == "ok"
    window.join("ann", 2, token=token)
    assert people() == 2
    window.close()
    bob.until("left", nick="ann", id=2)
    assert people() == 2
    again = server.wire()
    again.join("ann", 1, token=token)  # in the place of the first
    ann.ended()
    assert people() == 2
    again.close()
    bob.until("left", nick="ann", id=1)
    assert people() == 1
    back = server.joined("ann", 3, token=token)
    assert people() == 2
    assert ask(back, "leave", room="#lab")["purpose"] == "ok"
    assert people() == 1


def test_who_enters_as_the_last_one_leaves_makes_the_room_anew(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    for number in range(20):
        room = f"#r{number}"
        assert ask(ann, "enter", room=room)["purpose"] == "ok"
        ann.say("of before", room)
        # Both in one tick: the server is stopped until both have come.
        server.signal(signal.SIGSTOP)
        ann.send(purpose="leave", ref=f"leave{number}", room=room)
        bob.send(purpose="enter", ref=f"enter{number}", room=room)
        server.signal(signal.SIGCONT)
        ann.until("ok", ref=f"leave{number}")
        bob.until("ok", ref=f"enter{number}")
        bob.say("of now", room)
        if ask(bob, "history", **{"with": room})["messages"][0]["text"] == "of before":
            continue  # bob was first: it is the same room still
        assert texts([ask(bob, "history", **{"with": room})]) == ["of now"]
        return
    raise AssertionError("ann was never first")
