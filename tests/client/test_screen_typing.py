"""What a person types: completed, edited, kept, sent, and sent again."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from parley.client.ground.cells import set_mark_width, width_of
from tests.client.conftest import Open, Tmux
from tests.conftest import ChatServer, Make
from tests.wire import frame


def test_the_switcher_finds_by_parts_of_a_name_and_keeps_the_draft(
    server: ChatServer, open_client: Open
) -> None:
    server.joined("bartholomew")
    server.joined("cyd")
    ann = open_client(server, "ann")
    ann.see("3 here")
    ann.type("half a thought")
    ann.see("› half a thought")
    ann.type("\x0b")
    ann.see("Go to:", "@bartholomew", "@cyd")
    ann.type("thol")
    ann.see("Go to: thol", not_="@cyd")
    ann.type("\r")
    ann.see("@bartholomew ›", not_="half a thought")
    ann.type("\x0blobb\r")
    ann.see("#lobby › half a thought")
    ann.type("\x0b")
    ann.see("Go to:")
    ann.type("\x1b")
    ann.see("#lobby › half a thought", not_="Go to:")


def test_alt_enter_is_a_new_line_even_while_names_are_offered(
    server: ChatServer, open_client: Open
) -> None:
    server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("@bo")
    ann.see("online")  # the menu
    ann.type("\x1b\r")
    ann.type("second line")
    ann.see("› @bo", "second line", not_="✓")
    ann.type("\r")
    ann.see("✓ @bo")
    assert server.messages == ["@bo\nsecond line"]


def test_emoji_are_completed_by_name(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("well done :thumbsu")
    ann.see(":thumbsup:")
    ann.type("\t\r")
    ann.type("\r")
    ann.see("✓ well done 👍")
    assert server.messages == ["well done 👍"]


def test_a_refused_message_says_why_and_is_sent_again_by_a_key(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=160)
    ann.see("1 here")
    ann.type("/msg nobody are you there?\r")
    ann.see("✗ are you there?", "not sent:", "Alt+R sends it again", "1 not sent")
    bob = server.joined("nobody")
    ann.see("nobody joined" if "nobody joined" in ann.text else "● nobody")
    ann.type("\x1br")
    ann.see("✓ are you there?", not_="not sent")
    assert bob.until("message")["text"] == "are you there?"
    ann.type("/msg somebody hello\r")
    ann.see("✗ hello")
    ann.type("/drop\r")
    ann.see("@somebody ›", not_="✗")
    assert server.messages == ["are you there?"]


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_what_was_refused_waits_for_the_person_in_the_next_run_too(
    server: ChatServer, open_client: Open, options: tuple[str, ...]
) -> None:
    ann = open_client(server, "ann", *options, columns=120)
    ann.see("Connected" if options else "1 here")
    ann.type("/msg nobody hello?\r")
    ann.see("not sent: ")
    ann.type("q!\r")
    ann.ended()
    nobody = server.joined("nobody")
    ann = open_client(server, "ann", *options, columns=120)
    ann.see("Connected" if options else "2 here")
    ann.type("/go nobody\r")
    ann.see("hello?", "not sent: nobody here is or was called nobody")
    assert not server.messages
    ann.type("/retry\r")
    assert nobody.until("message")["text"] == "hello?"


def test_everybody_sees_what_was_said_in_one_order(make_server: Make, open_client: Open) -> None:
    server = make_server("--rate", "1", "--burst", "3").start()
    ann = open_client(server, "ann")
    ann.see("1 here")
    for number in range(6):  # more than the server takes at once
        ann.type(f"mine {number}\r")
    ann.see("… mine 5")
    bob = server.joined("bob")
    bob.say("in between")
    ann.see("bob │ in between", "✓ mine 5")
    said = server.messages
    assert said.index("in between") < said.index("mine 5")
    shown = [line for line in ann.text.split("\n") if "✓ mine" in line or "in between" in line]
    assert [text for line in shown for text in said if text in line] == said


def test_what_was_sent_is_no_draft_at_the_next_start(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("sent and done\r")
    ann.see("✓ sent and done")
    ann.type("\x03")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("[History] sent and done", "#lobby ›")
    assert "sent" not in ann.line("#lobby ›")


def test_a_draft_goes_with_its_room(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    ann.type("/join lab\r")
    ann.see("#lab ›", "2 #lab")
    ann.type("unfinished")
    ann.see("#lab › unfinished")
    ann.type("\x1b1")
    ann.see("#lobby ›", not_="› unfinished")
    ann.type("/leave #Lab\r")
    ann.see("#lobby ›", not_="2 #lab")
    ann.type("q!\r")
    assert ann.ended() == 0
    ann = open_client(server, "ann", columns=120)
    ann.see("1 #lobby", "1 here", not_="2 #lab")


def test_bytes_that_are_no_text_are_marked_and_stop_nothing(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    ann.type("caf\udce9\r")
    assert bob.until("message")["text"] == "caf\ufffd"
    ann.type("/topic \udcff\r")
    assert bob.until("topic")["text"] == "\ufffd"
    ann.type("draft \udcff")
    ann.see("#lobby › draft")
    server.kill()
    ann.see("again in", not_="fault")


def test_a_draft_outlives_a_killed_client(server: ChatServer, open_client: Open) -> None:
    server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("/msg bob\r")
    ann.see("@bob ›")
    ann.type("for bob")
    ann.type("\x1b1")
    ann.see("#lobby ›")
    ann.type("for all")
    ann.see("› for all")
    identity = next(ann.config.glob("identities/*ann_1.json"))
    ann.wait(lambda: '"for all"' in identity.read_text() and '"for bob"' in identity.read_text())
    os.kill(ann.pid, signal.SIGKILL)
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("#lobby › for all", "2 @bob")
    ann.type("\x1b2")
    ann.see("@bob › for bob")
    ann.type("\r")
    ann.see("✓ for bob")
    ann.type("\x03")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("#lobby › for all", not_="for bob")


def test_a_text_too_long_for_the_server_stays_in_the_input(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type(f"\x1b[200~{'long ' * 3300}end\x1b[201~")
    ann.see("end")
    ann.type("\r")
    ann.see("Too long by 503 bytes", "end")
    assert server.messages == []
    ann.type("\x7f" * 503)
    ann.type("\r")
    ann.see("more lines: Alt+Z shows all")
    assert server.messages == ["long " * 3200]


def test_the_editor_edits_the_draft(server: ChatServer, open_client: Open, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "and by the editor" >> "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    ann = open_client(server, "ann", EDITOR=str(editor), VISUAL=str(editor))
    ann.see("1 here")
    ann.type("by hand ")
    ann.see("› by hand")
    ann.type("\x18\x05")
    ann.see("by hand", "and by the editor")
    ann.type("\r")
    ann.see("✓ by hand")
    assert server.messages == ["by hand and by the editor"]


def test_vi_keys(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", "--keys", "vi")
    ann.see("-- INSERT --")
    ann.type("hello word")
    ann.type("\x1b")
    ann.see("-- NORMAL --")
    ann.type("i")
    ann.see("-- INSERT --")
    ann.type("l")
    ann.see("› hello worl")
    ann.type("\r")
    ann.see("✓ hello worl")
    assert server.messages == ["hello worl" + "d"]
    ann.type("kept\x1b")
    ann.see("-- NORMAL --", "› kept")
    ann.type("0x")
    ann.see("› ept")


def test_what_is_set_is_remembered_and_the_file_stays_the_persons(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    config = tmp_path / "config-ann"
    config.mkdir()
    (config / "client.conf").write_text("# mine\ntheme = dark\nalert = off\n")
    ann = open_client(server, "ann", columns=100)
    ann.see("1 here")
    ann.type("/set\r")
    ann.see("auto [dark] light", "bell notice [off]")
    ann.type("\x1b")
    ann.see("#lobby ›", not_="Esc closes")
    ann.type("/set theme light\r")
    ann.see("theme is light now")
    ann.type("/set keys vi\r")
    ann.see("-- INSERT --")
    ann.type("/set theme pink\r")
    ann.see("theme can be auto, dark, light")
    ann.type("\x03")
    ann.ended()
    kept = (config / "client.conf").read_text()
    assert kept == "# mine\ntheme = light\nalert = off\nkeys = vi\n"
    again = open_client(server, "ann", columns=100)
    again.see("-- INSERT --")
    again.type("/set\r")
    again.see("auto dark [light]")


def test_clicks_go_where_they_point(server: ChatServer, open_client: Open) -> None:
    server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here", "● bob")
    ann.click("bob")
    ann.see("@bob ›")
    ann.click("#lobby")
    ann.see("#lobby ›")
    quiet = open_client(server, "cyd", "--no-mouse")
    quiet.see("cyd ●")
    assert b"\x1b[?1000h" in ann.raw and b"\x1b[?1000h" not in quiet.raw


def test_no_color_is_honoured(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", NO_COLOR="1")
    ann.see("2 here")
    bob.say("ann: plain?")
    ann.see("plain?")
    colours = {cell.fg for line in ann.screen.buffer.values() for cell in line.values()}
    assert colours == {"default"}


def test_marks_that_take_a_cell_keep_everything_in_its_column(
    server: ChatServer, tmux: Tmux
) -> None:
    bob = server.joined("bob")
    tmux.client(server, "ann", 80, 24)
    tmux.see("2 here")
    bob.say("हिन्दी और தமிழ் with 🇩🇪 flags 👨\u200d👩\u200d👧 and more text, so that it has to wrap")
    bob.say("after")
    text = tmux.see("after", "\uff24\uff25 flags")
    set_mark_width(1)
    borders = {width_of(line[: line.rfind("│")]) for line in text.split("\n")[1:-2]}
    assert borders == {59}
    for number in range(30):
        bob.say(f"line {number}")
    text = tmux.see("line 29")
    for line in text.split("\n")[1:-2]:
        assert line[:59].rstrip().endswith(("│", *(f"line {n}" for n in range(30)))) or not line


def test_what_is_typed_with_emoji_of_parts_leaves_the_rest_in_its_column(
    server: ChatServer, tmux: Tmux
) -> None:
    bob = server.joined("bob")
    tmux.client(server, "ann", 80, 24)
    tmux.see("2 here")
    tmux.type("with 🇩🇪 flags, 👨\u200d👩\u200d👧, ❤\ufe0f and 👍🏽")
    tmux.see("› with \uff24\uff25 flags, 👨👩👧, ❤ and 👍")
    for number in range(30):
        bob.say(f"line {number}")
        text = tmux.see(f"line {number}")
    for line in text.split("\n")[1:-2]:
        assert width_of(line[: line.rfind("│")]) in (17, 59), text
    tmux.type("!\r")
    tmux.see("✓ with", "and 👍!")
    assert server.messages[-1] == "with 🇩🇪 flags, 👨\u200d👩\u200d👧, ❤\ufe0f and 👍🏽!"


def test_blank_lines_around_a_text_do_not_go(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("\n\n  def f():\n\n    pass\n\n\r")
    ann.see("✓   def f():", not_="› ")
    ann.type("\n/away lunch\r")
    ann.see("You are away.")
    assert server.messages == ["  def f():\n\n    pass"]


def test_a_flood_leaves_what_is_typed_alone(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    flood = 20_000
    for start in range(0, flood, 1000):
        bob.raw(
            b"".join(
                frame(b'{"purpose":"message","ref":"%d","text":"noise %d"}' % (number, number))
                for number in range(start, start + 1000)
            )
        )
        ann.type(f"w{start // 1000:02} ")
        ann.read(0.01)
        bob.until("ok", ref=str(start + 999))
    typed = " ".join(f"w{number:02}" for number in range(20))
    ann.see("noise 19999", "w00", "w19")
    ann.type("\r")
    ann.see("✓ w00")
    assert [text for text in server.messages if "noise" not in text] == [f"{typed} "]


def test_everybody_can_be_completed_however_many_are_here(
    server: ChatServer, open_client: Open
) -> None:
    for number in range(400):
        server.joined(f"somebody-with-a-long-name-{number:03}")
    ann = open_client(server, "ann")
    ann.see("401 here")

    def offered() -> bool:
        # Who did not fit the welcome is asked for behind it.
        ann.type("\x15@somebody-with-a-long-name-39")
        until = time.monotonic() + 2
        while "somebody-with-a-long-name-397" not in ann.text and time.monotonic() < until:
            ann.read(0.1)
        return "somebody-with-a-long-name-397" in ann.text

    ann.wait(offered)


def test_focus_is_asked_for_when_nothing_is_echoed_any_more(
    server: ChatServer, open_client: Open
) -> None:
    # Some terminals answer at once; before the screen is there the answer would be echoed.
    ann = open_client(server, "ann")
    ann.see("ann ●")
    assert 0 < ann.raw.index(b"\x1b[?1049h") < ann.raw.index(b"\x1b[?1004h")


def test_what_the_shell_had_shown_is_not_wiped(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("ann ●")
    ann.type("\x0cafter Ctrl+L\r")
    ann.see("✓ after Ctrl+L")
    before, _, chat = ann.raw.partition(b"\x1b[?1049h")
    assert b"\x1b[2J" not in before
    assert b"\x1b[?1049l" not in chat
    ann.type("q!\r")
    assert ann.ended() == 0
    assert b"\x1b[2J" not in ann.raw.rpartition(b"\x1b[?1049l")[2]
