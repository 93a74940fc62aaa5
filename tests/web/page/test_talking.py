"""People at browsers, and one at a terminal, talk by a real server."""

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.client.terminal import Terminal
from tests.conftest import ChatServer, Make
from tests.web.conftest import web_port
from tests.web.page.conftest import Visit


@pytest.fixture
def terminal(tmp_path: Path, web_server: ChatServer) -> Iterator[Terminal]:
    """A terminal client on the same server."""
    where = ("localhost", str(web_server.port), "tess", "1", "--downloads", str(tmp_path))
    opened = Terminal(tmp_path / "config", *where, columns=100, lines=30)
    opened.see("#lobby")
    yield opened
    opened.close()


def test_two_browsers_and_a_terminal(visit: Visit, terminal: Terminal) -> None:
    ann, ben = visit("ann"), visit("ben", viewport={"width": 390, "height": 844})
    ann.say("hello from a browser")
    ann.stored("hello from a browser")
    ben.sees("hello from a browser")
    terminal.see("hello from a browser")
    terminal.type("and from a terminal, ben\r")
    ann.sees("and from a terminal")
    expect(ben.sees("and from a terminal")).to_have_class(re.compile("mention"))
    ben.say("  two lines\n\twith a tab")
    assert ann.sees("two lines").locator(".text").text_content() == "  two lines\n\twith a tab"
    ben.say("/msg tess between us")
    terminal.see("@ben")
    assert ann.message("between us").count() == 0
    expect(ann.page.locator("#people-list")).to_contain_text("tess")


def test_who_is_mentioned_elsewhere_sees_it_counted(visit: Visit) -> None:
    dora, emil = visit("dora"), visit("emil")
    dora.say("/join quiet-room")
    expect(dora.page.locator("#title")).to_have_text("#quiet-room")
    emil.say("nothing for anybody")
    emil.say("dora: are you there?")
    emil.stored("are you there")
    lobby = dora.page.locator("#conversations [role=option]", has_text="lobby")
    expect(lobby.locator(".badge")).to_have_attribute("aria-label", "2 unread, 1 for you")
    expect(dora.page).to_have_title("(2) #quiet-room · Parley")
    dora.page.keyboard.press("Alt+a")
    expect(dora.page.locator("#title")).to_have_text("#lobby")
    expect(dora.page.locator(".rule.new + .message")).to_contain_text("nothing for anybody")
    expect(dora.page).to_have_title("#lobby · Parley")


def test_editing_and_taking_back(visit: Visit) -> None:
    fay, gus = visit("fay"), visit("gus")
    fay.say("a wrnog word")
    fay.stored("wrnog")
    fay.page.press("#say", "ArrowUp")
    expect(fay.page.locator("#say")).to_have_value("a wrnog word")
    fay.say("a right word")
    gus.sees("a right word(edited)")
    assert gus.message("wrnog").count() == 0
    fay.message("a right word").hover()
    fay.message("a right word").get_by_label("Take this message back").click()
    fay.page.get_by_role("button", name="Take it back").click()
    expect(gus.page.locator(".text.gone")).to_have_text("taken back")
    assert gus.message("a right word").count() == 0


def test_private_rooms_and_topics(visit: Visit) -> None:
    hal, ina = visit("hal"), visit("ina")
    hal.say("/join den private")
    expect(hal.page.locator("#title")).to_have_text("#den")
    hal.say("before ina")
    hal.stored("before ina")
    ina.say("/join den")
    ina.told("den")
    expect(ina.page.locator("#title")).to_have_text("#lobby")
    expect(ina.page.locator("#conversations")).not_to_contain_text("den")
    hal.page.click("#go-about")
    hal.page.get_by_label("What it is about").fill("foxes")
    hal.page.get_by_role("button", name="Say so").click()
    hal.page.get_by_label("Invite somebody").fill("ina")
    hal.page.get_by_role("button", name="Invite").click()
    expect(hal.page.locator("dialog [role=status]")).to_contain_text("ina may come in now")
    hal.page.keyboard.press("Escape")
    ina.told("hal invites you to #den")
    ina.say("/join den")
    expect(ina.page.locator("#topic")).to_have_text("foxes")
    ina.say("here I am")
    hal.sees("here I am")
    assert ina.message("before ina").count() == 0
    hal.say("/leave")
    expect(hal.page.locator("#title")).to_have_text("#lobby")
    expect(hal.page.locator("#conversations")).not_to_contain_text("den")


