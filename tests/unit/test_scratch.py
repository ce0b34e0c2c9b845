"""What Ansible writes in passing is on no disk, and nobody's kill leaves it anywhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bot.runner import scratch, trace
from bot.runner.launch import Launcher

SECRET = "planted-4711-secret"
# It never reads an event: all that Ansible writes stays as it was written.
SUPERVISOR = """\
import sys, time
from pathlib import Path
from bot.config import FleetPart
from bot.runner import ansible
from bot.runner.leash import Lease

class Deaf(ansible.Results):
    def take(self, event):
        time.sleep(60)

directory = Path(sys.argv[1])
lease = Lease()
lease.write_to(directory / "lease")
local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
ansible.run(
    ansible.Job(
        directory=directory,
        playbooks=(("play.yml", None),),
        inventory={"all": {"hosts": {"here": local}}},
        variables={},
        fleet=FleetPart(inventory="unused"),
    ),
    Deaf(),
    lease,
)
"""
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.raw": f"echo {SECRET}"},
            {"ansible.builtin.set_fact": {"told": SECRET, "cacheable": True}},
            {"ansible.builtin.raw": "sleep 63.5"},
        ],
    }
]


def wait(until: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def memories(run: Path) -> list[Path]:
    """Return the places in memory of a run."""
    found = scratch.SHELF.glob(f"{scratch.PREFIX}*/{scratch.OWNER}")
    return [link.parent for link in found if link.is_symlink() and link.readlink() == run]


def tells(place: Path) -> list[Path]:
    """Return the files that hold the secret, besides the playbook that says it."""
    files = [f for f in place.rglob("*") if f.is_file() and f.name != "play.yml"]
    return [f for f in files if SECRET.encode() in f.read_bytes()]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """Return the directory of a run whose Ansible has told the secret and is still at work."""
    directory = tmp_path / "state" / "runs" / "INC-1.P-1.wave.1.1"
    (directory / "project").mkdir(parents=True)
    (directory / "project/play.yml").write_text(json.dumps(PLAY))
    command = [sys.executable, "-c", SUPERVISOR, str(directory)]
    root = Path(__file__).resolve().parents[2]
    env = {"PATH": "/usr/bin:/bin", trace.MARK: str(directory), "HOME": str(tmp_path)}
    with subprocess.Popen(command, cwd=root, env=env):
        try:
            wait(lambda: [f for m in memories(directory) for f in tells(m)])
            yield directory
        finally:
            trace.end(directory)
            scratch.remove(directory)


def named(run: Path, *words: str) -> list[psutil.Process]:
    found = [psutil.Process(pid) for pid in trace.processes(run)]
    return [p for p in found if any(word in part for part in p.cmdline() for word in words)]


def test_a_killed_supervisor_leaves_no_secret_on_the_disk_nor_in_memory(run: Path):
    assert tells(run.parents[1]) == []
    (memory,) = memories(run)
    assert memory.stat().st_mode & 0o077 == 0
    (supervisor,) = named(run, "class Deaf")
    supervisor.send_signal(signal.SIGKILL)
    wait(lambda: not memories(run))
    assert tells(run.parents[1]) == []


def test_what_is_killed_with_its_leash_is_forgotten_by_the_bot(run: Path):
    launcher = Launcher(run.parents[1] / "holdfast.yml", run.parents[1])
    launcher.tidy()
    assert len(memories(run)) == 1, "somebody is at it"
    for process in named(run, "class Deaf", "leash.py"):
        process.send_signal(signal.SIGKILL)
    assert tells(run.parents[1]) == []
    trace.end(run)
    launcher.tidy()
    assert memories(run) == []


def test_a_run_that_is_given_up_is_forgotten(run: Path):
    Launcher(run.parents[1] / "holdfast.yml", run.parents[1]).end(run.name)
    assert memories(run) == []
    assert tells(run.parents[1]) == []


def test_without_a_memory_file_system_the_same_is_removed_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scratch, "SHELF", tmp_path / "none")
    scratch.make(tmp_path, [tmp_path / "artifacts/job/job_events", tmp_path / "tmp"])
    (tmp_path / "artifacts/job/job_events/1.json").write_text(SECRET)
    (tmp_path / "tmp/rendered").write_text(SECRET)
    scratch.remove(tmp_path)
    assert tells(tmp_path) == []
