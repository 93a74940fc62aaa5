"""Files over bad networks: the real server on one host, the real client on another, and packets
between them lost, late and out of order. Every file is whole, both ways, over TCP and over QUIC."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.badnet import Network, Weather, why_not
from tests.conftest import ROOT, ChatServer

DATA = random.Random(11).randbytes(600_000)

WEATHERS = [
    pytest.param(Weather(), id="nothing"),
    pytest.param(Weather(loss=1), id="1 % lost", marks=pytest.mark.long),
    pytest.param(Weather(loss=5), id="5 % lost"),
    pytest.param(Weather(delay=0.05), id="100 ms", marks=pytest.mark.long),
    pytest.param(Weather(delay=0.05, reorder=25), id="100 ms, reordered", marks=pytest.mark.long),
    pytest.param(Weather(loss=1, delay=0.05, reorder=5), id="100 ms, 1 % lost, reordered"),
]

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(Weather()) as made:
        yield made


@pytest.fixture
def far(network: Network, tmp_path: Path) -> Iterator[ChatServer]:
    """A server on the first host."""
    data = tmp_path / "data"
    data.mkdir()
    network.weather = Weather()
    prefix = tuple(network.inside(0))
    server = ChatServer(data, "--host", network.addresses[0], prefix=prefix).start(port=0)
    yield server
    server.end()


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("udp", ["off", "on"], ids=["tcp", "quic"])
def test_every_file_is_whole_both_ways(
    network: Network,
    far: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weather: Weather,
    udp: str,
) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))
    source = tmp_path / "source.bin"
    source.write_bytes(DATA)
    got = tmp_path / "got"
    got.mkdir()

    def client(nick: str, *options: str) -> tuple[int, str]:
        command = [*network.inside(1), sys.executable, str(ROOT / "chat_client.py")]
        where = [network.addresses[0], str(far.port), nick, "1"]
        more = ["--udp", udp, "--wait", "60"]
        done = subprocess.run(
            [*command, *where, *options, *more], capture_output=True, text=True, timeout=240
        )
        return done.returncode, done.stderr

    network.weather = weather
    before = network.passed, network.lost
    assert client("ann", "--put", str(source)) == (0, "")
    assert client("bob", "--get", "source.bin", "--downloads", str(got)) == (0, "")
    passed, lost = network.passed - before[0], network.lost - before[1]
    assert passed > 2 * len(DATA) / 1500, "it went another way"
    assert lost if weather.loss else True
    assert (far.data / "files" / "source.bin").read_bytes() == DATA
    assert (got / "source.bin").read_bytes() == DATA
