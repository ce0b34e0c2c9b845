"""One proposal, approved and aborted again and again: the state is put back in between."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bot.clock import parse
from bot.demo.fleet import KNOB, Fleet
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.chaos import PATIENCE, clean, processes, proposed, writers
from tests.acceptance.ledger import sysctl
from tests.acceptance.test_night import agree

OVERRIDE = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
LATEST = 9.0
"""Seconds after the start at which the last abort comes: the rollout takes about as long."""
SOON = 1.5
"""The same after the first process that writes was seen, for three of four aborts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """One abort: the seconds from its acceptance until the last process of a write was gone.

    ``busy``: there were such processes when it was given.
    """

    seconds: float
    busy: bool


def aborts(place: Path, count: int, chance: random.Random) -> Iterator[Abort]:
    """Abort ``count`` times, at random moments of a rollout.

    Nothing may come back, and what the bot then says of the hosts has to be so.
    """
    config = {"overrides": OVERRIDE, "approvals": {"expiry": "1d"}}
    with proposed(place, sysctl, **config) as (bot, fleet, token):
        bot.stop()
        state, kept = bot.site / "state", bot.site / "kept"
        shutil.copytree(state, kept)
        for number in range(count):
            shutil.rmtree(state)
            shutil.copytree(kept, state)
            _undo(fleet)
            bot.start()
            yield _abort(bot, fleet, token, chance)
            if number % 5 == 4:
                wait_for(lambda: bot.status()["hosts"]["unknown"] == 0, PATIENCE, bot.log)
                agree(bot, fleet)
                clean(bot)
            bot.kill()
            for process in processes(bot):  # reading back; what writes was seen to be gone
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def _undo(fleet: Fleet) -> None:
    """Take the value off every host, as if nothing had been done there."""
    for name in fleet.hosts:
        undone = f"rm -f /etc/sysctl.d/99-zz-*; sysctl -q -w {KNOB}=1 2>/dev/null || true"
        assert fleet.run(name, "sh", "-c", undone).returncode == 0


def _abort(bot: Bot, fleet: Fleet, token: str, chance: random.Random) -> Abort:
    with bot.client(token) as client:
        client.say(["approve", "P-1"])
        wait_for(lambda: bot.status()["proposals"][0]["state"] not in {"open", "approved"}, 60)
        if chance.random() < 0.75:
            wait_for(lambda: bool(writers(bot)), PATIENCE, bot.log)
            time.sleep(chance.uniform(0, SOON))
        else:
            time.sleep(chance.uniform(0, LATEST))
        busy = bool(writers(bot))
        client.say(["abort", "P-1"])
    gone = _gone(bot)
    (entry,) = [e for e in bot.timeline() if e["kind"] == "rollout.aborted"]
    took = Abort(seconds=max(0.0, gone - parse(entry["at"]).timestamp()), busy=busy)
    for name, row in bot.hosts().items():
        if row["outcome"] == "verified":
            assert fleet.read(name, KNOB) == "0", name
    time.sleep(0.2)
    assert writers(bot) == [], "something came back"
    return took


def _gone(bot: Bot) -> float:
    """Return when no process of a write was left, in seconds since the epoch."""
    end = time.monotonic() + PATIENCE
    while left := writers(bot):
        assert time.monotonic() < end, left
        time.sleep(0.01)
    return time.time()


def figures(took: Sequence[float]) -> dict[str, float]:
    """Return what is said of durations (seconds, at least one): median, p95 and most."""
    ordered = sorted(took)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {
        "median": round(statistics.median(ordered), 3),
        "p95": round(p95, 3),
        "most": round(ordered[-1], 3),
    }
