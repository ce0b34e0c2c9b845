"""The only importer of ansible_runner: one playbook run on an explicit host list."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import ansible_runner
import psutil

from bot.config import FleetPart
from bot.rollout.outcome import Raw
from bot.rollout.preview import cannot_preview, would
from bot.runbook.variable import Plain
from bot.runner import lane, leash, scratch, trace
from bot.runner.leash import Lease
from bot.runner.pin import SITE
from bot.runner.redact import Redactor
from bot.runner.settings import ssh_args

MAIN = "holdfast-main.yml"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK")
MARK = '{"holdfast":'
WHOSE = frozenset({"event", "uuid", "counter", "created"})
OURS = frozenset({"holdfast", "phase", "applicable", "safe", "persisted", "changed", "ok"})
"""What a host's answer says in words of ours: never a secret, even if one is spelled like it."""
KILLED = "killed"
STRATEGIES = Path(__file__).parent / "plugins" / "strategy"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one run does: playbooks (name, phase or None) in order, on exactly these hosts.

    ``inventory`` is Ansible's own form of them; it may hold passwords and is never written to disk.
    """

    directory: Path
    playbooks: tuple[tuple[str, str | None], ...]
    inventory: Mapping[str, Any]
    variables: Mapping[str, Plain]
    fleet: FleetPart
    check: bool = False


@dataclass(slots=True)
class Results:
    """What each host said, gathered from Ansible's events as they come, without secrets.

    ``closing`` is the phase whose answer is a host's last one (None: any answer is). ``began`` and
    ``final`` are when the run turned to a host and when it answered for good; ``news`` are hosts
    with something new, ``stirred`` is set with them. Another thread may take the news.
    """

    redactor: Redactor = field(default_factory=Redactor)
    output: Path | None = None
    check: bool = False
    closing: str | None = None
    status: dict[str, str] = field(default_factory=dict)
    facts: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    would: dict[str, list[str]] = field(default_factory=dict)
    blind: dict[str, dict[str, None]] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    untouched: set[str] = field(default_factory=set)
    lanes: dict[str, str] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    began: dict[str, str] = field(default_factory=dict)
    final: dict[str, str] = field(default_factory=dict)
    news: deque[str] = field(default_factory=deque)
    stirred: threading.Event = field(default_factory=threading.Event)
    _file: FileIO | None = None

    def take(self, event: dict[str, Any]) -> bool:
        """Note one event. It runs in the reading thread, so it must be quick.

        Returns whether ansible-runner is to write it to disk, which costs it more than all the
        rest: what hosts say is in the store. Secrets are taken out of the event itself.
        """
        lines = _marked(event)
        self._redact(event)
        self._write(str(event.get("stdout") or ""))
        data = event.get("event_data") or {}
        host, result = data.get("host"), data.get("res") or {}
        if not host:
            return True
        created = str(event.get("created") or "")
        self._begin(host, result, created)
        match event.get("event"):
            case "runner_on_unreachable":
                self._end(host, "unreachable", result)
                self._close(host, created)
            case "runner_on_failed" if _cut_off(result):
                self._end(host, "broken", {"msg": "its connection was killed on our side"})
            case "runner_on_failed" if not data.get("ignore_errors"):
                self._end(host, "failed", result)
                self._close(host, created)
            case "runner_on_ok":
                self.status.setdefault(host, "ok")
                self._preview(host, data, result)
            case "runner_item_on_ok":
                self._preview(host, data, result)
            case "runner_on_skipped" | "runner_item_on_skipped" if self.check:
                if cannot_preview(str(event.get("stdout") or "")):
                    self.blind.setdefault(host, {})[_task(data)] = None
            case _:
                pass
        self._facts(host, result, lines, created)
        return False

    def _redact(self, event: dict[str, Any]) -> None:
        """Redact all but what says whose event it is: a host may be named like a secret."""
        clean = self.redactor.value(event)
        if clean is event:
            return  # there is nothing to look for
        for key in WHOSE & event.keys():
            clean[key] = event[key]
        if isinstance(data := event.get("event_data"), dict) and "host" in data:
            clean["event_data"]["host"] = data["host"]
        event.clear()
        event.update(clean)

    def _write(self, text: str) -> None:
        """Keep the output as people know it; ansible-runner would keep the secrets in it too."""
        if self.output is None or not text:
            return
        # A full disk may cost the output, never a host's result.
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self.output.open("ab", buffering=0)
            self._file.write(f"{text}\n".encode(errors="replace"))

    def close(self) -> None:
        """Close the output's file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reach(self, host: str, result: Any) -> None:
        """Note every host that a task was for, and the address of whom it was delegated to."""
        self.reached.add(host)
        delegated = result.get("_ansible_delegated_vars") if isinstance(result, dict) else None
        if isinstance(delegated, dict) and delegated.get("ansible_host"):
            self.reached.add(str(delegated["ansible_host"]))

    def _begin(self, host: str, result: Any, created: str) -> None:
        self._reach(host, result)
        if created and self.began.setdefault(host, created) is created:
            self._stir(host)
        if isinstance(result, dict) and result.get("changed") is True:
            self.changed.add(host)

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
        if status == "unreachable" and host not in self.status and _refused(result):
            self.untouched.add(host)
        self.status[host] = status
        said = (result.get(key) for key in ("stderr", "msg", "stdout"))
        self.messages[host] = _short(next((str(s) for s in said if s), ""))

    def _preview(self, host: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Note what a dry run says; nothing else is in check mode or has a diff."""
        if not self.check or not isinstance(result, dict) or "results" in result:
            return
        self.would.setdefault(host, []).extend(would(_task(data), result))

    def _facts(
        self, host: str, result: Mapping[str, Any], lines: Sequence[str], created: str
    ) -> None:
        """Take the host's own answers: their words are redacted, their yes and no are not."""
        if not isinstance(result, dict):
            return
        if lane.KEY in result and self.lanes.get(host, lane.BULK) == lane.BULK:
            self.lanes[host] = str(result[lane.KEY])
        for line in lines:
            try:
                told = json.loads(line)
                # What cannot be kept (NaN, half a character) must not spoil the others' report.
                json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
                fact = {k: v if k in OURS else self.redactor.value(v) for k, v in told.items()}
                self.facts.setdefault(host, []).append(fact)
                self.times[host] = created
                if self.closing in (None, fact.get("phase")):
                    self._close(host, created)
            except (ValueError, RecursionError):
                shown = _short(self.redactor.text(line))
                self.messages.setdefault(host, f"unreadable answer: {shown}")

    def raws(self, approved: Sequence[str]) -> list[Raw]:
        """Return one result for every approved host; one without an event is ``missing``."""
        return [
            Raw(
                host=host,
                status=self.status.get(host, "missing"),
                facts=tuple(self.facts.get(host, ())),
                message=self.messages.get(host, ""),
                at=self.times.get(host) or None,
                would=tuple(self.would.get(host, ())),
                blind=tuple(self.blind.get(host, ())),
                untouched=host in self.untouched,
                lane=self.lanes.get(host, lane.ORDINARY if host in self.status else ""),
                changed=host in self.changed,
            )
            for host in approved
        ]

    def strangers(self, approved: Collection[str]) -> set[str]:
        """Return hosts that had an event and were not approved: never empty is a breach.

        A task may be delegated to an approved host by its address.
        """
        return self.reached - set(approved) - self.addresses - LOCAL


def _marked(event: Mapping[str, Any]) -> list[str]:
    """Return the lines of an event's output that are a host's answer to us."""
    result = (event.get("event_data") or {}).get("res")
    text = str(result.get("stdout") or "") if isinstance(result, dict) else ""
    return [line for line in text.splitlines() if line.startswith(MARK)]


def _task(data: Mapping[str, Any]) -> str:
    return f"{data.get('task', '')} ({data.get('task_action', '')})"


def _cut_off(result: Mapping[str, Any]) -> bool:
    """Say whether a signal ended our own ssh client: what the host did is not known then."""
    code = result.get("rc")
    return isinstance(code, int) and code < 0


def _refused(result: Mapping[str, Any]) -> bool:
    """Say whether no connection came about: ssh says so in these words, and only then."""
    return "connect to host" in str(result.get("msg"))


def _short(text: str, limit: int = 300) -> str:
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def scrubbed(fleet: FleetPart, site_args: str = "") -> dict[str, str]:
    """Return the environment of Ansible: no token or secret of the bot is in it.

    ``site_args`` are the site's own ssh arguments: ours come first, and ssh takes the first word.
    """
    kept = (*KEPT, *fleet.environment)
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env["PATH"] = f"{Path(sys.executable).parent}:{env.get('PATH', os.defpath)}"
    env.setdefault("LANG", "C.UTF-8")
    options = " ".join(f"-o {option}" for option in fleet.ssh_options)
    if fleet.vault_password_file:
        env["ANSIBLE_VAULT_PASSWORD_FILE"] = fleet.vault_password_file
    env |= {
        "ANSIBLE_FORKS": str(fleet.forks),
        "ANSIBLE_TIMEOUT": str(fleet.connect_timeout),
        "ANSIBLE_SSH_ARGS": f"{options} {site_args}".strip(),
        "ANSIBLE_SSH_RETRIES": "0",
        "ANSIBLE_SSH_USETTY": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_STRATEGY": "holdfast_bulk",
        "ANSIBLE_STRATEGY_PLUGINS": str(STRATEGIES),
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
    }
    return env


def lay_out(job: Job) -> int:
    """Write the run's variables and main playbook below ``job.directory``, hand its inventory over.

    The inventory is in memory; the file is a link to it. Returns the descriptor that keeps it.
    """
    plays = [
        {"import_playbook": name, **({"vars": {"phase": phase}} if phase else {})}
        for name, phase in job.playbooks
    ]
    _write(job.directory / "env" / "extravars", dict(job.variables))
    _write(job.directory / "project" / MAIN, plays)
    memory = os.memfd_create("inventory", os.MFD_CLOEXEC)
    os.fchmod(memory, 0o600)
    with open(memory, "w", closefd=False) as file:
        json.dump(job.inventory, file)
    link = job.directory / "inventory" / "hosts.json"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
    return memory


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(value))


