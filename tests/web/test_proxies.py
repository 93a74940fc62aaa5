"""Behind a reverse proxy: whose a connection is, and who is believed that says so."""

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.server.web.proxies import ForwardedError, Proxies
from tests.conftest import ROOT, ChatServer, Make, until
from tests.web.conftest import web_port
from tests.web.webwire import WebWire
from tests.wire import PATIENCE

OURS = Proxies([ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("2001:db8:f::/48")])
XFF, STANDARD = "x-forwarded-for", "forwarded"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "127.0.0.1"),
        ({XFF: "203.0.113.7"}, "203.0.113.7"),
        ({XFF: " 203.0.113.7\t"}, "203.0.113.7"),
        ({XFF: "1.2.3.4, 203.0.113.7"}, "203.0.113.7"),  # the first is the client's own word
        ({XFF: "what?, 203.0.113.7"}, "203.0.113.7"),
        ({XFF: "1.2.3.4, 203.0.113.7, 10.1.1.1"}, "203.0.113.7"),
        ({XFF: "203.0.113.7, 10.1.1.1, 127.0.0.1"}, "203.0.113.7"),
        ({XFF: "10.2.2.2, 10.1.1.1"}, "10.2.2.2"),  # all are ours: whoever began
        ({XFF: "203.0.113.7:4711"}, "203.0.113.7"),
        ({XFF: "2001:DB8::7"}, "2001:db8::7"),
        ({XFF: "[2001:db8::7]:4711"}, "2001:db8::7"),
        ({XFF: "::ffff:203.0.113.7"}, "203.0.113.7"),
        ({XFF: "203.0.113.7, ::ffff:10.1.1.1"}, "203.0.113.7"),
        ({XFF: "203.0.113.7, 2001:db8:f::1"}, "203.0.113.7"),
        ({STANDARD: "for=203.0.113.7"}, "203.0.113.7"),
        ({STANDARD: 'For="[2001:db8::7]:4711";proto=https;by=10.1.1.1'}, "2001:db8::7"),
        ({STANDARD: 'for=1.2.3.4, for="203.0.113.7:_port";host="a,b;c"'}, "203.0.113.7"),
        ({STANDARD: "for=203.0.113.7 , by=x;for=10.1.1.1, "}, "203.0.113.7"),
        ({STANDARD: r'for="203.0.113.\7";x="\"for=1.2.3.4\""'}, "203.0.113.7"),
    ],
)
def test_the_last_stranger_is_the_client(headers: dict[str, str], client: str) -> None:
    assert OURS.client("127.0.0.1", headers) == client


@pytest.mark.parametrize(
    "headers",
    [
        {XFF: ""},
        {XFF: "unknown"},
        {XFF: "203.0.113.7,"},
        {XFF: "203.0.113"},
        {XFF: "203.0.113.7 198.51.100.2"},
        {XFF: "203.0.113.007"},
        {XFF: "2001:db8::7%eth0"},
        {XFF: "[2001:db8::7"},
        {XFF: "٢.2.2.2"},
        {XFF: "what?, 10.1.1.1"},
        {STANDARD: ""},
        {STANDARD: "203.0.113.7"},
        {STANDARD: "for=unknown"},
        {STANDARD: "for=_hidden"},
        {STANDARD: "by=203.0.113.7"},
        {STANDARD: "for=203.0.113.7;for=198.51.100.2"},
        {STANDARD: "for=[2001:db8::7]"},  # has to stand in quotes
        {STANDARD: 'for="203.0.113.7'},
        {STANDARD: 'for=198.51.100.2;x=", for="[2001:db8::7]"'},  # a quote that swallows the next
        {XFF: "203.0.113.7", STANDARD: "for=203.0.113.7"},
    ],
)
def test_what_makes_no_sense_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ForwardedError):
        OURS.client("127.0.0.1", headers)


def test_who_was_not_named_is_not_believed() -> None:
    headers = {XFF: "203.0.113.7", STANDARD: "nonsense"}
    for address in ("127.0.0.2", "192.0.2.1", "::1", "fe80::1%eth0"):
        assert OURS.client(address, headers) == address
    assert Proxies([]).client("127.0.0.1", headers) == "127.0.0.1"


