from __future__ import annotations

import pytest

import bot.crash
from bot.runbook.load import load
from bot.runbook.trial import run_tests
from tests.unit.runbook.texts import library, negative, positive, report

TEST = "tests: [{{expect: {}, text: words}}]\n"
ONE = positive("one", "{function: example_rcv}")


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
