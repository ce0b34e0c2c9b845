"""Rollouts over twelve real hosts in which whatever carries them is killed, and aborts.

The playbook appends a line to a file of each host, so a blind repeat shows as a second line. Ten
kills and ten aborts with fixed seeds run by default; ``HOLDFAST_SOAK=1`` makes it two hundred and
one hundred. The figures go to the file that ``HOLDFAST_SOAK_LOG`` names.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import yaml

from bot.demo.enclave import Mode
from bot.demo.fleet import KNOB, Fleet, plan
from bot.errors import HoldfastError
from bot.runner.leash import LIMIT
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.test_kills import PATIENCE, clean, processes, say, tell
from tests.acceptance.test_night import agree, crash

pytestmark = pytest.mark.fleet

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
ROLLOUTS = range(20) if SOAK else (4,)
KILLS = 10
ABORTS = 100 if SOAK else 10
SIZE = 12
LEDGER = "/etc/ledger"

PLAYBOOK = """\
- name: {name}
  hosts: all
  gather_facts: false
  tasks:
    - name: {name}
      ansible.builtin.raw: |
        phase={phase}
        {{{{ lookup('ansible.builtin.file', 'ledger.sh') }}}}
      check_mode: false
"""
PLAYBOOKS = {
    "ledger-append.yml": PLAYBOOK.format(
        name="Append a line", phase="{{ 'preview' if ansible_check_mode else 'apply' }}"
    ),
    "ledger-read.yml": PLAYBOOK.format(
        name="Count the lines", phase="{{ phase | default('probe') | quote }}"
    ),
}
# One line is right; none and two are not. The pauses leave time to be killed before and after it.
SCRIPT = f"""\
applicable=false safe=false
[ -e /run/slow ] && [ "$phase" = apply ] && sleep 60
[ -e /proc/sys/{KNOB.replace(".", "/")} ] && applicable=true
if $applicable && [ "$phase" = apply ]; then
  sleep 0.4
  echo "$phase" >> {LEDGER}
  sleep 0.4
fi
lines=$(cat {LEDGER} 2>/dev/null | wc -l)
[ "$lines" -eq 1 ] && safe=true
read -r boot_id < /proc/sys/kernel/random/boot_id
read -r kernel < /proc/sys/kernel/osrelease
printf '{{"holdfast":1,"phase":"%s","applicable":%s,"value":"%s","wanted":"1","safe":%s,' \\
  "$phase" "$applicable" "$lines" "$safe"
printf '"persisted":%s,"boot_id":"%s","kernel":"%s","would":["append"],"reason":""}}\\n' \\
  "$safe" "$boot_id" "$kernel"
"""


def arrange(bot: Bot) -> None:
    """Put the ledger in the place of the flagship's knob; some hosts take the ordinary lane."""
    with (bot.site / "inventory.ini").open("a", encoding="utf-8") as inventory:
        inventory.write("\n[db:vars]\nansible_ssh_extra_args=-o ForwardAgent=yes\n")
    for name, text in PLAYBOOKS.items():
        (bot.site / "playbooks" / name).write_text(text)
    (bot.site / "playbooks" / "files" / "ledger.sh").write_text(SCRIPT)
    file = bot.site / "runbooks" / "network" / "tcp-estats-update-mss.yml"
    runbook = yaml.safe_load(file.read_text())
    runbook["applies_if"] = {"probe": "ledger-read.yml"}
    runbook["mitigations"][0] |= {
        "playbook": "ledger-append.yml",
        "verify": "ledger-read.yml",
        "variables": {},
        "waves": [1, 2, 2, 3, "100%"],
        "gate": {"max_failed": 0, "max_lost": "50%"},
        "reversible": False,
    }
    del runbook["mitigations"][0]["rollback"], runbook["knob"]
    runbook["hold"]["action"] = "alert"
    file.write_text(yaml.safe_dump(runbook))


