"""A report whose end was cut off names who is left by the same rules, and says so."""

from __future__ import annotations

import pytest

from bot.crash import CrashReport, read

FAULT = """\
[  101.100001][  T812] BUG: unable to handle page fault for address: ffffc90000a31004
[  101.100002][  T812] CPU: 2 PID: 812 Comm: kworker/2:1 Not tainted 6.6.8 #1
[  101.100003][  T812] Workqueue: events lane_retrain_work [lanes]
[  101.100004][  T812] RIP: 0010:do_raw_spin_lock+0x8b/0x370
[  101.100005][  T812] Call Trace:
[  101.100006][  T812]  <TASK>
[  101.100007][  T812]  ? __die_body+0x5f/0xb0
[  101.100008][  T812]  _raw_spin_lock_irqsave+0xe1/0x120
[  101.100009][  T812]  lane_train+0x42/0x110 [lanes]
[  101.100010][  T812]  lane_retrain_work+0x1c/0x60 [lanes]
[  101.100011][  T812]  process_one_work+0x1d3/0x3c0
[  101.100012][  T812]  ret_from_fork_asm+0x1b/0x30
[  101.100013][  T812]  </TASK>
"""

WARNING = """\
[  560.713151][ T1194] WARNING: CPU: 2 PID: 1194 at net/lane/lane_state.c:81 lane_state_fini+0x40/0x5c0
[  560.714556][ T1194] Kernel panic - not syncing: panic_on_warn set ...
[  560.715572][ T1194] CPU: 2 PID: 1194 Comm: ip Not tainted 4.20.0 #5
[  560.719399][ T1194] Call Trace:
[  560.719962][ T1194]  dump_stack+0x1db/0x2d0
[  560.722633][ T1194]  panic+0x2cb/0x65c
[  560.728889][ T1194]  __warn.cold+0x20/0x48
[  560.730136][ T1194]  report_bug+0x263/0x2b0
[  560.733271][ T1194] RIP: 0010:lane_state_fini+0x40/0x5c0
[  560.747522][ T1194]  lane_net_exit+0x25/0x70
"""

GUESSED = """\
[  176.386974] BUG: KASAN: use-after-free in __lock_acquire+0x462f/0x49f0 at addr ffff8800b5a9f8c0
[  176.395804] Read of size 8 by task lanectl/20709
[  176.441544] Call Trace:
[  176.444128]  [<ffffffff81d985d2>] dump_stack+0xf6/0x184
[  176.449487]  [<ffffffff817c20a1>] kasan_object_err+0x21/0x70
[  176.474295]  [<ffffffff8143418f>] __lock_acquire+0x462f/0x49f0
[  176.480246]  [<ffffffff813cd9ec>] ? lane_pick+0x27c/0xc50
[  176.486293]  [<ffffffff8142fb60>] ? lane_sort+0x370/0x370
[  176.493293]  [<ffffffff8138b0b5>] ? lane_switch+0x485/0x620
[  176.499588]  [<ffffffff8143a1fe>] lock_acquire+0x15e/0x460
[  176.505972]  [<ffffffff8376f89e>] _raw_spin_lock+0x36/0x50
[  176.512266]  [<ffffffff82ee482f>] lane_release+0x4f/0x3c0
[  176.512270]  [<ffffffff82ee4830>] lane_close+0x4f/0x3c0
"""


def first(text: str) -> CrashReport:
    return read(text)[0]


def before(text: str, word: str, more: int = 0) -> str:
    return text[: text.index(word) + more]


@pytest.mark.parametrize("more", [0, 7])
def test_a_worker_whose_trace_is_cut_off_is_known_by_its_work(more):
    report = first(before(FAULT, "lane_train+", more))
    assert report.title == "BUG: unable to handle kernel paging request in lane_retrain_work"
    assert report.module == "lanes"
    assert "cut off" in (report.corrupted_reason or "")


def test_a_frame_that_is_left_counts_more_than_the_work():
    report = first(before(FAULT, "lane_retrain_work+"))
    assert report.function == "lane_train"
    assert first(FAULT).function == "lane_train"
    assert not first(FAULT).corrupted


def test_work_that_a_rule_skips_is_never_named():
    text = before(FAULT, "lane_train+").replace("lane_retrain_work", "kfree")
    assert first(text).function is None


def test_a_stall_is_not_named_after_the_work_it_may_have_interrupted():
    text = before(FAULT, "lane_train+").replace(
        "BUG: unable to handle page fault for address: ffffc90000a31004",
        "watchdog: BUG: soft lockup - CPU#2 stuck for 22s! [kworker/2:1:812]",
    )
    assert first(text).title == "BUG: soft lockup in corrupted"


def test_a_warning_whose_trace_is_cut_off_names_its_function_itself():
    report = first(before(WARNING, "report_bug+"))
    assert report.title == first(WARNING).title == "WARNING in lane_state_fini"
    assert report.corrupted


def test_a_warning_whose_trace_never_began_is_not_trusted_that_far():
    assert first(before(WARNING, "Call Trace")).title == "WARNING in corrupted"


def test_a_guess_below_sure_frames_is_not_trusted_where_the_trace_is_cut_off():
    report = first(before(GUESSED, "lock_acquire+0x15e"))
    assert report.corrupted
    assert first(GUESSED).title == "KASAN: use-after-free Read in lane_release"
    assert not first(GUESSED).corrupted
