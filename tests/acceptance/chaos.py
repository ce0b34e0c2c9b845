"""What the chaos tests, the soak and ``bench/abort.py`` share: stages, victims and killers."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from bot.app import build
from bot.config import load
from bot.demo.fleet import Fleet, plan
from bot.errors import HoldfastError
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.test_night import crash

SIZE = 12
PATIENCE = 240
"""Seconds for one stage, however often something is killed in it."""
READING = ("readback", "check", "probe")


@contextmanager
def stage(
    place: Path, prepare: Callable[[Bot], None], **config: Any
) -> Iterator[tuple[Bot, Fleet]]:
    """Set up a fresh fleet and a bot that knows it, not started yet."""
    with Fleet(place / "fleet", plan(SIZE)) as fleet:
        bot = Bot(place / "site", **config)
        fleet.write_inventory(bot.site / "inventory.ini")
        prepare(bot)
        try:
            yield bot, fleet
        finally:
            bot.stop()


@contextmanager
def proposed(
    place: Path, prepare: Callable[[Bot], None], **config: Any
) -> Iterator[tuple[Bot, Fleet, str]]:
    """Bring a stage as far as an open proposal; the third is a commander's token."""
    with stage(place, prepare, **config) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        yield bot, fleet, token


def kind(process: psutil.Process) -> str:
    """Say what a process of a run is; '' if it has just ended."""
    try:
        words, parent = process.cmdline(), process.parent()
        above = parent.cmdline() if parent else []
    except psutil.Error:
        return ""
    if words[-2:-1] == ["run"]:
        return "supervisor"
    if words and Path(words[0]).name == "ssh":
        return "ssh"
    if any(word.endswith("leash.py") for word in words):
        return "leash"
    if any("ansible-inventory" in word for word in words):
        return "inventory"
    if any("ansible-playbook" in word for word in words):
        return "ansible" if any(word.endswith("leash.py") for word in above) else "worker"
    return ""


