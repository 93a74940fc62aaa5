"""What a person is shown of what came while they looked elsewhere, and how they get there."""

import base64
import re

from tests.client.conftest import Open
from tests.conftest import ChatServer

FOCUS_OUT, FOCUS_IN = "\x1b[O", "\x1b[I"


def test_what_came_while_one_was_in_another_conversation_begins_at_a_line(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    bob.say("read at once")
    ann.see("read at once")
    ann.type("/msg bob hello\r")
    ann.see("@bob ›", "✓ hello")
    bob.say("not read yet")
    bob.say("nor this")
    ann.see("#lobby (2)")
    ann.type("\x1b1")
    ann.see("#lobby ›", "─ new ─")
    lines = ann.text.split("\n")
    at = next(number for number, line in enumerate(lines) if "─ new ─" in line)
    assert "read at once" in lines[at - 1]
    assert "not read yet" in lines[at + 1]
    ann.type("answer\r")
    ann.see("✓ answer", not_="─ new ─")


def test_only_a_terminal_with_the_focus_is_read(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    assert b"\x1b[?1004h" in ann.raw
    ann.type(FOCUS_OUT)
    ann.read(0.3)
    bob.say("while you looked elsewhere")
    ann.see("─ new ─", "looked elsewhere")
    assert ann.screen.title == "(1) #lobby - Parley"
    ann.type(FOCUS_IN)
    ann.wait(lambda: ann.screen.title == "#lobby - Parley")
    ann.see("─ new ─")
    bob.say("while you look")
    ann.see("while you look")
    assert ann.screen.title == "#lobby - Parley"
    ann.type("\x03")
    assert ann.ended() == 0
    assert ann.raw.rstrip().endswith(b"\x1b[?1004l") or b"\x1b[?1004l" in ann.raw


def test_one_jumps_to_the_first_unread_and_back_to_the_end(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type(FOCUS_OUT)
    ann.read(0.3)
    for number in range(60):
        bob.say(f"unread {number:02}")
    ann.see("unread 59", not_="unread 00")
    ann.type("\x1bu")
    ann.see("─ new ─", "unread 00", "scrolled (Alt+End)", not_="unread 59")
    ann.type("\x1b\x1b[F")
    ann.see("unread 59", not_="scrolled")


def test_what_comes_while_one_has_scrolled_up_is_new_at_the_end(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    for number in range(60):
        bob.send(purpose="message", ref=f"r{number}", text=f"old {number:02}")
    bob.quiet()
    ann = open_client(server, "ann")
    ann.see("old 59")
    ann.type("\x1b[5~")
    ann.see("scrolled (Alt+End)", not_="old 59")
    bob.say("below")
    ann.see("↓ 1 new (Alt+End)", not_="below")
    assert ann.screen.title == "(1) #lobby - Parley"
    ann.type("\x1b[1;5F")
    ann.see("─ new ─", "│ below", not_="↓")
    ann.wait(lambda: ann.screen.title == "#lobby - Parley")


def test_alt_a_goes_round_what_is_unread_and_comes_back(
    server: ChatServer, open_client: Open
) -> None:
    bob, cyd = server.joined("bob"), server.joined("cyd")
    ann = open_client(server, "ann")
    ann.see("3 here")
    bob.say("from bob", "@ann")
    cyd.say("from cyd", "@ann")
    ann.see("@bob (1)", "@cyd (1)")
    ann.type("\x1ba")
    ann.see("│ from bob", "@bob ›", "@cyd (1)", not_="@bob (1)")
    ann.type("\x1ba")
    ann.see("│ from cyd", "@cyd ›", not_="(1)")
    ann.type("\x1ba")
    ann.see("#lobby ›")
    ann.type("\x1b-")
    ann.see("@cyd ›")


def test_mentions_and_private_messages_alert_and_others_do_not(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    before = len(ann.raw)
    bob.say("joanna and ann_b are other people")
    ann.see("other people")
    assert b"\x07" not in ann.raw[before:].replace(b"Parley\x07", b"")
    bob.say("but ann, this is for you")
    ann.see("for you")
    ann.wait(lambda: b"\x07" in ann.raw[before:].replace(b"Parley\x07", b""))
    ann.type("/set alert notice\r")
    ann.see("alert is notice now")
    bob.say("a \x1bsecret", "@ann")
    ann.wait(lambda: "\x1b]9;bob: a ␛secret\x07".encode() in ann.raw)
    ann.type("/set alert off\r")
    ann.see("alert is off now")
    before = len(ann.raw)
    bob.say("ann: and this rings for nobody")
    ann.see("rings for nobody")
    assert b"\x07" not in re.sub(rb"\x1b\][02];[^\x07]*\x07", b"", ann.raw[before:])


def test_the_last_messages_go_to_the_clipboard(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    bob.say("one")
    bob.say("two, with ümlaut\nand a second line")
    ann.see("second line")
    ann.type("/copy\r")
    ann.see("The last message: given")
    copied = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", ann.raw)
    assert base64.b64decode(copied[-1]).decode() == "two, with ümlaut\nand a second line"
    ann.type("/copy 2\r")
    ann.see("The last 2 messages: given")
    copied = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", ann.raw)
    assert base64.b64decode(copied[-1]).decode() == (
        "bob: one\nbob: two, with ümlaut\nand a second line"
    )


def test_the_bare_view_is_plain_text_that_the_terminal_wraps(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    url = "https://example.org/" + "a-long-path/" * 8
    bob.say(url)
    ann = open_client(server, "ann")
    ann.see("a-long-path/")
    ann.type("a draft")
    ann.see("› a draft")
    before = len(ann.raw)
    ann.type("\x1bz")
    ann.see("Enter goes back", not_="│")
    assert url.encode() in ann.raw[before:]
    bob.say("meanwhile")
    ann.type("\r")
    ann.see("bob │ meanwhile", "› a draft")


def test_away_shows_for_how_long_and_why(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here", "● bob")
    bob.send(purpose="away", ref="x", text="lunch")
    ann.see("○ bob")
    ann.type("/msg bob\r")
    ann.see("@bob · away for ", "(lunch)")
    ann.type("/users\r")
    ann.see("bob  away for ", "s (lunch), guest")


def test_panes_follow_the_width_and_the_wish(server: ChatServer, open_client: Open) -> None:
    server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see(" #lobby", "│● bob")
    assert "1 #lobby" in ann.text.split("\n")[1]
    ann.resize(80, 24)
    ann.see("│● bob")
    assert ann.text.split("\n")[0].startswith(" 1 #lobby")
    ann.type("\x1bn")
    ann.see("#lobby ›", not_="● bob")
    ann.type("\x1bn")
    ann.see("│● bob")
    ann.resize(60, 20)
    ann.see("2 here", not_="│● bob")
