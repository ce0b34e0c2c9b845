from __future__ import annotations

from pathlib import Path

import pytest

import bot.crash
from bot.runbook.disk import read_dir
from bot.runbook.load import load
from bot.runbook.trial import cases, run_tests
from tests.unit.runbook.texts import library, negative, positive, report

SHIPPED = load(read_dir(Path(__file__).parents[3] / "runbooks"))
TEST = "tests: [{{expect: {}, text: words}}]\n"
ONE = positive("one", "{function: example_rcv}")


def test_every_shipped_runbook_passes_its_own_tests():
    failed = [result for result in run_tests(SHIPPED, bot.crash.read) if not result.ok]
    assert failed == []


def test_every_shipped_runbook_has_a_test_of_each_sort_and_a_source():
    for runbook in SHIPPED.runbooks:
        assert {case.expect for case in cases(SHIPPED, runbook)} == {"match", "none"}, runbook.id
        assert runbook.sources, runbook.id
        assert runbook.owners, runbook.id


def test_the_negatives_offer_nothing():
    negatives = [runbook.id for runbook in SHIPPED.runbooks if runbook.no_knob]
    assert len(negatives) >= 9
    assert "hung-task" in negatives
    for runbook in SHIPPED.runbooks:
        assert bool(runbook.no_knob) != bool(runbook.mitigations)


def test_the_flagship_says_that_old_sockets_stay_dangerous_and_waits_for_them():
    runbook = next(r for r in SHIPPED.runbooks if r.id == "tcp-estats-update-mss")
    mitigation = runbook.mitigations[0]
    assert "Only sockets that are created after the write are safe" in mitigation.residual
    assert mitigation.gate.crash_after_apply.settle == 600
    assert runbook.hold is not None
    assert runbook.hold.action == "restore"


@pytest.mark.parametrize(
    ("texts", "expect", "reports", "why"),
    [
        ([ONE], "match", [report()], ""),
        ([ONE], "match", [], "no crash was read from the text"),
        (
            [ONE],
            "match",
            [report(function="tcp_a")],
            "it does not match: function is tcp_a, not example_rcv",
        ),
        ([ONE], "none", [report()], "it matches, because function is example_rcv"),
        ([ONE], "none", [], ""),
        ([ONE], "none", [report(function="tcp_a")], ""),
        (
            [ONE, negative("two", "{function: example_rcv, kind: bug}")],
            "match",
            [report()],
            "two matches as well or better",
        ),
        (
            [ONE, negative("two", "{function: example_rcv}")],
            "match",
            [report()],
            "two matches as well or better",
        ),
    ],
)
def test_a_runbooks_test_says_why_it_failed(texts, expect, reports, why):
    texts = [texts[0] + TEST.format(expect), *texts[1:]]
    results = run_tests(library(*texts), lambda _text: reports)
    assert [(r.runbook, r.number, r.line, r.ok, r.why) for r in results] == [
        ("one", 1, 13, not why, why)
    ]


def test_a_test_reads_its_text_from_a_file_beside_the_runbook():
    seen = []

    def read(text: str) -> list[bot.crash.CrashReport]:
        seen.append(text)
        return [report()]

    text = ONE + "tests: [{expect: match, file: logs/one.log}]\n"
    found = load({"rb/one.yml": text, "rb/logs/one.log": "the log"})
    assert [result.ok for result in run_tests(found, read)] == [True]
    assert seen == ["the log"]
