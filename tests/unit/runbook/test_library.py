"""The shipped library as a whole: what every runbook must have, and what none may claim."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial
from pathlib import Path

import pytest

from bot import crash
from bot.crash.report import Kind
from bot.runbook.clause import Clause
from bot.runbook.disk import read_dir
from bot.runbook.lint import lint
from bot.runbook.load import load
from bot.runbook.match import match
from bot.runbook.model import Runbook
from bot.runbook.mutate import percent, scores
from bot.runbook.trial import Case, cases, run_tests
from tests.library.cases import CASES
from tests.library.messages import MESSAGES
from tests.library.write import texts

ROOT = Path(__file__).parents[3]
SHIPPED = load(read_dir(ROOT / "runbooks"))
READ = cache(partial(crash.read, kinds=crash.ALL))
BY_ID = {runbook.id: runbook for runbook in SHIPPED.runbooks}
BOOKS = pytest.mark.parametrize("book", SHIPPED.runbooks, ids=lambda book: book.id)

# Crashes for which the honest answer is that nothing documented turns them off.
NEGATIVES = {
    "tcp-ofo-queue": "tcp_collapse_ofo_queue",
    "rds-tcp-kill-sock": "rds_tcp_kill_sock",
    "perf-group-detach": "perf_group_detach",
    "perf-event-open": "perf_event_open",
    "route4-change": "route4_change",
    "sctp-make-chunk": "_sctp_make_chunk",
    "tcpmss-mangle-packet": "tcpmss_mangle_packet",
    "packet-set-ring": "packet_set_ring",
}
# What merely silences, raises another risk or has no value that fits every site: for people only.
ADVICE = {
    "hung-task",
    "syn-flood",
    "split-lock",
    "tcp-mem",
    "tcp-low-mss",
    "page-allocation-failure",
}
BOOT = {
    "intel-idle",
    "nvme-apst",
    "irq-nobody-cared",
    "tsc-unstable",
    "pci-realloc",
    "kmem-accounting",
}


def test_the_library_has_no_problem_and_is_large_enough():
    playbooks = {p.name: p.read_text() for p in (ROOT / "playbooks").glob("*.yml")}
    assert [str(problem) for problem in lint(SHIPPED, playbooks)] == []
    assert len(SHIPPED.runbooks) >= 57


def test_every_crash_text_of_every_runbook_says_what_it_should():
    failed = [(r.file, r.why) for r in run_tests(SHIPPED, READ) if not r.ok]
    assert failed == []


@BOOKS
def test_a_runbook_says_where_it_is_from_whom_to_ask_and_what_it_is_not(book: Runbook):
    counts = Counter(case.expect for case in cases(SHIPPED, book))
    assert counts["match"] >= 3
    assert counts["none"] >= 3
    assert book.sources
    assert book.owners
    assert book.followups
    assert len(book.summary.split()) >= 15
    assert all(len(mitigation.residual.split()) >= 5 for mitigation in book.mitigations)


@BOOKS
def test_the_crash_texts_of_a_runbook_come_in_different_ways(book: Runbook):
    found = [case.text for case in cases(SHIPPED, book)]
    assert len(set(found)) == len(found)
    ways = {case.title.split(".")[0] for case in cases(SHIPPED, book)}
    assert len(ways) == len(found)


@pytest.mark.parametrize("name", sorted(CASES.keys() | MESSAGES.keys()))
def test_the_crash_texts_are_those_that_the_templates_make(name: str):
    file = Path(SHIPPED.sources[name][0])
    folder = ROOT / "runbooks" / file.parent / "tests" / name
    on_disk = {path.name: path.read_bytes() for path in folder.iterdir()}
    made = {file: text.encode() for file, text in texts(name).items()}
    assert on_disk == made, "run python -m tests.library.write, and read what changed"


def test_every_runbook_has_crash_texts_that_the_templates_make():
    assert BY_ID.keys() == CASES.keys() | MESSAGES.keys()


@pytest.mark.parametrize("name", NEGATIVES)
def test_a_negative_says_that_there_is_no_knob_and_offers_none(name: str):
    book = BY_ID[name]
    assert any(NEGATIVES[name] in (clause.function or ()) for clause in _flat(book.match))
    assert book.no_knob
    assert (book.mitigations, book.advice, book.knob, book.hold) == ((), (), (), None)
    for case in cases(SHIPPED, book):
        if case.expect == "match":
            assert _best(case) == name


def test_a_negative_stands_before_whatever_offers_something():
    for name in NEGATIVES:
        for case in cases(SHIPPED, BY_ID[name]):
            if case.expect == "match":
                report = READ(case.text)[0]
                found = match(SHIPPED, report, case.text)
                others = [BY_ID[c.runbook] for c in found.best[1:]]
                assert not any(other.mitigations for other in others)


@pytest.mark.parametrize("name", sorted(ADVICE | BOOT))
def test_what_is_for_people_only_has_no_button(name: str):
    book = BY_ID[name]
    assert book.advice
    assert not book.mitigations
    if name in BOOT:
        assert "boot-parameter-set.yml" in book.advice[0].how
        assert "Needs a reboot" in book.advice[0].risk


def test_a_function_that_says_little_needs_a_second_sign():
    generic = {"nf_hook_slow", "do_check", "bpf_check"}
    for book in SHIPPED.runbooks:
        for clause in _flat(book.match):
            if generic & set(clause.function or ()):
                assert clause.message, book.id


def test_a_one_way_value_is_offered_nowhere():
    for book in SHIPPED.runbooks:
        for mitigation in book.mitigations:
            given = {k: v.value for k, v in mitigation.variables.items()}
            assert (given.get("key"), given.get("value")) != (
                "kernel.unprivileged_bpf_disabled",
                "1",
            )
            assert given.get("key") != "kernel.panic_on_oops"


def test_taking_a_feature_away_from_everybody_needs_two_people():
    for book in SHIPPED.runbooks:
        for mitigation in book.mitigations:
            given = {k: v.value for k, v in mitigation.variables.items()}
            if given.get("key") == "user.max_user_namespaces" or given.get("module") in {
                "nf_tables",
                "openvswitch",
            }:
                assert (mitigation.approvals, mitigation.targets) == (2, "crashed"), book.id
                assert mitigation.risk == "high"


def test_fragments_are_bounded_in_the_order_that_the_kernel_takes():
    (mitigation,) = BY_ID["ip-fragments"].mitigations
    settings = mitigation.variables["settings"].value
    assert isinstance(settings, tuple | list)
    keys = [str(item).partition("=")[0] for item in settings]
    assert keys == [knob.name for knob in BY_ID["ip-fragments"].knob]
    assert all(keys.index(k.replace("high", "low")) < keys.index(k) for k in keys if "high" in k)


def test_the_flagship_says_that_old_sockets_stay_dangerous_and_waits_for_them():
    book = BY_ID["tcp-estats-update-mss"]
    mitigation = book.mitigations[0]
    assert "Only sockets that are created after the write are safe" in mitigation.residual
    assert mitigation.gate.crash_after_apply.settle == 600
    assert book.hold is not None
    assert book.hold.action == "restore"


def test_userland_and_hardware_have_their_general_runbooks():
    kinds = {
        kind
        for book in SHIPPED.runbooks
        for clause in _flat(book.match)
        for kind in clause.kind or ()
    }
    wanted = set(Kind) - {Kind.LOCKDEP, Kind.OTHER, Kind.ABORT, Kind.USER_SANITIZER}
    assert wanted <= kinds


def _best(case: Case) -> str:
    found = match(SHIPPED, READ(case.text)[0], case.text)
    return found.best[0].runbook


def _flat(clause: Clause) -> list[Clause]:
    inner = (*(clause.any_of or ()), *(clause.all_of or ()))
    return [clause, *(one for part in inner for one in _flat(part))]


def test_the_crash_texts_tell_the_library_from_what_asks_for_less():
    found = scores(SHIPPED, READ)
    killed, mutants = sum(one.killed for one in found), sum(one.mutants for one in found)
    assert percent(killed, mutants) >= 90
    assert [one.runbook for one in found if one.failing] == []
    weak = [one.runbook for one in found if one.percent < 50]
    assert weak == []