def arrange_slowly(bot: Bot) -> None:
    """Let Ansible wait for longer than a lease holds before it appends, in two waves."""
    arrange(bot)
    file = bot.site / "playbooks" / "ledger-append.yml"
    (play,) = yaml.safe_load(file.read_text())
    wait = {"ansible.builtin.raw": "sleep 1", "loop": list(range(int(LIMIT) + 3))}
    play["tasks"] = [{"name": "Wait", **wait}, *play["tasks"]]
    file.write_text(yaml.safe_dump([play], sort_keys=False))
    _edit(bot, waves=[1, "100%"])


def _edit(bot: Bot, **changes: object) -> None:
    file = bot.site / "runbooks" / "network" / "tcp-estats-update-mss.yml"
    runbook = yaml.safe_load(file.read_text())
    runbook["mitigations"][0] |= changes
    file.write_text(yaml.safe_dump(runbook))


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


def alive(bot: Bot) -> list[psutil.Process]:
    """Return every process of any run of this bot: by its environment, or by its words."""
    mark = f"HOLDFAST_RUN={bot.site / 'state' / 'runs'}/"
    found = {p.pid: p for p in processes(bot)}
    for process in psutil.process_iter():
        with suppress(OSError):
            if mark.encode() in Path("/proc", str(process.pid), "environ").read_bytes():
                found[process.pid] = process
    return list(found.values())


class Killer:
    """Kills ``kills`` processes with SIGKILL at random moments, and reboots a few hosts."""

    VICTIMS = ("bot", "supervisor", "leash", "ansible", "ssh", "all")

    def __init__(self, bot: Bot, fleet: Fleet, chance: random.Random, kills: int) -> None:
        self._bot, self._fleet, self._chance, self._kills = bot, fleet, chance, kills
        self._thread = threading.Thread(target=self._work)
        self._over = threading.Event()
        self.killed: Counter[str] = Counter()
        self.resumed: list[float] = []
        self.reboots = 0
        self.trouble: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            victims = [self.VICTIMS[n % len(self.VICTIMS)] for n in range(self._kills)]
            self._chance.shuffle(victims)
            for number, victim in enumerate(victims):
                if self._over.wait(self._chance.uniform(0.2, 3)):
                    return
                if number % 4 == 1:
                    name = self._chance.choice(
                        [n for n, s in self._fleet.hosts.items() if s.patched]
                    )
                    self._fleet.reboot(name, down_for=self._chance.uniform(0.1, 2))
                    self.reboots += 1
                self._kill(victim)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for it
            self.trouble = error

    def _kill(self, victim: str) -> None:
        if victim == "bot":
            self._bot.kill()
            self._over.wait(self._chance.uniform(0, 1.5))
            began = time.monotonic()
            self._bot.start()
            self.resumed.append(time.monotonic() - began)
        else:
            while not self._hit(victim):
                if self._over.wait(0.05):
                    return
        self.killed[victim] += 1

    def _hit(self, victim: str) -> bool:
        """Kill one such process if there is one; ``all``: a supervisor and all that is below it."""
        found = [
            p for p in alive(self._bot) if kind(p) == ("supervisor" if victim == "all" else victim)
        ]
        if not found:
            return False
        self._over.wait(self._chance.uniform(0, 0.5))
        process = self._chance.choice(found)
        with suppress(psutil.NoSuchProcess):
            below = process.children(recursive=True) if victim == "all" else []
            for each in (process, *below):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            return True
        return False


def bring_home(bot: Bot, token: str, ready: Callable[[], bool]) -> int:
    """Wait until a rollout is done and ``ready``; resume when it halts, as people do."""
    halts = 0
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end:
        with suppress(HoldfastError, OSError):
            state = bot.status()["proposals"][-1]["state"]
            if state == "done" and ready():
                return halts
            if state == "halted":
                halts += 1
                say(bot, token, "resume", "P-1")
        time.sleep(0.2)
    raise AssertionError(f"it did not end\n{bot.status()}\n{bot.log()}")