@contextlib.contextmanager
def slow(server: ChatServer) -> Iterator[None]:
    """The server answers when this ends."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def test_what_is_typed_behind_join_goes_to_the_room(visit: Visit, web_server: ChatServer) -> None:
    lea = visit("lea")
    web_server.joined("max")
    with slow(web_server):
        lea.say("/join loft")
        expect(lea.page.locator("#title")).to_have_text("#loft")
        lea.say("up here")
    lea.stored("up here")
    assert web_server.records[-1]["to"] == "#loft"
    expect(lea.page.locator("#people-list [role=option]")).to_have_count(1)


def test_a_room_that_one_may_not_enter_is_none_to_be_in(
    visit: Visit, web_server: ChatServer
) -> None:
    rob = web_server.joined("rob")
    for room in ("#vault", "#cellar"):
        rob.send(purpose="enter", ref=room, room=room, private=True)
        rob.until("ok", ref=room)
    kit = visit("kit")
    with slow(web_server):
        kit.say("/join vault")
        kit.say("/join cellar")
    kit.told("#cellar is private")
    expect(kit.page.locator("#title")).to_have_text("#lobby")
    for name in ("vault", "cellar"):
        expect(kit.page.locator("#conversations")).not_to_contain_text(name)
    with slow(web_server):
        kit.say("/join vault")
        kit.say("for few")
    kit.told("#vault is private")
    expect(kit.page.locator("#title")).to_have_text("#vault")
    expect(kit.sees("for few")).to_contain_text("there is no room #vault")
    kit.say("/leave")
    expect(kit.page.locator("#title")).to_have_text("#lobby")
    expect(kit.page.locator("#conversations")).not_to_contain_text("vault")
    assert "for few" not in web_server.messages


def test_typing_and_away_are_seen(visit: Visit) -> None:
    jon, kay = visit("jon"), visit("kay")
    jon.page.locator("#say").press_sequentially("hm")
    expect(kay.page.locator("#typing")).to_have_text("jon is writing…")
    jon.page.fill("#say", "")
    expect(kay.page.locator("#typing")).to_have_text("")
    jon.say("/away having <b>tea</b>")
    line = kay.page.locator("#people-list [role=option]", has_text="jon")
    expect(line).to_contain_text("having <b>tea</b>")
    jon.say("/back")
    expect(line).not_to_contain_text("tea")
    lou = visit("lou")
    lou.page.locator("#say").press_sequentially("bye")
    expect(kay.page.locator("#typing")).to_have_text("lou is writing…")
    lou.page.close()
    line = kay.page.locator("#people-list [role=option]", has_text="lou")
    expect(line).to_have_count(0)
    assert kay.page.locator("#typing").inner_text() == ""


def test_a_server_that_is_killed_and_comes_back(
    visit: Visit, make_server: Make, demo_users: str
) -> None:
    server = make_server("--rate", "0", "--web", "0")
    (server.data / "users.json").write_text(demo_users)
    server.start()
    ann, ben = visit("ann", server=server), visit("ben", server=server)
    ann.say("one")
    ben.sees("one")
    port = web_port(server)
    server.kill()
    expect(ann.page.locator("#connection")).to_contain_text("No connection")
    ann.say("typed meanwhile")
    ann.say("and this")
    expect(ann.message("typed meanwhile").locator(".fate.sent")).to_be_visible()
    ann.page.fill("#say", "half a sente")
    ann.hears("JSON.stringify(localStorage).includes('half a sente')")
    ann.page.close()  # what is on its way, and what was being typed, outlives the page
    server.options = ("--rate", "0", "--web", str(port))
    server.start()
    wire = server.joined("walt")
    wire.say("missed")
    ann.page = ann.tab()
    ann.stored("typed meanwhile")
    ann.stored("and this")
    ben.sees("missed")
    ben.sees("and this")
    expect(ann.page.locator("#say")).to_have_value("half a sente")
    said = ["one", "typed meanwhile", "and this", "missed"]
    assert sorted(server.messages) == sorted(said)
    for person in (ann, ben):
        person.sees("missed")
        shown = [text.removeprefix("[History]") for text in person.texts]
        assert shown == server.messages, shown


def test_a_server_that_stops_waits_for_no_page(visit: Visit, make_server: Make) -> None:
    server = make_server("--web", "0", "--grace", "60").start()
    ann = visit("ann", server=server)
    server.stop()  # would take a minute if the page did not answer
    ann.told("It has stopped. You are back here as soon as it is.")