@given(st.text('for=;,"\\ 1.:[]', max_size=60), st.sampled_from((XFF, STANDARD)))
def test_nothing_that_comes_before_counts(said: str, header: str) -> None:
    """Whatever a client says, behind it stands the proxy's word: that, or a refusal."""
    seen = "203.0.113.7" if header == XFF else 'for="203.0.113.7"'
    with contextlib.suppress(ForwardedError):
        assert OURS.client("127.0.0.1", {header: f"{said}, {seen}"}) == "203.0.113.7"


# The program


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, demo_users: str) -> Iterator[ChatServer]:
    """A server that believes 127.0.0.1, with two connections an address."""
    data = tmp_path_factory.mktemp("proxied")
    (data / "users.json").write_text(
        demo_users.replace('"Bob": {', '"Bob": {"role": "moderator", ')
    )
    options = ("--web", "0", "--web-proxy", "127.0.0.1, 10.0.0.0/8", "--address-clients", "2")
    server = ChatServer(data, "--rate", "0", "--exempt", "10.0.0.0/8", *options).start()
    yield server
    server.end()
    assert "Traceback" not in server.said, server.said


Come = Callable[..., WebWire]


@pytest.fixture
def come() -> Iterator[Come]:
    """Connect by WebSocket from somewhere; all are closed afterwards."""
    made: list[WebWire] = []

    def come_(server: ChatServer, nick: str, **headers: str) -> WebWire:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        made.append(WebWire(web_port(server), headers=given))
        made[-1].join(nick)
        return made[-1]

    yield come_
    for wire in made:
        wire.close()


def get(server: ChatServer, path: str = "/", **headers: str) -> int:
    """Return the status of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", web_port(server), timeout=PATIENCE)
    with contextlib.closing(connection):
        return status(connection, path, {n.replace("_", "-"): v for n, v in headers.items()})


def status(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> int:
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_limits_of_an_address_hold_for_the_real_one(proxied: ChatServer, come: Come) -> None:
    one = come(proxied, "ann", X_Forwarded_For="1.2.3.4, 203.0.113.7")
    come(proxied, "ben", X_Forwarded_For="203.0.113.7, 10.1.1.1")
    assert get(proxied, X_Forwarded_For="203.0.113.7") == 429
    assert get(proxied, Forwarded="for=203.0.113.7") == 429
    come(proxied, "cyd", Forwarded='for="198.51.100.2:81"')
    assert get(proxied, X_Forwarded_For="198.51.100.2") == 200
    assert re.search(r"joined nick=ann id=1 address=203\.0\.113\.7 ", proxied.said)
    one.close()
    until(lambda: get(proxied, X_Forwarded_For="203.0.113.7") == 200, "the place is free again")


def test_a_connection_that_a_proxy_keeps_is_whose_request_it_carries(
    proxied: ChatServer, come: Come
) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", web_port(proxied), timeout=PATIENCE)
    with contextlib.closing(kept):
        for number in [1, 2, 1, 1, 2] * 4:
            assert status(kept, "/", {"X-Forwarded-For": f"192.0.2.{number}"}) == 200
        come(proxied, "dan", X_Forwarded_For="192.0.2.1")
        come(proxied, "eva", X_Forwarded_For="192.0.2.1")
        assert status(kept, "/", {"X-Forwarded-For": "192.0.2.1"}) == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "unknown"},
        {"Forwarded": "for=_hidden"},
        {"X_Forwarded_For": "192.0.2.9", "Forwarded": "for=192.0.2.9"},
    ],
)
def test_what_a_proxy_says_without_sense_gets_400(
    proxied: ChatServer, headers: dict[str, str]
) -> None:
    for path in ("/", "/chat", "/files/x"):
        assert get(proxied, path, **headers) == 400


def test_a_ban_by_address_keeps_out_that_one_alone(proxied: ChatServer, come: Come) -> None:
    bob = proxied.wire()
    assert bob.login("Bob", "456")["account"]
    come(proxied, "fay", X_Forwarded_For="192.0.2.66")
    bob.send(purpose="ban", ref="b", nick="fay", address=True)
    bob.until("ok", ref="b")
    other = WebWire(web_port(proxied), headers={"X-Forwarded-For": "192.0.2.66"})
    other.send(purpose="join", nick="gus", id=1, time=0)
    other.error("BANNED")
    other.close()
    come(proxied, "gus", X_Forwarded_For="192.0.2.67")
    bob.close()


def test_without_the_option_nobody_is_believed(make_server: Make, come: Come) -> None:
    server = make_server("--web", "0").start()
    come(server, "ann", X_Forwarded_For="203.0.113.7", Forwarded="nonsense")
    assert "joined nick=ann id=1 address=127.0.0.1 " in server.said


def test_what_is_no_network_is_bad_usage(make_server: Make) -> None:
    server = make_server("--web", "0", "--web-proxy", "proxy.example.org")
    server.launch(port=0)
    assert server.wait() == 2


# nginx, as docs/WEB.md has it


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def documented(port: int, behind: int) -> str:
    """Return the example of the documentation, without TLS, on these ports."""
    text = (ROOT / "docs" / "WEB.md").read_text()
    example = re.search(r"^    map \$http_upgrade.*?^    }$", text, re.MULTILINE | re.DOTALL)
    assert example
    plain = re.sub(r" *ssl_certificate.*\n", "", example[0])
    plain = plain.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    assert plain.count("http://127.0.0.1:8080") == 2
    return plain.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{behind}")


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[ChatServer], int]]:
    """Run nginx before a server, and return its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("needs nginx: apt-get install nginx-light")
    running: list[subprocess.Popen[bytes]] = []

    def start(server: ChatServer) -> int:
        port = free_port()
        paths = "".join(
            f"{name}_temp_path {tmp_path / name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {tmp_path / 'pid'}; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {paths}\n"
            f"{documented(port, web_port(server))}\n}}\n"
        )
        command = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        running.append(subprocess.Popen(command, stderr=(tmp_path / "said").open("wb")))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, (tmp_path / "said").read_text()
                time.sleep(0.02)

    yield start
    for process in running:
        process.terminate()
        process.wait(PATIENCE)


