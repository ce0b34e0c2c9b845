"""Two bot processes on one database, and people who all press at once: one random order at a time.

Everything is real but the hosts and the clocks: the store on SQLite, the services, ``decide``, the
worker. Every deed is a thread, and only one moves at a time: before each call to the store it waits
until it is chosen. The order is drawn from a seed, so that a failure can be played again.
"""

from __future__ import annotations

import random
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from bot.approval.policy import may_write
from bot.approval.rules import BreakGlass, Policy, Rule
from bot.clock import stamp
from bot.errors import HoldfastError
from bot.ports import Run
from bot.rollout.outcome import Raw
from bot.service import approve, glass, people, request
from bot.service.record import record, refuse
from bot.service.report import Report
from bot.service.site import Site, load
from bot.store import ledger
from bot.store.sqlite import Sqlite
from bot.store.store import SqlStore
from bot.timeline import chain
from bot.timeline.chain import verify
from bot.timeline.entry import Actor, Draft, Entry
from bot.worker import Worker
from tests.fakes import EVERYBODY, FakeHost, Launcher, Night, Sources

SECRET = b"k"
BEGIN = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
DELAY = 600.0
HOSTS = ("a", "b", "c")
POLICY = Policy(
    required=1,
    rules=(Rule(name="worst", required=2, severities=frozenset({"sev1"})),),
    glass=BreakGlass(people=2, delay=DELAY),
)
DECIDERS = frozenset({"dana", "alex"})
"""Who may approve: the test's own list, apart from the policy that is tested."""
PEOPLE = {name: Actor(id=name, name=name.title(), via="cli") for name in ("dana", "alex", "eve")}
PEOPLE["zoe"] = Actor(id="slack:U9", name="Zoe", via="slack")
JUMPS = (-7200, -1900, -700, -60, 60, 650, 1790, 1900, 7200)


class Clock:
    """One process's own idea of the time."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Disk(Sources):
    """The sources that both processes see; ``edit`` changes a playbook."""

    edits = 0

    def tree(self) -> str:
        return f"tree{self.edits or ''}"

    pin = tree


class Turns:
    """The baton: whoever has it moves, and hands it to one that is chosen at random."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._mine = threading.local()
        self._gates: dict[str, threading.Semaphore] = {}
        self._over = threading.Semaphore(0)
        self.step = 0

    def pause(self) -> None:
        """Hand the baton on, and wait until it is back. Outside of a deed: go on."""
        if (name := self.deed) == "-":
            return
        self.step += 1
        chosen = self._rng.choice(list(self._gates))
        if chosen != name:
            self._gates[chosen].release()
            self._gates[name].acquire()

    @property
    def deed(self) -> str:
        """The name of the deed that moves now."""
        return str(getattr(self._mine, "name", "-"))

    def run(self, deeds: list[tuple[str, Callable[[], None]]]) -> None:
        """Let the deeds run, interleaved, to their ends."""
        self._gates = {name: threading.Semaphore(0) for name, _ in deeds}
        threads = [
            threading.Thread(target=self._begin, args=(name, deed), daemon=True)
            for name, deed in deeds
        ]
        for thread in threads:
            thread.start()
        self._gates[self._rng.choice(list(self._gates))].release()
        self._over.acquire()
        for thread in threads:
            thread.join()

    def _begin(self, name: str, deed: Callable[[], None]) -> None:
        self._mine.name = name
        self._gates[name].acquire()
        try:
            deed()
        finally:
            del self._gates[name]
            self.step += 1
            left = list(self._gates)
            (self._gates[self._rng.choice(left)] if left else self._over).release()