@pytest.mark.parametrize("seed", ROLLOUTS)
def test_a_rollout_survives_kills_without_a_forgotten_host_or_a_blind_repeat(
    enclave: Mode, tmp_path: Path, seed: int
):
    chance, began = random.Random(seed), time.monotonic()
    with stage(tmp_path, arrange) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        patched = [name for name, spec in fleet.hosts.items() if spec.patched]

        def settled() -> bool:
            counts = bot.status()["hosts"]
            return bool(counts["verified"] == len(patched))

        with Killer(bot, fleet, chance, KILLS) as killer:
            say(bot, token, "approve", "P-1")
            halts = bring_home(bot, token, lambda: killer.done)
        if killer.trouble is not None:
            raise killer.trouble
        bring_home(bot, token, lambda: settled() and _boots(bot, fleet, patched))
        rows = bot.hosts()
        assert set(rows) == set(fleet.hosts)
        lines = {name: fleet.run(name, "cat", LEDGER).stdout.count("\n") for name in fleet.hosts}
        assert lines == {name: int(name in patched) for name in fleet.hosts}, bot.log()
        assert {rows[name]["value"] for name in patched} == {"1"}
        counts = bot.status()["hosts"]
        assert (counts["verified"], counts["not_applicable"]) == (len(patched), SIZE - len(patched))
        assert sum(counts.values()) == SIZE
        assert sum(killer.killed.values()) == KILLS
        say(bot, token, "release", "INC-1")
        clean(bot)
        assert alive(bot) == []
        kinds = Counter(e["kind"] for e in bot.timeline())
    tell(
        test="chaos",
        seed=seed,
        killed=dict(killer.killed),
        reboots=killer.reboots,
        resumed=killer.resumed,
        lost=kinds["wave.lost"],
        waves=kinds["wave.started"],
        halts=halts,
        seconds=time.monotonic() - began,
    )


def _boots(bot: Bot, fleet: Fleet, names: list[str]) -> bool:
    rows = bot.hosts()
    return all(rows[name]["boot_id"] == fleet.boot_id(name) for name in names)


def sysctl(bot: Bot) -> None:
    """Use the fleet's stand-in for the flagship's knob, in many small waves."""
    _edit(bot, waves=[1, 4, "100%"])


