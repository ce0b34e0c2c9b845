from __future__ import annotations

from datetime import timedelta
from typing import Any

from bot.incident.state import Crash, Incident
from bot.ports import Run
from bot.service.diagnose import TRIES, looks
from tests.fakes import Clock, FakeHost, Night
from tests.unit.runbook.texts import negative

NOW = Clock().now()


def incident(targets: str = "crashed", **given: Any) -> Incident:
    look = {"title": "Look", "playbook": "look.yml", "variables": {}, "targets": targets}
    found = Incident(id="INC-1", match={"diagnose": [look]}, **given)
    found.crashes = [Crash(host=name, at=NOW, title="x", known=True) for name in ("a", "b", "a")]
    return found


def run(state: str, number: int, hosts: tuple[str, ...], ago: float = 0.0) -> Run:
    ended = NOW - timedelta(seconds=ago) if state == "finished" else None
    return Run(
        ident=f"INC-1.diagnose.0.{number}",
        incident="INC-1",
        kind="diagnose",
        hosts=hosts,
        spec={"look": 0},
        state=state,
        finished_at=ended,
    )


def due(found: Incident, *runs: Run) -> list[tuple[int, tuple[str, ...]]]:
    return [(action.attempt, action.hosts) for action in looks(found, runs, NOW)]


def test_hosts_that_crashed_are_looked_at_once_and_those_that_are_down_later():
    found = incident()
    assert due(found) == [(1, ("a", "b"))]
    assert due(found, run("running", 1, ("a", "b"))) == []
    found.diagnosed = {0: frozenset({"a"})}
    assert due(found, run("finished", 1, ("a", "b"), ago=5)) == []
    assert due(found, run("finished", 1, ("a", "b"), ago=21)) == [(2, ("b",))]
    found.host("b").unreachable = True
    assert due(found, run("finished", 1, ("a", "b"), ago=21)) == []


def test_a_look_ends_with_its_answers_its_tries_or_its_incident():
    found = incident()
    tries = [run("finished", n + 1, ("a", "b"), ago=9999) for n in range(TRIES)]
    assert due(found, *tries[:-1]) == [(TRIES, ("a", "b"))]
    assert due(found, *tries) == []
    found.diagnosed = {0: frozenset({"a", "b"})}
    assert due(found, tries[0]) == []
    found.diagnosed = {0: frozenset({"*"})}
    assert due(found) == []
    assert due(incident(state="resolved")) == []


def test_pools_and_fleets_are_named_by_the_inventory():
    assert due(incident("pool")) == [(1, ())]
    assert due(incident("fleet"), run("finished", 1, ("a",), ago=21)) == [(2, ("a",))]


SEGFAULT = (
    "[ 12.5] worker[812]: segfault at 10 ip 00007f1 sp 00007f2 error 4 in libx.so.1[7f1+1000]"
)


def test_a_crash_of_a_program_opens_an_incident_only_if_a_runbook_is_about_it(tmp_path):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost()})
    try:
        night.crash("a", text=SEGFAULT)
        assert night.store.incidents() == []
        night.sources.put(negative("program", "{kind: segfault}"))
        night.crash("a", text=SEGFAULT)
        (incident,) = night.store.incidents()
        night.go(lambda: night.incident.match is not None)
        assert (night.incident.match or {})["candidates"][0]["runbook"] == "program"
        assert incident.open
    finally:
        night.close()
