"""The leash: what runs on it ends with its supervisor, whatever way that one ends or stands still.

The supervisor is a real process, and so is a tree of workers that leave session and parent. The
leash is started as a program, or it is there already, as under the fork server.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bot.runner import leash, trace

# Two sessions and an orphan, as Ansible's workers and shared ssh connections are.
TREE = "setsid sleep 71.5 & (setsid sleep 71.5 &) ; echo up; exec sleep 71.5"
SUPERVISOR = """\
import subprocess, sys, time
from pathlib import Path
from bot.runner import leash
leash.RENEW = 0.05
with leash.Lease() as lease:
    lease.write_to(Path(sys.argv[1]))
    child = subprocess.Popen(leash.command(lease, ["sh", "-c", sys.argv[2]]))
    sys.exit(child.wait())
"""


FORKED = """\
import os, socket
from bot.runner import leash
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
holder = os.getpid()
if os.fork() == 0:
    ours.close()
    become = lambda words, environment: os.execvpe(words[0], words, environment)
    leash.wait_for_ansible(theirs, holder, become)
theirs.close()
leash.ready = ours
"""


@pytest.fixture(params=["started", "forked"])
def lease(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return where the lease lies, in a directory named after the way in which the leash comes.

    It also marks every process of the test.
    """
    place = tmp_path / str(request.param)
    place.mkdir()
    yield place / "lease"
    trace.end(place / "run")


def everybody(lease: Path) -> int:
    """Return how many processes there are with ``TREE``."""
    return 5 if lease.parent.name == "started" else 6


def supervisor(lease: Path, script: str = TREE) -> subprocess.Popen[str]:
    """Start a supervisor whose command has said that it is up."""
    env = {"PATH": "/usr/bin:/bin", trace.MARK: str(lease.parent / "run")}
    program = SUPERVISOR if lease.parent.name == "started" else FORKED + SUPERVISOR
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lease), script],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def members(lease: Path) -> list[int]:
    return trace.processes(lease.parent / "run")


def wait(until: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def the_leash(process: subprocess.Popen[str]) -> psutil.Process:
    """Return the leash; under the fork server there is also who told it what to run."""
    children = psutil.Process(process.pid).children()
    (child,) = [child for child in children if leash.THROUGH not in child.cmdline()]
    return child


def test_a_leash_that_was_told_what_to_run_ends_it_with_whoever_told_it(tmp_path: Path):
    place = tmp_path / "forked"
    place.mkdir()
    with supervisor(place / "lease") as process:
        told = [c for c in psutil.Process(process.pid).children() if leash.THROUGH in c.cmdline()]
        told[0].kill()
        assert process.wait(20) != 0
        wait(lambda: members(place / "lease") == [])


def test_without_its_leash_a_supervisor_starts_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(leash, "ready", ours)
    with ours, leash.Lease() as held:
        held.write_to(tmp_path / "lease")
        theirs.send(b"listens")  # it did, and is gone by now
        told = leash.command(held, ["echo", "begun"])
        theirs.close()
        assert leash.THROUGH in told
        assert leash.THROUGH not in leash.command(held, ["echo"])
        done = subprocess.run(told, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "begun\n")


def test_a_killed_supervisor_takes_everything_along(lease: Path):
    with supervisor(lease) as process:
        wait(lambda: len(members(lease)) == everybody(lease))
        process.kill()
        wait(lambda: members(lease) == [])


def test_a_word_to_stop_ends_everything_and_says_by_which_signal(lease: Path):
    with supervisor(lease) as process:
        the_leash(process).terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        wait(lambda: members(lease) == [])


def test_what_does_not_listen_is_killed(lease: Path):
    deaf = "trap '' TERM; echo up; while true; do sleep 0.1; done"
    with supervisor(lease, deaf) as process:
        the_leash(process).terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        assert members(lease) == []


def test_a_command_that_ends_leaves_nothing_behind(lease: Path):
    with supervisor(lease, "(setsid sleep 71.5 &); echo up; exit 7") as process:
        assert process.wait(20) == 7
        assert members(lease) == []


def test_a_command_that_is_killed_takes_its_orphans_along(lease: Path):
    with supervisor(lease) as process:
        wait(lambda: len(members(lease)) == everybody(lease))
        min(the_leash(process).children(), key=lambda p: p.pid).kill()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert members(lease) == []


def test_a_killed_leash_takes_the_command_along_and_leaves_the_rest_to_the_mark(lease: Path):
    with supervisor(lease) as process:
        the_leash(process).kill()
        process.wait(20)
        trace.end(lease.parent / "run")
        assert members(lease) == []


def test_a_supervisor_that_stands_still_loses_its_command(lease: Path):
    """Only the supervisor is stopped; what it started would go on."""
    with supervisor(lease) as process:
        process.send_signal(signal.SIGSTOP)
        wait(lambda: members(lease) == [process.pid], leash.LIMIT + 20)
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == 128 + signal.SIGTERM


def test_nothing_is_begun_on_a_lease_that_was_given_up(lease: Path):
    with leash.Lease() as held:
        held.write_to(lease)
        held.give_up()
        done = subprocess.run(
            leash.command(held, ["echo", "begun"]), capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_a_lapsed_lease_stays_lapsed(lease: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leash, "RENEW", 60.0)
    with leash.Lease() as held:
        held.write_to(lease)
        real = leash.now
        monkeypatch.setattr(leash, "now", lambda: real() + int((leash.LIMIT + 1) * 1e9))
        held.renew()
        held.renew()
        assert held.lapsed
        monkeypatch.undo()
        done = subprocess.run(
            leash.command(held, ["echo", "begun"]), capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_a_command_that_does_not_exist_says_so(lease: Path):
    with leash.Lease() as held:
        held.write_to(lease)
        done = subprocess.run(
            leash.command(held, ["no-such-program"]), capture_output=True, text=True, check=False
        )
    assert done.returncode == 127
    assert "no-such-program: No such file" in done.stderr


def test_a_supervisor_is_gone_only_where_it_could_be_seen(lease: Path):
    run = lease.parent / "run"
    with supervisor(lease) as process:
        name = f"{trace.here()}.{process.pid}"
        assert not trace.gone(name, run)
        assert trace.gone(name, run.with_name("another"))
        assert not trace.gone(f"elsewhere.{process.pid}", run)
        process.kill()
        process.wait()
        assert trace.gone(name, run)
