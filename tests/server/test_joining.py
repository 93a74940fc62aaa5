"""Coming in, going out, being seen."""

import itertools
import time

import pytest

from tests.conftest import ChatServer, Make
from tests.wire import texts


def nicks(users: list[dict[str, object]]) -> list[object]:
    return [user["nick"] for user in users]


def test_a_welcome_says_all_it_promises(make_server: Make) -> None:
    server = make_server("--motd", "Be kind.", "--rate", "7", "--burst", "9").start()
    wire = server.wire()
    welcome = wire.join("Ann", 3)
    assert welcome["nick"] == "Ann" and welcome["id"] == 3
    assert welcome["motd"] == "Be kind." and welcome["rooms"] == ["#lobby"]
    assert welcome["fsync"] == "always" and welcome["version"] == 1
    assert welcome["seq"] == len(server.records)
    assert nicks(welcome["users"]) == ["Ann"] and welcome["users_total"] == 1
    assert welcome["token"] and welcome["session"] and welcome["unread"] == {}
    limits = welcome["limits"]
    assert (limits["frame"], limits["text"], limits["page"]) == (65536, 16000, 500)
    assert (limits["rate"], limits["burst"]) == (7, 9)
    replay = wire.recv()
    assert replay == {"purpose": "history", "messages": [], "end": True, "replay": True}


def test_who_is_here_is_told_to_newcomers_and_newcomers_to_who_is_here(
    server: ChatServer,
) -> None:
    ann = server.joined("ann")
    bob = server.wire()
    assert nicks(bob.join("bob")["users"]) == ["ann", "bob"]
    joined = ann.until("joined")
    assert (joined["nick"], joined["id"]) == ("bob", 1)
    assert abs(joined["time"] - time.time()) < 60


@pytest.mark.parametrize("how", ["disconnect", "close", "reset", "half"])
def test_going_is_told_with_its_reason(server: ChatServer, how: str) -> None:
    ann, bob = server.joined("ann"), server.joined("bob", 7)
    if how == "disconnect":
        bob.send(purpose="disconnect", text="tea")
        assert bob.until("ok")
        assert bob.ended() == []
    elif how == "close":
        bob.close()
    elif how == "reset":
        bob.reset()
    else:
        bob.sock.shutdown(1)
    left = ann.until("left")
    assert (left["nick"], left["id"]) == ("bob", 7)
    assert left["reason"] == ("disconnect" if how == "disconnect" else "lost")
    assert left.get("text") == ("tea" if how == "disconnect" else None)
    assert server.joined("bob", 7)


def test_a_silent_client_is_noticed(make_server: Make) -> None:
    server = make_server("--timeout", "2").start()
    ann, silent = server.joined("ann"), server.joined("silent")
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        found = [e for e in ann.quiet() if e["purpose"] == "left"]
        if found:
            assert found[0]["nick"] == "silent" and found[0]["reason"] == "timeout"
            assert silent.ended() is not None
            return
        time.sleep(0.2)
    pytest.fail("the silent client was never noticed")


def test_taken_nick_is_refused_and_may_try_again(server: ChatServer) -> None:
    server.joined("ann")
    wire = server.wire()
    for nick in ("ann", "ANN", "aNn"):
        wire.send(purpose="join", nick=nick, id=2, time=0)
        error = wire.error("USER_IN_USE")
        assert error["code"] == 409
    wire.join("bea")


@pytest.mark.parametrize(
    "nick", ["", "a b", "x" * 33, "é", "\u0430nn", "a\x1b[2J", "@ann", "#a", "a\n", "\uff41nn"]
)
def test_a_nick_that_is_none_is_refused(server: ChatServer, nick: str) -> None:
    wire = server.wire()
    wire.send(purpose="join", nick=nick, id=1, time=0)
    assert wire.error("INVALID_NICK")["code"] == 400
    wire.join("A-b_c.9" + "x" * 25)


def test_nothing_is_done_before_joining_and_one_joins_once(server: ChatServer) -> None:
    wire = server.wire()
    wire.send(purpose="message", ref="r", text="x")
    assert wire.error("NOT_JOINED")["ref"] == "r"
    wire.send(purpose="ping", ref="p")
    assert wire.until("pong")["ref"] == "p"
    wire.join("ann")
    wire.send(purpose="join", nick="bob", id=1, time=0)
    wire.error("BAD_REQUEST")
    assert server.messages == []


