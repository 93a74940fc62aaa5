"""How what is shown looks: colours that can be read, times as the person's clock has them."""

import itertools
import time

import pytest

from parley.client.screen.style import COLOURS, of_nick
from tests.client.conftest import Open, Tmux
from tests.client.terminal import Terminal
from tests.conftest import ChatServer
from tests.server.test_rooms import ask


def contrast(colour: str, other: str) -> float:
    """Return the contrast of two colours, ``rrggbb`` each, by WCAG 2.2."""
    lighter, darker = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def there(at: float) -> str:
    """Return what a clock fourteen hours ahead of UTC says at ``at``, in UTC seconds."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at + 14 * 3600))


def colour_of(terminal: Terminal, text: str) -> str:
    """Return the colour in which ``text`` stands on the screen."""
    y = next(y for y, line in enumerate(terminal.cells) if text in line)
    return str(terminal.screen.buffer[y][terminal.cells[y].index(text)].fg)


def test_every_nick_can_be_read_on_black_and_on_white(
    server: ChatServer, open_client: Open
) -> None:
    named: dict[str, str] = {}
    for number in itertools.count():
        named.setdefault(of_nick(f"n{number:03}"), f"n{number:03}")
        if len(named) == COLOURS:
            break
    ann = open_client(server, "ann", columns=120, lines=50)
    ann.see("ann ●")
    for nick in named.values():
        server.joined(nick).say("hello")
        ann.see(f"{nick} │")
    shown = {nick: colour_of(ann, f"{nick} │") for nick in named.values()}
    assert len(set(shown.values())) == COLOURS
    for nick, colour in shown.items():
        worst = min(contrast(colour, "000000"), contrast(colour, "ffffff"))
        assert worst >= 4.0, f"{nick} in {colour}: {worst:.2f}"


def test_violet_and_what_is_grey_have_the_contrast_of_text(
    server: ChatServer, open_client: Open
) -> None:
    violet = next(nick for nick in map("v{}".format, range(999)) if of_nick(nick) == "class:nick7")
    ann = open_client(server, "ann", columns=100)
    ann.see("ann ●")
    server.joined(violet).say("hello")
    ann.see(f"{violet} │ hello")
    for text in (f"{violet} │", "joined"):
        colour = colour_of(ann, text)
        assert contrast(colour, "000000") >= 4.5, colour
        assert contrast(colour, "ffffff") >= 4.5, colour


@pytest.mark.parametrize(("zone", "hours"), [("EAST-14", 14), ("WEST+11:30", -11.5)])
def test_times_and_days_are_those_of_the_persons_zone(
    server: ChatServer, open_client: Open, zone: str, hours: float
) -> None:
    """One of the two zones has another day than UTC at any time."""
    said = server.joined("bob").say("what time is it?")["time"]
    there = time.gmtime(said + hours * 3600)
    day, clock = time.strftime("%A, %d %B %Y", there), time.strftime("%H:%M", there)
    ann = open_client(server, "ann", TZ=zone)
    ann.see("what time is it?")
    assert ann.line("what time is it?").startswith(f"{clock} ")
    assert f"─ {day} ─" in ann.text
    line = open_client(server, "cyd", "--plain", TZ=zone)
    line.see(f"[{clock}] bob: what time is it?")


def test_times_in_the_servers_words_are_those_of_the_persons_zone(
    moderated_server: ChatServer, open_client: Open
) -> None:
    server = moderated_server
    bob = server.wire()
    bob.login("Bob", "456", 1)
    ann = open_client(server, "ann", columns=160, TZ="EAST-14")
    ann.see("ann ●")
    until = there(ask(bob, "mute", nick="ann", seconds=600)["time"] + 600)
    ann.type("hello?\r")
    ann.see(f"you can say nothing until {until}, by Bob")
    until = there(ask(bob, "ban", nick="ann", seconds=3600)["time"] + 3600)
    kept_out = f"ann is kept out by Bob until {until}"
    ann.see(f"{kept_out}. /reconnect", f"○ {kept_out}")
    assert "UTC" not in ann.text
    line = open_client(server, "ann", "--plain", columns=160, TZ="EAST-14")
    assert line.ended() == 4
    assert kept_out in line.text and "UTC" not in line.text


def test_a_script_without_spaces_fills_its_lines(server: ChatServer, tmux: Tmux) -> None:
    bob = server.joined("bob")
    bob.say("ann，" + "会" * 32 + "，" + "议" * 13 + "。然后")  # noqa: RUF001
    tmux.client(server, "ann", 80, 24)
    text = tmux.see("[History]", "然后")
    lines = [line[17:59].rstrip(" │") for line in text.split("\n")[1:-2]]
    at = next(number for number, line in enumerate(lines) if "[History]" in line)
    assert lines[at : at + 3] == [
        "│ [History] ann，" + "会" * 12,  # noqa: RUF001
        "│ " + "会" * 19,
        "│ 会，" + "议" * 13 + "。然后",  # noqa: RUF001
    ]
