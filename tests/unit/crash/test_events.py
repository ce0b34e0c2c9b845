"""Events, notices and evidence: every row of the tables reads its lines, ordinary logs are silent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash.context import MAX_EVIDENCE, SIGNS
from bot.crash.entry import Entry
from bot.crash.events import CONTEXT_HINTS, EVENT_HINTS, HINTS, MAX_REPORTS, context, find
from bot.crash.losses import LOSSES
from bot.crash.notices import NOTICES
from bot.crash.report import EVENTS, Kind
from bot.crash.report import NOTICES as NOTICE_KINDS
from bot.crash.titles import MAX_TITLE
from tests.unit.crash import event_golden, golden
from tests.unit.crash.tagged import entries

HERE = Path(__file__).parent
QUIET = (HERE / "quiet_lines.txt").read_text().splitlines()
LINES = [line.split(" => ") for line in (HERE / "event_lines.txt").read_text().splitlines()]
LOGS = [golden.split(path)[1] for path in event_golden.files()]
AFTER = {
    "ata: soft reset failed": (
        "ata1.00: exception Emask 0x0 SAct 0x40000 SErr 0x0 action 0x6 frozen",
        "ata1: SRST failed (errno=-16)",
    ),
    "ata: reset failed, giving up": (
        "ata1.00: exception Emask 0x10 SAct 0x0 SErr 0x4090000 action 0xe frozen",
        "ata1: reset failed, giving up",
    ),
    "ata: device disabled": (
        "ata2.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen",
        "ata2.00: disabled",
    ),
    "network link is down": (
        "e1000e 0000:00:1f.6 eno1: Link is Up - 1Gbps/Full",
        "e1000e 0000:00:1f.6 eno1: Link is Down",
    ),
    "network link is down ": (
        "mlx5_core 0000:3b:00.0 ens1f0: Link up",
        "mlx5_core 0000:3b:00.0 ens1f0: Link down",
    ),
}  # fmt: skip
"""Events that count only behind another line: without it they belong to an ordinary boot."""


def kernel(*texts: str, program: str = "kernel") -> list[Entry]:
    return [Entry(number, text, program) for number, text in enumerate(texts, start=1)]


@pytest.mark.parametrize("path", event_golden.files(), ids=lambda path: path.stem)
def test_a_golden_log_is_read_as_its_header_says(path):
    header, log = golden.split(path)
    assert event_golden.header(log) == header


@pytest.mark.parametrize(("line", "title"), LINES, ids=[line[:150] for line, _ in LINES])
def test_a_line_of_the_kernel_is_read(line, title):
    (report,) = find(kernel(line))
    assert report.title == title
    assert report.kind in EVENTS | NOTICE_KINDS
    assert [(each.number, each.role, each.text) for each in report.evidence] == [
        (1, "headline", line)
    ]
    assert find(kernel(line, program="app[7]")) == []
    assert find(kernel(f"app[7]: {line}")) == []
    assert find(kernel(f"on this machine they saw {line}", program="")) == []


@pytest.mark.parametrize("title", AFTER)
def test_a_line_that_counts_only_behind_another_one_is_silent_alone(title):
    before, line = AFTER[title]
    assert [report.title for report in find(kernel(before, line))] == [title.strip()]
    assert find(kernel(line)) == []
    assert find(kernel(before)) == []
    assert find(kernel(before.replace("ata", "ata9").replace("en", "em"), line)) == []


def test_every_row_reads_some_line():
    texts = [line for line, _ in LINES] + [text for pair in AFTER.values() for text in pair]
    first: dict[int, str] = {}
    for text in texts:
        for row in (*LOSSES, *NOTICES):
            if row.hint in text and row.pattern.match(text):
                first.setdefault(id(row), text)
                break
    assert [row.pattern.pattern for row in (*LOSSES, *NOTICES) if id(row) not in first] == []


@pytest.mark.parametrize("program", ["kernel", ""])
def test_ordinary_boot_and_service_lines_are_silent(program):
    assert len(QUIET) > 150
    assert [line for line in QUIET if find(kernel(line, program=program))] == []
    assert find(kernel(*QUIET, program=program)) == []
    loud = [line for line in QUIET if context(kernel(line, program=program))]
    assert all(re.match(r"ata\d", line) for line in loud)


def test_every_known_trigger_of_a_mitigation_is_found():
    triggers = (
        ("nvme nvme0: controller is down; will reset: CSTS=0xffffffff", "nvme_warn_reset"),
        ('irq 19: nobody cared (try booting with the "irqpoll" option)', "__report_bad_irq"),
        ("TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'.",
         "clocksource_watchdog"),
        ("pci_bus 0000:00: Some PCI device resources are unassigned, try booting with pci=realloc",
         "pci_assign_unassigned_root_bus_resources"),
        ("nf_conntrack: table full, dropping packet", "__nf_conntrack_alloc"),
        ("neighbour: arp_cache: neighbor table overflow!", "neigh_alloc"),
        ("TCP: out of memory -- consider tuning tcp_mem", "tcp_check_oom"),
        ("TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.",
         "tcp_syn_flood_action"),
        ("Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible",
         "unpriv_ebpf_notify"),
        ("x86/split lock detection: #AC: vm/77 took a split_lock trap at address: 0x7f01",
         "split_lock_warn"),
    )  # fmt: skip
    for line, function in triggers:
        (report,) = find(kernel(line))
        assert report.function == function


def test_messages_that_name_no_function_have_signatures_of_their_own():
    conntrack, neighbour = find(
        kernel("nf_conntrack: table full, dropping packet", "arp_cache: neighbor table overflow!")
    )
    assert conntrack.signature == "limit:__nf_conntrack_alloc:nf_conntrack"
    assert neighbour.signature == "limit:neigh_alloc:-"


def test_the_signature_of_an_oom_kill_holds_neither_pid_nor_victim():
    one, two = find(
        kernel("Out of memory: Killed process 91 (a).", "Out of memory: Killed process 92 (b).")
    )
    assert one.signature == two.signature == "oom:-:-"
    assert (one.comm, one.pid, two.comm, two.pid) == ("a", 91, "b", 92)


def test_lines_of_one_kill_that_were_cut_out_of_a_log_are_one_report():
    (report,) = find(
        kernel(
            "Memory cgroup out of memory: Killed process 40188 (java) total-vm:7021244kB, "
            "anon-rss:2078112kB, file-rss:856kB",
            "oom_reaper: reaped process 40188 (java), now anon-rss:0kB",
        )
    )
    assert report.title == "OOM kill of java in memory cgroup"
    assert report.alt_titles == ("oom-kill",)
    assert (report.start, report.end) == (1, 2)


def test_a_kill_behind_a_long_task_table_is_still_one_report():
    table = [f"[ {pid}]  1000 {pid}   2431   512   28672   0   0 worker" for pid in range(5000)]
    (report,) = find(
        kernel(
            "cron invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            *table,
            "Out of memory: Killed process 4711 (worker) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        )
    )
    assert (report.title, report.details["trigger"]) == ("OOM kill of worker", "cron")
    assert (report.start, report.end) == (1, 5002)


def test_an_oom_report_without_its_victim_says_so():
    (report,) = find(kernel("cron invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0"))
    assert report.corrupted
    assert report.comm is None
    assert report.details["trigger"] == "cron"


def test_two_kills_of_one_program_are_two_reports():
    lines = [
        "java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "Memory cgroup out of memory: Killed process {} (java) total-vm:1kB, anon-rss:1kB",
    ]
    reports = find(kernel(*(line.format(pid) for pid in (10, 20) for line in lines)))
    assert [(report.pid, report.start, report.end) for report in reports] == [
        (10, 1, 2),
        (20, 3, 4),
    ]


def test_a_storm_is_one_report_a_device_and_counted():
    lines = [f"I/O error, dev sd{name}, sector {n}" for n in range(100) for name in "ab"]
    reports = find(kernel(*lines))
    assert [(report.details["device"], report.details["times"]) for report in reports] == [
        ("sda", "100"),
        ("sdb", "100"),
    ]


def test_a_shutdown_of_another_filesystem_is_not_the_same_shutdown():
    reports = find(
        kernel(
            "XFS (sda1): xfs_do_force_shutdown(0x2) called from line 1 of file fs/xfs/xfs_log.c.  "
            "Return address = 0xffffffffc0a1",
            "XFS (sdb1): Log I/O Error Detected.  Shutting down filesystem",
            "XFS (sda1): Log I/O Error Detected.  Shutting down filesystem",
        )
    )
    assert [(report.details["device"], report.end) for report in reports] == [
        ("sda1", 3),
        ("sdb1", 2),
    ]


def test_unstamped_text_must_have_the_whole_shape():
    assert find(kernel("Out of socket memory", program="")) == []
    assert find(kernel("Out of socket memory")) != []
    assert find(kernel("I/O error, dev sda, sector 5", program="")) != []


def test_no_more_reports_than_the_limit_are_made():
    lines = (f"Out of memory: Killed process {pid} (a)." for pid in range(100))
    assert len(find(kernel(*lines))) == MAX_REPORTS


def test_hints_are_valid_for_both_engines_and_every_headline_holds_one():
    for hints, rows in ((HINTS, (*LOSSES, *NOTICES)), (EVENT_HINTS, LOSSES)):
        assert {re2.compile(hint).pattern for hint in hints} == set(hints)
        merged = re.compile("|".join(hints))
        assert all(merged.search(row.hint) for row in rows)
    assert all(re2.compile(hint) for hint in CONTEXT_HINTS)


@pytest.mark.parametrize("log", LOGS, ids=[path.stem for path in event_golden.files()])
def test_hits_from_outside_give_the_same_reports(log):
    lines = entries(log)
    merged = re.compile("|".join(HINTS))
    hits = [at for at, line in enumerate(lines) if merged.search(line.text)]
    assert find(lines, hits) == find(lines)
    assert find(lines, []) == []


SPOKEN = (
    ("memory-pressure", "some avg10=41.20 avg60=30.11 avg300=12.00 total=81231231"),
    ("memory-pressure", "full avg10=0.90 avg60=0.11 avg300=0.00 total=12"),
    ("memory-pressure", " slab_reclaimable:4001 slab_unreclaimable:981231"),
    ("memory-pressure", "SUnreclaim:      9812312 kB"),
    ("memory-pressure", "Unreclaimable slab info:"),
    ("memory-pressure", "Free swap  = 0kB"),
    ("memory-pressure", "lowmem_reserve[]: 0 2931 15911 15911 15911"),
    ("memory-pressure", "vmap allocation for size 8192 failed: use vmalloc=<size> to increase size"),
    ("memory-pressure", "warn_alloc: 1915 callbacks suppressed"),
    ("memory-pressure", "INFO: task kswapd0:91 blocked for more than 120 seconds."),
    ("memory-pressure", "TCP: out of memory -- consider tuning tcp_mem"),
    ("memory-pressure", "SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_ATOMIC)"),
    ("disk", "ata1.00: exception Emask 0x0 SAct 0x40000 SErr 0x0 action 0x6 frozen"),
    ("disk", "ata1.00: failed command: READ FPDMA QUEUED"),
    ("disk", "ata1: hard resetting link"),
    ("disk", "sd 0:0:0:0: [sda] tag#3 Sense Key : Medium Error [current] "),
    ("disk", "nvme nvme0: Abort status: 0x0"),
    ("disk", "EXT4-fs (sda1): I/O error while writing superblock"),
    ("disk", "nfs: server nas1 not responding, still trying"),
    ("thermal", "CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)"),
    ("thermal", "mce: CPU3: Package clock throttled"),
    ("thermal", "thermal thermal_zone0: failed to read out temperature (-61)"),
    ("machine-check", "{1}[Hardware Error]:   section_type: memory error"),
    ("machine-check", "mce: [Hardware Error]: Machine check events logged"),
    ("machine-check", "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0 (channel:1 slot:0)"),
    ("time-jump", "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as "
                  "unstable because the skew is too large:"),
    ("time-jump", "hrtimer: interrupt took 31234 ns"),
    ("time-jump", "systemd[1]: Time has been changed"),
    ("time-jump", "Clock jumped backwards by 3.2 s"),
    ("time-jump", "rtc_cmos rtc_cmos: hctosys: unable to read the hardware clock"),
    ("time-jump", "NTP: Time jumped forward 12 s"),
    ("firmware", "tsc: [Firmware Bug]: TSC doesn't count with P0 frequency!"),
    ("firmware", "HEST: [Firmware Warn]: GHES overflow"),
    ("firmware", "ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0], AE_NOT_FOUND"),
    ("firmware", "ACPI Error: Aborting method \\_SB.PCI0._OSC due to previous error"),
    ("firmware", "ACPI Exception: AE_NOT_FOUND, Evaluating _PPC"),
    ("firmware", "pnp 00:05: BIOS bug: memory resource overlaps"),
    ("firmware", "MTRR: BIOS BUG: CPU MTRRs do not cover all of memory"),
    ("firmware", "DMAR: Your BIOS is broken; broken BIOS tables"),
    ("program", "relayd[993]: segfault at 18 ip 00007f12aa001122 sp 00007ffd22334455 error 4 in r"),
    ("program", "traps: relayd[991] general protection fault ip:7f12aa0011 sp:7ffd00 error:0 in r"),
    ("program", "relayd[17]: unhandled signal 11 at 0000000000000018 nip 00000000100005d8 lr 0 code 1"),
    ("program", "relayd/17: potentially unexpected fatal signal 11."),
    ("limit", "nf_conntrack: table full, dropping packet"),
    ("limit", "VFS: file-max limit 65536 reached"),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), SPOKEN, ids=[text[:50] for _, text in SPOKEN])
def test_a_line_before_a_crash_is_evidence(kind, text):
    (evidence,) = context(kernel(text))
    assert (evidence.kind, evidence.line, evidence.text) == (kind, 1, text.strip())
    assert evidence.label == "hypothesis"
    assert context(kernel(text, program="app[7]")) == ()
    assert context(kernel(f"app[7]: {text}")) == ()


def test_every_sign_reads_some_line():
    texts = [text for _, text in SPOKEN]
    assert [
        row.hint
        for row in SIGNS
        if not any(row.hint in text and row.pattern.match(text) for text in texts)
    ] == []


def test_a_storm_of_one_message_does_not_hide_the_others():
    storm = [f"I/O error, dev sda, sector {n}" for n in range(500)]
    lines = kernel(storm[0], "Free swap  = 0kB", *storm[1:], "ACPI Error: broken method", storm[0])
    found = [(evidence.kind, evidence.line) for evidence in context(lines)]
    assert found == [("disk", 1), ("memory-pressure", 2), ("firmware", 502), ("disk", 503)]


def test_at_most_so_many_lines_are_evidence_and_they_keep_their_order():
    lines = kernel(*(text for _, text in SPOKEN), *(line for line, _ in LINES))
    found = context(lines)
    assert len(found) == MAX_EVIDENCE
    assert [evidence.line for evidence in found] == sorted({evidence.line for evidence in found})
    assert {evidence.kind for evidence in found} == {kind for kind, _ in SPOKEN}


PIECES = st.sampled_from(
    [
        *QUIET,
        *(line for line, _ in LINES),
        *(text for pair in AFTER.values() for text in pair),
        *(line.text for log in LOGS for line in entries(log)),
    ]
)
TEXTS = st.one_of(
    PIECES,
    st.text(max_size=80),
    st.tuples(PIECES, st.integers(0, 120), st.text(max_size=20)).map(
        lambda made: made[0][: made[1]] + made[2] + made[0][made[1] :]
    ),
)
ENTRIES = st.lists(
    st.tuples(TEXTS, st.sampled_from(["kernel", "kernel", "", "app[7]"])), max_size=40
).map(lambda found: [Entry(n, text, program) for n, (text, program) in enumerate(found, 1)])


@given(ENTRIES, st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_the_lines_are_the_reports_are_consistent(lines, data):
    reports = find(lines)
    assert find(lines) == reports
    assert [report.start for report in reports] == sorted(report.start for report in reports)
    for report in reports:
        assert report.kind in EVENTS | NOTICE_KINDS
        assert report.title
        assert len(report.title) <= MAX_TITLE
        assert 1 <= report.start <= report.end <= len(lines)
        assert report.function is None or report.function.isidentifier()
        assert report.title not in report.alt_titles
        assert all(report.start <= line.number for line in report.evidence)
        assert report.corrupted is (report.corrupted_reason is not None)
        assert report.kind is not Kind.OOM or report.signature == "oom:-:-"
    evidence = context(lines)
    assert context(lines) == evidence
    assert len(evidence) <= MAX_EVIDENCE
    hits = data.draw(st.lists(st.integers(0, max(0, len(lines) - 1)), max_size=20))
    find(lines, hits if lines else [])
