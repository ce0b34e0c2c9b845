from __future__ import annotations

from dataclasses import replace

import pytest

from bot.crash.report import Kind
from bot.runbook.load import load
from bot.runbook.match import match
from tests.unit.runbook.texts import library, negative, positive, report

LADDER = [
    ("exact", "{function: example_rcv}"),
    ("glob", "{function: 'example_*'}"),
    ("module", "{module: example_mod}"),
    ("kind", "{kind: bug}"),
    ("title", "{title: example_rcv}"),
    ("message", "{message: 'BUG at net/example'}"),
]
TEXT = "first line\nkernel BUG at net/example.c:12!\r\nlast"


def test_candidates_rank_from_specific_to_broad():
    found = match(
        library(*(positive(name, clause) for name, clause in reversed(LADDER))),
        report(module="example_mod"),
        TEXT,
    )
    assert [candidate.runbook for candidate in found.best] == [name for name, _ in LADDER]
    assert not found.choice


def test_everything_broader_together_does_not_outweigh_an_exact_function():
    broad = "{kind: bug, module: example_mod, title: example, message: BUG, function: 'exam*'}"
    found = match(
        library(positive("broad", broad), positive("exact", "{function: example_rcv}")),
        report(module="example_mod"),
        TEXT,
    )
    assert [candidate.runbook for candidate in found.best] == ["exact", "broad"]


def test_equals_are_a_choice_in_the_order_of_their_ids():
    texts = [positive(name, "{function: example_rcv}") for name in ("zeta", "alpha", "mid")]
    found = match(library(*texts), report(), "")
    assert [candidate.runbook for candidate in found.best] == ["alpha", "mid", "zeta"]
    assert found.choice


def test_a_negative_stands_before_a_broader_positive():
    found = match(
        library(positive("a-broad", "{kind: bug}"), negative("no-knob", "{function: example_rcv}")),
        report(),
        "",
    )
    assert found.best[0].runbook == "no-knob"
    assert not found.choice


def test_a_candidate_names_its_reasons_and_the_lines_that_say_so():
    found = match(library(positive("one", "{kind: bug, function: example_rcv}")), report(), "")
    candidate = found.best[0]
    assert candidate.reasons == ("kind is bug", "function is example_rcv")
    assert [line.number for line in candidate.evidence] == [3, 4]
    assert "example_rcv" in candidate.evidence[1].text


def test_a_message_is_evidence_with_its_line():
    found = match(library(positive("one", "{message: 'BUG at net'}")), report(), TEXT)
    said = [(line.number, line.text) for line in found.best[0].evidence]
    assert (2, "kernel BUG at net/example.c:12!") in said
    assert found.best[0].reasons == ("line 2 matches /BUG at net/",)


@pytest.mark.parametrize(
    ("clause", "failed", "why"),
    [
        (
            "{kind: bug, function: [tcp_a, tcp_b]}",
            "function",
            "function is example_rcv, not tcp_a or tcp_b",
        ),
        (
            "{kind: [oom, gpf], function: example_rcv}",
            "kind",
            "kind is bug, not oom or gpf",
        ),
        ("{kind: bug, module: nf_tables}", "module", "module is none, not nf_tables"),
        ("{kind: bug, message: absent}", "message", "no line matches /absent/"),
        (
            "{kind: bug, title: absent}",
            "title",
            "title 'kernel BUG in example_rcv' does not match /absent/",
        ),
        (
            "{kind: bug, not: {function: example_rcv}}",
            "not",
            "excluded, because function is example_rcv",
        ),
        (
            "{kind: bug, any: [{module: a-mod}, {function: tcp_a}]}",
            "any",
            "none of 2 holds: module is none, not a-mod; function is example_rcv, not tcp_a",
        ),
    ],
)
def test_a_near_miss_names_the_clause_that_failed(clause, failed, why):
    found = match(library(positive("one", clause)), report(), "")
    assert found.best == ()
    assert [(n.runbook, n.clause, n.why) for n in found.near] == [("one", failed, why)]


def test_a_runbook_of_which_nothing_fits_is_no_near_miss():
    found = match(library(positive("one", "{kind: oom, function: tcp_a}")), report(), "")
    assert found.near == ()


def test_at_most_five_near_misses_are_shown_the_nearest_first():
    texts = [positive(f"k{n}", "{kind: bug, function: tcp_a}") for n in range(6)]
    texts.append(positive("near", "{function: example_rcv, kind: oom}"))
    found = match(library(*texts), report(), "")
    assert [near.runbook for near in found.near] == ["near", "k0", "k1", "k2", "k3"]


@pytest.mark.parametrize(
    ("clause", "fits"),
    [
        ("{any: [{function: tcp_a}, {function: example_rcv}]}", True),
        ("{all: [{kind: bug}, {function: example_rcv}]}", True),
        ("{all: [{kind: bug}, {function: tcp_a}]}", False),
        ("{kind: bug, not: {module: example}}", True),
        ("{kind: bug, not: {any: [{function: tcp_a}, {function: example_rcv}]}}", False),
        ("{function: 'example_?cv'}", True),
        ("{function: 'example_'}", False),
        ("{function: 'xample_*'}", False),
    ],
)
def test_clauses_combine(clause, fits):
    assert bool(match(library(positive("one", clause)), report(), "").best) is fits


def test_of_any_the_most_specific_branch_counts():
    clause = "{any: [{kind: bug}, {function: example_rcv}]}"
    exact = match(library(positive("one", "{function: example_rcv}")), report(), "")
    assert match(library(positive("one", clause)), report(), "").best[0].score == (
        exact.best[0].score
    )


