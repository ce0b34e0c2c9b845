"""Reports as lines for people and as data for programs."""

from __future__ import annotations

import json
from dataclasses import fields, replace

from bot.crash import CrashReport, Evidence, Frame, Kind, Line, Skipped, read
from bot.crash.show import MAX_LINE, MAX_SHOWN, as_dict, from_dict, lines
from tests.unit.crash import golden


def report(name: str) -> CrashReport:
    return read(golden.split(golden.HERE / f"{name}.txt")[1])[0]


def row(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def bare(**more: object) -> CrashReport:
    values: dict[str, object] = {"title": "GPF in a", "kind": Kind.GPF}
    return CrashReport(**(values | more))  # type: ignore[arg-type]


def named(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(function=name, raw=name) for name in names)


def shown(report: CrashReport) -> list[str]:
    return [" ".join(text.split()) for _, text in lines(report)]


def test_people_see_the_headline_first_then_the_guilty_function_and_why():
    pairs = lines(report("skb_panic_ipv6_rpl_6_1_docker"))
    assert pairs[0] == ("headline", "kernel BUG in ipv6_rpl_srh_rcv")
    assert ("guilty", row("guilty", "ipv6_rpl_srh_rcv")) in pairs[:3]
    why = [text for style, text in pairs if style == "why"]
    assert [text.split()[:3] for text in why] == [
        ["headline", "line", "3:"],
        ["pointer", "line", "7:"],
        ["frame", "line", "12:"],
    ]


def test_the_trace_shows_in_place_who_was_passed_over_and_why():
    pairs = lines(report("skb_panic_ipv6_rpl_6_1_docker"))
    first = pairs.index(("dim", row("skipped", "skb_panic (reports the crash)")))
    assert pairs[first + 1 : first + 5] == [
        ("dim", row("skipped", "skb_push.cold (plumbing of this kind of report)")),
        ("guilty", row("> guilty", "ipv6_rpl_srh_rcv")),
        ("frame", row("called by", "ip6_protocol_deliver_rcu")),
        ("frame", row("", "ip6_input_finish")),
    ]


def test_a_guilty_function_that_only_the_pointer_names_stands_above_the_trace():
    pairs = lines(report("oops_then_warning_4_9"))
    first = pairs.index(("guilty", row("> guilty", "e1000_clean_rx_irq")))
    assert pairs[first + 1] == ("frame", row("called by", "e1000_clean [e1000]"))


def test_a_guilty_function_under_its_groups_name_is_found_by_its_line():
    one = bare(
        function="synchronize_rcu",
        trace=named("schedule", "synchronize_rcu_expedited", "cleanup_net"),
        evidence=(Line(number=4, text=" synchronize_rcu_expedited+0x4/0x8", role="frame"),),
    )
    assert "> guilty synchronize_rcu_expedited" in shown(one)


def test_a_function_below_the_guilty_one_is_no_longer_called_skipped():
    skipped = (Skipped(function="memcpy", rule="copies memory or strings"),)
    one = bare(function="a", trace=named("memcpy", "a", "memcpy"), skipped=skipped)
    assert shown(one)[2:5] == [
        "skipped memcpy (copies memory or strings)",
        "> guilty a",
        "called by memcpy",
    ]


def test_of_a_long_trace_the_guilty_frame_is_always_shown_and_the_rest_counted():
    one = bare(function="f40", trace=named(*[f"f{n}" for n in range(60)]))
    texts = shown(one)
    assert "> guilty f40" in texts
    assert texts[2:6] == ["trace f0", "f1", "... 31 frames", "f33"]
    assert texts[4 + MAX_SHOWN + 1] == "... 13 frames"
    short = shown(replace(one, consequence=True))
    assert len(short) < len(texts)
    assert "> guilty f40" in short


def test_frames_that_the_kernel_guesses_are_left_out_and_counted():
    guess = Frame(function="b", raw="b", reliable=False)
    texts = shown(bare(function="a", trace=(*named("a"), guess)))
    assert "left out 1 frame that the kernel only guesses" in texts
    assert "called by b" not in texts


def test_people_are_warned_of_a_report_that_cannot_be_trusted():
    styles = [style for style, _ in lines(report("truncated_no_frames"))]
    assert styles[:4] == ["headline", "warning", "warning", "guilty"]
    damaged = bare(function="a", corrupted=True, corrupted_reason="no call trace")
    assert shown(damaged)[1:3] == [
        "careful the text is damaged: no call trace.",
        "It may name the wrong function. Get the whole log before you act.",
    ]


def test_what_follows_from_another_crash_says_so():
    assert ("dim", row("follows", "came after the one above: look at that first")) in lines(
        bare(consequence=True)
    )


def test_a_panic_is_said_in_words():
    assert "panic the kernel gave up: the host went down" in shown(bare(panicked=True))


def test_a_notice_is_no_crash_and_blames_nobody():
    texts = shown(bare(kind=Kind.LIMIT))
    assert "notice the kernel took note of something; nothing crashed" in texts
    assert not any(text.startswith("guilty") for text in texts)


def test_what_stood_before_the_crash_is_called_a_hypothesis():
    one = bare(context=(Evidence(kind="memory-pressure", line=7, text="x: order:4 failed"),))
    assert ("maybe", row("hypothesis", "memory pressure, line 7: x: order:4 failed")) in lines(one)


def test_details_the_task_the_kernel_and_its_taint_are_in_words():
    one = bare(
        details={"victim": "mysqld", "oom_score": "917"},
        comm="mysqld",
        pid=0,
        cpu=0,
        release="6.1.0",
        arch="arm64",
        taint="GDO",
        hardware="QEMU",
    )
    assert shown(one)[2:8] == [
        "victim mysqld",
        "oom score 917",
        "task mysqld, pid 0, on cpu 0",
        "kernel 6.1.0, arm64",
        "tainted D died before, O out-of-tree module",
        "machine QEMU",
    ]


def test_a_long_line_is_cut_to_what_matters_in_it():
    text = "x" * 3000 + " a+0x1/0x2 " + "y" * 3000
    line = Line(number=1, text=text, role="frame")
    why = next(
        text for style, text in lines(bare(function="a", evidence=(line,))) if style == "why"
    )
    assert " a+0x1/0x2 " in why
    assert len(why) < MAX_LINE + 50
    assert why.count("...") == 2


def test_programs_get_every_attribute_under_its_name_and_the_signature():
    data = as_dict(report("soft_lockup_5_10"))
    assert data["kind"] == "soft-lockup"
    assert data["signature"] == "soft-lockup:ctnetlink_dump_table:nf_conntrack_netlink"
    assert data["taint_words"] == ["soft lockup before"]
    assert set(data) == {f.name for f in fields(CrashReport)} | {"signature", "taint_words"}
    assert data["trace"][0]["function"] == "nf_conntrack_lock"
    json.dumps(data)


def test_what_was_written_is_read_back_equal():
    for path in golden.files():
        for one in read(golden.split(path)[1]):
            assert from_dict(json.loads(json.dumps(as_dict(one)))) == one


def test_reports_of_other_versions_are_read_as_far_as_they_are_known():
    data = as_dict(report("sack_panic_4_15"))
    data |= {"kind": "quantum-decoherence", "mood": "bad"}
    data["trace"][0]["colour"] = "red"
    del data["hardware"]
    read_back = from_dict(data)
    assert read_back.kind is Kind.OTHER
    assert read_back.hardware is None
    assert read_back.function == "tcp_shifted_skb"


def test_what_a_report_of_an_older_version_lacks_takes_its_default():
    old = {
        "title": "GPF in a",
        "kind": "gpf",
        "trace": [{"function": "a", "raw": "a"}],
        "evidence": [{"number": 1, "text": "GPF"}],
        "context": [{"kind": "disk"}],
    }
    assert from_dict(old) == bare(
        trace=named("a"),
        evidence=(Line(number=1, text="GPF"),),
        context=(Evidence(kind="disk", line=0, text=""),),
    )
    assert from_dict({}) == CrashReport(title="", kind=Kind.OTHER)


def test_context_details_roles_and_locations_are_read_back_equal():
    one = bare(
        alt_titles=("bad-access in a",),
        details={"victim": "mysqld"},
        context=(Evidence(kind="disk", line=2, text="I/O error"),),
        evidence=(Line(number=3, text="GPF", role="headline"),),
        trace=(Frame(function="a", raw="a", location="mm/a.c:1"),),
        skipped=(Skipped(function="b", rule="prints"),),
    )
    assert from_dict(json.loads(json.dumps(as_dict(one)))) == one


def test_a_place_that_is_not_in_the_guilty_function_is_where_it_was_raised():
    told = shown(report("warning_refcount_underflow_6_6"))
    assert "guilty btmtk_usb_ctrl_put [btmtk]" in told
    assert "raised at lib/refcount.c:28" in told


def test_a_place_beside_the_guilty_function_is_its_own():
    told = shown(report("warning_5_15_named_by_its_headline"))
    assert "guilty snapfs_journal_close [snapfs] at fs/snapfs/journal.c:741" in told


def test_of_an_oom_kill_the_victim_stands_before_the_trace():
    text = (golden.HERE.parent / "events" / "oom_memcg_6_1.txt").read_text()
    labels = [line.split()[0] for line in shown(read(text.partition("\n\n")[2])[0]) if line]
    assert labels.index("victim") < labels.index("trace")