def supervised(process: psutil.Process) -> str:
    """Return which run a process supervises; '' if it is no supervisor."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return words[-1] if words[-2:-1] == ["run"] else ""


def processes(bot: Bot) -> list[psutil.Process]:
    """Return every process of any run of this bot: by its environment, or by its words."""
    mark = f"HOLDFAST_RUN={bot.site / 'state' / 'runs'}/".encode()
    found = []
    for process in psutil.process_iter():
        place = Path("/proc", str(process.pid))
        with suppress(OSError, psutil.Error):
            words = process.cmdline()
            told = any(str(bot.site.parent) in word for word in words) and "serve" not in words
            if (told and "sshd" not in words[0]) or mark in (place / "environ").read_bytes():
                found.append(process)
    return found


def writers(bot: Bot) -> list[psutil.Process]:
    """Return the processes of runs that write."""
    found = []
    for pid in psutil.pids():
        run = _run(bot, pid)
        if run and not any(f".{word}." in run for word in READING):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found


def _run(bot: Bot, pid: int) -> str:
    """Return the run that a process belongs to; '' if it belongs to none, or has ended."""
    mark = f"HOLDFAST_RUN={bot.site / 'state' / 'runs'}/"
    with suppress(OSError):
        words = Path("/proc", str(pid), "environ").read_bytes().decode(errors="replace").split("\0")
        return next((w.removeprefix(mark) for w in words if w.startswith(mark)), "")
    return ""


class Killer:
    """Kills with SIGKILL at random moments, and reboots hosts, while a rollout goes on.

    A victim is ``bot``, a kind of process (``supervisor leash ansible ssh``), ``all`` (a
    supervisor and whatever is below it), or a kind of run: its supervisor, alone or with all below
    it. Before every fourth one a host of ``reboots`` is switched off for up to two seconds.
    """

    PROCESSES = ("bot", "supervisor", "leash", "ansible", "ssh", "all")

    def __init__(
        self,
        bot: Bot,
        fleet: Fleet,
        chance: random.Random,
        victims: Sequence[str],
        reboots: Collection[str] = (),
    ) -> None:
        self._bot, self._fleet, self._chance = bot, fleet, chance
        self._victims, self._hosts = victims, sorted(reboots)
        self._threads = [threading.Thread(target=t) for t in (self._work, self._look)]
        self._over = threading.Event()
        self._blows: list[tuple[str, float, str]] = []
        self._answered: list[float] = []
        self._begun: dict[tuple[str, int], float] = {}
        self.killed: Counter[str] = Counter()
        self.reboots = 0
        self.trouble: BaseException | None = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self.trouble is not None:
            raise self.trouble

    @property
    def done(self) -> bool:
        """True when every victim was killed, or the killing broke."""
        return not self._threads[0].is_alive()

    def resumed(self, incident: str) -> dict[str, list[float]]:
        """Return the seconds until what was under way went on, by what was killed.

        ``bot``: from its start until it answers, having looked at every incident, or has started
        the next run. ``run``: from the end of a supervisor, or of its Ansible, until the next run
        that is no hold check, if it was none itself; the wait until a broken-off write can be read
        back is part of it.
        """
        ours = f"{incident}."
        begun = [(run, at) for (run, _), at in self._begun.items() if run.startswith(ours)]
        found: dict[str, list[float]] = {"bot": [], "run": []}
        for victim, at, hit in self._blows:
            if victim == "bot":
                then = [*(t for _, t in begun), *self._answered]
            else:
                then = [t for run, t in begun if ".check." not in run or ".check." in hit]
            if later := [t - at for t in then if t > at]:
                found["bot" if victim == "bot" else "run"].append(round(min(later), 2))
        return found

    def _look(self) -> None:
        """Note when each supervisor was started."""
        while not self._over.wait(0.2):
            for process in psutil.process_iter():
                if run := supervised(process):
                    with suppress(psutil.NoSuchProcess):
                        self._begun.setdefault((run, process.pid), process.create_time())

    def _work(self) -> None:
        try:
            for number, victim in enumerate(self._victims):
                if self._over.wait(self._chance.uniform(0.2, 3)):
                    return
                if self._hosts and number % 4 == 1:
                    name = self._chance.choice(self._hosts)
                    self._fleet.reboot(name, down_for=self._chance.uniform(0.1, 2))
                    self.reboots += 1
                if self._kill(victim):
                    self.killed[victim] += 1
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for it
            self.trouble = error

    def _kill(self, victim: str) -> bool:
        if victim != "bot":
            while not self._hit(victim):
                if self._over.wait(0.05):
                    return False
            return True
        self._bot.kill()
        self._over.wait(self._chance.uniform(0, 1.5))
        self._blows.append((victim, time.time(), ""))
        self._bot.start()
        self._answered.append(time.time())
        return True

    def _hit(self, victim: str) -> bool:
        """Kill one such process if there is one."""
        found = [p for p in processes(self._bot) if self._is(victim, p)]
        if not found:
            return False
        self._over.wait(self._chance.uniform(0, 0.5))
        process = self._chance.choice(found)
        run = _run(self._bot, process.pid)
        whole = victim == "all" or (victim not in self.PROCESSES and self._chance.random() < 0.5)
        with suppress(psutil.NoSuchProcess):
            below = process.children(recursive=True) if whole else []
            for each in (process, *below):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            if victim != "ssh":  # which costs one host, not the run
                self._blows.append((victim, time.time(), run))
            return True
        return False

    def _is(self, victim: str, process: psutil.Process) -> bool:
        if victim in self.PROCESSES:
            return kind(process) == ("supervisor" if victim == "all" else victim)
        words = ("retry", "restore", "reboot") if victim == "retry" else (victim,)
        return any(f".{word}." in supervised(process) for word in words)


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
        done = bot.cli(*words, token=token)
        if done.returncode == 0 or "already" in done.stderr:
            return
        assert done.returncode == 3, done.stderr
    raise AssertionError("the bot could not be reached")


def bring_home(bot: Bot, token: str, ready: Callable[[], bool], incident: str = "INC-1") -> int:
    """Wait until a rollout is done and ``ready``; resume when it halts, as people do."""
    halts = 0
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end:
        with suppress(HoldfastError, OSError):
            proposal = bot.status(incident)["proposals"][-1]
            if proposal["state"] == "done" and ready():
                return halts
            if proposal["state"] == "halted":
                halts += 1
                say(bot, token, "resume", proposal["id"])
        time.sleep(0.2)
    raise AssertionError(f"it did not end\n{bot.status(incident)}\n{bot.log(incident)}")


def clean(bot: Bot, incident: str = "INC-1") -> None:
    """Prove that nothing is left: no process, no unfinished run, no lock."""
    app = build(load(bot.site / "holdfast.yml"))
    try:
        wait_for(lambda: not app.site.store.unfinished_runs(), 40, bot.log)
    finally:
        app.close()
    wait_for(lambda: not processes(bot), 15, lambda: str([p.cmdline() for p in processes(bot)]))
    with closing(sqlite3.connect(bot.site / "state" / "holdfast.db")) as database:
        assert database.execute("SELECT * FROM host_locks").fetchall() == []
    verdict = bot.cli("timeline", "verify", incident)
    assert (verdict.returncode, "chain intact" in verdict.stdout) == (0, True), verdict.stdout


def tell(**facts: object) -> None:
    """Leave the numbers of a round where the soak's reader finds them."""
    if path := os.environ.get("HOLDFAST_SOAK_LOG"):
        with Path(path).open("a") as file:
            file.write(json.dumps(facts) + "\n")
