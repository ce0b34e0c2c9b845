"""How far a run has come, computed from what its hosts have said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.chat.dispatch import dispatch
from bot.chat.grammar import parse
from bot.incident.state import Outcome
from bot.ports import Answer, Run
from bot.rollout.outcome import Raw
from bot.service.progress import Progress, measure
from tests.fakes import DANA, FakeHost, Night

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WAVE = "INC-1.P-1.wave.1.1"
FACT = {
    "phase": "verify",
    "applicable": True,
    "value": "0",
    "wanted": "0",
    "safe": True,
    "persisted": True,
    "boot_id": "b-1",
    "kernel": "k",
}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def run(*hosts: str, number: int = 1, kind: str = "wave", **spec: Any) -> Run:
    spec = {"wave": 2, "proposal": "P-1", "purpose": "first", **spec}
    ident = f"INC-1.P-1.{kind}.2.{number}"
    return Run(ident=ident, incident="INC-1", kind=kind, hosts=hosts, spec=spec, state="running")


def out(host: str, began: float = 0) -> Answer:
    return Answer(host=host, began=at(began))


def said(host: str, seconds: float, status: str = "ok", *facts: dict[str, Any]) -> Answer:
    raw = Raw(host=host, status=status, facts=facts or ((FACT,) if status == "ok" else ()))
    return Answer(host=host, began=T0, at=at(seconds), said=raw.as_dict())


def only(found: list[Progress]) -> Progress:
    (one,) = found
    return one


def test_a_wave_says_how_many_answered_how_and_who_is_out():
    names = [f"h{n}" for n in range(8)]
    answers = [said("h0", 1), said("h1", 2), said("h2", 3, "failed"), said("h3", 4, "unreachable")]
    one = only(measure([(run(*names), [*answers, out("h4"), out("h5", 3)])], at(7)))
    assert (one.answered, one.total, one.waiting) == (4, 8, 2)
    assert one.counts == {"failed": 1, "unreachable": 1, "verified": 2}
    assert one.out == (("h4", 7.0), ("h5", 4.0))
    assert one.left == pytest.approx(4.0)
    assert one.sentence == (
        "wave 2: 4 of 8 answered · 1 failed · 1 unreachable · h4 out for 7 s · about 4 s left"
    )


def test_no_time_is_foretold_while_nobody_answers():
    answers = [said("a", 1), out("b")]
    assert only(measure([(run("a", "b"), answers)], at(5))).left == pytest.approx(1.0)
    stuck = only(measure([(run("a", "b"), answers)], at(42)))
    assert stuck.left is None
    assert stuck.sentence == "wave 2: 1 of 2 answered · b out for 42 s"
    assert only(measure([(run("a", "b"), [out("a")])], at(1))).left is None
    assert only(measure([(run("a"), [said("a", 1)])], at(1))).left is None


def test_many_stuck_hosts_are_named_in_part():
    names = [f"h{n}" for n in range(5)]
    one = only(measure([(run(*names), [out(h) for h in names])], at(9)))
    assert one.sentence.endswith("h2 out for 9 s · 2 more hosts out")
    assert len(one.out) == 5


def test_the_runs_of_one_wave_are_one_line_and_other_runs_are_others():
    parts = [
        (run("a", "b", number=1), [said("a", 1)]),
        (run("c", number=2), [said("c", 2)]),
        (run("d", number=3, wave=3), []),
        (run("e", kind="retry", purpose="reboot"), []),
        (run("f", kind="check"), []),
    ]
    found = measure(parts, at(3))
    assert [(one.name, one.answered, one.total) for one in found] == [
        ("wave 2", 2, 3),
        ("wave 3", 0, 1),
        ("reboot", 0, 1),
    ]


def test_a_probe_counts_exposures_and_a_clock_that_is_behind_counts_no_negative_time():
    gone = {**FACT, "phase": "probe", "applicable": False}
    found = {**FACT, "phase": "probe"}
    answers = [said("a", 1, "ok", found), said("b", 1, "ok", gone), said("c", 2, "unreachable")]
    one = only(measure([(run("a", "b", "c", "d", kind="probe"), [*answers, out("d", 9)])], at(3)))
    assert one.counts == {"exposed": 1, "not_applicable": 1, "unreachable": 1}
    assert one.out == (("d", 0.0),)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night whose first wave, all three hosts, is being carried out."""
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    night.sources.rewrite(('waves: [1, "10%", "100%"]', 'waves: ["100%"]'))
    night.crash("a")
    night.approve()
    night.go(lambda: WAVE in night.launcher.launched)
    assert night.store.claim_run(WAVE, "s")
    yield night
    night.close()


def tell(night: Night, host: str, *, final: bool = True) -> None:
    now = night.clock.now()
    raw = Raw(host=host, status="ok", facts=(FACT,), at=now.isoformat())
    answer = Answer(
        host=host, began=now, at=now if final else None, said=raw.as_dict() if final else {}
    )
    assert night.store.note(WAVE, [answer])


def test_status_and_hosts_show_what_goes_on_now(night: Night):
    tell(night, "a")
    tell(night, "b", final=False)
    night.clock.sleep(6)
    status = dispatch(night.site, parse("status INC-1"), DANA)
    sentence = "wave 1: 1 of 3 answered · b out for 6 s"
    assert ("Now", sentence) in [(k, v.partition(" · about")[0]) for k, v in status.card.fields]
    assert status.data["progress"][0]["waiting"] == 1  # type: ignore[call-overload]
    hosts = dispatch(night.site, parse("hosts INC-1"), DANA)
    assert {row["host"]: row["out"] for row in hosts.data} == {  # type: ignore[index]
        "a": None,
        "b": {"in": "wave 1", "seconds": 6.0},
        "c": None,
    }
    assert "out for 6 s in wave 1" in hosts.card.code


def test_what_a_lost_run_had_told_is_kept_and_only_the_rest_is_read_back(night: Night):
    tell(night, "a")
    tell(night, "b", final=False)
    night.go(lambda: "wave.lost" in night.kinds())
    lost = next(e for e in night.entries if e.kind == "wave.lost")
    assert lost.text.startswith("of 3 hosts 1 verified before it was lost; b, c: unknown")
    assert lost.data["hosts"] == ["b", "c"]
    host = night.incident.host("a")
    assert (host.outcome, host.boot_id, host.value) == (Outcome.VERIFIED, "b-1", "0")
    assert night.store.answers(WAVE) == []
    night.go(lambda: any(r.kind == "readback" for r in night.runs()))
    assert next(r for r in night.runs() if r.kind == "readback").hosts == ("b", "c")
    night.go(lambda: night.state() == "done")
    assert night.fleet["a"].writes == []
    assert night.unlawful == []
