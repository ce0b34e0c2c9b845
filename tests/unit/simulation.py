"""A fleet of hosts in memory under the pure core: ``decide``, the fold, the steps and the judges.

Time passes in seconds. Nothing is read or written outside of the process. Every write is noted, so
that a test can say what must never have happened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

from bot.approval.policy import may_write
from bot.clock import stamp
from bot.decide import LIVE, Tempo, decide
from bot.incident.fold import extend, fold
from bot.incident.state import Incident, Outcome, Proposal
from bot.ports import Answer, Run
from bot.rollout.outcome import Raw
from bot.service.record import record, refuse
from bot.service.report import Report
from bot.service.site import Site
from bot.timeline.entry import Draft, Entry
from bot.worker import STEPS
from tests.unit.log import Log

TEMPO = Tempo(retry_first=2, retry_max=8)


@dataclass(slots=True)
class Machine:
    """One host: where it stands, and ``manner`` says what it does when it is written to.

    ``well``, ``fails`` (the task fails), ``loses`` (set, and not persisted), ``dies`` (set, then
    down), ``mute`` (set, and no event at all).
    """

    name: str
    pool: str
    rack: str | None = None
    manner: str = "well"
    up: bool = True
    boot: int = 1
    value: str = "1"
    persisted: bool = False

    def reboot(self) -> None:
        """Come back with what is on the disk."""
        self.up, self.boot = True, self.boot + 1
        self.value = "0" if self.persisted else "1"

    def fact(self, phase: str) -> dict[str, Any]:
        """Answer as a playbook does."""
        return {
            "phase": phase,
            "applicable": True,
            "value": self.value,
            "wanted": "0",
            "safe": self.value == "0",
            "persisted": self.persisted,
            "boot_id": f"{self.name}-{self.boot}",
        }


@dataclass(slots=True)
class Flight:
    """A run under way: when each of its hosts is touched, and whether its supervisor dies."""

    run: Run
    plan: list[tuple[datetime, str]]
    dies: datetime | None
    raws: list[Raw] = field(default_factory=list)


class Simulation:
    """One rollout, from its start on, over ``machines``; ``waves`` and ``gate`` are approved.

    The fleet has one more host, ``outside``, which was probed and is not on the approved list.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        chance: Random,
        waves: dict[str, Any],
        gate: dict[str, Any],
        *,
        slow: int = 3,
        dying: float = 0.0,
    ) -> None:
        self.machines = {m.name: m for m in machines}
        self.chance, self.slow, self.dying = chance, slow, dying
        names = [*(m.name for m in machines), "outside"]
        log = Log(names).opened().back(machines[0].name).requested().probed()
        rows = {m.name: {"exposure": "exposed", "value": "1", "domain": m.rack} for m in machines}
        self.machines["outside"] = Machine(name="outside", pool="p0")
        log.proposed(waves={"order": sorted(rows), **waves}, gate=gate, hosts=rows).started()
        self.entries = list(log.entries)
        self.now = log.now
        self.incident = fold(self.entries)
        self.queue: dict[str, Run] = {}
        self.forgotten: set[str] = set()
        self.flights: dict[str, Flight] = {}
        self.site = cast(Site, _Site(self))
        self.owed_when_queued: dict[str, bool] = {}

    # What the services see of a store

    def append(self, _incident: str, *drafts: Draft) -> None:
        keys = {e.key for e in self.entries}
        for draft in drafts:
            if draft.key in keys:
                continue
            seq = len(self.entries) + 1
            entry = Entry(
                id=f"INC-1.{seq}",
                incident="INC-1",
                seq=seq,
                at=self.now,
                kind=draft.kind,
                key=draft.key,
                actor=draft.actor,
                text=draft.text,
                data=draft.data,
                payload_hash="",
                prev="",
                hash="",
            )
            self.entries.append(entry)
            extend(self.incident, [entry])

    def runs(self, _incident: str = "") -> list[Run]:
        return [run for ident, run in self.queue.items() if ident not in self.forgotten]

    def run(self, ident: str) -> Run:
        return self.queue[ident]

    def finish(self, ident: str, state: str) -> bool:
        run = self.queue[ident]
        if run.state not in LIVE:
            return False
        self.queue[ident] = replace(run, state=state, finished_at=self.now)
        return True

    def take(self, run: Run) -> None:
        """Queue a run and plan when it touches its hosts."""
        assert run.ident not in self.queue, f"{run.ident} was queued twice"
        self.queue[run.ident] = replace(run, queued_at=self.now)
        states = {self.incident.host(h).outcome for h in run.hosts}
        self.owed_when_queued[run.ident] = states == {Outcome.OWED}
        begin = self.now + timedelta(seconds=1)
        plan = [(begin + timedelta(seconds=self.chance.randrange(self.slow)), h) for h in run.hosts]
        dies = None
        if run.spec.get("purpose") and self.chance.random() < self.dying:
            dies = begin + timedelta(seconds=self.chance.randrange(self.slow + 1))
        self.flights[run.ident] = Flight(run=run, plan=plan, dies=dies)

    # How time passes

    def tick(self) -> None:
        """Let a second pass: runs touch hosts and end, then the worker looks."""
        self.now += timedelta(seconds=1)
        for ident, flight in list(self.flights.items()):
            self._fly(ident, flight)
        self._look()

    def _fly(self, ident: str, flight: Flight) -> None:
        run = self.queue[ident]
        if run.state == "queued":
            why = self._refusal(run)
            if why:
                del self.flights[ident]
                refuse(self.site, run, why)
                return
            self.queue[ident] = run = replace(run, state="running")
        if flight.dies is not None and self.now >= flight.dies:
            del self.flights[ident]
            self.finish(ident, "lost")
            return
        due = [(at, h) for at, h in flight.plan if at <= self.now]
        flight.plan = [(at, h) for at, h in flight.plan if at > self.now]
        flight.raws += [self.touch(run, self.machines[h]) for _, h in due]
        if not flight.plan:
            del self.flights[ident]
            record(self.site, Report(run=run, raws=flight.raws))

    def _refusal(self, run: Run) -> str:
        purpose = str(run.spec.get("purpose") or "")
        answers = [may_write(self.proposal, h, purpose) for h in run.hosts] if purpose else []
        return next((a.sentence for a in answers if not a.ok), "")

    def touch(self, run: Run, machine: Machine) -> Raw:
        """Let one host answer a run."""
        if not machine.up:
            return Raw(host=machine.name, status="unreachable", message="no route to host")
        at = stamp(self.now)
        if not run.spec.get("purpose"):
            fact = machine.fact(str(run.spec["playbooks"][0][1]))
            return Raw(host=machine.name, status="ok", facts=(fact,), at=at)
        if machine.manner == "fails":
            return Raw(host=machine.name, status="failed", message="read-only file system")
        machine.value, machine.persisted = "0", machine.manner != "loses"
        if machine.manner == "mute":
            machine.manner = "well"
            return Raw(host=machine.name, status="missing")
        if machine.manner == "dies":
            machine.up, machine.manner = False, "well"
            return Raw(host=machine.name, status="unreachable", message="timed out")
        facts = (machine.fact("apply"), machine.fact("verify"))
        return Raw(host=machine.name, status="ok", facts=facts, at=at)

    def _look(self) -> None:
        """Do what the worker does: decide, and decide again before every action is recorded."""
        for _ in range(50):
            before = (self.incident.seq, len(self.queue))
            for action in decide(self.incident, self.runs(), self.now, TEMPO):
                if action in decide(self.incident, self.runs(), self.now, TEMPO):
                    commit = STEPS[action.verb](self.site, self.incident, action)
                    assert commit is not None
                    commit(cast(Any, _Transaction(self)), self.incident)
            if (self.incident.seq, len(self.queue)) == before:
                return
        raise AssertionError("the worker goes round and round\n" + self.story())

    # What happens to hosts from outside

    def goes_down(self, name: str, *, told: bool = True, crash: bool = False) -> None:
        """Take a host's power; ``told``: an alert says so at once."""
        self.machines[name].up = False
        if told:
            data = {"host": name, "down": True, "crash": {"title": "BUG in f"} if crash else None}
            self._say("alert.received", data)

    def comes_back(self, name: str, *, told: bool = True) -> None:
        """Boot a host; ``told``: the alert about it is over."""
        self.machines[name].reboot()
        if told:
            self._say("alert.resolved", {"host": name, "up": True})

    def resume(self) -> None:
        """Let a halted rollout go on."""
        self._say("rollout.resumed", {"proposal": "P-1"})

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        key = f"{kind}.{len(self.entries)}"
        self.append("INC-1", Draft(key=key, kind=kind, text=kind, data=data))

    # What there is to see

    @property
    def proposal(self) -> Proposal:
        return self.incident.proposals["P-1"]

    @property
    def writing(self) -> dict[str, Run]:
        """The runs that write, or will, by host."""
        return {
            h: r
            for r in self.queue.values()
            if r.state in LIVE and r.spec.get("purpose")
            for h in r.hosts
        }

    def outcome(self, name: str) -> Outcome | None:
        return self.incident.host(name).outcome

    def story(self) -> str:
        return "\n".join(
            f"{stamp(e.at)} {e.kind} {e.text} {dict(e.data)}" for e in self.entries[6:]
        )


