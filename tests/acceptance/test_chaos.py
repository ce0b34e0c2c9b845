"""Rollouts over twelve real hosts in which whatever carries them is killed, and aborts.

Ten kills and ten aborts with fixed seeds run by default; ``HOLDFAST_SOAK=1`` makes it two hundred
and one hundred. The figures go to the file that ``HOLDFAST_SOAK_LOG`` names; ``bench/soak.py``
adds them up.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from bot.clock import stamp
from bot.demo.enclave import Mode
from bot.demo.fleet import Fleet
from tests.acceptance.aborts import aborts, figures
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.chaos import (
    PATIENCE,
    SIZE,
    Killer,
    bring_home,
    clean,
    kind,
    processes,
    proposed,
    say,
    stage,
    tell,
    writers,
)
from tests.acceptance.ledger import LEDGER, ledger, once_each, patched, slow_ledger
from tests.acceptance.test_night import crash

pytestmark = pytest.mark.fleet

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
ROLLOUTS = range(10) if SOAK else (4,)
KILLS = 20 if SOAK else 10
ABORTS = 100 if SOAK else 10


def test_rollouts_survive_kills_without_a_forgotten_host_or_a_blind_repeat(
    enclave: Mode, tmp_path: Path
):
    """One fleet and one bot carry every rollout: each is an incident of its own."""
    with stage(tmp_path, ledger) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        for number, seed in enumerate(ROLLOUTS, 1):
            for name in fleet.hosts:
                fleet.run(name, "rm", "-f", LEDGER)
            _survive(bot, fleet, token, seed, f"INC-{number}")


def _survive(bot: Bot, fleet: Fleet, token: str, seed: int, incident: str) -> None:
    chance, began = random.Random(seed), time.monotonic()
    crash(bot, "web-01", at=stamp(datetime.now(UTC)))
    bot.proposal("open", incident, seconds=PATIENCE)
    hosts = patched(fleet)

    def settled() -> bool:
        rows = bot.hosts(incident)
        verified = bot.status(incident)["hosts"]["verified"] == len(hosts)
        return verified and all(rows[n]["boot_id"] == fleet.boot_id(n) for n in hosts)

    victims = [Killer.PROCESSES[n % len(Killer.PROCESSES)] for n in range(KILLS)]
    chance.shuffle(victims)
    with Killer(bot, fleet, chance, victims, hosts) as killer:
        say(bot, token, "approve", bot.status(incident)["proposals"][-1]["id"])
        halts = bring_home(bot, token, lambda: killer.done, incident)
    halts += bring_home(bot, token, settled, incident)
    once_each(fleet)
    rows, counts = bot.hosts(incident), bot.status(incident)["hosts"]
    assert set(rows) == set(fleet.hosts)
    assert {rows[name]["value"] for name in hosts} == {"1"}
    assert (counts["verified"], counts["not_applicable"]) == (len(hosts), SIZE - len(hosts))
    assert sum(counts.values()) == SIZE
    assert sum(killer.killed.values()) == KILLS
    say(bot, token, "release", incident)
    clean(bot, incident)
    resumed = killer.resumed(incident)
    assert max(resumed["bot"] + resumed["run"]) < PATIENCE, resumed
    kinds = Counter(e["kind"] for e in bot.timeline(incident))
    say(bot, token, "resolve", incident)
    tell(
        test="chaos",
        seed=seed,
        killed=dict(killer.killed),
        reboots=killer.reboots,
        resumed=resumed,
        lost=kinds["wave.lost"],
        waves=kinds["wave.started"],
        halts=halts,
        forgotten=0,  # asserted above, as are the next two
        repeats=0,
        leaked=0,
        seconds=time.monotonic() - began,
        load=os.getloadavg()[0],
    )


def test_an_abort_leaves_no_process_behind_and_nothing_guessed(enclave: Mode, tmp_path: Path):
    took = []
    for one in aborts(tmp_path, ABORTS, random.Random(ABORTS)):
        took.append(one.seconds)
        load = os.getloadavg()[0]
        tell(test="abort", seconds=one.seconds, busy=one.busy, leaked=0, load=load)
    tell(test="aborts", aborts=len(took), **figures(took))


@pytest.mark.parametrize("given_up", [False, True])
def test_a_supervisor_that_stood_still_goes_on_with_nothing(
    enclave: Mode, tmp_path: Path, *, given_up: bool
):
    """Either its lease alone stops it, for the bot is away as well, or the bot that gives it up.

    Where it is given up it is stopped about when its Ansible begins: continued, it would write.
    """
    with proposed(tmp_path, ledger if given_up else slow_ledger) as (bot, fleet, token):
        say(bot, token, "approve", "P-1")
        supervisor = _at_work(bot, ansible=not given_up)
        if given_up:
            supervisor.suspend()
            wait_for(lambda: "wave.lost" in [e["kind"] for e in bot.timeline()], 60, bot.log)
            with suppress(psutil.NoSuchProcess):
                assert supervisor.status() == psutil.STATUS_ZOMBIE
                supervisor.send_signal(signal.SIGCONT)
        else:
            bot.kill()
            supervisor.suspend()
            wait_for(lambda: {kind(p) for p in writers(bot)} == {"supervisor"}, 20)
            supervisor.resume()
            supervisor.wait(timeout=PATIENCE)
            assert processes(bot) == []
            bot.start()
        bring_home(bot, token, lambda: bot.status()["hosts"]["verified"] == SIZE - 1)
        assert given_up or "stood still for more than 10 s" in bot.log()
        once_each(fleet)


def _at_work(bot: Bot, *, ansible: bool) -> psutil.Process:
    """Return the supervisor of the first wave once it, or its Ansible's ssh, is there."""
    found: list[psutil.Process] = []

    def ready() -> bool:
        kinds = {kind(p): p for p in writers(bot)}
        found[:] = [kinds["supervisor"]] if "supervisor" in kinds else []
        begun = (bot.site / "state" / "runs" / "INC-1.P-1.wave.1.1").exists()
        return bool(found) and ("ssh" in kinds if ansible else begun)

    wait_for(ready, PATIENCE, bot.log)
    return found[0]


def test_a_host_whose_power_is_cut_in_mid_task_is_unreachable_soon_and_read_first(
    enclave: Mode, tmp_path: Path
):
    with proposed(tmp_path, ledger) as (bot, fleet, token):
        for name in fleet.hosts:
            fleet.run(name, "touch", "/run/slow")
        say(bot, token, "approve", "P-1")
        busy: list[str] = []

        def at_work() -> bool:
            busy[:] = [n for n in fleet.hosts if fleet.run(n, "pgrep", "-x", "sleep").stdout]
            return bool(busy)

        wait_for(at_work, PATIENCE, bot.log)
        for name in fleet.hosts:
            fleet.run(name, "rm", "/run/slow")
        fleet.crash(busy[0])
        began = time.monotonic()
        wait_for(lambda: "wave.finished" in [e["kind"] for e in bot.timeline()], 60, bot.log)
        took = time.monotonic() - began
        (wave,) = [e for e in bot.timeline() if e["kind"] == "wave.finished"][:1]
        seen = wave["data"]["outcomes"][busy[0]]
        assert (seen["outcome"], seen["unreachable"], seen["doubt"]) == ("owed", True, True)
        fleet.boot(busy[0])
        bring_home(bot, token, lambda: bot.status()["hosts"]["verified"] == SIZE - 1)
        once_each(fleet)
        assert any(e["text"].startswith("readback: ") for e in bot.timeline())
    tell(test="power cut", seconds=took)
