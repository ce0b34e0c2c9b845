"""How long until what a host said is in the store: ``make bench-progress``.

A real fleet, a real proposal and its real waves, each by a real supervisor over real Ansible. The
supervisor of this bench is the product's, with a stopwatch around the store's ``note``: from the
moment at which Ansible's process made a host's final event to the moment at which it was committed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.cli import main as holdfast
from bot.clock import parse
from bot.demo.fleet import KNOB, Fleet, plan
from bot.ports import Answer
from bot.runner.ansible import Results
from bot.runner.launch import Launcher
from bot.store import SqlStore
from tests.acceptance.bot import Bot
from tests.acceptance.test_night import crash

HOSTS = 50
LIMIT = 0.25
TOLD = "HOLDFAST_BENCH_PROGRESS"
KINDS = ("probe", "preview", "wave", "retry", "readback", "check")
PATIENCE = 200
"""Seconds for one stage."""


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


class Timed(Bot):
    """The product's bot, whose supervisors are those of this file."""

    program = (sys.executable, __file__, "serve")


def serve() -> None:
    """Be ``holdfast serve``, but start this file's supervisor for every run."""

    def command(self: Launcher, ident: str) -> list[str]:
        return [sys.executable, __file__, "supervise", "--config", str(self.config), "run", ident]

    Launcher.command = command  # type: ignore[method-assign]
    Launcher.serve = _none  # type: ignore[method-assign,assignment]
    sys.argv = ["holdfast", *sys.argv[2:]]
    holdfast()


def _none(_launcher: Launcher) -> None:
    """Start no fork server: it would fork the product's own supervisor."""


def measure(count: int) -> dict[str, list[tuple[float, float]]]:
    """Roll out over so many hosts; return what each final answer took, by kind of run.

    In seconds: until it was stored, and until it had come to the supervisor.
    """
    with tempfile.TemporaryDirectory() as place:
        told = Path(place, "told")
        os.environ[TOLD] = str(told)
        with Fleet(Path(place, "fleet"), plan(count, unpatched=0)) as fleet:
            override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
            bot = Timed(Path(place, "site"), overrides=override, hold={"interval": "1h"})
            fleet.write_inventory(bot.site / "inventory.ini")
            with bot:
                crash(bot, "web-01")
                bot.proposal("open", seconds=PATIENCE)
                assert bot.cli("approve", "P-1", token=bot.tokens("dana")["dana"]).returncode == 0
                bot.proposal("done", seconds=PATIENCE)
        found: dict[str, list[tuple[float, float]]] = {}
        for line in told.read_text().splitlines():
            run, stored, reached = json.loads(line)
            kind = next(kind for kind in KINDS if f".{kind}." in run)
            found.setdefault(kind, []).append((stored, reached))
        return found


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
    {"supervise": supervise, "serve": serve}.get(sys.argv[1] if sys.argv[1:] else "", main)()