def test_a_token_brings_back_the_same_person_in_the_place_of_a_ghost(server: ChatServer) -> None:
    ghost, bob = server.wire(), server.joined("bob")
    token = ghost.join("ann", 1)["token"]
    ghost.until("history")
    bob.say("before", "@ann")
    again = server.wire()
    welcome = again.join("ann", 1, token=token)
    assert "token" not in welcome
    assert ghost.error("EVICTED")["code"] == 410
    ghost.ended()
    assert texts([again.until("history")]) == ["before"]
    bob.say("after", "@ann")
    assert again.until("message")["text"] == "after"
    assert [e["purpose"] for e in bob.quiet()].count("left") == 0


def test_several_ids_of_one_token_and_none_without_it(server: ChatServer) -> None:
    one = server.wire()
    token = one.join("ann", 1)["token"]
    two = server.joined("ann", 2, token=token)
    three = server.wire()
    three.send(purpose="join", nick="ann", id=3, time=0)
    three.error("USER_IN_USE")
    three.send(purpose="join", nick="ann", id=3, time=0, token="guessed")
    three.error("USER_IN_USE")
    two.send(purpose="users", ref="u")
    [ann] = two.until("users")["users"]
    assert ann["ids"] == [1, 2]


def test_another_holder_of_a_nick_sees_nothing_of_the_first(server: ChatServer) -> None:
    first, bob = server.wire(), server.joined("bob")
    token = first.join("ann")["token"]
    bob.say("for the first", "@ann")
    first.close()
    bob.until("left")
    second = server.wire()
    other = second.join("ann", since=0)["token"]
    assert other != token
    assert texts([second.until("history", end=True)]) == []
    bob.say("for the second", "@ann")
    second.until("message")
    second.send(purpose="history", ref="h", **{"with": "@bob"})
    assert texts([second.until("history", ref="h")]) == ["for the second"]
    second.close()
    bob.until("left")
    server.kill()
    server.start()
    back = server.wire()
    back.join("ann", token=token, since=0)
    assert texts([back.until("history", end=True)]) == ["for the first"]
    bob2 = server.joined("ben")
    bob2.say("for the first again", "@ann")
    assert back.until("message")["text"] == "for the first again"


def test_the_replay_is_the_last_50_or_all_since_or_none(server: ChatServer) -> None:
    ann = server.joined("ann")
    seqs = [ann.say(f"m{i}")["seq"] for i in range(60)]
    new = server.wire()
    new.join("new")
    assert texts([new.until("history", end=True)]) == [f"m{i}" for i in range(10, 60)]
    since = server.wire()
    since.join("since", since=seqs[54])
    assert texts([since.until("history", end=True)]) == [f"m{i}" for i in range(55, 60)]
    ahead = server.wire()
    ahead.join("ahead", since=10**9)
    assert texts([ahead.until("history", end=True)]) == []
    bot = server.wire()
    bot.join("bot", bot=True)
    assert bot.quiet() == []
    ann.say("live")
    assert bot.until("message")["text"] == "live"


def test_a_long_replay_comes_in_frames_of_at_most_500_before_anything_live(
    server: ChatServer,
) -> None:
    ann = server.joined("ann", bot=True)
    for i in range(1203):
        ann.send(purpose="message", ref=f"r{i}", text=f"m{i}")
    ann.quiet()
    late = server.wire()
    late.send(purpose="join", nick="late", id=1, time=0, since=0)
    ann.say("live")
    events = [late.recv()]
    while "live" not in texts([e for e in events[-1:] if e]):
        events.append(late.recv())
    pages = [e for e in events if e is not None and e["purpose"] == "history"]
    assert all(page["replay"] and len(page["messages"]) <= 500 for page in pages)
    assert [page["end"] for page in pages] == [False] * (len(pages) - 1) + [True]
    heard = texts([e for e in events if e is not None])
    assert heard == [*(f"m{i}" for i in range(1203)), "live"]