def test_behind_nginx_as_documented(make_server: Make, nginx: Callable[[ChatServer], int]) -> None:
    limits = ("--exempt", "none", "--address-clients", "2")
    server = make_server("--web", "0", "--web-proxy", "127.0.0.1", *limits).start()
    port = nginx(server)
    lies: dict[str, str | None] = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"}

    def from_(address: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))

    ann = WebWire(port, sock=from_("127.0.0.2"), headers=lies)
    ann.join("ann")
    ann.say("through a proxy")
    assert "joined nick=ann id=1 address=127.0.0.2 " in server.said
    data = bytes(range(256)) * 4000
    ann.send(purpose="put", ref="p", name="a.bin", size=len(data), sha256=sha256(data).hexdigest())
    ticket = ann.until("ticket", ref="p")["ticket"]
    web = http.client.HTTPConnection("127.0.0.1", port, PATIENCE, ("127.0.0.2", 0))
    web.request("PUT", f"/files/{ticket}", data)
    answer = web.getresponse()
    assert answer.read() and answer.status == 201
    ann.send(purpose="get", ref="g", name="a.bin")
    ticket = ann.until("ticket", ref="g")["ticket"]
    web.request("GET", f"/files/{ticket}", headers={"Range": "bytes=1000-"})
    answer = web.getresponse()
    assert (answer.status, answer.read()) == (206, data[1000:])
    web.close()
    ben = WebWire(port, sock=from_("127.0.0.2"))
    web = http.client.HTTPConnection("127.0.0.1", port, PATIENCE, ("127.0.0.2", 0))
    assert status(web, "/", {}) == 429
    other = WebWire(port, sock=from_("127.0.0.3"))
    other.join("cyd")
    for wire in (ann, ben, other):
        wire.close()
    web.close()
