"""The only importer of ansible_runner: one playbook run on an explicit host list."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import psutil

from bot.config import FleetPart
from bot.rollout.outcome import Raw

MAIN = "holdfast-main.yml"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK")
MARK = '{"holdfast":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one run does: playbooks (name, phase or None) in order, on exactly these hosts."""

    directory: Path
    playbooks: tuple[tuple[str, str | None], ...]
    hosts: Mapping[str, Mapping[str, Any]]
    pools: Mapping[str, Sequence[str]]
    variables: Mapping[str, str | int | bool]
    fleet: FleetPart
    check: bool = False


@dataclass(slots=True)
class Results:
    """What each host said, gathered from Ansible's events as they come.

    ``closing`` is the phase whose answer is a host's last one (None: any answer is). ``began`` and
    ``final`` are when the run turned to a host and when it answered for good; ``news`` are hosts
    with something new, ``stirred`` is set with them. Another thread may take the news.
    """

    closing: str | None = None
    status: dict[str, str] = field(default_factory=dict)
    facts: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    times: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    began: dict[str, str] = field(default_factory=dict)
    final: dict[str, str] = field(default_factory=dict)
    news: deque[str] = field(default_factory=deque)
    stirred: threading.Event = field(default_factory=threading.Event)

    def take(self, event: Mapping[str, Any]) -> bool:
        """Note one event. It runs in the reading thread, so it must be quick."""
        data = event.get("event_data") or {}
        host, result = data.get("host"), data.get("res") or {}
        if not host:
            return True
        created = str(event.get("created") or "")
        if created and self.began.setdefault(host, created) is created:
            self._stir(host)
        if isinstance(result, dict) and result.get("changed") is True:
            self.changed.add(host)
        match event.get("event"):
            case "runner_on_unreachable":
                self._end(host, "unreachable", result)
                self._close(host, created)
            case "runner_on_failed" if not data.get("ignore_errors"):
                self._end(host, "failed", result)
                self._close(host, created)
            case "runner_on_ok":
                self.status.setdefault(host, "ok")
            case "runner_on_skipped":
                self.skipped.add(str(data.get("task", "")))
            case _:
                pass
        self._facts(host, result, created)
        return True

    def _close(self, host: str, created: str) -> None:
        if created:
            self.final[host] = created
            self._stir(host)

    def _stir(self, host: str) -> None:
        self.news.append(host)
        self.stirred.set()

    def fresh(self) -> list[str]:
        """Take the hosts with something new, each once."""
        taken = [self.news.popleft() for _ in range(len(self.news))]
        return list(dict.fromkeys(taken))

    def _end(self, host: str, status: str, result: Mapping[str, Any]) -> None:
        self.status[host] = status
        said = (result.get(key) for key in ("stderr", "msg", "stdout"))
        self.messages[host] = _short(next((str(s) for s in said if s), ""))

    def _facts(self, host: str, result: Mapping[str, Any], created: str) -> None:
        if not isinstance(result, dict):
            return
        for line in str(result.get("stdout") or "").splitlines():
            if line.startswith(MARK):
                try:
                    fact = json.loads(line)
                    # What cannot be kept (NaN, half a character) must not spoil the others' report.
                    json.dumps(fact, ensure_ascii=False, allow_nan=False).encode()
                    self.facts.setdefault(host, []).append(fact)
                    self.times[host] = created
                    if self.closing in (None, fact.get("phase")):
                        self._close(host, created)
                except (ValueError, RecursionError):
                    self.messages.setdefault(host, f"unreadable answer: {_short(line)}")

    def raws(self, approved: Sequence[str]) -> list[Raw]:
        """Return one result for every approved host; one without an event is ``missing``."""
        return [
            Raw(
                host=host,
                status=self.status.get(host, "missing"),
                facts=tuple(self.facts.get(host, ())),
                message=self.messages.get(host, ""),
                at=self.times.get(host) or None,
                changed=host in self.changed,
            )
            for host in approved
        ]

    def strangers(self, approved: Sequence[str]) -> set[str]:
        """Return hosts that had an event and were not approved: never empty is a breach."""
        return set(self.status) - set(approved) - {"localhost"}


def _short(text: str, limit: int = 300) -> str:
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def scrubbed(fleet: FleetPart) -> dict[str, str]:
    """Return the environment of Ansible: no token or secret of the bot is in it."""
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    env["PATH"] = f"{Path(sys.executable).parent}:{env.get('PATH', os.defpath)}"
    env.setdefault("LANG", "C.UTF-8")
    env |= {
        "ANSIBLE_FORKS": str(fleet.forks),
        "ANSIBLE_TIMEOUT": str(fleet.connect_timeout),
        "ANSIBLE_SSH_ARGS": " ".join(f"-o {option}" for option in fleet.ssh_options),
        "ANSIBLE_SSH_RETRIES": "0",
        "ANSIBLE_SSH_USETTY": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
    }
    return env


def lay_out(job: Job) -> None:
    """Write the run's inventory, variables and main playbook below ``job.directory``."""
    inventory = {
        "all": {
            "hosts": {name: dict(variables) for name, variables in job.hosts.items()},
            "children": {
                pool: {"hosts": {h: {} for h in members if h in job.hosts}}
                for pool, members in job.pools.items()
            },
        }
    }
    plays = [
        {"import_playbook": name, **({"vars": {"phase": phase}} if phase else {})}
        for name, phase in job.playbooks
    ]
    _write(job.directory / "inventory" / "hosts.json", inventory)
    _write(job.directory / "env" / "extravars", dict(job.variables))
    _write(job.directory / "project" / MAIN, plays)


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(value))


def run(job: Job, results: Results) -> str:
    """Run the job, fill ``results`` with what the hosts say, return ansible-runner's status.

    Call it only in a process of its own: it replaces the environment and adopts orphans.
    """
    lay_out(job)
    os.environ.clear()
    os.environ.update(scrubbed(job.fleet))
    # A home that cannot be written (a service user's) must not stop a mitigation.
    os.environ["ANSIBLE_LOCAL_TEMP"] = str(job.directory / "tmp")
    os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(job.directory / "cp")
    done = ansible_runner.run(
        private_data_dir=str(job.directory),
        playbook=MAIN,
        inventory=str(job.directory / "inventory" / "hosts.json"),
        ident="job",
        quiet=True,
        cmdline="--check --diff" if job.check else None,
        event_handler=results.take,
        settings={"pexpect_timeout": 1, "idle_timeout": 0},
    )
    return str(done.status)


def stop(grace: float = 2.0) -> None:
    """End the Ansible of this process: its main process first, then every adopted orphan.

    ansible-runner's own cancel kills one process group and leaves the workers, which have
    sessions of their own; the main process, asked to end, takes them along.
    """
    me = psutil.Process()
    for child in me.children():
        _quietly(child.terminate)
    psutil.wait_procs(me.children(), timeout=grace)
    sweep()


def sweep() -> None:
    """Kill whatever this process started or adopted and is still alive."""
    for _ in range(5):
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for child in left:
            _quietly(child.kill)
        psutil.wait_procs(left, timeout=1.0)


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
