"""Nights in which something is killed at random moments: seeded, on real hosts.

One round runs by default; ``HOLDFAST_SOAK=1`` makes it ten. Aborts at random moments are in
``test_chaos.py``. After each round the bot's words are
compared with the hosts themselves, and with what is left of processes, runs and locks.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.demo.enclave import Mode
from bot.demo.fleet import KNOB, Fleet, HostSpec
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.chaos import PATIENCE, Killer, clean, persist, say, tell
from tests.acceptance.test_night import agree, crash, settled

pytestmark = pytest.mark.fleet

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
NIGHTS = range(10) if SOAK else (35,)


@contextmanager
def stage(place: Path) -> Iterator[tuple[Bot, Fleet]]:
    """Set up a fresh fleet of five hosts and a bot that knows it."""
    specs = [HostSpec(name=f"web-0{n}", pool="web", rack=f"r{n}") for n in range(1, 4)]
    specs += [
        HostSpec(name="db-01", pool="db"),
        HostSpec(name="lb-01", pool="lb", patched=False, release="6.1.119-fleet"),
    ]
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    with Fleet(place / "fleet", specs) as fleet:
        bot = Bot(place / "site", overrides=override)
        fleet.write_inventory(bot.site / "inventory.ini")
        with bot:
            yield bot, fleet


def sabotage(bot: Bot, hosts: Fleet, chance: random.Random) -> Killer:
    """Kill the serving process a few times, and sometimes a supervisor or a host."""
    times = chance.randint(2, 5)
    victims = ["bot"] * times
    run = chance.choice(("probe", "preview", "wave", "wave", "check", "retry", "", ""))
    if run:
        victims.insert(chance.randrange(times), run)
    return Killer(bot, hosts, chance, victims, ["web-02"] if chance.random() < 0.5 else [])


def values(hosts: Fleet) -> dict[str, str | None]:
    return {name: hosts.read(name, KNOB) for name in hosts.hosts if hosts.alive(name)}


def untouched(hosts: Fleet) -> None:
    for name in hosts.hosts:
        if hosts.alive(name):
            assert hosts.read(name, KNOB) in {"1", None}, name
            files = hosts.run(name, "ls", "/etc/sysctl.d").stdout
            assert "holdfast" not in files, name


def ran_once(bot: Bot) -> None:
    """Prove that no run was carried out twice, and no wave blindly again."""
    entries = bot.timeline()
    kinds = [e["kind"] for e in entries]
    assert kinds.count("rollout.started") == 1
    givers = [e["actor"]["id"] for e in entries if e["kind"] == "approval.given"]
    assert givers == ["dana"]
    starts = [e for e in entries if e["kind"] == "wave.started"]
    idents = [e["data"]["run"] for e in starts]
    assert len(idents) == len(set(idents))
    for entry in starts:
        if not entry["data"]["run"].endswith(".1"):
            before = [e for e in entries if e["seq"] < entry["seq"]]
            assert any(_again(e, entry["data"]["wave"]) for e in before), bot.log()


def _again(entry: Mapping[str, Any], wave: int) -> bool:
    """Say whether an entry is a reason to start this wave once more."""
    data = entry["data"]
    if data.get("wave") != wave:
        return False
    gone = {o["outcome"] for o in data.get("outcomes", {}).values()} == {"owed"}
    return entry["kind"] == "wave.lost" or (entry["kind"] == "wave.finished" and gone)


@pytest.mark.parametrize("seed", NIGHTS)
def test_whatever_is_killed_and_whenever_the_night_ends_well(
    enclave: Mode, tmp_path: Path, seed: int
):
    chance = random.Random(seed)
    began = time.monotonic()
    with stage(tmp_path) as (bot, hosts):
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        with sabotage(bot, hosts, chance) as killer:
            persist(lambda: crash(bot, "web-01"))
            bot.proposal("open", seconds=PATIENCE)
            untouched(hosts)
            say(bot, token, "approve", "P-1")
            bot.proposal("done", seconds=PATIENCE)
            wait_for(lambda: settled(bot), PATIENCE, bot.log)
            wait_for(lambda: bot.status()["hold"]["state"] == "active", 20, bot.log)
            hosts.write("db-01", KNOB, "1")
            wait_for(lambda: hosts.read("db-01", KNOB) == "0", PATIENCE, bot.log)
            wait_for(lambda: bot.status()["hold"]["restores"] >= 1, PATIENCE, bot.log)
        wait_for(lambda: settled(bot) and _boots_agree(bot, hosts), PATIENCE, bot.log)
        agree(bot, hosts)
        assert bot.status()["hosts"]["verified"] == 4
        say(bot, token, "release", "INC-1")
        ran_once(bot)
        clean(bot)
        tell(
            test="night",
            seed=seed,
            killed=dict(killer.killed),
            resumed=killer.resumed("INC-1"),
            lost=sum(e["kind"] == "run.failed" for e in bot.timeline()),
            seconds=time.monotonic() - began,
        )


def _boots_agree(bot: Bot, hosts: Fleet) -> bool:
    rows = bot.hosts()
    return all(rows[h]["boot_id"] == hosts.boot_id(h) for h in hosts.hosts if h != "lb-01")