class Tx:
    """A transaction that notes which deed appended what."""

    def __init__(self, inner: Any, log: list[tuple[str, int, Draft]], turns: Turns) -> None:
        self._inner, self._log, self._turns = inner, log, turns

    def append(self, incident: str, *drafts: Draft) -> list[Entry]:
        new: list[Entry] = self._inner.append(incident, *drafts)
        self._log += [(self._turns.deed, self._turns.step, e) for e in new]  # type: ignore[misc]
        return new

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Paused(SqlStore):
    """The real store; before each call the deed waits for its turn."""

    def __init__(self, file: Path) -> None:
        self.clock = Clock(BEGIN)
        dialect = Sqlite(make_url(f"sqlite:///{file}"), self.clock)
        super().__init__(dialect, secret=SECRET, clock=self.clock)
        self._turns = Turns(random.Random(0))
        self._log: list[Any] = []

    def begin(self, clock: Clock, turns: Turns, log: list[Any]) -> None:
        """Serve another world; what was compiled for the database stays."""
        self.clock.at = clock.at
        self._turns, self._log = turns, log

    @contextmanager
    def transaction(self, *locks: str) -> Iterator[Any]:
        self._turns.pause()
        with super().transaction(*locks) as tx:
            yield Tx(tx, self._log, self._turns)

    def entries(self, incident: str, after: int = 0) -> list[Entry]:
        self._turns.pause()
        return super().entries(incident, after)

    def runs(self, incident: str) -> list[Run]:
        self._turns.pause()
        return super().runs(incident)

    def claim_run(self, ident: str, worker: str) -> Run | None:
        self._turns.pause()
        return super().claim_run(ident, worker)


@dataclass(slots=True)
class Said:
    """What became of one deed of a person: ``error`` is '' if it was carried out."""

    deed: str
    who: str
    verb: str
    text: str = ""
    error: str = ""
    next: str = ""


@dataclass(slots=True)
class Written:
    """One write to one host, and whether its approval was asked right before the run's writes."""

    run: str
    host: str
    proposal: str
    purpose: str
    asked_at_seq: int


class Arena:
    """One database file that every world begins anew from a template, with two stores on it.

    In the template a proposal waits for people; ``requester`` asked for it.
    """

    def __init__(self, place: Path, requester: str = "holdfast") -> None:
        self.disk, self.requester = Disk(HOSTS), requester
        self.name = "P-1" if requester == "holdfast" else "P-2"
        self._template = sqlite3.connect(self._prepare(place), check_same_thread=False)
        self._file = place / "world.db"
        self._fill()
        self.stores = [Paused(self._file), Paused(self._file)]
        entries = self.stores[0].entries("INC-1")
        made = next(e for e in reversed(entries) if e.kind == "proposal.made")
        self.digest = str(made.data["digest"])
        # The same few payloads are read a thousand times: parsing them is most of a world's time.
        vars(ledger)["unpack"] = lru_cache(1000)(chain.unpack)

    def _prepare(self, place: Path) -> Path:
        """Make the template: what the bot proposed, or what somebody asked for in its place."""
        file = place / "template.db"
        night = Night(file, {name: FakeHost() for name in HOSTS}, policy=POLICY)
        night.crash("a")
        night.go(lambda: "P-1" in night.incident.proposals)
        if self.name == "P-2":
            request.request(night.site, "INC-1", PEOPLE[self.requester])
            night.go(lambda: "P-2" in night.incident.proposals)
        content = night.incident.proposals[self.name].content
        assert content["requester"] == self.requester
        night.close()
        return file

    def _fill(self) -> None:
        with closing(sqlite3.connect(self._file)) as target:
            self._template.backup(target)

    def play(self, seed: int) -> list[str]:
        """Play one order and return its faults."""
        self._fill()
        self.disk.edits = 0
        world = World(seed, self)
        world.play()
        return world.faults()

    def entries(self) -> list[Entry]:
        """Return what the last world has left."""
        return SqlStore.entries(self.stores[0], "INC-1")

    def close(self) -> None:
        """Close everything and put back what was patched."""
        vars(ledger)["unpack"] = chain.unpack
        for store in self.stores:
            store.close()
        self._template.close()


