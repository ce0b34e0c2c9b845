"""A night behind the real HTTP surface: people with tokens, and the doors that they come by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import uvicorn
from fastapi import FastAPI

from bot.app import App
from bot.chat.client import Client
from bot.chat.identity import Identities
from bot.config import Config
from bot.runner.sources import DiskSources
from bot.service.roster import Roster
from bot.web.http import create
from tests.fakes import Night

PATIENCE = 60.0  # a limit for what failed, not for what is slow
SLACK = {"U1": "dana", "U2": "alex", "U3": "eve", "U4": "ro"}


def wired(night: Night) -> App:
    """Return the night as a wired application; ``Ro`` has no role."""
    people = dict(night.site.people)
    return App(
        config=Config(),
        site=night.site,
        sources=cast(DiskSources, night.sources),
        identities=Identities(store=night.store, people=people, slack=SLACK),
        roster=Roster(people, SLACK, {}, night.clock),
        key=b"k",
    )


def web(night: Night) -> tuple[FastAPI, dict[str, str]]:
    """Return the HTTP application and a token for everybody."""
    app = wired(night)
    tokens = {name: app.identities.create_token(name) for name in night.site.people}
    return create(app, lambda: {"ok": True}), tokens


class Served:
    """A night and its HTTP surface on a port of its own."""

    def __init__(self, night: Night) -> None:
        self.night = night
        app, self.tokens = web(night)
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait(lambda: self._server.started)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def client(self, who: str = "", via: str = "console") -> Client:
        return Client(self.url, self.tokens.get(who, ""), via=via)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def wait(until: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
