"""Whatever people or a server write: the page shows it as text, and lives on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.conftest import ROOT, Make
from tests.web.page.conftest import Visit
from tests.web.page.person import Person

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
PAGE = ROOT / "parley" / "server" / "web" / "page"


def unhurt(person: Person) -> None:
    """Fail if a script has run, or text has become an element."""
    assert person.page.evaluate("window.hacked === undefined")
    strange = (
        "[...document.querySelectorAll('script:not([src]), img:not([src^=\"blob:\"]), iframe')]"
    )
    assert person.page.evaluate(f"{strange}.length") == 0


def test_markup_in_every_field(visit: Visit, make_server: Make, tmp_path: Path) -> None:
    server = make_server("--web", "0", "--rate", "0", "--motd", f"motd {EVIL}").start()
    mal, ann = server.joined("mal"), visit("ann", server=server)
    ann.told(f"motd {EVIL}")
    mal.say(f"text {EVIL}")
    mal.say(f"/me does {EVIL}")
    mal.say('javascript:window.hacked=1 data:text/html,<script> https://ok.example/"onclick="1')
    ann.sees(f"text {EVIL}")
    ann.sees(f"does {EVIL}")
    links = ann.page.locator(".message a")
    expect(links).to_have_count(1)
    expect(links).to_have_attribute("href", "https://ok.example/")
    expect(links).to_have_attribute("rel", re.compile("noopener"))
    mal.send(purpose="enter", ref="1", room="#r")
    mal.send(purpose="topic", ref="2", room="#r", text=f"topic {EVIL}")
    mal.send(purpose="away", ref="3", text=f"away {EVIL}")
    mal.until("ok", ref="3")
    expect(ann.page.locator("#people-list")).to_contain_text(f"away {EVIL}")
    ann.page.click("#go-room")
    expect(ann.page.locator("dialog")).to_contain_text(f"topic {EVIL}")
    ann.page.keyboard.press("Escape")
    ann.say("/join r")
    expect(ann.page.locator("#topic")).to_have_text(f"topic {EVIL}")
    ann.say("/join r" + EVIL)
    ann.told("A room's name has letters a to z")
    ann.say("/" + EVIL)
    ann.told("There is no command")
    ann.page.fill("#say", "")
    ann.say("/search text")
    expect(ann.page.locator("dialog [role=option]").last).to_contain_text(f"text {EVIL}")
    ann.page.keyboard.press("Escape")
    mal.send(purpose="disconnect", text=f"bye {EVIL}")
    ann.go("#lobby")
    ann.told(f"bye {EVIL}")
    unhurt(ann)


WELCOME = {
    "purpose": "welcome",
    "nick": "ann",
    "seq": 5,
    "server": "x",
    "version": 1,
    "session": "s",
    "motd": "",
    "rooms": ["#lobby"],
    "users": [],
    "users_total": 1,
    "unread": {},
    "fsync": "always",
    "time": 1.0,
    "limits": {"frame": 65536, "text": 16000, "page": 500, "rate": 0, "burst": 1, "timeout": 90},
}

Server = Callable[[Person, list[Any]], None]


@pytest.fixture
def lying() -> Server:
    """Put a server in the place of the real one that welcomes whoever comes, then says this."""

    def lie(person: Person, events: list[Any]) -> None:
        def connected(socket: WebSocketRoute) -> None:
            def heard(text: str | bytes) -> None:
                request = json.loads(text)
                if request["purpose"] == "join":
                    socket.send(
                        json.dumps({**WELCOME, "id": request["id"], "nick": request["nick"]})
                    )
                    for event in events:
                        socket.send(event if isinstance(event, str) else json.dumps(event))

            socket.on_message(heard)

        person.page.route_web_socket(re.compile("/chat$"), connected)

    return lie


def said(seq: int, **fields: Any) -> dict[str, Any]:
    return {"purpose": "message", "seq": seq, "from": "mal", "id": 1, "to": "#lobby",
            "text": f"message {seq}", "time": 1.0, "size": 1, **fields}  # fmt: skip


def test_a_server_that_lies(visit: Visit, lying: Server) -> None:
    ann = visit()
    lying(
        ann,
        [
            said(6, **{"from": EVIL}),
            said(7, **{"from": "bob\u202eecila"}),
            said(8, text="\u202eevil\u200b\x1b[31m" + "e\u0301" + "\u0300" * 50),
            said(9, time=1e300),
            said(10, time=-5),
            said(11, to=f"#{EVIL}"),
            said(12, file={"name": "x\u202egnp.exe", "size": 1, "sha256": "0" * 64}),
            said(13, **{"from": "__proto__"}),
            {"purpose": "topic", "room": "#lobby", "text": EVIL * 1000, "nick": EVIL, "time": 1},
            {"purpose": "presence", "nick": "x", "status": "online", "since": 0},
            {"purpose": "joined", "nick": EVIL, "id": 1, "time": 0},
            {"purpose": "left", "nick": "x", "id": 1, "time": 0, "reason": "constructor"},
            {"purpose": "from-the-future", "anything": [1, 2]},
            {"purpose": "error", "code": 1, "error": "toString", "text": EVIL},
            said(14, text="still here"),
        ],
    )
    ann.come("ann")
    ann.sees("still here")
    ann.sees("bob<U+202E>ecila")
    marks = ann.sees("<U+202E>evil<U+200B>␛[31m").locator(".text").text_content() or ""
    assert marks.count("<U+0300>") == 47, "four marks on a letter, no more"
    assert ann.page.get_by_label("Fetch x").count() == 0
    ann.told(EVIL[:40])
    unhurt(ann)


@pytest.mark.parametrize(
    "broken",
    ["no json", "[]", '{"purpose": 3}', '{"purpose": "message", "seq": "1"}',
     '{"purpose": "history", "messages": [{"seq": 1}], "end": true, "replay": true}',
     '{"purpose": "message", "seq": 9007199254740993, "from": "a", "id": 1, "to": "#lobby", '
     '"text": "", "time": 1}'],
)  # fmt: skip
def test_what_is_no_event_ends_the_connection(visit: Visit, lying: Server, broken: str) -> None:
    ann = visit()
    lying(ann, [broken])
    ann.knock("ann")
    expect(ann.page.locator("#connection")).to_contain_text("No connection: the server sent")


def test_a_welcome_for_somebody_else_is_refused(visit: Visit) -> None:
    ann = visit()

    def connected(socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: socket.send(json.dumps({**WELCOME, "id": 1, "nick": "other"})))

    ann.page.route_web_socket(re.compile("/chat$"), connected)
    ann.knock("ann")
    expect(ann.page.locator("#gate-trouble")).to_contain_text("welcomes somebody else")


def test_a_server_that_cannot_prove_itself(visit: Visit) -> None:
    """It knows no password, and lets one in all the same to be trusted (RFC 5802, 5)."""
    ann = visit()

    def connected(socket: WebSocketRoute) -> None:
        def heard(text: str | bytes) -> None:
            request = json.loads(text)
            if request["purpose"] == "login":
                nonce = request["data"].partition("r=")[2]
                data = f"r={nonce}more,s=c2FsdHNhbHRzYWx0,i=4096"
                socket.send(json.dumps({"purpose": "challenge", "data": data}))
            else:
                final = {**WELCOME, "id": 1, "nick": "Alice", "account": True, "data": "v=AAAA"}
                socket.send(json.dumps(final))

        socket.on_message(heard)

    ann.page.route_web_socket(re.compile("/chat$"), connected)
    ann.knock("Alice", "123")
    expect(ann.page.locator("#gate-trouble")).to_contain_text("could not prove")
    expect(ann.page.locator("#gate-form")).to_be_visible()


def test_no_way_from_text_to_code() -> None:
    """No module of the page makes markup or code of a text, or loads anything from elsewhere."""
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
        r"|DOMParser|createContextualFragment|setHTML|\bstyle\s*=\s*[\"']|\son[a-z]+\s*=\s*[\"']"
        r"|setTimeout\(\s*[\"'`]|import\(|javascript:"
    )
    files = [file for file in PAGE.iterdir() if file.suffix in (".js", ".html", ".css", ".svg")]
    assert len(files) > 20
    for file in files:
        text = file.read_text()
        assert not ways.search(text), (file.name, ways.search(text))
        for address in re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"')]*", text):
            assert address == "http://www.w3.org/2000/svg", (file.name, address)