def test_an_abort_leaves_no_process_behind_and_nothing_guessed(enclave: Mode, tmp_path: Path):
    """One proposal, approved and aborted again and again: the state is put back in between."""
    chance = random.Random(ABORTS)
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    approvals = {"expiry": "1d"}
    took: list[float] = []
    with stage(tmp_path, sysctl, overrides=override, approvals=approvals) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        bot.stop()
        state, kept = bot.site / "state", bot.site / "kept"
        shutil.copytree(state, kept)
        for number in range(ABORTS):
            shutil.rmtree(state)
            shutil.copytree(kept, state)
            _undo(fleet)
            bot.start()
            took.append(_abort(bot, fleet, token, chance))
            if number % 5 == 4:
                wait_for(lambda: bot.status()["hosts"]["unknown"] == 0, PATIENCE, bot.log)
                agree(bot, fleet)
                clean(bot)
            bot.kill()
            for process in alive(bot):  # reading back; what writes was seen to be gone
                with suppress(psutil.NoSuchProcess):
                    process.kill()
    took.sort()
    tell(test="abort", aborts=len(took), median=took[len(took) // 2], longest=took[-1], all=took)


def _undo(fleet: Fleet) -> None:
    """Take the value off every host, as if nothing had been done there."""
    for name in fleet.hosts:
        undone = f"rm -f /etc/sysctl.d/99-zz-*; sysctl -q -w {KNOB}=1 2>/dev/null || true"
        assert fleet.run(name, "sh", "-c", undone).returncode == 0


def _abort(bot: Bot, fleet: Fleet, token: str, chance: random.Random) -> float:
    """Approve, abort at a random moment, and return how long a process of a write was left."""
    with bot.client(token) as client:
        client.say(["approve", "P-1"])
        until = time.monotonic() + chance.uniform(0, 9)
        wait_for(lambda: bot.status()["proposals"][0]["state"] not in {"open", "approved"}, 20)
        time.sleep(max(0.0, until - time.monotonic()))
        client.say(["abort", "P-1"])
    began = time.monotonic()
    while left := _writers(bot):
        took = time.monotonic() - began
        assert took < 10, [(kind(p), p.pid) for p in left]
        time.sleep(0.01)
    took = time.monotonic() - began
    for name, row in bot.hosts().items():
        if row["outcome"] == "verified":
            assert fleet.read(name, KNOB) == "0", name
    time.sleep(0.2)
    assert _writers(bot) == [], "something came back"
    return took


def _writers(bot: Bot) -> list[psutil.Process]:
    """Return the processes of runs that write; the bot's reading of the inventory is none."""
    found = []
    for process in alive(bot):
        with suppress(OSError):
            words = Path("/proc", str(process.pid), "environ").read_bytes().decode().split("\0")
            run = next((w for w in words if w.startswith("HOLDFAST_RUN=")), "")
            if kind(process) != "inventory" and not any(
                f".{reading}." in run for reading in ("readback", "check", "probe")
            ):
                found.append(process)
    return found


def test_a_supervisor_that_stood_still_goes_on_with_nothing(enclave: Mode, tmp_path: Path):
    """Nobody gives it up meanwhile: the bot is away as well. Its lease alone stops it."""
    with stage(tmp_path, arrange_slowly) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        say(bot, token, "approve", "P-1")
        found: list[psutil.Process] = []

        def at_work() -> bool:
            found[:] = [p for p in _writers(bot) if kind(p) == "supervisor"]
            return bool(found) and any(kind(p) == "ssh" for p in _writers(bot))

        wait_for(at_work, PATIENCE, bot.log)
        bot.kill()
        found[0].suspend()
        wait_for(lambda: {kind(p) for p in _writers(bot)} == {"supervisor"}, 20)
        found[0].resume()
        found[0].wait(timeout=60)
        assert alive(bot) == []
        bot.start()
        bring_home(bot, token, lambda: bot.status()["hosts"]["verified"] == SIZE - 1)
        assert "stood still for more than 10 s" in bot.log()
        lines = {name: fleet.run(name, "cat", LEDGER).stdout for name in fleet.hosts}
        assert sorted(lines.values()) == ["", *["apply\n"] * (SIZE - 1)]


def test_a_host_whose_power_is_cut_in_mid_task_is_unreachable_soon_and_read_first(
    enclave: Mode, tmp_path: Path
):
    with stage(tmp_path, arrange) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        for name in fleet.hosts:
            fleet.run(name, "touch", "/run/slow")
        say(bot, token, "approve", "P-1")
        busy: list[str] = []

        def at_work() -> bool:
            names = [n for n in fleet.hosts if fleet.run(n, "pgrep", "-x", "sleep").stdout]
            busy[:] = names
            return bool(names)

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
        lines = {name: fleet.run(name, "cat", LEDGER).stdout for name in fleet.hosts}
        assert sorted(lines.values()) == ["", *["apply\n"] * (SIZE - 1)]
        assert any(e["text"].startswith("readback: ") for e in bot.timeline())
    tell(test="power cut", seconds=took)


def test_a_supervisor_that_is_given_up_is_ended_before_anybody_else_writes(
    enclave: Mode, tmp_path: Path
):
    """It is stopped about when its Ansible begins; continued after the takeover, it would write."""
    with stage(tmp_path, arrange) as (bot, fleet):
        bot.start()
        token = bot.tokens("dana")["dana"]
        crash(bot, "web-01")
        bot.proposal("open", seconds=PATIENCE)
        say(bot, token, "approve", "P-1")
        found: list[psutil.Process] = []

        def claimed() -> bool:
            found[:] = [p for p in _writers(bot) if kind(p) == "supervisor"]
            return bool(found)

        wait_for(claimed, PATIENCE, bot.log)
        wait_for((bot.site / "state" / "runs" / "INC-1.P-1.wave.1.1").exists, 20)
        found[0].suspend()
        wait_for(lambda: "wave.lost" in [e["kind"] for e in bot.timeline()], 60, bot.log)
        with suppress(psutil.NoSuchProcess):
            assert found[0].status() == psutil.STATUS_ZOMBIE
            found[0].send_signal(signal.SIGCONT)
        bring_home(bot, token, lambda: bot.status()["hosts"]["verified"] == SIZE - 1)
        lines = {name: fleet.run(name, "cat", LEDGER).stdout for name in fleet.hosts}
        assert sorted(lines.values()) == ["", *["apply\n"] * (SIZE - 1)]
