"""The fork server: a real one, whose supervisors are shown as what they are and keep their secrets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bot.runner import trace
from bot.runner.forked import Forked, ForkServer

TOKEN = "xoxb-planted-in-the-environment"


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLACK_BOT_TOKEN", TOKEN)
        made = ForkServer(tmp_path_factory.mktemp("log") / "log")
    until(lambda: made.listen(1) and made.ready)
    yield made
    made.close()
    assert not made.alive


def fork(server: ForkServer, place: Path, config: Path) -> Forked:
    """Fork a supervisor with this configuration, and a secret in its environment."""
    words = [sys.executable, "-m", "bot", "--config", str(config), "run", "INC-1.probe.1.1"]
    env = {"PATH": os.defpath, "SLACK_BOT_TOKEN": TOKEN, trace.MARK: str(place / "run")}
    with (place / "log").open("wb") as log, Path(os.devnull).open("rb") as nothing:
        forked = server.fork(words, env, nothing.fileno(), log.fileno())
    assert forked is not None
    return forked


def holds(pid: int, text: str) -> bool:
    """Say whether a process has this text anywhere in its memory."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if line.split()[1].startswith("rw") and "[v" not in line:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(first)
                if text.encode() in memory.read(last - first):
                    return True
    return False


def test_the_end_of_a_supervisor_is_told_with_its_code_and_its_cost(
    server: ForkServer, tmp_path: Path
):
    forked = fork(server, tmp_path, tmp_path / "no-such.yml")
    until(lambda: (code := forked.poll()) is not None and code == 2)
    assert server.costs[forked.pid] > 0
    assert "no-such.yml" in (tmp_path / "log").read_text()
    until(lambda: not trace.processes(tmp_path / "run"))


def test_a_supervisor_is_shown_as_what_it_is_and_only_it_has_the_secrets(
    server: ForkServer, tmp_path: Path
):
    config = tmp_path / "holdfast.yml"
    os.mkfifo(config)
    forked = fork(server, tmp_path, config)
    descriptor = os.open(config, os.O_RDWR)  # it waits for somebody to write
    try:
        until(lambda: len(trace.processes(tmp_path / "run")) == 2)
        (leash,) = set(trace.processes(tmp_path / "run")) - {forked.pid}
        words = [sys.executable, "-m", "bot", "--config", str(config), "run", "INC-1.probe.1.1"]
        assert psutil.Process(forked.pid).cmdline() == words
        name = f"{trace.here()}.{forked.pid}"
        assert not trace.gone(name, tmp_path / "run")
        until(lambda: holds(forked.pid, TOKEN))
        assert not holds(leash, TOKEN)
        assert not holds(server.pid, TOKEN)
        forked.kill()
        until(lambda: forked.poll() is not None)
        assert trace.gone(name, tmp_path / "run")
        until(lambda: not trace.processes(tmp_path / "run"))
    finally:
        os.close(descriptor)


def test_nothing_that_knows_settings_of_ansible_is_imported_and_most_of_it_is():
    program = (
        "import sys; from bot.runner import forkserver; forkserver.preload();"
        "print(sum(n.startswith('ansible.') for n in sys.modules), 'jinja2' in sys.modules,"
        " [n for n in sys.modules if n in ('ansible.constants', 'ansible.utils.display')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    count, jinja, settings = done.stdout.split(maxsplit=2)
    assert int(count) > 50
    assert (jinja, settings.strip()) == ("True", "[]")
    assert done.stderr == ""


def test_without_a_fork_server_nothing_is_forked(tmp_path: Path):
    server = ForkServer(tmp_path / "log")
    try:
        with Path(os.devnull).open("rb") as nothing:
            assert server.fork(["x"], {trace.MARK: "x"}, nothing.fileno(), 1) is None
            os.kill(server.pid, 9)
            until(lambda: not server.alive)
            assert server.fork(["x"], {trace.MARK: "x"}, nothing.fileno(), 1) is None
    finally:
        server.close()
