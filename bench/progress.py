"""How long until what a host said is in the store: ``make bench-progress``.

A real fleet, a real proposal and its real waves, each by a real supervisor over real Ansible. The
supervisor of this bench is the product's, with a stopwatch around the store's ``note``: from the
moment at which Ansible's process made a host's final event to the moment at which it was committed.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.app import App, build, start_workers
from bot.cli import main as holdfast
from bot.clock import parse, stamp
from bot.config import load
from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet, plan
from bot.incident.fold import fold
from bot.incident.state import ProposalState
from bot.intake import alertmanager
from bot.layout import lay_out
from bot.ports import Answer
from bot.runner import launch
from bot.runner.ansible import Results
from bot.service.approve import approve
from bot.service.receive import receive
from bot.store import SqlStore
from bot.timeline.entry import Actor

HOSTS = 50
LIMIT = 0.25
TOLD = "HOLDFAST_BENCH_PROGRESS"
KINDS = ("probe", "preview", "wave", "retry", "readback", "check")
DANA = Actor(id="dana", name="Dana", via="cli")
CONFIG = {
    "fleet": {
        "inventory": "inventory.ini",
        "ssh_options": [
            "ControlMaster=no",
            "ServerAliveInterval=2",
            "ServerAliveCountMax=3",
            "KexAlgorithms=curve25519-sha256",
        ],
    },
    "people": {"dana": {"name": "Dana", "roles": ["commander"]}},
    "overrides": {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}},
    "hold": {"interval": "1h"},
}


def supervise() -> None:
    """Be ``holdfast run IDENT`` with a stopwatch."""
    plain, told = SqlStore.note, Path(os.environ[TOLD])  # Ansible gets another environment

    close, reached = Results._close, {}  # noqa: SLF001 - the stopwatch's other button

    def closed(self: Results, host: str, created: str) -> None:
        reached[host] = time.time() - parse(created).timestamp()
        close(self, host, created)

    def note(self: SqlStore, run: str, said: Sequence[Answer]) -> bool:
        kept = plain(self, run, said)
        now = time.time()
        with told.open("a") as file:
            for one in said:
                if one.at is not None:
                    file.write(
                        json.dumps([run, now - one.at.timestamp(), reached[one.host]]) + "\n"
                    )
        return kept

    SqlStore.note = note  # type: ignore[method-assign]
    Results._close = closed  # type: ignore[method-assign]  # noqa: SLF001
    sys.argv = ["holdfast", *sys.argv[2:]]
    holdfast()


class Launcher(launch.Launcher):
    """Starts this file's supervisor for every run."""

    def command(self, ident: str) -> list[str]:
        """Return the command of a run's supervisor, which notes when each answer came."""
        return [sys.executable, __file__, "supervise", "--config", str(self.config), "run", ident]


def measure(count: int) -> dict[str, list[tuple[float, float]]]:
    """Roll out over so many hosts; return what each final answer took, by kind of run.

    In seconds: until it was stored, and until it had come to the supervisor.
    """
    with tempfile.TemporaryDirectory() as place:
        told, site = Path(place, "told"), Path(place, "site")
        os.environ[TOLD] = str(told)
        with Fleet(Path(place, "fleet"), plan(count, unpatched=0)) as fleet:
            lay_out(site)
            (site / "holdfast.yml").write_text(json.dumps(CONFIG))
            fleet.write_inventory(site / "inventory.ini")
            roll_out(site / "holdfast.yml")
        found: dict[str, list[tuple[float, float]]] = {}
        for line in told.read_text().splitlines():
            run, stored, reached = json.loads(line)
            kind = next(kind for kind in KINDS if f".{kind}." in run)
            found.setdefault(kind, []).append((stored, reached))
        return found


def roll_out(config: Path) -> None:
    """Be the bot: a crash comes in, somebody approves, until all waves are carried out."""
    app, stop = build(load(config)), threading.Event()
    launcher = Launcher(config, app.config.state_dir, app.sources.hand_over)
    workers = start_workers(app, launcher, stop)
    try:
        text = oops.console(oops.ESTATS, "6.12.9-fleet", random.Random(1))
        at = stamp(app.site.clock.now())
        alerts = oops.webhook(oops.crashed("web-01", text, at), oops.down("web-01", at, at))
        read = alertmanager.read(json.dumps(alerts).encode(), app.site.host_labels)
        app.sources.known(patience=60)
        receive(app.site, read, app.sources.known(), DANA)
        wait(app, ProposalState.OPEN)
        approve(app.site, "P-1", DANA)
        wait(app, ProposalState.DONE)
    finally:
        stop.set()
        for _, thread in workers:
            thread.join()
        app.close()


def wait(app: App, state: ProposalState) -> None:
    """Wait until the proposal is in a state."""
    end = time.monotonic() + 900
    while time.monotonic() < end:
        proposal = fold(app.site.store.entries("INC-1")).current
        if proposal is not None and proposal.state is state:
            return
        time.sleep(0.5)
    said = [entry.text for entry in app.site.store.entries("INC-1")]
    raise SystemExit("waited in vain:\n" + "\n".join(said))


def main() -> None:
    """Print median, p99 and most, by kind of run."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else HOSTS
    found = measure(count)
    print("run       answers  median ms  p99 ms  most ms  of these in ansible-runner: median, p99")
    both = [one for part in found.values() for one in part]
    for kind, part in {**found, "all": both}.items():
        told, came = [one[0] for one in part], [one[1] for one in part]
        timed = (statistics.median(told), p99(told), max(told), statistics.median(came), p99(came))
        shown = "  ".join(f"{1000 * one:7.0f}" for one in timed)
        print(f"{kind:8}  {len(told):7}  {shown}")
    whole = [one[0] for one in both]
    print(f"p99 at most {1000 * LIMIT:.0f} ms: {'yes' if p99(whole) <= LIMIT else 'no'}")


def p99(told: Sequence[float]) -> float:
    """Return what 99 of 100 do not exceed."""
    return sorted(told)[min(len(told) - 1, int(0.99 * len(told)))]


if __name__ == "__main__":
    supervise() if sys.argv[1:2] == ["supervise"] else main()
