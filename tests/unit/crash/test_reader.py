"""What the reader promises about reports, whatever the kernel or the machine."""

from __future__ import annotations

import io

import pytest

from bot.crash import ALL, KERNEL_CRASH, Kind, excerpt, read, read_stream
from tests.unit.crash import golden


def log(name: str) -> str:
    return golden.split(golden.HERE / f"{name}.txt")[1]


def test_text_without_a_crash_gives_an_empty_list():
    assert read("") == []
    assert read(b"\xff\xfe\x00") == []
    assert read("all is well\n" * 100, kinds=ALL) == []


def test_bytes_and_streams_read_like_text():
    text = log("sack_panic_4_15")
    assert read(text.encode()) == read(text)
    assert read_stream(io.StringIO(text)) == read(text)
    assert read_stream(io.BytesIO(text.encode())) == read(text)


def test_kinds_that_are_not_asked_for_are_left_out():
    text = log("oops_then_warning_4_9")
    assert [r.kind for r in read(text, kinds=KERNEL_CRASH)] == [Kind.PAGE_FAULT, Kind.WARNING]
    (warning,) = read(text, kinds={Kind.WARNING})
    assert warning.kind is Kind.WARNING
    assert not warning.consequence


def test_the_first_report_is_the_cause_and_later_ones_are_consequences():
    assert [r.consequence for r in read(log("oops_then_warning_4_9"))] == [False, True]


def test_the_panic_that_ends_an_oops_is_part_of_it():
    (report,) = read(log("sack_panic_4_15"))
    assert report.panicked
    assert report.kind is Kind.BUG


def test_a_user_mode_pointer_is_never_guilty():
    text = log("null_deref_4_19_tcp_estats").replace(
        "RIP: 0033:0x7f2c1d2a17d4", "RIP: 0033:main+0x12/0x40"
    )
    start = text.index("RIP: 0010")
    without = text[:start] + text[text.index("\n", start) + 1 :]
    (report,) = read(without)
    assert report.function not in {"main", "tcp_estats_update_mss"}


def test_a_trap_function_is_passed_over_and_the_rule_is_named():
    (report,) = read(log("skb_panic_ipv6_rpl_6_1_docker"))
    assert report.function == "ipv6_rpl_srh_rcv"
    assert [(s.function, bool(s.rule)) for s in report.skipped][:2] == [
        ("skb_panic", True),
        ("skb_push", True),
    ]


def test_frames_that_the_kernel_doubts_are_kept_and_marked():
    (report,) = read(log("null_deref_4_19_tcp_estats"))
    doubted = [frame.function for frame in report.trace if not frame.reliable]
    assert doubted == ["_raw_spin_unlock_bh"]
    assert report.trace[0].function == "tcp_sync_mss"


def test_evidence_is_the_original_line_under_its_own_number():
    text = log("page_fault_5_4_syslog")
    (report,) = read(text)
    assert [line.number for line in report.evidence] == [2, 8, 13]
    for line in report.evidence:
        assert text.split("\n")[line.number - 1] == line.text


def test_offsets_addresses_builds_and_inlining_do_not_change_the_signature():
    text = log("sack_panic_4_15")
    other = (
        text.replace("tcp_shifted_skb+0x267/0x280", "tcp_shifted_skb.isra.5.constprop.0+0x2/0x9")
        .replace("tcp_input.c:1325", "tcp_input.c:1299")
        .replace("4.15.0-51", "4.15.0-47")
        .replace("ffff8e7", "ffff911")
    )
    assert read(text)[0].signature == read(other)[0].signature
    assert read(text)[0].title == read(other)[0].title


def test_a_renamed_function_is_renamed_in_the_title():
    text = log("null_deref_6_1_tcp_estats_module").replace("tcp_estats_update_mss", "zz_fooled")
    assert read(text)[0].title.endswith(" in zz_fooled")


def test_a_report_without_frames_says_that_it_cannot_be_trusted():
    (report,) = read(log("truncated_no_frames"))
    assert report.corrupted
    assert report.corrupted_reason
    assert report.function is None


def test_system_calls_keep_their_longer_names_as_alternatives():
    text = log("gpf_new_html").replace("cgroup_release_agent_write", "__se_sys_mremap")
    (report,) = read(text)
    assert report.title == "general protection fault in mremap"
    assert "general protection fault in __se_sys_mremap" in report.alt_titles


@pytest.mark.parametrize("limit", [300, 1000, 3000])
def test_an_excerpt_begins_at_the_headline_and_keeps_the_limit(limit):
    text = "uninteresting boot line\n" * 500 + log("sack_panic_4_15")
    cut = excerpt(text, limit)
    assert len(cut) <= limit
    assert cut.split("\n")[0].endswith("kernel BUG at net/ipv4/tcp_input.c:1325!")


def test_an_excerpt_of_short_or_quiet_text_is_its_beginning():
    assert excerpt("short", 10) == "short"
    assert excerpt("x" * 50, 10) == "x" * 10


def test_an_excerpt_finds_the_headline_inside_one_long_line():
    text = "pad " * 500 + log("gpf_old_2_6_32").replace("\n", "\\n")
    assert "general protection fault" in excerpt(text, 500)
