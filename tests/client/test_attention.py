"""When a person is away for want of keys."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from prompt_toolkit.output import DummyOutput

from framing.errors import ErrorWord
from framing.events import AnyEvent, Error, Ok
from framing.requests import Away
from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store
from parley.client.model.model import Model
from parley.client.screen import attention
from parley.client.screen.attention import Attention
from parley.client.session.joining import Settings
from parley.client.session.session import Session


@pytest.mark.parametrize("refused", [False, True])
def test_to_be_away_is_asked_for_once_until_a_key_is_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    asked: list[str | None] = []
    now = [0.0]
    monkeypatch.setattr(attention, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def run() -> None:
        session = Session(Settings("localhost", 1, "ann", 1), Store(tmp_path), lambda _: None)

        async def ask(make: object) -> AnyEvent:
            request = make("r")  # type: ignore[operator]
            assert isinstance(request, Away)
            asked.append(request.text)
            muted = ErrorWord.MUTED
            return Error(muted.code, muted.value, "", "r") if refused else Ok("r", 1, 0.0)

        monkeypatch.setattr(session, "ask", ask)
        tasks: list[asyncio.Task[None]] = []
        watching = Attention(
            Model("ann"),
            session,
            Preferences({"autoaway": "5"}),
            DummyOutput(),
            lambda: True,
            lambda work: tasks.append(asyncio.ensure_future(work)),
        )
        for now[0] in (0.0, 299.0, 301.0, 302.0, 303.0):
            watching.watch()
            watching.end()
            await asyncio.gather(*tasks)
        assert asked == ["away from the keyboard"]
        watching.key_pressed()
        await asyncio.gather(*tasks)
        assert asked == ["away from the keyboard", None]
        if not refused:  # who has said so stays away as they said
            await session.be_away("lunch")
            now[0] = 999.0
            watching.watch()
            watching.end()
            await asyncio.gather(*tasks)
            assert asked[2:] == ["lunch"]

    with ThreadPoolExecutor(1) as thread:  # in this one a browser's loop may run
        thread.submit(asyncio.run, run()).result()
