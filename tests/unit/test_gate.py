"""The gate after a wave: limits over all of its runs, and what checks answer."""

from __future__ import annotations

from typing import Any

import pytest

from bot.incident.state import Answer
from bot.rollout.gate import bounded, checked, judge
from bot.rollout.outcome import Raw
from tests.unit.log import Log


def vector(*values: object) -> dict[str, Any]:
    result = [{"metric": {}, "value": [0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def scalar(value: str) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "scalar", "result": [0, value]}}


@pytest.mark.parametrize(
    ("answer", "ok", "said"),
    [
        (vector("1"), True, "1 (min 1 and max 3)"),
        (vector("1", "3"), True, "1, 3 (min 1 and max 3)"),
        (vector("1", "3.1"), False, "1 of 2 samples out: 3.1 (min 1 and max 3)"),
        (vector("0", "9", "8", "7", "6"), False, "5 of 5 samples out: 0, 9, 8 and 2 more"),
        (scalar("2"), True, "2 (min 1 and max 3)"),
        (scalar("NaN"), False, "1 of 1 samples out: nan"),
        (scalar("+Inf"), False, "1 of 1 samples out: inf"),
        (vector(), False, "not answered: the query has no sample"),
        (vector("one"), False, "not answered: the query has no sample"),
        (vector(None), False, "not answered"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, False, "no sample"),
        ({"status": "error", "error": "parse error"}, False, "not answered: parse error"),
        ({"status": "success"}, False, "not answered: this is no Prometheus API"),
        (["no"], False, "not answered: this is no Prometheus API"),
        (None, False, "not answered"),
    ],
)
def test_every_sample_has_to_keep_the_bounds_and_no_answer_passes(answer: Any, ok: bool, said: str):
    found = bounded(answer, {"min": 1, "max": 3})
    assert found.ok is ok
    assert said in found.sentence


def says(host: str, **fact: object) -> Raw:
    return Raw(host=host, status="ok", facts=({"phase": "check", **fact},))


def test_a_host_passes_by_its_word_alone():
    good = says("a", ok=True)
    assert checked([good]) == Answer(ok=True, sentence="1 say yes")
    assert checked([good, says("b", ok=False, reason="3 of 9 up")]) == Answer(
        ok=False, sentence="1 of 2 say no: b: 3 of 9 up"
    )
    for word in ({"ok": "true"}, {"ok": 1}, {}):
        found = checked([says("b", **word)])
        assert found is not None
        assert not found.ok
    mute = checked([good, Raw(host="c", status="ok")])
    assert mute == Answer(ok=False, sentence="1 of 2 say no: c: it printed no answer")
    broken = checked([Raw(host="c", status="failed", facts=good.facts, message="no space left")])
    assert broken == Answer(ok=False, sentence="1 of 1 say no: c: no space left")


def test_hosts_that_cannot_be_reached_are_no_answer():
    gone = Raw(host="z", status="unreachable")
    assert checked([says("a", ok=True), gone]) == Answer(
        ok=True, sentence="1 say yes, 1 could not be reached"
    )
    assert checked([gone]) is None
    assert checked([]) is None


def test_limits_are_over_all_runs_of_a_wave():
    log = Log(("a", "b", "c", "d")).opened().back("a").requested().probed().proposed().started()
    first = {"proposal": "P-1", "wave": 1, "attempt": 1, "planned": ["a", "b", "c", "d"]}
    log.add("wave.started", {**first, "run": "w1", "hosts": ["a", "b"]})
    log.add("wave.started", {**first, "run": "w2", "hosts": ["c"], "planned": []})
    owed = {"outcome": "owed", "unreachable": True}
    log.add("wave.finished", {**first, "run": "w1", "outcomes": {"a": owed, "b": owed}})
    incident = log.fold()
    proposal = incident.proposals["P-1"]
    broken = judge(incident, proposal, proposal.open_wave, left=1)
    assert not broken.ok
    assert broken.sentence == "2 of 4 hosts vanished during the wave (limit 1): a, b"
    good = {"outcome": "verified", "boot_id": "x", "value": "0"}
    log.add("wave.finished", {**first, "run": "w2", "outcomes": {"c": good}})
    incident = log.fold()
    proposal = incident.proposals["P-1"]
    assert [w.results for w in proposal.open_wave] == [
        {"a": "owed", "b": "owed"},
        {"c": "verified"},
    ]
    assert not judge(incident, proposal, proposal.open_wave).ok
