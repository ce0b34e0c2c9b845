"""Nights in which something is killed at random moments: seeded, on real hosts.

One round runs by default: four kills of the bot, one of a wave's supervisor, one host reboots.
``HOLDFAST_SOAK=1`` makes it forty. Aborts at random moments are in ``test_chaos.py``. After each round the bot's words are
compared with the hosts themselves, and with what is left of processes, runs and locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from bot.app import build
from bot.config import load
from bot.demo.enclave import Mode
from bot.demo.fleet import KNOB, Fleet, HostSpec
from bot.errors import HoldfastError, UnavailableError
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.test_night import agree, crash, settled

pytestmark = pytest.mark.fleet

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
NIGHTS = range(40) if SOAK else (35,)
PATIENCE = 240
"""Seconds for one stage, however often something is killed in it."""


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


class Saboteur:
    """Kills the serving process at random moments, and sometimes a supervisor or a host."""

    def __init__(self, bot: Bot, hosts: Fleet, chance: random.Random) -> None:
        self._bot, self._hosts, self._chance = bot, hosts, chance
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.kills = 0
        self.killed_runs: list[str] = []
        self.resumed: list[float] = []
        self.trouble: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._sabotage()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for it
            self.trouble = error

    def _sabotage(self) -> None:
        times = self._chance.randint(2, 5)
        kind = self._chance.choice(("probe", "preview", "wave", "wave", "check", "retry", "", ""))
        at, reboot = self._chance.randrange(times), self._chance.randrange(2 * times)
        for number in range(times):
            if kind and number == at:
                self._kill_a_supervisor(kind)
            if self._over.wait(self._chance.uniform(0.1, 5)):
                return
            self._bot.kill()
            self.kills += 1
            if number == reboot:
                self._hosts.reboot("web-02", down_for=self._chance.uniform(0.1, 2))
            self._over.wait(self._chance.uniform(0, 1.5))
            began = time.monotonic()
            self._bot.start()
            self.resumed.append(time.monotonic() - began)

    def _kill_a_supervisor(self, kind: str) -> None:
        """Wait for a supervisor of this kind of run, and kill it; its children too, or not."""
        words = ("retry", "restore", "reboot") if kind == "retry" else (kind,)
        found: list[psutil.Process] = []
        while not found:
            if self._over.wait(0.1):
                return
            runs = [p for p in processes(self._bot) if _ident(p)]
            found = [p for p in runs if any(f".{word}." in _ident(p) for word in words)]
        self._over.wait(self._chance.uniform(0, 2.5))
        with contextlib.suppress(psutil.NoSuchProcess):
            below = found[0].children(recursive=True) if self._chance.random() < 0.5 else []
            self.killed_runs.append(_ident(found[0]) or "one that had just ended")
            for process in (found[0], *below):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _ident(process: psutil.Process) -> str:
    """Return which run a process supervises; '' if it is no supervisor."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return words[-1] if words[-2:-1] == ["run"] else ""


def processes(bot: Bot) -> list[psutil.Process]:
    """Return supervisors, Ansible and ssh clients of this bot, but not the bot itself."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        ours = any(str(bot.site.parent) in word for word in words)
        if ours and "serve" not in words and "sshd" not in words[0]:
            found.append(process)
    return found


def persist(act: Callable[[], object]) -> None:
    """Do it until it is done, as Alertmanager and people do when the bot is away."""

    def done() -> bool:
        act()
        return True

    wait_for(done, PATIENCE)


def say(bot: Bot, token: str, *words: str) -> None:
    """Give a command; repeat it while the bot cannot be reached. A repeat may find it done."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            bot.tell(token, *words)
        except UnavailableError:
            time.sleep(0.1)
            continue
        except HoldfastError as error:
            if "already" not in str(error):
                raise
        return
    raise AssertionError("the bot could not be reached")


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
    for run in (bot.site / "state" / "runs").iterdir():
        begun = list((run / "artifacts" / "job" / "job_events").glob("1-*.json"))
        assert len(begun) <= 1, f"{run.name} was carried out {len(begun)} times"


def _again(entry: Mapping[str, Any], wave: int) -> bool:
    """Say whether an entry is a reason to start this wave once more."""
    data = entry["data"]
    if data.get("wave") != wave:
        return False
    gone = {o["outcome"] for o in data.get("outcomes", {}).values()} == {"owed"}
    return entry["kind"] == "wave.lost" or (entry["kind"] == "wave.finished" and gone)


def clean(bot: Bot) -> None:
    """Prove that nothing is left: no process, no unfinished run, no lock."""
    app = build(load(bot.site / "holdfast.yml"))
    try:
        wait_for(lambda: not app.site.store.unfinished_runs(), 40, bot.log)
    finally:
        app.close()
    wait_for(lambda: not processes(bot), 15, lambda: str([p.cmdline() for p in processes(bot)]))
    with closing(sqlite3.connect(bot.site / "state" / "holdfast.db")) as database:
        assert database.execute("SELECT * FROM host_locks").fetchall() == []
    verdict = bot.cli("timeline", "verify", "INC-1")
    assert (verdict.returncode, "chain intact" in verdict.stdout) == (0, True), verdict.stdout


def tell(**facts: object) -> None:
    """Leave the numbers of a round where the soak's reader finds them."""
    if path := os.environ.get("HOLDFAST_SOAK_LOG"):
        with Path(path).open("a") as file:
            file.write(json.dumps(facts) + "\n")


@pytest.mark.parametrize("seed", NIGHTS)
def test_whatever_is_killed_and_whenever_the_night_ends_well(
    enclave: Mode, tmp_path: Path, seed: int
):
    chance = random.Random(seed)
    began = time.monotonic()
    with stage(tmp_path) as (bot, hosts):
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        with Saboteur(bot, hosts, chance) as saboteur:
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
        if saboteur.trouble is not None:
            raise saboteur.trouble
        wait_for(lambda: settled(bot) and _boots_agree(bot, hosts), PATIENCE, bot.log)
        agree(bot, hosts)
        assert bot.status()["hosts"]["verified"] == 4
        say(bot, token, "release", "INC-1")
        ran_once(bot)
        clean(bot)
        tell(
            test="night",
            seed=seed,
            kills=saboteur.kills,
            supervisors=saboteur.killed_runs,
            resumed=saboteur.resumed,
            lost=sum(e["kind"] == "run.failed" for e in bot.timeline()),
            seconds=time.monotonic() - began,
        )


def _boots_agree(bot: Bot, hosts: Fleet) -> bool:
    rows = bot.hosts()
    return all(rows[h]["boot_id"] == hosts.boot_id(h) for h in hosts.hosts if h != "lb-01")
