"""A real ``holdfast serve`` process on a site directory of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from bot.app import build
from bot.chat.client import Client
from bot.config import load
from bot.demo import oops
from bot.errors import HoldfastError
from bot.layout import lay_out
from tests.machine import PATIENCE, free_port

PEOPLE = {
    "dana": {"name": "Dana", "roles": ["commander"], "slack": "U02COMMANDER"},
    "alex": {"name": "Alex", "roles": ["approver"]},
    "sam": {"name": "Sam", "roles": ["responder"], "slack": "U01ONCALL"},
}

# Plain HTTP on loopback. A client for each request would read whom TLS trusts, 50 ms of CPU for each
# look of a test that waits; a connection that is kept may have died with its bot.
HTTP = httpx.Client(
    verify=False,
    trust_env=False,
    timeout=10 * PATIENCE,
    limits=httpx.Limits(max_keepalive_connections=0),
)


class Bot:
    """The bot under test: started, killed and asked from outside, as people do."""

    program: Sequence[str] = (sys.executable, "-m", "bot")

    def __init__(self, site: Path, **config: Any) -> None:
        self.site = site
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None
        lay_out(site)
        whole = {
            "fleet": {
                "inventory": "inventory.ini",
                "ssh_options": [
                    "ControlMaster=no",
                    "ServerAliveInterval=2",
                    "ServerAliveCountMax=3",
                    "KexAlgorithms=curve25519-sha256",
                ],
                "connect_timeout": 3,
            },
            "people": PEOPLE,
            "retry": {"first": "2s", "max": "5s"},
            "hold": {"interval": "2s"},
            **config,
        }
        (site / "holdfast.yml").write_text(yaml.safe_dump(whole))

    @classmethod
    def beside(cls, other: Bot) -> Bot:
        """Return another process on the same site directory."""
        bot = cls.__new__(cls)
        bot.site, bot.process = other.site, None
        bot.url = f"http://127.0.0.1:{free_port()}"
        return bot

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tokens(self, *people: str) -> dict[str, str]:
        """Make tokens as `holdfast token create` does."""
        app = build(load(self.site / "holdfast.yml"))
        try:
            return {person: app.identities.create_token(person) for person in people}
        finally:
            app.close()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        config = ["--config", str(self.site / "holdfast.yml")]
        command = [*self.program, *config, "serve", "--listen", self.url.removeprefix("http://")]
        with (self.site / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, 90, lambda: (self.site / "serve.log").read_text()[-2000:])

    def _answers(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, (
            f"it ended with {code}: {(self.site / 'serve.log').read_text()[-2000:]}"
        )
        return HTTP.get(f"{self.url}/healthz").status_code == 200

    def kill(self) -> None:
        """Kill the process with SIGKILL: no cleanup of any kind."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10 * PATIENCE)

    def stop(self) -> None:
        """End the process as a service manager does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30 * PATIENCE)

    def client(self, token: str = "") -> Client:
        """Return a client of this bot."""
        return Client(self.url, token)

    def cli(self, *words: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """Run the real command line against this bot."""
        env = {**os.environ, "HOLDFAST_URL": self.url, "HOLDFAST_TOKEN": token}
        env["HOLDFAST_CONFIG"] = str(self.site / "holdfast.yml")
        return subprocess.run(
            [sys.executable, "-m", "bot", *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            check=False,
        )

    def tell(self, token: str, *words: str) -> None:
        """Give a command that must be carried out; without a process of its own, as the console."""
        with self.client(token) as client:
            assert client.say(words).exit_code == 0, words

    def post(self, *alerts: Mapping[str, Any]) -> httpx.Response:
        """Post alerts as Alertmanager does."""
        return HTTP.post(f"{self.url}/intake/alertmanager", json=oops.webhook(*alerts))

    def health(self) -> dict[str, Any]:
        """Return what /healthz says."""
        found: dict[str, Any] = HTTP.get(f"{self.url}/healthz").json()
        return found

    def status(self, incident: str = "INC-1") -> dict[str, Any]:
        """Return an incident's status object."""
        with self.client() as client:
            data = client.say(["status", incident]).data
        assert isinstance(data, dict)
        return data

    def hosts(self, incident: str = "INC-1") -> dict[str, dict[str, Any]]:
        """Return every host row by name."""
        with self.client() as client:
            return {row["host"]: row for row in client.say(["hosts", incident]).data}

    def timeline(self, incident: str = "INC-1") -> list[dict[str, Any]]:
        """Return the timeline."""
        with self.client() as client:
            entries: list[dict[str, Any]] = client.say(["timeline", incident]).data
        return entries

    def proposal(self, state: str, incident: str = "INC-1", seconds: float = 60) -> dict[str, Any]:
        """Wait until the newest proposal is in a state and return it."""
        found: dict[str, Any] = {}

        def ready() -> bool:
            proposals = self.status(incident)["proposals"]
            if proposals and proposals[-1]["state"] == state:
                found.update(proposals[-1])
            return bool(found)

        wait_for(ready, seconds, lambda: self.log(incident))
        return found

    def log(self, incident: str = "INC-1") -> str:
        """Return the timeline as text, for a failing test."""
        return json.dumps([f"{e['kind']}: {e['text']}" for e in self.timeline(incident)], indent=1)


def wait_for(
    ready: Callable[[], bool], seconds: float, say: Callable[[], str] | None = None
) -> None:
    """Wait until something is true; fail with what there was to see.

    ``seconds`` is for a machine of one's own; a shared one with more tests than cores is given more.
    """
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    pause = 0.05
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (HoldfastError, httpx.HTTPError):
            pass
        time.sleep(pause)  # looks cost the bot CPU too: more seldom where it takes longer
        pause = min(0.25, 1.3 * pause)
    detail = say() if say else ""
    raise AssertionError(f"waited {seconds:.0f} s in vain\n{detail}")
