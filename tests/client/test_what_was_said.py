"""What was said is found, changed, read and moderated: on the screen and line by line."""

from pathlib import Path

from tests.client.conftest import Open
from tests.conftest import ChatServer
from tests.server.test_rooms import ask


def test_search_and_a_look_at_the_context(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    for number in range(60):
        bob.send(purpose="message", ref=f"r{number}", text=f"line {number:02} of the talk")
    bob.say("the needle is here")
    for number in range(60, 120):
        bob.send(purpose="message", ref=f"r{number}", text=f"line {number:02} of the talk")
    bob.quiet()
    ann = open_client(server, "ann", columns=100)
    ann.see("line 119")
    ann.type("/search needle\r")
    ann.see("Found for needle", "#lobby  bob: the needle is here", "Enter opens")
    ann.type("\r")
    ann.see("▶ [History]", "bob: the needle is here", "line 59", "line 60")
    ann.type("\x1b")
    ann.see("Found for needle", not_="line 59")
    ann.type("\x1b")
    ann.see("#lobby ›", not_="Found for")
    ann.type("/search needle from:ann\r")
    ann.see("Nothing was found for needle from:ann.")
    ann.type("/search needle before:yesterday\r")
    ann.see("'yesterday' is no day")


def test_an_edit_and_a_redaction_show_on_both_sides(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("teh text\r")
    ann.see("✓ teh text")
    ann.type("/edit the text\r")
    ann.see("✓ the text (edited)")
    assert bob.until("message", text="the text")["edit_of"]
    said = bob.say("bob's secret")["seq"]
    ann.see("bob's secret")
    ask(bob, "edit", seq=said, text="bob's other secret")
    ann.see("│ bob's other secret (edited)", not_="bob's secret")
    ask(bob, "redact", seq=said)
    ann.see("bob │ taken back", not_="other secret")
    ann.type("/redact\r")
    ann.see("✓ taken back", not_="the text")
    ann.type("\x03")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("[History] taken back")
    assert "secret" not in ann.text


def test_what_others_write_is_hinted_at(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=100)
    ann.see("2 here")
    bob.send(purpose="typing", to="#lobby", state="active")
    ann.see("bob writes …")
    bob.say("done")
    ann.see("bob │ done", not_="writes …")
    kit = server.joined("kit")
    kit.send(purpose="typing", to="#lobby", state="active")
    ann.see("kit writes …")
    kit.send(purpose="disconnect")
    assert "writes …" not in ann.see("kit left")
    bob.quiet()
    ann.type("h")
    assert bob.until("typing")["nick"] == "ann"
    ann.type("\x15/away with the fairies")
    ann.see("fairies")
    ann.type("\x15")
    ann.type("/set typing off\r")
    ann.see("typing is off now")
    bob.quiet()
    ann.type("silently")
    ann.see("› silently")
    assert [event for event in bob.quiet() if event["purpose"] == "typing"] == []


def test_what_one_has_read_is_read_on_every_device(
    accounts_server: ChatServer, open_client: Open
) -> None:
    server = accounts_server
    zed = server.joined("zed")
    other = server.wire()
    assert other.login("Alice", "123", 7)["unread"] == {}
    alice = open_client(server, "Alice")
    alice.see("Password for Alice:")
    alice.type("123\r")
    alice.see("Alice ●")
    said = zed.say("do you hear me?")["seq"]
    alice.see("do you hear me?")
    assert other.until("read") == {"purpose": "read", "with": "#lobby", "seq": said}
    last = zed.say("in private", "@alice")["seq"]
    alice.see("@zed (1)")
    other.send(purpose="read", seq=last, **{"with": "@zed"})
    alice.see("2 @zed", not_="@zed (1)")
    alice.type("\x03")
    alice.ended()
    zed.say("while away", "@alice")
    alice = open_client(server, "Alice")
    alice.see("Password for Alice:")
    alice.type("123\r")
    alice.see("@zed (1)")


def test_who_likes_lets_the_other_know_what_was_read(
    accounts_server: ChatServer, open_client: Open
) -> None:
    server = accounts_server
    zed = open_client(server, "zed", columns=120)
    zed.see("zed ●")
    zed.type("/msg alice do you hear me?\r")
    zed.see("✓")
    alice = open_client(server, "Alice")
    alice.see("Password for Alice:")
    alice.type("123\r")
    alice.see("@zed (1)")
    alice.type("\x1b2")
    alice.see("do you hear me?")
    alice.type("/set receipts on\r")
    alice.see("receipts")
    zed.type("\x1b2")
    zed.see("lice · online", not_="has read")
    zed.type("once more\r")
    zed.see("once more", " · has read what you said up to ")
    bob = server.joined("Zoe")
    assert [e for e in bob.quiet() if e["purpose"] == "read"] == []


def test_moderators_commands(moderated_server: ChatServer, open_client: Open) -> None:
    server = moderated_server
    troll = server.joined("troll")
    bob = open_client(server, "Bob", columns=120)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Bob ●")
    troll.say("rude words")
    bob.see("rude words")
    bob.type("/redact troll\r")
    bob.see("troll │ taken back")
    bob.type("/mute troll 10m cool down\r")
    bob.see("troll is silenced for 10 min.")
    refused = ask(troll, "message", text="more")
    assert refused["error"] == "MUTED" and "cool down" in refused["text"]
    bob.type("/unmute troll\r")
    bob.see("troll may speak again.")
    bob.type("/ban troll 2h enough\r")
    bob.see("troll is kept out for 2 h.", "troll was sent out (enough)")
    bob.type("/acts\r")
    bob.see("Bob  ban troll until ", ": enough", "Bob  unmute troll", "Bob  mute troll until")
    bob.type("\x1b")
    bob.see("#lobby ›", not_="Esc closes")
    bob.type("/kick nobody\r")
    bob.see("nobody here is or was called nobody")
    ann = open_client(server, "troll", columns=120)
    ann.see("troll is kept out by Bob until", "enough")


def test_whoever_sends_somebody_out_is_told_once(
    moderated_server: ChatServer, open_client: Open
) -> None:
    server = moderated_server
    server.joined("troll")
    server.joined("other")
    bob = open_client(server, "Bob", columns=120)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Bob ●", "3 here")
    bob.type("/kick troll enough\r")
    bob.see("troll was sent out (enough)", "2 here")
    bob.type("and on it goes\r")
    assert bob.see("✓ and on it goes").count("was sent out") == 1
    bob.type("/join lab\r")
    bob.see("#lab ›")
    bob.type("/kick other\r")
    bob.see("other was sent out.")


def test_a_guest_is_told_that_this_is_for_moderators(server: ChatServer, open_client: Open) -> None:
    server.joined("bob")
    ann = open_client(server, "ann", columns=100)
    ann.see("2 here")
    ann.type("/ban bob\r")
    ann.see("this is for moderators")


def test_rooms_and_search_line_by_line(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ask(bob, "enter", room="#lab")
    ann = open_client(server, "ann", "--plain", columns=100, lines=40)
    ann.see("Connected as ann")
    ann.type("/join lab\r")
    ann.see("Now writing to #lab.")
    bob.say("hello ann", "#lab")
    ann.see("bob in #lab: hello ann")
    ann.type("found you\r")
    ann.see("ann in #lab: found you")
    ann.type("/search found\r")
    ann.see("Found for found:", "#lab  ann: found you")
    ann.type("/edit found you all\r")
    ann.type("/leave\r")
    ann.see("Now writing to #lobby.")
    assert bob.until("message", edit_of=bob.until("message", text="found you")["seq"])


def test_away_by_itself(server: ChatServer, open_client: Open, tmp_path: Path) -> None:
    """The shortest time is minutes: only that it can be chosen is seen here."""
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/set autoaway 5\r")
    ann.see("autoaway is 5 now")
    assert "autoaway = 5" in (tmp_path / "config-ann" / "client.conf").read_text()
