"""Two real bot processes decide on one proposal at the same moment, on each database."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bot.approval.policy import may_write
from bot.clock import stamp
from bot.demo import oops
from bot.intake.alertmanager import read as read_alerts
from bot.ports import Run
from bot.rollout.outcome import Raw
from bot.service.receive import receive
from bot.service.record import record, refuse
from bot.service.report import Report
from bot.service.site import Site, load
from bot.timeline.entry import Actor
from bot.worker import Worker
from tests.contract.conftest import Place
from tests.contract.rival import HOSTS, site_on
from tests.fakes import OOPS, FakeHost, Launcher

ROUNDS = 200 if os.environ.get("HOLDFAST_SOAK") == "1" else 5
DECIDERS = {"dana", "alex"}
DEEDS = [
    *[["approve", who] for who in ("dana", "alex", "dana", "alex", "eve")],
    *[["look", "-"]] * 4,
    ["reject", "alex"],
    ["abort", "eve"],
    ["glass", "dana"],
    ["glass", "alex"],
]


class Ground:
    """The test's own process on the database: brings proposals about, and carries runs out."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.worker = Worker(site, Launcher(), "ground")
        self.fleet = {name: FakeHost() for name in HOSTS}
        self.written: list[tuple[str, str]] = []

    def propose(self) -> tuple[str, str]:
        """Crash a host and bring a proposal about; return the incident and the proposal."""
        at = stamp(self.site.clock.now())
        alerts = [oops.crashed("a", OOPS, at), oops.down("a", at, at)]
        body = json.dumps(oops.webhook(*alerts)).encode()
        actor = Actor(id="alertmanager", name="alertmanager", via="intake")
        inventory = self.site.sources.inventory()
        receipt = receive(self.site, read_alerts(body, ["instance"]), inventory, actor)
        name = receipt.incidents[0]
        for _ in range(10):
            self.worker.look(name)
            self.supervise(name)
            if proposals := load(self.site, name).proposals:
                return name, next(iter(proposals))
        raise AssertionError("no proposal came about")

    def supervise(self, incident: str) -> None:
        for run in self.site.store.runs(incident):
            if run.state == "queued" and self.site.store.claim_run(run.ident, "s"):
                self._carry_out(run)

    def _carry_out(self, run: Run) -> None:
        purpose = str(run.spec.get("purpose") or "")
        if purpose:
            proposal = load(self.site, run.incident).proposals[run.spec["proposal"]]
            answers = [may_write(proposal, host, purpose) for host in run.hosts]
            if refusal := next((a.sentence for a in answers if not a.ok), ""):
                refuse(self.site, run, refusal)
                return
            self.written += [(f"{proposal.id} {purpose}", host) for host in run.hosts]
        phases = ["preview"] if run.spec.get("check") else [p for _, p in run.spec["playbooks"]]
        at = stamp(self.site.clock.now())
        raws = []
        for name in run.hosts:
            if purpose:
                self.fleet[name].value, self.fleet[name].persisted = "0", True
            facts = tuple(self.fleet[name].fact(name, phase or "apply") for phase in phases)
            raws.append(Raw(host=name, status="ok", facts=facts, at=at))
        record(self.site, Report(run=run, raws=raws))

    def put_away(self, incident: str) -> None:
        """Close the incident's row, so that the next crash opens another one."""
        with self.site.store.transaction(incident) as tx:
            tx.close(incident)
        for host in self.fleet.values():
            host.value, host.persisted = "1", False


@contextmanager
def rivals(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Start two processes on the database."""
    command = [sys.executable, "-m", "tests.contract.rival", url]
    pair = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    try:
        for one in pair:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        yield pair
    finally:
        for one in pair:
            assert one.stdin is not None
            assert one.stdout is not None
            one.stdin.close()
            one.stdout.close()
            assert one.wait(60) == 0


def test_two_processes_never_start_twice_nor_without_a_yes(place: Place):
    ground = Ground(site_on(place.url))
    started = 0
    try:
        with rivals(place.url) as pair:
            for seed in range(ROUNDS):
                incident, proposal = ground.propose()
                rng = random.Random(seed)
                said = fight(pair, incident, proposal, rng)
                for _ in range(3):
                    ground.worker.look(incident)
                    ground.supervise(incident)
                started += judge(ground, incident, proposal, said)
                ground.put_away(incident)
    finally:
        ground.site.store.close()
    assert started > 0


def fight(
    pair: list[subprocess.Popen[str]], incident: str, proposal: str, rng: random.Random
) -> list[list[str]]:
    """Let both do their deeds at once; return what each was told."""
    for one in pair:
        deeds = [rng.choice(DEEDS) for _ in range(rng.randint(2, 5))]
        asked = {"incident": incident, "proposal": proposal, "deeds": deeds}
        assert one.stdin is not None
        one.stdin.write(json.dumps(asked) + "\n")
        one.stdin.flush()
    return [row for one in pair if one.stdout for row in json.loads(one.stdout.readline())]


def judge(ground: Ground, incident: str, proposal: str, said: list[list[str]]) -> int:
    """Hold the entries against what must never be; return how many rollouts were started."""
    entries = ground.site.store.entries(incident)
    mine = [e for e in entries if e.data.get("proposal") == proposal]
    starts = [e for e in mine if e.kind == "rollout.started"]
    assert len(starts) <= 1
    for start in starts:
        before = [e for e in mine if e.seq < start.seq]
        yes = {e.actor.id for e in before if e.kind == "approval.given"} & DECIDERS
        glass = {e.actor.id for e in before if e.kind == "glass.broken"} & DECIDERS
        assert yes or len(glass) >= 2
        assert not {e.kind for e in before} & {"proposal.rejected", "proposal.superseded"}
    firsts = [row for row in ground.written if row[0] == f"{proposal} first"]
    assert len(firsts) == len(set(firsts))
    assert not firsts or starts
    for verb, kind in (("approve", "approval.given"), ("glass", "glass.broken")):
        for who in DECIDERS:
            took = [row for row in said if row[:2] == [verb, who] and not row[2].startswith("!")]
            rows = [e for e in mine if e.kind == kind and e.actor.id == who]
            assert len(took) == len(rows) <= 1
    for verb, who, told in said:
        assert told.strip("!"), f"{verb} by {who} was told nothing"
        reason = ("already", "cannot", "needs the role", "is ", "started")
        assert not told.startswith("!") or any(word in told for word in reason), told
    return len(starts)