def run(job: Job, results: Results, lease: Lease) -> str:
    """Run the job, fill ``results`` with what the hosts say, return ansible-runner's status.

    ``killed`` is a status of ours: Ansible was ended by a signal, whoever sent it.
    Call it only in a process of its own: it replaces the environment and adopts orphans.
    """
    env = environment(job.directory, job.fleet)
    os.environ.clear()
    os.environ.update(env)
    os.environ[trace.MARK] = str(job.directory)
    artifacts = job.directory / "artifacts" / "job"
    results.output = artifacts / "stdout"
    artifacts.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_room(job.directory)
    memory = lay_out(job)
    try:
        runner = ansible_runner.interface.init_runner(
            private_data_dir=str(job.directory),
            playbook=MAIN,
            inventory=str(job.directory / "inventory" / "hosts.json"),
            ident="job",
            quiet=True,
            cmdline="--check --diff -v" if job.check else None,
            event_handler=results.take,
            fact_cache_type="memory",
            settings={"pexpect_timeout": 1, "idle_timeout": 0, "suppress_output_file": True},
        )
        if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
            # ansible-runner switches the check of host keys off for all: that is not its to say.
            runner.config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)
        runner.config.command = leash.command(lease, runner.config.command)
        runner.run()
    finally:
        os.close(memory)
        results.close()
        (artifacts / "command").unlink(missing_ok=True)  # the environment
    by_signal = runner.rc is None or 128 < runner.rc < 128 + signal.NSIG
    return KILLED if by_signal else str(runner.status)


