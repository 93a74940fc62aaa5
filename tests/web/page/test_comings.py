"""Which comings and goings the page tells of."""

import json
import re
from typing import Any

from playwright.sync_api import WebSocketRoute, expect

from tests.conftest import Make
from tests.web.page.conftest import Visit
from tests.web.page.person import Person
from tests.web.page.test_hostile import WELCOME

AWAITED_FOR = 30
"""Seconds after one is connected again for which others are awaited, as in people.js."""


def play(person: Person, *connections: list[dict[str, Any]]) -> None:
    """Be the server of somebody: of each of these connections say its events once they have
    joined, and break all but the last. A ``welcome`` has the usual fields but for those given."""
    coming = iter(connections)

    def connected(socket: WebSocketRoute) -> None:
        events = next(coming)

        def heard(text: str | bytes) -> None:
            request = json.loads(text)
            if request["purpose"] != "join":
                return
            who = {"nick": request["nick"], "id": request["id"]}
            for event in events:
                known = {**WELCOME, **who} if event["purpose"] == "welcome" else {}
                socket.send(json.dumps({**known, **event}))
            if events is not connections[-1]:
                socket.close()

        socket.on_message(heard)

    person.page.route_web_socket(re.compile("/chat$"), connected)


def joined(nick: str, id_: int, time: float) -> dict[str, Any]:
    """The event for a client that has come."""
    return {"purpose": "joined", "nick": nick, "id": id_, "time": time}


def roster(time: float, joined: list[str], left: list[str]) -> dict[str, Any]:
    """The event for clients that have come and gone, each as ``nick/id``."""
    came = [{"nick": nick, "id": int(id_)} for nick, id_ in (who.split("/") for who in joined)]
    went = [{"nick": nick, "id": int(id_)} for nick, id_ in (who.split("/") for who in left)]
    gone = [{**who, "reason": "disconnect"} for who in went]
    return {"purpose": "roster", "joined": came, "left": gone, "online": 1, "time": time}


def test_another_window_of_somebody_who_is_here_is_no_coming_or_going(
    visit: Visit, make_server: Make
) -> None:
    server = make_server("--web", "0").start()
    ora, pat = visit("ora", server=server), server.joined("pat")
    again = server.joined("pat", 2, token=pat.passed[0]["token"])
    pat.send(purpose="disconnect")
    pat.ended()
    again.say("still here")
    ora.sees("still here")
    expect(ora.page.locator(".aside-line")).to_have_text([re.compile("pat joined$")])
    expect(ora.page.locator("#people-list")).to_contain_text("pat")
    again.send(purpose="disconnect")
    ora.told("pat left")
    expect(ora.page.locator("#people-list")).not_to_contain_text("pat")
    other = ora.tab()
    ora.told("ora joined")  # of oneself it is told: it may be somebody else
    other.close()
    ora.told("ora left")


def test_another_window_is_none_in_a_roster_either(visit: Visit) -> None:
    quin = visit()
    rosters = [
        roster(1e9, ["rae/1", "rae/2", "sol/1"], []),
        roster(1e9, ["sol/2"], ["rae/1"]),
        roster(1e9, ["quin/9"], ["rae/2"]),
    ]
    play(quin, [{"purpose": "welcome"}, *rosters])
    quin.come("quin")
    told = "rae, sol joined, quin joined, rae left$"
    expect(quin.page.locator(".aside-line")).to_have_text([re.compile(told)])


def test_who_was_here_when_the_connection_was_lost_only_comes_back(visit: Visit) -> None:
    tia = visit()
    users = [
        {"nick": nick, "status": "online", "ids": [1]} for nick in ("Uma", "vic", "wes", "xan")
    ]
    before = [{"purpose": "welcome", "users": users, "time": 1e9}, joined("tia", 99, 1e9)]
    again = [
        {"purpose": "welcome", "time": 2e9},
        joined("uma", 1, 2e9),
        joined("tia", 99, 2e9),  # of oneself too
        roster(2e9, ["vic/7", "yul/1"], []),  # vic by another window than before
        roster(2e9, [], ["uma/1"]),  # who goes now, and comes again, does
        joined("uma", 1, 2e9),
        joined("tia", 98, 2e9),
    ]
    fallen_again = [
        {"purpose": "welcome", "time": 2e9 + 9},
        joined("wes", 1, 2e9 + 19),
        joined("vic", 7, 2e9 + 9 + AWAITED_FOR - 1),
        joined("xan", 1, 2e9 + 9 + AWAITED_FOR),
    ]
    play(tia, before, again, fallen_again)
    tia.knock("tia")
    tia.told("xan joined")
    told = tia.page.locator(".aside-line", has_text=re.compile("joined|left")).all_text_contents()
    assert ", ".join(told).split(", ") == [
        "tia joined",
        "yul joined",
        "uma left",
        "uma joined",
        "tia joined",
        "xan joined",
    ]
    expect(tia.page.locator("#people-list .name")).to_have_text(["vic", "wes", "xan"])