def test_big_rooms_hear_of_comings_together_and_at_most_once_a_second(
    server: ChatServer,
) -> None:
    watcher = server.joined("watcher")
    crowd = [server.wire() for _ in range(260)]
    for number, wire in enumerate(crowd):
        wire.join(f"n{number}", bot=True)
    deadline = time.monotonic() + 10
    seen: dict[str, None] = {}
    rosters: list[float] = []
    online = 0
    while online < 261 and time.monotonic() < deadline:
        event = watcher.recv()
        assert event is not None
        if event["purpose"] == "joined":
            seen[event["nick"]] = None
        elif event["purpose"] == "roster":
            rosters.append(event["time"])
            seen.update((a["nick"], None) for a in event["joined"])
            online = event["online"]
    assert sorted(seen) == sorted(f"n{i}" for i in range(260))
    assert rosters and all(b - a > 0.9 for a, b in itertools.pairwise(rosters))
    for wire in crowd:
        wire.reset()
    gone: set[str] = set()
    while len(gone) < 260:
        event = watcher.until("roster") if len(gone) < 10 else watcher.recv()
        assert event is not None
        if event["purpose"] == "roster":
            gone |= {d["nick"] for d in event["left"]}
            assert all(d["reason"] == "lost" for d in event["left"])
        elif event["purpose"] == "left":
            gone.add(event["nick"])


def test_away_and_back_are_told_and_listed(accounts_server: ChatServer) -> None:
    ann, bob = accounts_server.joined("ann"), accounts_server.joined("bea")
    ann.send(purpose="away", ref="a", text="lunch")
    ann.until("ok", ref="a")
    presence = bob.until("presence")
    assert (presence["nick"], presence["status"], presence["text"]) == ("ann", "away", "lunch")
    bob.send(purpose="users", ref="u")
    answer = bob.until("users", ref="u")
    status = {user["nick"]: user["status"] for user in answer["users"]}
    assert status == {
        "Alice": "offline", "ann": "away", "bea": "online", "Bob": "offline", "Charlie": "offline"
    }  # fmt: skip
    assert nicks(answer["users"]) == ["Alice", "ann", "bea", "Bob", "Charlie"]
    assert (answer["total"], answer["end"]) == (5, True)
    ann.send(purpose="away", ref="b")
    assert bob.until("presence")["status"] == "online"


def test_users_come_in_pages(accounts_server: ChatServer) -> None:
    ann = accounts_server.joined("ann")
    found: list[object] = []
    after: str | None = None
    while True:
        ann.send(purpose="users", ref="u", limit=2, **({"after": after} if after else {}))
        answer = ann.until("users", ref="u")
        assert len(answer["users"]) <= 2 and answer["total"] == 4
        found += nicks(answer["users"])
        if answer["end"]:
            break
        after = answer["users"][-1]["nick"]
    assert found == ["Alice", "ann", "Bob", "Charlie"]


def test_a_full_server_says_so_and_takes_the_next_when_there_is_room(make_server: Make) -> None:
    server = make_server("--max-clients", "3").start()
    wires = [server.joined(f"n{i}") for i in range(3)]
    for _ in range(40):  # more than are given time to take it
        extra = server.wire()
        assert extra.error("SERVER_FULL")["code"] == 503
        assert extra.ended() == []
    wires[0].close()
    wires[1].until("left")
    assert server.joined("late")


def test_one_person_has_at_most_a_hundred_sessions(server: ChatServer) -> None:
    first = server.wire()
    token = first.join("ann", 0)["token"]
    for number in range(1, 100):
        server.wire().join("ann", number, token=token, bot=True)
    extra = server.wire()
    extra.send(purpose="join", nick="ann", id=100, time=0, token=token)
    assert extra.error("LIMIT_EXCEEDED")["retry_after"]
    extra.join("ann", 99, token=token)
    extra.send(purpose="users", ref="u")
    assert len(extra.until("users")["users"][0]["ids"]) == 100


def test_a_bot_misses_nothing_from_its_welcome_on(server: ChatServer) -> None:
    talker, first = server.joined("talker", bot=True), server.wire()
    token = first.join("bot", bot=True)["token"]
    for number in range(60):
        bot = server.wire()
        for i in range(20):
            talker.send(purpose="message", ref=f"{number}-{i}", text=f"{number}-{i}")
            if i == 5:
                bot.send(purpose="join", nick="bot", id=1, time=0, bot=True, token=token)
        welcome = bot.until("welcome")
        talker.quiet()
        heard = [event["seq"] for event in bot.quiet() if event["purpose"] == "message"]
        due = [r["seq"] for r in server.records if r["purpose"] == "message"]
        assert heard == [seq for seq in due if seq > welcome["seq"]]
        bot.close()