class _Transaction:
    """The part of a transaction that steps and reports use."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.append, self.runs = simulation.append, simulation.runs
        self.queue, self.finish = simulation.take, simulation.finish

    def entries(self, _incident: str) -> list[Entry]:
        return self._simulation.entries

    def cancel(self, ident: str) -> None:
        self._simulation.finish(ident, "cancelled")

    def wake(self, *_: object) -> None:
        """Nothing: the worker looks every second."""

    def forget_runs(self, idents: Collection[str]) -> None:
        self._simulation.forgotten |= set(idents)

    def drop_answers(self, _run: str) -> None:
        """Nothing: what hosts say before their run has ended is not simulated."""


class _Site:
    """The part of a site that steps and reports use; it is its own store and clock."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.store = self.clock = self

    def tended(self) -> list[str]:
        """There is one incident only: nobody else is to be told."""
        return []

    @contextmanager
    def transaction(self, *_: str) -> Iterator[_Transaction]:
        yield _Transaction(self._simulation)

    def run(self, ident: str) -> Run:
        return self._simulation.run(ident)

    def answers(self, _run: str) -> list[Answer]:
        return []

    def now(self) -> datetime:
        return self._simulation.now


def quiet(incident: Incident) -> bool:
    """Say whether the rollout was never stopped."""
    return all(p.state in {"running", "done"} for p in incident.proposals.values())
