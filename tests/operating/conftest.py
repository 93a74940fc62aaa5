"""Asking a running server how it is, over its side door."""

import re
import urllib.error
import urllib.request
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ChatServer

PATIENCE = 10.0


class Answer(NamedTuple):
    """What came over HTTP."""

    status: int
    type: str
    text: str


def side_port(server: ChatServer) -> int:
    """Return the port of the last start that its metrics are on."""
    found = re.findall(r"metrics on http://[^ ]*:(\d+)/metrics", server.said)
    assert found, server.said
    return int(found[-1])


def ask(server: ChatServer, path: str, accept: str = "") -> Answer:
    """GET ``path``."""
    url = f"http://127.0.0.1:{side_port(server)}{path}"
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return Answer(reply.status, reply.headers["Content-Type"], reply.read().decode())
    except urllib.error.HTTPError as problem:
        with problem:
            return Answer(problem.code, problem.headers["Content-Type"], problem.read().decode())


def metrics(server: ChatServer) -> dict[str, float]:
    """Return every sample by its name, with labels if it has some, as Prometheus reads them."""
    answer = ask(server, "/metrics")
    assert answer.status == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