class World:
    """Two processes and one fleet, for one order."""

    def __init__(self, seed: int, arena: Arena) -> None:
        self.rng = random.Random(seed)
        self.turns = Turns(self.rng)
        self.log: list[tuple[str, int, Entry]] = []
        self.begun: dict[str, int] = {}
        self.edited: list[int] = []
        self.said: list[Said] = []
        self.written: list[Written] = []
        self.crashed: list[str] = []
        self.fleet = {name: FakeHost() for name in HOSTS}
        self.disk, self.stores = arena.disk, arena.stores
        self.digest, self.name = arena.digest, arena.name
        skew = self.rng.choice([-20, -2, 0, 0, 0, 3, 30])
        for store, late in zip(self.stores, (0, skew), strict=True):
            store.begin(Clock(BEGIN + timedelta(seconds=late)), self.turns, self.log)
        self.clocks = [store.clock for store in self.stores]
        self.sites = [self._site(n) for n in (0, 1)]
        self.launchers = [Launcher(), Launcher()]
        self.workers = [Worker(self.sites[n], self.launchers[n], f"w{n}") for n in (0, 1)]

    def _site(self, number: int) -> Site:
        return Site(
            store=self.stores[number],
            clock=self.clocks[number],
            sources=self.disk,
            people=EVERYBODY,
            policy=POLICY,
        )

    # deeds

    def deeds(self) -> list[tuple[str, Callable[[], None]]]:
        """Draw what is done, by whom and in which process."""
        rng = self.rng
        made: list[tuple[str, Callable[[], None]]] = []
        menu = ["approve"] * 7 + ["look"] * 5 + ["supervise"] * 3 + ["glass"] * 2
        menu += [
            "reject",
            "reject",
            "abort",
            "abort",
            "edit",
            "jump",
            "jump",
            "severity",
            "restart",
            "pause",
            "wild",
        ]
        for number in range(rng.randint(3, 8)):
            kind, place = rng.choice(menu), rng.randrange(2)
            name = f"{number}.{kind}.{place}"
            deed = self._deed(kind, place, name)
            made.append((name, deed))
            if kind in {"approve", "glass", "reject"} and rng.random() < 0.4:
                again = f"{name}.again"  # a double click, or the chat's redelivery
                copy = self._deed(kind, rng.randrange(2), again, like=deed)
                made.append((again, copy))
        return made

    def _deed(
        self, kind: str, place: int, name: str, like: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        if kind in {"approve", "glass", "reject", "abort", "severity", "pause", "wild"}:
            who = self.rng.choice(["dana", "alex", "dana", "alex", "eve", "zoe"])
            if like is not None:
                who = like.who  # type: ignore[attr-defined]
            deed = self._person(kind, place, name, who)
            deed.who = who  # type: ignore[attr-defined]
            return deed
        jump = self.rng.choice(JUMPS)
        return {
            "look": lambda: self._look(place, name),
            "supervise": lambda: self._supervise(place),
            "edit": self._edit,
            "jump": lambda: self.clocks[place].sleep(jump),
            "restart": lambda: self._restart(place, name),
        }[kind]

    def _person(self, kind: str, place: int, label: str, who: str) -> Callable[[], None]:
        name = self.name
        digest = self.rng.choice(["", "", self.digest[:12]])
        actor = PEOPLE[who]

        def deed() -> None:
            site = self.sites[place]
            verbs: dict[str, Callable[[], str]] = {
                "approve": lambda: approve.approve(site, name, actor, digest),
                "glass": lambda: glass.break_glass(site, name, actor, "it burns", digest),
                "reject": lambda: approve.reject(site, name, actor, "no"),
                "abort": lambda: approve.abort(site, name, actor, "stop"),
                "pause": lambda: approve.pause(site, name, actor),
                "severity": lambda: people.severity(site, "INC-1", "sev1", actor),
                "wild": lambda: request.request(site, "INC-1", actor),
            }
            said = Said(label, actor.id, kind)
            self.said.append(said)
            try:
                said.text = verbs[kind]()
            except HoldfastError as error:
                said.error, said.next = error.what, error.next
            except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
                self.crashed.append(f"{label}: {error!r}")

        return deed

    def _entries(self) -> list[Entry]:
        return SqlStore.entries(self.stores[0], "INC-1")

    def _look(self, place: int, name: str) -> None:
        self.begun[name] = self.turns.step
        try:
            self.workers[place].look("INC-1")
        except HoldfastError as error:
            self.crashed.append(f"{name}: {error}")

    def _edit(self) -> None:
        self.disk.edits += 1
        self.edited.append(self.turns.step)

    def _restart(self, place: int, name: str) -> None:
        """Lose whatever the process remembers, and look at everything as a new one does."""
        self.launchers[place] = Launcher()
        self.sites[place] = self._site(place)
        self.workers[place] = Worker(self.sites[place], self.launchers[place], f"w{place}.{name}")
        self._look(place, name)

    def _supervise(self, place: int) -> None:
        """Be the supervisor of every queued run, as far as its approval lets it."""
        site = self.sites[place]
        for run in site.store.runs("INC-1"):
            if run.state != "queued" or site.store.claim_run(run.ident, f"s{place}") is None:
                continue
            purpose = str(run.spec.get("purpose") or "")
            incident = load(site, "INC-1")
            if purpose:
                proposal = incident.proposals[run.spec["proposal"]]
                answers = [may_write(proposal, host, purpose) for host in run.hosts]
                if refusal := next((a.sentence for a in answers if not a.ok), ""):
                    refuse(site, run, refusal)
                    continue
            raws = [self._touch(run, host, purpose, incident.seq) for host in run.hosts]
            record(site, Report(run=run, raws=raws))

    def _touch(self, run: Run, name: str, purpose: str, seq: int) -> Raw:
        self.turns.pause()
        host = self.fleet[name]
        if purpose:
            row = Written(run.ident, name, run.spec["proposal"], purpose, seq)
            self.written.append(row)
            host.value, host.persisted = "0", True
        phases = ["preview"] if run.spec.get("check") else [p for _, p in run.spec["playbooks"]]
        facts = tuple(host.fact(name, phase or "apply") for phase in phases)
        return Raw(host=name, status="ok", facts=facts, at=stamp(self.clocks[0].now()))

    # the run of it

    def play(self) -> None:
        """Run the deeds in a random order, then let the first process bring things to their end."""
        self.turns.run(self.deeds())
        self.clocks[0].at = max(clock.at for clock in self.clocks)
        while self._unfinished():
            before = len(self.log)
            self._look(0, "end")
            self._supervise(0)
            if len(self.log) == before:
                break

    def _unfinished(self) -> bool:
        """Say whether something was approved, and may still be carried out."""
        kinds = [e.kind for _, _, e in self.log]
        writes = {"approval.given", "glass.broken", "rollout.started"} & set(kinds)
        return bool(writes) and kinds.count("wave.finished") < 2

    def faults(self) -> list[str]:
        """Return everything that must never be, judged from the entries alone."""
        entries = self._entries()
        found = list(self.crashed)
        for entry in entries:
            if entry.kind == "rollout.started":
                found += self._unapproved(entries, entry)
        found += self._writes(entries) + self._losers(entries)
        payloads = self.stores[0].payloads("INC-1")
        verdict = verify(SECRET, entries, payloads)
        return found if verdict.intact else [*found, verdict.sentence]

    def _unapproved(self, entries: list[Entry], start: Entry) -> list[str]:
        name = start.data["proposal"]
        before = [e for e in entries if e.seq < start.seq]
        mine = [e for e in before if e.data.get("proposal") == name]
        made = next(e for e in mine if e.kind == "proposal.made")
        ended = {"proposal.rejected", "proposal.expired", "proposal.superseded", "rollout.started"}
        found = [f"{name} started after {e.kind}" for e in mine if e.kind in ended]
        levels = [e.data["severity"] for e in before if e.kind == "incident.severity"]
        need = 2 if levels and levels[-1] == "sev1" else 1
        digest = made.data["digest"]
        yes = {
            e.actor.id for e in mine if e.kind == "approval.given" and e.data["digest"] == digest
        }
        counted = (yes & DECIDERS) - {made.data["content"]["requester"]}
        if len(counted) < need and not self._glass(mine):
            found.append(f"{name} started with {sorted(counted)} of {need}")
        if stamp(start.at) >= made.data["content"]["expires_at"]:
            found.append(f"{name} started at {start.at} after its expiry")
        look, _, _ = next(row for row in self.log if row[2].id == start.id)
        made_step = (
            next(step for _, step, e in self.log if e.id == made.id) if name != self.name else 0
        )
        begun = self.begun.get(look, self.turns.step)
        if any(made_step < edit < begun for edit in self.edited):
            found.append(f"{name} started although its playbook was edited before the look began")
        return found

    def _glass(self, mine: list[Entry]) -> bool:
        opened = [e for e in mine if e.kind == "glass.opened"]
        broken = [e for e in mine if e.kind == "glass.broken" and e.actor.id in DECIDERS]
        if not opened or not broken:
            return False
        if len({e.actor.id for e in broken}) >= 2:
            return True
        return opened[0].at >= broken[0].at + timedelta(seconds=DELAY)

    def _writes(self, entries: list[Entry]) -> list[str]:
        found, firsts = [], set()
        starts: dict[str, int] = {}
        ends: dict[str, int] = {}
        for entry in entries:
            if entry.kind == "rollout.started":
                if entry.data["proposal"] in starts:
                    found.append(f"{entry.data['proposal']} started twice")
                starts[entry.data["proposal"]] = entry.seq
            if entry.kind == "rollout.aborted":
                ends.setdefault(entry.data["proposal"], entry.seq)
        for row in self.written:
            begin, end = starts.get(row.proposal), ends.get(row.proposal)
            if begin is None or begin > row.asked_at_seq:
                found.append(f"{row.run} wrote to {row.host} before a start")
            if end is not None and end <= row.asked_at_seq:
                found.append(f"{row.run} wrote to {row.host} after the abort")
            key = (row.proposal, row.host)
            if row.purpose == "first" and key in firsts:
                found.append(f"{row.proposal} was carried out twice on {row.host}")
            firsts.add(key)
        return found

    def _losers(self, entries: list[Entry]) -> list[str]:
        found = []
        given = [e.actor.id for e in entries if e.kind == "approval.given"]
        for said in self.said:
            if not said.text and not said.error:
                found.append(f"{said.deed} was told nothing")
            if said.error and not REASONS.search(said.error):
                found.append(f"{said.deed} was told no reason: {said.error}")
        for kind, verb in (("approval.given", "approve"), ("glass.broken", "glass")):
            for who in {s.who for s in self.said}:
                took = sum(1 for s in self.said if s.who == who and s.verb == verb and s.text)
                rows = [e for e in entries if e.kind == kind and e.actor.id == who]
                if took != len(rows):
                    found.append(f"{who} was told {took} times that {verb} counts, {len(rows)} do")
        if len(given) != len(set(given)):
            found.append("an approval was counted twice")
        refused = sum(1 for e in entries if e.kind == "approval.refused")
        told = sum(1 for s in self.said if s.verb in {"approve", "glass"} and s.error)
        silent = sum(1 for s in self.said if s.verb == "glass" and s.who not in EVERYBODY)
        if refused != told - silent:
            found.append(f"{told} were refused and {refused} refusals are on record")
        return found


REASONS = re.compile(
    r"already|cannot|needs the role|unknown person|expired|resolved|not this proposal's|"
    r"is (open|approved|running|paused|halted|aborted|done|expired|rejected|superseded)"
)
