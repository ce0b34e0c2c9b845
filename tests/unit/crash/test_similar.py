"""Similar crashes: by frames in their order, rare ones first, and what else is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash import CrashReport, Frame, Kind, read
from bot.crash.similar import Known, similar
from tests.unit.crash import golden

ENTRY = ("do_syscall_64", "entry_SYSCALL_64_after_hwframe")
STACK = ("mpt_put_msg", "mpt_raid_poll", "scsi_scan_target", "scsi_add_host", "pci_device_probe")
BYSTANDERS = [
    Known(
        f"bystander-{n}",
        CrashReport(
            title=f"bystander {n}",
            kind=Kind.WARNING,
            trace=tuple(
                Frame(function=name, raw=name)
                for name in (f"own_{n}_top", f"own_{n}_mid", "pci_device_probe", *ENTRY)
            ),
        ),
    )
    for n in range(20)
]


def crash(*frames: str, guesses: tuple[str, ...] = (), **more: object) -> CrashReport:
    values: dict[str, object] = {
        "title": "",
        "kind": Kind.PAGE_FAULT,
        "trace": tuple(
            Frame(function=name, raw=name, reliable=name not in guesses) for name in frames
        ),
    }
    return CrashReport(**(values | more))  # type: ignore[arg-type]


def score(report: CrashReport, other: CrashReport) -> float:
    found = similar(report, [*BYSTANDERS, Known("other", other)], limit=50)
    return next((one.score for one in found if one.name == "other"), 0.0)


NAMES = st.sampled_from([*STACK, *ENTRY, "tcp_ack", "tcp_rcv", "ip_rcv", "kfree", "kthread"])
REPORTS = st.builds(
    lambda names, guesses, kind, function, module, title: crash(
        *names, guesses=tuple(guesses), kind=kind, function=function, module=module, title=title
    ),
    st.lists(NAMES, max_size=12),
    st.sets(NAMES, max_size=3),
    st.sampled_from([Kind.PAGE_FAULT, Kind.GPF, Kind.PYTHON]),
    st.one_of(st.none(), NAMES),
    st.sampled_from([None, "mptsas", "tcp_x"]),
    st.sampled_from(["", "BUG in tcp_ack", "WARNING in corrupted"]),
)


@given(REPORTS, st.lists(REPORTS, max_size=6))
@settings(deadline=None)
def test_an_identical_report_scores_one_and_comes_first(report, others):
    known = [Known(f"z{n}", other) for n, other in enumerate(others)]
    first = similar(report, [*known, Known("a", report)])[0]
    assert (first.name, first.score) == ("a", 1.0)


@given(REPORTS, REPORTS)
@settings(deadline=None)
def test_a_score_is_between_nothing_and_one_and_the_same_both_ways(one, other):
    there, back = score(one, other), score(other, one)
    assert 0 <= there <= 1
    assert there == pytest.approx(back, abs=0.001)


@given(REPORTS, st.lists(REPORTS, max_size=12), st.integers(0, 4), st.randoms())
@settings(deadline=None)
def test_the_best_are_the_same_in_any_order_and_leaving_out_the_rest_changes_none(
    report, others, limit, random
):
    known = [Known(f"known-{n}", other) for n, other in enumerate(others)]
    every = similar(report, known, limit=len(known))
    random.shuffle(known)
    assert similar(report, known, limit) == every[:limit]
    assert every == sorted(every, key=lambda one: (-one.score, one.name))


def test_a_crash_is_found_again_among_bystanders_with_the_frames_in_common():
    found = similar(
        crash("__memcpy", *STACK, *ENTRY, function="mpt_put_msg"),
        [*BYSTANDERS, Known("mpt", crash(*STACK[:3], "other_probe", *STACK[3:], *ENTRY))],
    )
    assert found[0].name == "mpt"
    assert found[0].common == STACK
    assert found[0].why == (
        "5 of 5 telling frames in the same order, first mpt_put_msg; same kind; "
        "the guilty function stands in both."
    )


def test_another_order_of_the_frames_lowers_the_score():
    a, b, c, d, e = STACK
    whole = score(crash(*STACK), crash(*STACK))
    assert (
        whole
        > score(crash(*STACK), crash(a, c, b, d, e))
        > score(crash(*STACK), crash(e, d, c, b, a))
    )


def test_losing_a_rare_frame_lowers_the_score_more_than_losing_a_common_one():
    full = crash("mpt_put_msg", "pci_device_probe")
    without_rare = score(full, crash("pci_device_probe"))
    without_common = score(full, crash("mpt_put_msg"))
    assert without_rare < without_common < 1.0


def test_losing_a_top_frame_lowers_the_score_more_than_losing_one_far_down():
    full = crash(*STACK[:4])
    assert score(full, crash(*STACK[1:4])) < score(full, crash(*STACK[:3]))


def test_frames_of_entry_and_helpers_say_next_to_nothing():
    report = crash(*STACK[:2], *ENTRY)
    assert score(report, crash(*STACK[:2])) > 0.9
    assert score(report, crash("tcp_ack", "tcp_rcv", *ENTRY, kind=Kind.GPF)) == 0
    helpers = similar(crash("memcpy", *ENTRY), [crash("memcpy", "tcp_ack", *ENTRY)])
    assert [one.common for one in helpers] == [()]


def test_what_the_kernel_only_guesses_counts_less():
    sure = score(crash(*STACK), crash(*STACK[:2]))
    doubted = score(crash(*STACK, guesses=STACK[:2]), crash(*STACK[:2]))
    assert doubted < sure


@pytest.mark.parametrize(
    ("same", "different"),
    [
        ({"kind": Kind.PAGE_FAULT}, {"kind": Kind.GPF}),
        ({"module": "mptsas"}, {"module": "qla2xxx"}),
        ({"function": "mpt_put_msg"}, {"function": "tcp_ack"}),
    ],
)
def test_what_is_the_same_beside_the_trace_adds_to_the_score(same, different):
    report = crash(*STACK, function="mpt_put_msg", module="mptsas")
    assert score(report, replace(report, **same)) > score(report, replace(report, **different))


def test_a_guilty_function_further_down_in_the_other_trace_was_not_inlined_there():
    report = crash(*STACK[1:], function="mpt_raid_poll")
    assert score(report, crash(*STACK, function="mpt_put_msg")) > score(
        report, crash("mpt_put_msg", *STACK[2:], "mpt_other", function="mpt_put_msg")
    )
    both = similar(crash(function="mpt_put_msg"), [crash(*STACK, function="mpt_raid_poll")])
    assert both[0].why.endswith("the guilty function stands in both.")


def test_titles_that_intersect_are_the_same_bug_unless_they_know_nothing():
    report = crash("tcp_ack", title="BUG in a", alt_titles=("bad-access in a",))
    same = crash("ip_rcv", title="GPF in a", alt_titles=("bad-access in a",), kind=Kind.GPF)
    assert score(report, same) >= 0.5
    assert similar(report, [same])[0].why.startswith("A title says it is the same bug; ")
    unknown = crash("tcp_ack", title="stall in corrupted")
    assert score(unknown, crash("ip_rcv", title="stall in corrupted", kind=Kind.GPF)) < 0.5


def test_reports_without_a_trace_are_compared_by_the_rest():
    report = crash(function="tcp_ack", title="BUG in tcp_ack")
    assert score(report, report) == 1.0
    assert 0 < score(report, crash(*STACK, function="tcp_ack")) < 1.0
    assert score(crash(), crash()) == 1.0


def test_a_report_without_a_name_goes_by_its_title_and_equals_are_ordered_by_name():
    twins = [crash(*STACK, title=title) for title in ("b", "a", "c")]
    found = similar(crash(*STACK), [*twins, Known("aa", crash(*STACK))], limit=3)
    assert [one.name for one in found] == ["a", "aa", "b"]


def test_a_recursion_counts_once_however_deep_it_went():
    deep = crash("walk_up", *["walk_dir"] * 40, "walk_start")
    assert score(deep, crash("walk_up", *["walk_dir"] * 7, "walk_start")) == 1.0


def test_nobody_known_means_nothing_similar():
    assert similar(crash(*STACK), []) == []
    assert similar(crash(*STACK), BYSTANDERS, limit=0) == []


def test_a_program_may_have_functions_that_are_helpers_in_the_kernel():
    report = crash("string_of", "memcpy_all", kind=Kind.PYTHON)
    assert similar(report, [report])[0].common == ("string_of", "memcpy_all")


def test_each_golden_log_resembles_itself_most():
    known = [
        Known(path.stem, report)
        for path in golden.files()
        for report in read(golden.split(path)[1])[:1]
    ]
    for one in known:
        best = similar(one.report, known)[0]
        assert best.score == 1.0
        assert one.name == best.name or best.score == 1.0
