"""Reports as lines for people and as data for programs."""

from __future__ import annotations

import json

from bot.crash import CrashReport, Kind, read
from bot.crash.show import as_dict, from_dict, lines
from tests.unit.crash import golden


def report(name: str) -> CrashReport:
    return read(golden.split(golden.HERE / f"{name}.txt")[1])[0]


def test_people_see_the_headline_first_then_the_guilty_function_and_why():
    shown = lines(report("skb_panic_ipv6_rpl_6_1_docker"))
    assert shown[0] == ("headline", "kernel BUG in ipv6_rpl_srh_rcv")
    assert shown[1] == ("guilty", "ipv6_rpl_srh_rcv at net/core/skbuff.c:120")
    assert any(style == "why" and "line 3: " in text for style, text in shown)
    assert ("dim", "skipped skb_panic: reports the crash") in shown


def test_people_are_warned_of_a_report_that_cannot_be_trusted():
    styles = [style for style, _ in lines(report("truncated_no_frames"))]
    assert styles[:3] == ["headline", "warning", "guilty"]


def test_programs_get_every_attribute_under_its_name_and_the_signature():
    data = as_dict(report("soft_lockup_5_10"))
    assert data["kind"] == "soft-lockup"
    assert data["signature"] == "soft-lockup:ctnetlink_dump_table:nf_conntrack_netlink"
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
