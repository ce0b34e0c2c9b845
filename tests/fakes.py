"""Stand-ins that carry a whole story through the real worker and store, within one process.

The clock is moved by hand, the hosts are rows in memory, and a run is carried out, broken off or
never taken, as the test says. Every write is checked against the approval.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from bot.approval.policy import Person, may_write
from bot.clock import stamp
from bot.demo import oops
from bot.fleet.inventory import Inventory
from bot.incident.state import Incident
from bot.intake.alertmanager import read as read_alerts
from bot.layout import bundled
from bot.ports import Run
from bot.rollout.outcome import Raw
from bot.runbook.load import load as load_runbooks
from bot.runbook.model import Library
from bot.service import approve, receive
from bot.service.record import record, refuse
from bot.service.report import Report
from bot.service.site import Site, load, refold
from bot.store.sqlite import Sqlite
from bot.store.store import SqlStore
from bot.timeline.entry import Actor, Entry
from bot.worker import Worker

DANA = Actor(id="dana", name="Dana", via="cli")
ALEX = Actor(id="alex", name="Alex", via="cli")
EVE = Actor(id="eve", name="Eve", via="cli")
ALEX = Actor(id="alex", name="Alex", via="cli")
EVERYBODY = {
    "dana": Person(id="dana", name="Dana", roles=frozenset({"commander"})),
    "alex": Person(id="alex", name="Alex", roles=frozenset({"approver"})),
    "eve": Person(id="eve", name="Eve", roles=frozenset({"responder"})),
}
FLAGSHIP = "network/tcp-estats-update-mss.yml"


class Clock:
    """Time that only passes when somebody sleeps."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Sources:
    """One runbook, one inventory; ``failing`` is raised instead of an answer."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = list(hosts)
        self.failing: Exception | None = None
        self.rushing: set[str] = set()
        self.asking: set[str] = set()
        self._texts = {FLAGSHIP: (bundled("runbooks") / FLAGSHIP).read_text()}
        self._library = load_runbooks(self._texts)

    def add(self, name: str, *changes: tuple[str, str]) -> None:
        """Add a runbook: the first one with other words in it."""
        text = self._texts[FLAGSHIP]
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self._texts[name] = text
        self._library = load_runbooks(self._texts)

    def rewrite(self, *changes: tuple[str, str]) -> None:
        """Change the runbook's text: pairs of what stands there once, and what shall."""
        for old, new in changes:
            assert self._texts[FLAGSHIP].count(old) == 1, old
            self._texts[FLAGSHIP] = self._texts[FLAGSHIP].replace(old, new)
        self._library = load_runbooks(self._texts)

    def clear(self) -> None:
        """Take the runbook away."""
        self._texts = {}

    def put(self, *texts: str) -> None:
        """Put further runbooks beside the one."""
        self._texts |= {f"more/{number}.yml": text for number, text in enumerate(texts)}
        self._library = load_runbooks(self._texts)
        assert not self._library.problems

    def _answer(self) -> None:
        if self.failing is not None:
            raise self.failing

    def library(self) -> Library:
        self._answer()
        return self._library

    def revision(self, runbook: str) -> str:
        return "revision"

    def library_revision(self) -> str:
        return "sha256:all"

    def inventory(self, age: float = 0.0) -> Inventory:
        self._answer()
        return Inventory(hosts={h: {} for h in self.hosts}, pools={"web": tuple(self.hosts)})

    def playbooks(self) -> frozenset[str]:
        return frozenset({"sysctl-set.yml", "sysctl-read.yml", "sysctl-unset.yml"})

    def other_strategies(self, names: Collection[str]) -> list[str]:
        return [f"{name}: free" for name in names if name in self.rushing]

    def prompting(self, names: Collection[str]) -> list[str]:
        return [f"{name}: colour" for name in names if name in self.asking]

    def unsteady(self, hosts: Sequence[str]) -> str:
        return ""

    def changed(self, pinned: str, hosts: Sequence[str]) -> str:
        return ""

    def tree(self) -> str:
        return "tree"

    def pin(self) -> str:
        return "tree"

    def pinned(self, tree: str, name: str) -> str:
        return (bundled("playbooks") / name).read_text()

    def pin_hosts(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        return "inventory"

    def idle_plays(self, spec: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
        return []

    def hosts_hash(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        return "inventory"

    def approved(self, hosts: Sequence[str], pinned: str) -> Inventory:
        return self.inventory()

    def known(self, patience: float = 0.0) -> Inventory | None:
        return self.inventory() if self.failing is None else None


@dataclass(slots=True)
class FakeHost:
    """One host: what it is, and ``manner`` says what it does when it is written to.

    ``well``, ``fails`` (the task fails, nothing is set), ``dies`` (set, then down), ``vanishes``
    (down before anything is set), ``mute`` (no event at all), ``dumb`` (never says what it has).
    """

    manner: str = "well"
    up: bool = True
    knob: bool = True
    value: str = "1"
    persisted: bool = False
    boots: int = 1
    writes: list[str] = field(default_factory=list)

    def boot(self) -> None:
        self.up, self.boots = True, self.boots + 1
        self.value = "0" if self.persisted else "1"

    def fact(self, name: str, phase: str) -> dict[str, Any]:
        return {
            "holdfast": 1,
            "phase": phase,
            "applicable": self.knob,
            "value": self.value if self.knob else None,
            "wanted": "0",
            "safe": self.value == "0",
            "persisted": self.persisted,
            "would": [],
            "boot_id": f"{name}-{self.boots}",
            "kernel": "k",
            "reason": "" if self.knob else "no such knob",
        }


class Launcher:
    """Remembers what was launched; the test says how it goes on."""

    def __init__(self) -> None:
        self.launched: list[str] = []
        self.vanished: set[str] = set()
        self.withdrawn: set[str] = set()
        self.error: Exception | None = None

    def launch(self, run: Run) -> None:
        if self.error is not None:
            raise self.error
        if run.ident not in self.launched:
            self.launched.append(run.ident)

    def reap(self) -> None:
        pass

    def started(self) -> list[str]:
        return self.launched

    def withdraw(self, ident: str) -> None:
        self.withdrawn.add(ident)

    def gone(self, run: Run) -> bool:
        return run.ident in self.vanished

    def end(self, ident: str) -> None:
        pass


class Store(SqlStore):
    """The real store, except that waiting takes no time."""

    def __init__(self, file: Path, clock: Clock) -> None:
        super().__init__(Sqlite(make_url(f"sqlite:///{file}"), clock), secret=b"k", clock=clock)
        self._hand = clock

    def wait(self, seconds: float) -> None:
        self._hand.sleep(seconds)


class Night:
    """A site with its fleet, its worker and its runs."""

    def __init__(self, file: Path, hosts: Mapping[str, FakeHost], **site: Any) -> None:
        self.clock = Clock()
        self.fleet = dict(hosts)
        self.launcher = Launcher()
        self.store = Store(file, self.clock)
        self.store.migrate()
        self.sources = Sources(list(hosts))
        self.site = Site(
            store=self.store,
            clock=self.clock,
            sources=self.sources,
            people=EVERYBODY,
            **site,
        )
        self.worker = Worker(self.site, self.launcher, "w")
        self.unlawful: list[str] = []

    def close(self) -> None:
        self.store.close()

    def restart(self) -> None:
        """Lose whatever the process remembers."""
        self.launcher.launched = []
        self.worker = Worker(self.site, self.launcher, "w")
        for row in self.store.incidents():
            with self.store.transaction(row.id) as tx:
                tx.wake(row.id, self.clock.now())

    def crash(self, host: str, *, up: bool = True, text: str = "") -> None:
        """Report a crash; ``up``: the host is back already."""
        at = stamp(self.clock.now())
        alerts = [oops.crashed(host, text or OOPS, at)] + ([oops.down(host, at, at)] if up else [])
        read = read_alerts(json.dumps(oops.webhook(*alerts)).encode(), ["instance"])
        watcher = Actor(id="alertmanager", name="alertmanager", via="intake")
        self.clock.sleep(0.01)
        receive.receive(self.site, read, self.sources.inventory(), watcher)

    def turn(self) -> None:
        self.worker.turn()

    def go(self, until: Callable[[], bool], seconds: float = 600) -> None:
        """Let the worker turn and its runs be carried out until something is true."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while not until():
            assert self.clock.now() < end, "waited in vain:\n" + "\n".join(self.story())
            self.turn()
            if not until():
                self.carry_out()
            self.clock.sleep(0.05)

    def carry_out(self) -> None:
        """Carry out every run that was launched and not yet taken."""
        queued = {run.ident for run in self.store.unfinished_runs() if run.state == "queued"}
        for ident in self.launcher.launched:
            if ident in queued:
                self.supervise(ident)

    def supervise(self, ident: str, *, dies_after: int | None = None) -> None:
        """Be the supervisor of a run; after so many hosts it may die without a word."""
        run = self.store.claim_run(ident, "s")
        if run is None:
            return
        self.clock.sleep(0.1)
        purpose = str(run.spec.get("purpose") or "")
        if purpose and (refusal := self._refusal(run, purpose)):
            refuse(self.site, run, refusal)
            return
        raws = []
        for number, host in enumerate(run.hosts):
            if number == dies_after:
                return
            raws.append(self.touch(run, host, purpose))
        self.clock.sleep(0.1)
        record(self.site, Report(run=run, raws=raws))

    def _refusal(self, run: Run, purpose: str) -> str:
        """Ask the approval as the real supervisor does, the moment before."""
        with self.store.transaction(run.incident) as tx:
            proposal = refold(tx, run.incident).proposals[run.spec["proposal"]]
        answers = [may_write(proposal, host, purpose) for host in run.hosts]
        return next((a.sentence for a in answers if not a.ok), "")

    def touch(self, run: Run, name: str, purpose: str) -> Raw:
        """Let one host answer a run."""
        host, at = self.fleet[name], stamp(self.clock.now())
        phases = ["preview"] if run.spec.get("check") else [p for _, p in run.spec["playbooks"]]
        if not host.up:
            return Raw(host=name, status="unreachable", message="no route to host")
        facts = []
        for phase in phases:
            if phase is None:
                answer = self._write(run, name, purpose)
                if answer is not None:
                    return answer
            if host.manner != "dumb" or "proposal" not in run.spec:
                undone = "rollback" if purpose == "rollback" else "apply"
                facts.append(host.fact(name, phase or undone))
        return Raw(host=name, status="ok", facts=tuple(facts), at=at)

    def _write(self, run: Run, name: str, purpose: str) -> Raw | None:
        host = self.fleet[name]
        proposal = load(self.site, run.incident).proposals[run.spec["proposal"]]
        if not may_write(proposal, name, purpose).ok or name not in proposal.hosts:
            self.unlawful.append(f"{run.ident} on {name}")
        host.writes.append(run.ident)
        if host.manner == "mute":
            return Raw(host=name, status="missing")
        if host.manner == "vanishes":
            host.up, host.manner = False, "well"
            return Raw(host=name, status="unreachable", message="timed out")
        if host.manner == "fails":
            return Raw(host=name, status="failed", message="read-only file system")
        if host.knob:
            back = purpose == "rollback"
            host.value, host.persisted = ("1", False) if back else ("0", True)
        if host.manner == "dies":
            host.up, host.manner = False, "well"
            return Raw(host=name, status="unreachable", message="timed out")
        return None

    def approve(self, name: str = "P-1") -> None:
        """Bring the proposal about and approve it."""
        self.go(lambda: name in self.incident.proposals)
        approve.approve(self.site, name, DANA)

    @property
    def incident(self) -> Incident:
        return load(self.site, "INC-1")

    @property
    def entries(self) -> list[Entry]:
        return self.store.entries("INC-1")

    def runs(self) -> list[Run]:
        """Return the incident's runs."""
        return self.store.runs("INC-1")

    def kinds(self) -> list[str]:
        return [e.kind for e in self.entries]

    def story(self) -> list[str]:
        return [f"{stamp(e.at)} {e.kind}: {e.text}" for e in self.entries]

    def outcomes(self) -> dict[str, str]:
        rows = self.incident.hosts
        return {name: str(rows[name].outcome) for name in self.fleet if name in rows}

    def state(self, name: str = "P-1") -> str:
        return str(self.incident.proposals[name].state)


OOPS = """\
[81234.118702] BUG: unable to handle kernel NULL pointer dereference at 0000000000000038
[81234.118731] IP: [<ffffffff8164a3c2>] tcp_estats_update_mss+0x12/0x40
[81234.118771] Oops: 0002 [#1] SMP
[81234.118784] CPU: 5 PID: 0 Comm: swapper/5 Not tainted 3.14.27-web10g #1
[81234.118962] Kernel panic - not syncing: Fatal exception in interrupt
"""
