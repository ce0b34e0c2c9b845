"""How soon Slack is answered: 100 commands at once while 20 rollouts run. ``python -m bench.slack``.

The bot's Slack side is the real one, over a real WebSocket or signed HTTP, on a real database.
The rollouts are simulated: 20 incidents with a wave that runs, whose hosts answer all the time, so
that the outbox has progress to show. Then the connection is cut and mended, and it is measured how
long it takes until the bot is connected again. Run it in the enclave:
``python -m bot.demo.enclave python -m bench.slack [socket|http] [ROUNDS]``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bot.chat.identity import Identities
from bot.chat.slack import SlackDoor
from bot.clock import SystemClock, stamp
from bot.config import SlackPart
from bot.fleet.inventory import Inventory
from bot.ports import Answer, Run
from bot.rollout.outcome import Raw
from bot.service.site import Site
from bot.store import open_store
from bot.timeline.entry import Draft
from tests.fakes import Sources
from tests.slack_places import LocalSlack
from tests.slack_server import ALERTS, until
from tests.unit.events import PEOPLE, Log

ROLLOUTS, COMMANDS = 20, 100
VERBS = ("status INC-1", "hosts INC-7", "note INC-3 seen", "who", "timeline INC-5")


def rollout(site: Site, number: int) -> str:
    """Open an incident whose second wave runs; return the run's id."""
    incident, clock = f"INC-{number}", site.clock
    log = Log(incident, at=clock.now())
    log.crash("web-01")
    log.matched()
    log.prepare(f"P-{number}", 1)
    log.approve(f"P-{number}")
    log.wave(f"P-{number}", 1, {"db-01": "verified"})
    rows = [
        Draft(key=e.key, kind=e.kind, text=e.text, actor=e.actor, data=e.data) for e in log.entries
    ]
    with site.store.transaction("intake") as tx:
        assert tx.open(f"signature {number}") == incident
        tx.append(incident, *rows)
        hosts = tuple(f"web-{n:03d}" for n in range(200))
        spec = {"wave": 2, "proposal": f"P-{number}", "purpose": "first"}
        run = Run(
            ident=f"{incident}.wave.2", incident=incident, kind="wave", hosts=hosts, spec=spec
        )
        tx.queue(run)
    site.store.claim_run(run.ident, "bench")
    return run.ident


def answering(site: Site, runs: list[str], stop: threading.Event) -> None:
    """Let the hosts of all runs answer one after the other, as supervisors report them."""
    number = 0
    while not stop.is_set():
        now = site.clock.now()
        raw = Raw(host=f"web-{number % 200:03d}", status="ok", at=stamp(now)).as_dict()
        for run in runs:
            site.store.note(run, [Answer(host=raw["host"], began=now, at=now, said=raw)])
        number += 1
        stop.wait(0.2)


def fire(port: str, user: str) -> None:
    """Type all commands at once, in a process of its own; print the seconds of each ack."""
    found: list[float] = []
    client = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=COMMANDS))
    ready = threading.Barrier(COMMANDS)

    def one(text: str) -> None:
        body = {"channel": ALERTS, "user": user, "command": "/incident", "text": text}
        ready.wait()
        began = time.monotonic()
        client.post(f"http://127.0.0.1:{port}/_control/command", json=body)
        found.append(time.monotonic() - began)

    threads = [threading.Thread(target=one, args=(VERBS[n % len(VERBS)],)) for n in range(COMMANDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(sorted(found)))


def floor(place: LocalSlack) -> float:
    """Return how long the last of as many requests takes that never reach the bot, in seconds."""
    url, found = f"http://127.0.0.1:{place.server.port}/_control/log", list[float]()
    client = httpx.Client(timeout=30, limits=httpx.Limits(max_connections=COMMANDS))

    def one() -> None:
        began = time.monotonic()
        client.get(url)
        found.append(time.monotonic() - began)

    threads = [threading.Thread(target=one) for _ in range(COMMANDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(found)


def together(place: LocalSlack) -> list[float]:
    """Return the seconds until each of the commands was acknowledged, in order."""
    port = str(place.server.port)
    command = [sys.executable, "-m", "bench.slack", "fire", port, place.oncall]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    found: list[float] = json.loads(told.stdout)
    return found


def acknowledged(place: LocalSlack, site: Site, rounds: int) -> None:
    """Measure with the bot alone in its process: its calls do not pass the fault proxy here."""
    runs = [rollout(site, number) for number in range(1, ROLLOUTS + 1)]
    stop = threading.Event()
    hosts = threading.Thread(target=answering, args=(site, runs, stop))
    hosts.start()
    try:
        with connected(place, site, api_url=f"http://127.0.0.1:{place.server.port}/api/"):
            last = f"INC-{ROLLOUTS}"
            until(lambda: len(site.store.posted(last)) >= 2, "all cards are posted", 120)
            for number in range(rounds):
                took = together(place)
                print(
                    f"{place.name}: {COMMANDS} commands at once, {ROLLOUTS} rollouts: ack median "
                    f"{statistics.median(took):.3f} s, 95th {took[94]:.3f} s, max {took[-1]:.3f} s "
                    f"(round {number + 1}; load {os.getloadavg()[0]:.0f}, the server alone takes "
                    f"{floor(place):.3f} s for as many requests)"
                )
    finally:
        stop.set()
        hosts.join()


def reconnected(place: LocalSlack, site: Site, rounds: int) -> None:
    """Cut the line and mend it, and measure how long the bot takes to be connected again."""
    with connected(place, site) as door:
        for _ in range(rounds):
            place.cut()
            until(lambda: not door.health()["connected"], "the gap is seen", 30)
            place.mend()
            began = time.monotonic()
            until(lambda: door.health()["connected"], "connected again", 30)
            took = time.monotonic() - began
            print(f"{place.name}: connected again {took:.2f} s after Slack is back")


@contextmanager
def connected(place: LocalSlack, site: Site, **settings: str) -> Iterator[SlackDoor]:
    """Yield a door that is connected."""
    ids = Identities(
        store=site.store, people=PEOPLE, slack={place.commander: "kim", place.oncall: "robin"}
    )
    door = SlackDoor(
        site,
        ids,
        SlackPart(**{"replay": 0.0, **place.config(), **settings}),
        known=lambda: Inventory(hosts={"web-01": {}}),
        page_url="http://127.0.0.1:8420",
        pace=0.1,
    )
    if place.listener is not None:
        place.listener.door = door
    door.start()
    try:
        until(lambda: door.health()["connected"], "the bot connects")
        yield door
    finally:
        door.stop()


def main(mode: str = "socket", rounds: str = "3") -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        store = open_store(f"sqlite:///{folder}/holdfast.db", secret=b"key", clock=clock)
        site = Site(store=store, clock=clock, sources=Sources(["web-01"]), people=PEOPLE)
        place = LocalSlack(Path(folder), mode)
        try:
            acknowledged(place, site, int(rounds))
            reconnected(place, site, int(rounds))
        finally:
            place.close()
            store.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["fire"]:
        fire(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
