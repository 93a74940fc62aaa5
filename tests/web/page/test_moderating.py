"""Moderators and those they act against, at browsers and over the native wire; and notices."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.client.terminal import Terminal
from tests.conftest import ChatServer
from tests.web.page.conftest import Visit
from tests.web.page.person import Person
from tests.wire import Event, Wire

ZONE = {"timezone_id": "Asia/Kathmandu"}  # UTC+05:45: no time of the server's is one of theirs
LATER = re.compile(r"until \d{1,2} \w{3} \d{4}, \d\d:\d\d")


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory, demo_users: str) -> Iterator[ChatServer]:
    """A server on which Bob is a moderator."""
    data = tmp_path_factory.mktemp("moderated")
    users = json.loads(demo_users)
    users["Bob"]["role"] = "moderator"
    (data / "users.json").write_text(json.dumps(users))
    server = ChatServer(data, "--rate", "0", "--web", "0").start()
    yield server
    server.end()
    assert "Traceback" not in server.said, server.said


@pytest.fixture
def bob(web_server: ChatServer) -> Wire:
    """The moderator, over the native wire."""
    wire = web_server.wire()
    assert wire.login("Bob", "456")["account"]
    return wire


def act(wire: Wire, purpose: str, **fields: object) -> Event:
    """Let a moderator act, and return the ``ok``."""
    wire.send(purpose=purpose, ref=purpose, **fields)
    return wire.until("ok", ref=purpose)


def bar(person: Person) -> str:
    """Return what the bar says that is there once one is out."""
    found = person.page.locator("#connection .bad span")
    expect(found).to_be_visible()
    return found.text_content() or ""


def can_do_nothing(person: Person) -> None:
    """What was written stays; nothing more can be, and nothing sent."""
    field = person.page.locator("#say")
    expect(field).not_to_be_editable()
    expect(field).to_have_attribute("placeholder", "You are not in the chat")
    expect(person.page.locator("#send")).to_be_disabled()
    expect(person.page.locator("#attach")).to_be_disabled()
    expect(person.page.locator("#me-status")).to_have_text("not connected")


def test_who_is_sent_out_reads_why_and_comes_again_when_they_want_to(
    visit: Visit, bob: Wire
) -> None:
    ann, ben = visit("ann"), visit("ben")
    ann.page.fill("#say", "half a sente")
    act(bob, "kick", nick="ann", reason="shouting <b>loud</b>")
    said = "Bob has sent you out: shouting <b>loud</b>. You are no longer in the chat."
    assert bar(ann) == said
    can_do_nothing(ann)
    expect(ann.page.locator("#say")).to_have_value("half a sente")
    ben.told("ann was sent out (shouting <b>loud</b>)")
    bob.quiet()
    assert bar(ann) == said, "it does not come back by itself"
    ann.page.get_by_role("button", name="Come in again").click()
    expect(ann.page.locator("#connection")).to_be_empty()
    expect(ann.page.locator("#say")).to_have_value("half a sente")
    ann.page.press("#say", "Enter")
    ben.sees("half a sente")


def test_who_is_muted_reads_until_when_and_by_whom(visit: Visit, bob: Wire) -> None:
    cleo, dan = visit("cleo", **ZONE), visit("dan")
    cleo.say("before")
    dan.sees("before")
    until = act(bob, "mute", nick="cleo", seconds=7200, reason="too loud")["time"] + 7200
    at_once = cleo.page.locator(".aside-line.trouble", has_text="Bob has silenced you until ")
    expect(at_once).to_have_text(re.compile(rf"{LATER.pattern}: too loud$"))
    expect(cleo.page.locator("#say")).to_be_editable()
    cleo.say("may I?")
    why = cleo.sees("may I?").locator(".why")
    expect(why).to_contain_text("by Bob: too loud")
    expect(why).to_contain_text(LATER)
    hour = cleo.page.evaluate(
        "time => new Date(time * 1000).toLocaleTimeString('en-GB', {timeStyle: 'short'})", until
    )
    for line in (at_once, why):
        expect(line).to_contain_text(hour)  # in their own zone
    expect(cleo.message("may I?").get_by_label("Not sent")).to_be_visible()
    cleo.say("/edit after")
    cleo.told("/edit: you can say nothing")
    cleo.say("/topic foxes")
    assert dan.message("may I?").count() == 0
    act(bob, "unmute", nick="cleo")
    why.get_by_role("button", name="Send it again").click()
    cleo.stored("may I?")
    dan.sees("may I?")


def test_who_is_banned_reads_so_and_can_do_nothing(visit: Visit, bob: Wire) -> None:
    eva = visit("eva", **ZONE)
    act(bob, "ban", nick="eva", seconds=7200, reason="spam")
    said = bar(eva)
    assert said.startswith("You are banned: eva is kept out by Bob until ")
    assert LATER.search(said) and said.endswith(": spam."), said
    can_do_nothing(eva)
    eva.page.get_by_role("button", name="Come in again").click()
    trouble = eva.page.locator("#gate-trouble")
    expect(trouble).to_contain_text("You are banned: eva is kept out by Bob until ")
    eva.page.reload()
    expect(trouble).to_contain_text("You are banned")
    expect(trouble).to_be_visible()
    act(bob, "unban", nick="eva")
    eva.come("eva")
    act(bob, "ban", nick="eva")
    assert bar(eva) == "You are banned: eva is kept out by Bob for good."


def test_a_ban_while_the_connection_is_lost_is_read_upon_coming_back(
    visit: Visit, bob: Wire
) -> None:
    finn = visit("finn")
    finn.context.set_offline(True)
    finn.page.evaluate("dispatchEvent(new Event('offline'))")
    act(bob, "ban", nick="finn", reason="meanwhile")
    finn.context.set_offline(False)
    assert bar(finn).startswith("You are banned: finn is kept out by Bob for good: meanwhile")


def test_a_moderator_at_a_browser(visit: Visit, web_server: ChatServer) -> None:
    bob, gus = visit("Bob", "456", **ZONE), web_server.joined("gus")
    bob.say("/mute gus 2h cool down")
    bob.told("gus is silenced until ")
    expect(bob.page.locator(".aside-line", has_text="gus is silenced")).to_have_text(LATER)
    assert gus.error("MUTED")["text"].endswith("UTC: cool down")
    gus.send(purpose="message", ref="r", text="hello")
    assert "by Bob: cool down" in gus.error("MUTED")["text"]
    bob.say("/unmute gus")
    bob.told("gus may speak again.")
    gus.say("thanks")
    bob.sees("thanks")
    bob.say("/kick gus enough")
    bob.told("gus was sent out.")
    assert gus.error("FORBIDDEN")["text"] == "Bob has sent you out: enough"
    gus.ended()
    bob.say("/ban gus no more")
    bob.told("gus is kept out for good.")
    again = web_server.wire()
    again.send(purpose="join", nick="gus", id=1, time=0)
    assert "no more" in again.error("BANNED")["text"]
    bob.say("/acts")
    acts = bob.page.locator("dialog [role=listitem]")
    expect(acts.nth(0)).to_contain_text("Bob ban gus")
    expect(acts.nth(0)).to_contain_text("no more")
    expect(acts.nth(1)).to_contain_text("Bob kick gus")
    expect(acts.nth(3)).to_contain_text("Bob mute gus until")


def test_who_has_no_role_is_told_so(visit: Visit) -> None:
    hedy, ivo = visit("hedy"), visit("ivo")
    hedy.say("/kick ivo")
    hedy.told("/kick: this is for moderators")
    hedy.say("/mute ivo 1h")
    hedy.told("/mute: this is for moderators")
    expect(ivo.page.locator("#connection")).to_be_empty()


def test_at_a_terminal_too_one_reads_why(
    visit: Visit, web_server: ChatServer, tmp_path: Path
) -> None:
    bob = visit("Bob", "456")
    terminal = Terminal(tmp_path, "localhost", str(web_server.port), "tess", "1", columns=120)
    try:
        terminal.see("#lobby", "tess ●")
        bob.say("/mute tess 10m cool down")
        bob.told("tess is silenced until ")
        terminal.see("Bob has silenced you until ", ": cool down", not_="UTC")
        bob.say("/kick tess enough")
        bob.told("tess was sent out.")
        terminal.see("Bob has sent you out: enough. /reconnect tries again")
        bob.say("/who")
        expect(bob.page.locator("dialog")).not_to_contain_text("tess")
    finally:
        terminal.close()


# Notices


WATCHED = """
const Real = Notification;
globalThis.given = [];
globalThis.Notification = class extends Real {
  constructor(title, options) {
    super(title, options);
    given.push({ title, ...options, notice: this });
  }
};
"""


def watched(person: Person) -> None:
    """Note the notices that the browser is given, by the real thing."""
    person.context.grant_permissions(["notifications"])
    person.page.add_init_script(WATCHED)
    person.page.reload()


def look_elsewhere(person: Person) -> None:
    """Look at another window."""
    devtools = person.context.new_cdp_session(person.page)
    devtools.send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    person.context.new_page().bring_to_front()
    person.hears("!document.hasFocus()")


def want_notices(person: Person) -> None:
    """Switch them on in the settings."""
    person.page.click("#go-settings")
    person.page.get_by_label("Notices of private messages").check()
    person.hears("given.length === 1")
    assert person.page.evaluate("given[0].body") == "This is how you are told."
    person.page.keyboard.press("Escape")


def test_notices_are_given_to_who_asked_for_them_and_looks_elsewhere(
    visit: Visit, web_server: ChatServer
) -> None:
    jil, kai = visit(), web_server.joined("kai")
    watched(jil)
    jil.come("jil")
    want_notices(jil)
    jil.say("/join attic")
    expect(jil.page.locator("#title")).to_have_text("#attic")
    kai.send(purpose="message", ref="1", to="@jil", text="while you look")
    expect(jil.page.locator("#conversations")).to_contain_text("kai")
    look_elsewhere(jil)
    kai.say("nothing for anybody")
    kai.say("jil: are you there?")
    kai.send(purpose="message", ref="2", to="@jil", text="psst <b>you</b>")
    jil.hears("given.length === 3")
    given = jil.page.evaluate("given.slice(1).map(({ title, body }) => [title, body])")
    assert given == [["kai", "#lobby: jil: are you there?"], ["kai", "psst <b>you</b>"]]
    jil.page.evaluate("given[2].notice.onclick()")
    expect(jil.page.locator("#title")).to_have_text("@kai")


def test_who_did_not_ask_gets_no_notice(visit: Visit, web_server: ChatServer) -> None:
    lee, mo = visit(), web_server.joined("mo")
    watched(lee)
    lee.come("lee")
    look_elsewhere(lee)
    mo.send(purpose="message", ref="1", to="@lee", text="psst")
    expect(lee.page.locator("#conversations")).to_contain_text("mo")
    assert lee.page.evaluate("given.length") == 0


def test_a_browser_that_gives_no_notices_says_so(visit: Visit) -> None:
    nia = visit()
    nia.context.grant_permissions(["notifications"])
    nia.page.add_init_script(  # as on Android
        "const may = async () => 'granted';"
        "globalThis.Notification = class { constructor() { throw new TypeError('illegal'); }"
        " static permission = 'granted'; static requestPermission = may; }"
    )
    nia.page.reload()
    nia.come("nia")
    nia.page.click("#go-settings")
    nia.page.get_by_label("Notices of private messages").click()
    expect(nia.page.locator("dialog .trouble")).to_contain_text("does not let the page give")
    expect(nia.page.get_by_label("Notices of private messages")).not_to_be_checked()


def test_comings_and_goings_are_told_to_who_wants_them(
    visit: Visit, web_server: ChatServer
) -> None:
    ora = visit("ora")
    ora.say("/set comings off")
    ora.page.reload()
    expect(ora.page.locator("#connection")).to_be_empty()
    pat = web_server.joined("pat")
    pat.say("here I am")
    ora.sees("here I am")
    expect(ora.page.locator(".aside-line", has_text="pat joined")).to_have_count(0)