def test_an_alternative_title_names_the_same_crash():
    crash = report(title="INFO: stall", function=None, alt_titles=("stall in example_rcv",))
    by_title = match(library(positive("one", "{title: 'in example_'}")), crash, "")
    by_name = match(library(positive("one", "{function: example_rcv}")), crash, "")
    assert len(by_title.best) == 1
    assert by_name.best[0].reasons == ("function is example_rcv (by an alternative title)",)


def test_a_module_is_the_same_with_dash_and_underscore():
    assert match(
        library(positive("one", "{module: nf-tables}")), report(module="nf_tables"), ""
    ).best


def test_a_corrupted_report_matches_with_a_warning():
    crash = report(corrupted=True, corrupted_reason="no frames")
    found = match(library(positive("one", "{kind: bug}")), crash, "")
    assert found.best[0].warning == "the crash report is in doubt: no frames"


def test_the_answer_does_not_depend_on_the_order_of_files():
    texts = {f"{name}.yml": positive(name, clause) for name, clause in LADDER}
    turned = dict(reversed(texts.items()))
    crash = report(module="example_mod")
    assert match(load(texts), crash, TEXT) == match(load(turned), crash, TEXT)


def test_hostile_text_neither_stops_nor_slows_the_match():
    text = "\udcff\x00" + "a" * 1_000_000
    found = match(library(positive("one", "{kind: bug, message: '(a+)+!'}")), report(), text)
    assert found.near[0].clause == "message"


def test_a_crash_of_unknown_function_is_said_to_be_unknown():
    crash = report(Kind.OOM, None)
    found = match(library(positive("one", "{kind: oom, function: tcp_a}")), crash, "")
    assert found.near[0].why == "function is unknown, not tcp_a"


MACHINE = replace(report(), release="6.8.0-31-generic", arch="x86_64", taint="PO")
LABELS = {"alertname": "HostCrashed", "rack": "r17"}


@pytest.mark.parametrize(
    ("clause", "reason"),
    [
        ("kernel: '>= 5.2'", "kernel 6.8.0-31-generic is inside >= 5.2"),
        ("kernel: ['< 5.2', '= 6.8']", "kernel 6.8.0-31-generic is inside = 6.8"),
        ("arch: [arm64, x86_64]", "architecture is x86_64"),
        ("taint: [E, O]", "taint O (out-of-tree module)"),
        ("labels: {rack: [r2, 'r1?']}", "label rack is 'r17'"),
    ],
)
def test_what_narrows_a_match_makes_it_more_specific(clause, reason):
    books = library(
        positive("narrow", f"{{kind: bug, {clause}}}"), positive("plain", "{kind: bug}")
    )
    found = match(books, MACHINE, "", LABELS)
    assert [c.runbook for c in found.best] == ["narrow", "plain"]
    assert reason in found.best[0].reasons
    assert not found.choice


@pytest.mark.parametrize(
    ("clause", "failed", "why"),
    [
        ("kernel: '< 5.2'", "kernel", "kernel 6.8.0-31-generic is outside < 5.2"),
        ("arch: arm64", "arch", "architecture is x86_64, not arm64"),
        ("taint: [E, W]", "taint", "taint is PO, not E or W"),
        ("labels: {rack: r1}", "labels", "label rack is 'r17', not r1"),
        ("labels: {pool: web}", "labels", "the alert has no label pool"),
        ("not: {taint: O}", "not", "excluded, because taint O (out-of-tree module)"),
    ],
)
def test_a_crash_outside_of_what_narrows_is_a_near_miss(clause, failed, why):
    books = library(positive("one", f"{{function: example_rcv, {clause}}}"))
    found = match(books, MACHINE, "", LABELS)
    assert [(n.clause, n.why) for n in found.near] == [(failed, why)]


@pytest.mark.parametrize(
    ("clause", "why"),
    [
        ("kernel: '< 5.2'", "kernel is unknown, wanted is < 5.2"),
        ("not: {kernel: '< 5.2'}", "cannot be excluded: kernel is unknown, wanted is < 5.2"),
        ("not: {arch: arm64}", "cannot be excluded: architecture is unknown, not arm64"),
        (
            "not: {not: {taint: P}}",
            "cannot be excluded: cannot be excluded: taint is unknown, not P",
        ),
        (
            "any: [{kernel: '< 5.2'}, {module: tcp_a}]",
            "none of 2 holds: kernel is unknown, wanted is < 5.2; module is none, not tcp_a",
        ),
    ],
)
def test_what_the_report_does_not_say_is_neither_inside_nor_excluded(clause, why):
    found = match(library(positive("one", f"{{kind: bug, {clause}}}")), report(), "")
    assert found.best == ()
    assert [n.why for n in found.near] == [why]


def test_one_part_that_surely_fails_excludes_whatever_is_unknown():
    clause = "{kind: bug, not: {kernel: '< 5.2', module: nf_tables}}"
    assert match(library(positive("one", clause)), report(), "").best


def test_a_message_far_from_the_crash_in_a_long_text_does_not_count():
    books = library(positive("one", "{kind: bug, message: disk on fire}"))
    crash = replace(report(), start=60_000, end=60_010)
    lines = ["x" * 20] * 70_000
    assert match(books, crash, "\n".join(lines)).best == ()
    lines[100] = "disk on fire"
    near = match(books, crash, "\n".join(lines)).near
    assert near[0].why == "no line near the crash (the text is long) matches /disk on fire/"
    lines[59_900] = "disk on fire"
    found = match(books, crash, "\n".join(lines))
    assert found.best[0].reasons[1] == "line 59901 matches /disk on fire/"