def make_room(directory: Path) -> None:
    """Put what Ansible writes in passing into memory, before anything of Ansible runs."""
    scratch.make(directory, [directory / "artifacts" / "job" / "job_events", directory / "tmp"])


def environment(directory: Path, fleet: FleetPart) -> dict[str, str]:
    """Return the environment of a run whose pinned playbooks are in ``directory/project``."""
    file = directory / "project" / SITE / "ansible.cfg"
    return {
        **scrubbed(fleet, ssh_args(file)),
        "ANSIBLE_CONFIG": str(file),
        # A home that cannot be written (a service user's) must not stop a mitigation, and no
        # role or plugin of somebody's home may come in beside the pinned ones.
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"),
    }


def settle(directory: Path, most: int = 1 << 20) -> None:
    """Keep what people may want of a run that was recorded: status and output, at most this long.

    Events, the settings with their environment and temporary files go.
    """
    job = directory / "artifacts" / "job"
    scratch.remove(directory)
    for link in (job / "job_events", directory / "tmp", job / "command"):
        link.unlink(missing_ok=True)
    shutil.rmtree(directory / "cp", ignore_errors=True)
    output = job / "stdout"
    if output.is_file() and output.stat().st_size > most:
        kept = lane.Bounded(most // 2)
        with output.open("rb") as file:
            while piece := file.read(1 << 20):
                kept.add(piece)
        output.write_bytes(kept.bytes())


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
