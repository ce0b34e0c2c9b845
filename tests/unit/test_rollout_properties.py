"""What must never happen in a rollout, whatever the hosts do: over the pure core, without I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.incident.state import Outcome
from bot.rollout.plan import sizes
from tests.unit.simulation import Machine, Simulation, quiet

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
BAD = ("fails", "loses", "dies", "mute")
SETTINGS = settings(
    max_examples=2000 if SOAK else 60,
    derandomize=not SOAK,
    phases=[Phase.generate],  # a failing night is read in full, not made smaller
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Plan:
    """One rollout to be tried: its hosts, its rules and the seed of everything that happens."""

    seed: int
    hosts: int
    pools: int
    racks: int
    rule: tuple[int | str, ...]
    shard: int
    cap: int | None
    survivors: int | str
    max_failed: int
    max_lost: int | str

    def waves(self) -> dict[str, Any]:
        names = [m.name for m in self.machines()]
        pools: dict[str, list[str]] = {}
        for machine in self.machines():
            pools.setdefault(machine.pool, []).append(machine.name)
        return {
            "sizes": sizes(self.rule, len(names)),
            "rule": list(self.rule),
            "spread": "rack" if self.racks else None,
            "max_parallel": self.cap,
            "min_survivors": self.survivors,
            "pools": pools if self.survivors else {},
            "shard": self.shard,
        }

    def gate(self, **changes: Any) -> dict[str, Any]:
        crashes = {"limit": 0, "settle_seconds": 0}
        limits = {"max_failed": self.max_failed, "max_lost": self.max_lost}
        return {**limits, "crash_after_apply": crashes, **changes}

    def machines(self) -> list[Machine]:
        return [
            Machine(
                name=f"h{n:02d}",
                pool=f"p{n % self.pools}",
                rack=f"r{n % self.racks}" if self.racks else None,
            )
            for n in range(self.hosts)
        ]


PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    hosts=st.integers(1, 16),
    pools=st.integers(1, 3),
    racks=st.integers(0, 4),
    rule=st.sampled_from([(1, "100%"), (2, "25%", "100%"), (1, 3, 3, "100%"), ("100%",)]),
    shard=st.integers(1, 6),
    cap=st.none() | st.integers(1, 6),
    survivors=st.sampled_from([0, 1, 2, "30%", "50%", "75%"]),
    max_failed=st.integers(0, 2),
    max_lost=st.sampled_from([0, 1, "10%", "100%"]),
)


@dataclass
class Referee:
    """Watches a rollout from outside and keeps its own books."""

    simulation: Simulation
    plan: Plan
    seen: set[str] = field(default_factory=set)
    broken: str = ""
    failed: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    gone: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    unsure: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    doubted: tuple[int, int] | None = None
    """A wave that broke its limit only if its hosts of unknown fate turn out to be lost."""
    last: int = 0

    def tick(self) -> None:
        """Let a second pass, and hold what was queued against the rules."""
        sim = self.simulation
        calm, before = self.broken, self._well()
        sim.tick()
        if self.doubted is not None:
            self._limits(self.doubted)
            calm = self.broken
        queued = [r for i, r in sim.queue.items() if i not in self.seen and r.spec.get("purpose")]
        self.seen |= set(sim.queue)
        fresh = {h for r in queued for h in r.hosts}
        assert not (calm and fresh), self._told(f"{fresh} after {calm}")
        assert fresh <= set(sim.proposal.hosts), self._told("a host that nobody approved")
        assert len(fresh) == sum(len(r.hosts) for r in queued), self._told("a host in two runs")
        assert all(len(r.hosts) <= self.plan.shard for r in queued), self._told("shard")
        writing = sum(len(r.hosts) for r in sim.queue.values() if self._live(r))
        assert self.plan.cap is None or writing <= self.plan.cap, self._told(f"{writing} at once")
        self._survivors(fresh, before)
        self._books()

    def _live(self, run: Any) -> bool:
        return run.state in {"queued", "running"} and bool(run.spec.get("purpose"))

    def _well(self) -> set[str]:
        """Return hosts that serve: up as far as is known, not being touched, unharmed so far."""
        sim = self.simulation
        wrote = {h for r in sim.queue.values() if r.spec.get("purpose") for h in r.hosts}
        return {
            name
            for name in sim.proposal.hosts
            if not sim.incident.host(name).down
            and name not in sim.writing
            and (name not in wrote or sim.outcome(name) is Outcome.VERIFIED)
        }

    def _survivors(self, fresh: set[str], before: set[str]) -> None:
        approved = [self.simulation.machines[h] for h in self.simulation.proposal.hosts]
        for pool in {m.pool for m in approved}:
            members = {m.name for m in approved if m.pool == pool}
            limit = self.plan.survivors
            share = isinstance(limit, str)
            part = ceil(len(members) * int(str(limit).rstrip("%")) / 100)
            need = min(part, len(members) - 1) if share else limit
            if fresh & members & before:
                left = len(self._well() & members)
                assert left >= int(need), self._told(f"{pool}: {left} of {need} survive")

    def _books(self) -> None:
        """Count what waves reported, and note the first that broke a limit of its own."""
        sim = self.simulation
        for entry in sim.entries[self.last :]:
            if entry.kind == "wave.started":
                assert not set(entry.data["hosts"]) & set(entry.data["owed"])
            if entry.kind != "wave.finished" or not entry.data["outcomes"]:
                continue
            record = next(w for w in sim.proposal.waves if w.run == entry.data["run"])
            key = (record.number, record.attempt)
            said = {h: o["outcome"] for h, o in entry.data["outcomes"].items()}
            self.failed.setdefault(key, set()).update(
                h for h, o in said.items() if o in {"failed", "applied"}
            )
            self.gone.setdefault(key, set()).update(h for h, o in said.items() if o == "owed")
            self.unsure.setdefault(key, set()).update(h for h, o in said.items() if o == "unknown")
            self._limits(key)
        self.last = len(sim.entries)

    def _limits(self, key: tuple[int, int]) -> None:
        """Note the wave if it broke a limit; a host that a read-back finds verified was not lost."""
        sim = self.simulation
        unsure = {h for h in self.unsure[key] if sim.outcome(h) is not Outcome.VERIFIED}
        gone = self.gone[key] | unsure
        runs = [w for w in sim.proposal.waves if (w.number, w.attempt) == key]
        whole = {h for w in runs for h in (*w.hosts, *w.planned)}
        limit = self.plan.max_lost
        share = isinstance(limit, str)
        lost = max(1, len(whole) * int(str(limit).rstrip("%")) // 100) if share else limit
        proved = any(h.applied_at for h in sim.incident.hosts.values())
        if len(self.failed[key]) > self.plan.max_failed:
            self.broken = f"wave {key}: failed {self.failed[key]}"
        elif len(gone) > int(lost) and (proved or self.doubted == key):
            self.broken = f"wave {key}: lost {gone}"
            self.doubted = key if unsure else None
        elif self.doubted == key:
            self.broken, self.doubted = "", None

    def _told(self, what: str) -> str:
        return f"{what}\n{self.plan}\n{self.simulation.story()}"


def _weather(sim: Simulation, chance: Random, *, silent: float, crash: float) -> None:
    """Let hosts go down and come back, some without a word and some with a crash."""
    for name, machine in sim.machines.items():
        if machine.up and chance.random() < 0.02:
            sim.goes_down(name, told=chance.random() >= silent, crash=chance.random() < crash)
        elif not machine.up and chance.random() < 0.1:
            sim.comes_back(name, told=chance.random() >= silent)


def _no_blind_write(sim: Simulation) -> None:
    """Every write was queued for a host that was owed, and never for one of unknown fate."""
    for run in sim.queue.values():
        if run.spec.get("purpose"):
            assert run.ident in sim.owed_when_queued, sim.story()
            assert sim.owed_when_queued[run.ident], f"{run.ident}\n{sim.story()}"


@SETTINGS
@given(plan=PLANS, bad=st.floats(0, 0.6), dying=st.sampled_from([0.0, 0.3, 0.6]))
def test_whatever_hosts_do_no_rule_of_the_rollout_is_broken(plan: Plan, bad: float, dying: float):
    """Failing, lost, known-down, slow and rebooting hosts, in any mix.

    Nobody is touched after a wave broke its limits, in spite of the cap, below the survivors, off
    the list, or while a host's fate is unknown.
    """
    chance = Random(plan.seed)
    machines = plan.machines()
    for machine in machines:
        if chance.random() < bad:
            machine.manner = chance.choice(BAD)
    sim = Simulation(
        machines, chance, plan.waves(), plan.gate(), slow=chance.choice([1, 3, 20]), dying=dying
    )
    for machine in machines[1:]:
        if chance.random() < 0.2:
            sim.goes_down(machine.name, told=chance.random() < 0.7)
    referee = Referee(sim, plan)
    for _ in range(120):
        _weather(sim, chance, silent=0.3, crash=0.2)
        referee.tick()
    _no_blind_write(sim)
    assert sim.proposal.state in {"running", "halted", "done"}
    if referee.broken:
        assert sim.proposal.state == "halted", f"{referee.broken}\n{sim.story()}"


@SETTINGS
@given(plan=PLANS)
def test_a_halted_rollout_that_goes_on_forgets_no_host(plan: Plan):
    chance = Random(plan.seed)
    machines = plan.machines()
    for machine in machines:
        if chance.random() < 0.3:
            machine.manner = chance.choice(["fails", "loses"])
    sim = Simulation(machines, chance, {**plan.waves(), "pools": {}}, plan.gate())
    referee = Referee(sim, Plan(**{**plan.__dict__, "survivors": 0}))
    for _ in range(400):
        referee.tick()
        if sim.proposal.state == "halted":
            referee.broken = ""
            referee.failed.clear()
            sim.resume()
        if sim.proposal.state == "done":
            break
    assert sim.proposal.state == "done", sim.story()
    for name in sim.proposal.hosts:
        machine = sim.machines[name]
        wanted = {"fails": Outcome.FAILED, "loses": Outcome.APPLIED}
        assert sim.outcome(name) is wanted.get(machine.manner, Outcome.VERIFIED), sim.story()
    _no_blind_write(sim)


@SETTINGS
@given(plan=PLANS, surprise=st.booleans())
def test_with_a_third_of_the_hosts_rebooting_a_healthy_rollout_is_never_stopped(
    plan: Plan, surprise: bool
):
    """30 % of the hosts are down at every moment, others each time; all end verified or owed.

    With ``surprise`` hosts go down while they are being touched, which the gate then has to permit;
    without it they go down between runs.
    """
    chance = Random(plan.seed)
    gate = plan.gate(max_lost="100%" if surprise else plan.max_lost)
    survivors = plan.survivors if plan.survivors in {0, 1, "30%"} else 0
    calm = Plan(**{**plan.__dict__, "max_lost": gate["max_lost"], "survivors": survivors})
    sim = Simulation(plan.machines(), chance, calm.waves(), gate, slow=2)
    referee = Referee(sim, calm)
    structural = any(
        isinstance(survivors, int) and len(members) <= survivors
        for members in calm.waves()["pools"].values()
    )
    for _ in range(250):
        _third(sim, chance, spare=set() if surprise else set(sim.writing))
        referee.tick()
        if structural:
            break
        assert quiet(sim.incident), sim.story()
    if structural:
        return
    assert {sim.outcome(n) for n in sim.proposal.hosts} <= {Outcome.VERIFIED, Outcome.OWED}, (
        sim.story()
    )
    for name, machine in sim.machines.items():
        if not machine.up:
            sim.comes_back(name)
    for _ in range(60):
        referee.tick()
    assert sim.proposal.state == "done", sim.story()
    assert {sim.outcome(n) for n in sim.proposal.hosts} == {Outcome.VERIFIED}, sim.story()
    assert all(m.persisted is (n != "outside") for n, m in sim.machines.items())


def _third(sim: Simulation, chance: Random, spare: set[str]) -> None:
    """Keep 30 % of the hosts (rounded down) rebooting: as some come back, others go down."""
    for name, machine in sim.machines.items():
        if not machine.up and chance.random() < 0.2:
            sim.comes_back(name, told=chance.random() < 0.8)
    down = sum(not m.up for m in sim.machines.values())
    candidates = [n for n in sim.proposal.hosts if sim.machines[n].up and n not in spare]
    for name in chance.sample(candidates, min(len(candidates), len(sim.machines) * 3 // 10 - down)):
        sim.goes_down(name)
