from __future__ import annotations

from bot.crash.report import Kind
from bot.runbook.clause import Clause
from bot.runbook.load import load
from bot.runbook.mutate import mutants, scores
from tests.unit.runbook.texts import negative, report

REPORTS = {
    "ours": [report()],
    "other function": [report(function="example_other")],
    "other kind": [report(kind=Kind.GPF)],
    "nothing": [],
}


def told(clause: object) -> list[str]:
    return [mutant.what for mutant in mutants(Clause.model_validate(clause))]


def test_every_part_is_dropped_and_every_name_pattern_and_range_widened():
    assert told({"kind": ["bug", "gpf"], "function": "example_rcv"}) == [
        "kind dropped",
        "kind: bug dropped",
        "kind: gpf dropped",
        "function dropped",
        "function: example_rcv widened to example_*",
    ]
    assert told({"kind": "bug", "kernel": ">= 4.15 < 5.2"})[1:] == [
        "kernel dropped",
        "kernel: >= 4.15 < 5.2 widened to < 5.2",
        "kernel: >= 4.15 < 5.2 widened to >= 4.15",
    ]
    assert told({"message": r"short packet \d+"}) == [
        "message dropped",
        r"message: /short packet \d+/ widened to /short\ /",
    ]
    assert told({"labels": {"a": "x", "b": "y"}, "kind": "bug"})[1:] == [
        "labels dropped",
        "labels: a dropped",
        "labels: b dropped",
    ]


def test_nested_clauses_are_mutated_where_they_are():
    clause = {"any": [{"function": "tcp_a"}, {"kind": "bug"}], "not": {"taint": "O"}}
    assert told(clause) == [
        "any.1 dropped",
        "any.1.function dropped",
        "any.1.function: tcp_a widened to tcp_*",
        "any.2 dropped",
        "any.2.kind dropped",
        "not dropped",
    ]


def score(*tests: tuple[str, str]):
    rows = "".join(f"  - {{text: {text}, expect: {expect}}}\n" for text, expect in tests)
    text = negative("one", "{kind: bug, function: example_rcv}") + f"tests:\n{rows}"
    found = load({"rb/one.yml": text})
    assert found.problems == ()
    return scores(found, lambda text: REPORTS[text])[0]


def test_a_mutant_that_passes_all_tests_survives_and_is_named_with_its_line():
    found = score(("ours", "match"), ("nothing", "none"))
    assert (found.killed, found.mutants, found.percent) == (0, 3, 0.0)
    assert next((s.file, s.line, s.what) for s in found.survivors) == (
        "rb/one.yml",
        4,
        "kind dropped",
    )


def test_near_misses_kill_what_asks_for_less():
    found = score(("ours", "match"), ("other function", "none"), ("other kind", "none"))
    assert (found.killed, found.survivors) == (3, ())


def test_a_test_that_fails_as_it_is_proves_nothing():
    found = score(("ours", "none"), ("other function", "none"))
    assert (found.failing, found.killed) == (1, 2)
