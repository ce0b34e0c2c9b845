"""The postmortem says what the entries say, in exact numbers, and nothing in them is markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot import postmortem
from bot.postmortem.document import SECTIONS
from bot.postmortem.markdown import fence, inline, table
from bot.timeline.entry import Actor, Entry
from tests.unit import events
from tests.unit.events import HOSTILE, HOSTS, Log, bad_night, night, redacted

NIGHTS = (night, bad_night)
OURS = {"kind", "outcome", "exposure", "state", "purpose", "proposal", "rollback_of", "digest"}
"""Values that the code itself chooses from a fixed list."""


def write(entries: Sequence[Entry]) -> str:
    at = entries[-1].at if entries else events.START
    return postmortem.write(entries, at + timedelta(minutes=5))


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def cell(text: str, row: str, column: int = 1) -> str:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return line.strip("| ").split(" | ")[column]


def until(entries: Sequence[Entry], kind: str, number: int = 1) -> list[Entry]:
    """Return the entries up to the ``number``-th of a kind."""
    found = [i for i, entry in enumerate(entries) if entry.kind == kind]
    return list(entries[: found[number - 1] + 1])


def poisoned(entries: Sequence[Entry], text: str) -> list[Entry]:
    """Put ``text`` into everything that comes from outside: hosts, titles, reasons, names."""

    def change(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {change_name(k): change(v, k) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [change(item, key) for item in value]
        if not isinstance(value, str) or key in OURS or key.endswith("_at"):
            return value
        return change_name(value) if value in HOSTS else f"{value}{text}"

    def change_name(name: str) -> str:
        return f"{name}{text}" if name in HOSTS else name

    return [
        replace(
            entry,
            text=f"{entry.text}{text}",
            data=change(dict(entry.data)),
            actor=Actor(id=entry.actor.id, name=f"{entry.actor.name}{text}", via=entry.actor.via),
        )
        for entry in entries
    ]


def structure(text: str) -> list[str]:
    """Return the headings and block kinds that a CommonMark renderer makes of a document."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    shapes = []
    for token in tokens:
        shapes.append(token.type)
        shapes += [t.type for t in token.children or () if t.type not in {"text", "code_inline"}]
    return shapes


def assert_tables_hold(text: str) -> None:
    """Check every table row's cells under both readings of a backslash before a pipe."""
    outside = re.sub(r"^(~~~+)text$.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    width: dict[str, int] | None = None
    for line in outside.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        escapes = re.sub(r"\\[!-/:-@[-`{-~]", "", line).count("|")
        before = len(re.findall(r"(?<!\\)\|", line))
        width = width or {"cells": before}
        assert escapes == before == width["cells"], line


def test_it_has_every_section_in_order():
    titles = re.findall(r"^## (.+)$", write(night()), flags=re.MULTILINE)
    assert titles == [title for title, _ in SECTIONS]


@pytest.mark.parametrize("story", NIGHTS)
def test_every_prefix_of_a_night_can_be_written(story: Callable[[], list[Entry]]):
    entries = story()
    for length in range(len(entries) + 1):
        assert_tables_hold(write(entries[:length]))


def test_the_same_entries_give_the_same_text():
    assert write(night()) == write(night())


def test_a_night_at_its_end_names_exact_numbers():
    summary = section(write(night()), "Summary")
    assert "9 verified · 1 not applicable · 0 owed · 0 failed" in summary
    assert "5 crashes of 4 hosts" in summary
    assert "**Who approved**: Kim Larsen (P-1)" in summary
    assert "no listed host is owed, failed or unknown" in summary
    assert "**Crashed and not covered**: 1 (rogue-9)" in summary


def test_while_hosts_are_owed_it_names_them_and_never_says_done():
    text = write(until(night(), "rollout.done"))
    summary = section(text, "Summary")
    assert "6 verified · 1 not applicable · 3 owed · 0 failed" in summary
    assert "not finished, hosts are left: 3 owed" in summary
    assert "3 owed, may be serving unmitigated (db-03, web-01, web-02)" in summary
    assert re.search(r"\bdone\b", summary.replace("**What was done**", "")) is None
    assert "State: done" not in text
    assert "Bring back and verify, or drain 3 hosts" in section(text, "Follow-ups")


def test_before_any_rollout_it_says_that_nothing_was_done():
    summary = section(write(until(night(), "proposal.made")), "Summary")
    assert "waits for approval; nothing was done to the fleet" in summary
    assert "nobody: no rollout was started" in summary


def test_the_impact_counts_crashes_repeats_pools_and_strangers():
    impact = section(write(night()), "Impact")
    assert "4 min 37 s" in impact
    assert "Repeat crashers: 1: web-01 (2 times)" in impact
    assert "| web | 6 | 3 | 4 | 6 of 6 |" in impact
    assert "Not in the inventory: 1 (rogue-9)" in impact
    assert "Crashes of hosts that had the value already: 1 (web-03)" in impact


def test_moments_have_their_time_and_the_time_since_the_first_crash():
    moments = section(write(night()), "Moments")
    assert cell(moments, "first crash reported") == "2026-03-14 02:13:07"
    assert cell(moments, "approved (P-1)", 2) == "+1 min 52 s"
    assert cell(moments, "canary verified") == "2026-03-14 02:15:26"
    assert cell(moments, "drift on web-04") == "2026-03-14 02:18:02"
    assert cell(moments, "resolved", 2) == "+5 min 33 s"


def test_the_last_owed_host_is_the_last_one_whatever_the_hold_restores_meanwhile():
    entries = night()
    last = next(e for e in reversed(entries) if e.kind == "hosts.updated")
    moments = section(write(entries), "Moments")
    assert cell(moments, "last owed host verified") == f"{last.at:%Y-%m-%d %H:%M:%S}"
    owed = section(write(until(entries, "hold.restored")), "Moments")
    assert cell(owed, "last owed host verified") == "-"


def test_a_drift_after_the_last_owed_host_does_not_move_its_moment():
    log = Log()
    events.opening(log)
    log.approve("P-1")
    up = {host: "verified" for host in HOSTS if host not in {"old-01", "db-01"}}
    log.wave("P-1", 1, {"db-01": "verified"})
    log.wave("P-1", 2, up)
    ended = next(e for e in reversed(log.entries) if e.kind == "wave.finished").at
    log.drift("P-1", "web-04")
    log.restored("P-1", "web-04")
    moments = section(write(log.entries), "Moments")
    assert cell(moments, "last owed host verified") == f"{ended:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize("outcome", ["failed", "unknown", "applied"])
def test_an_owed_host_that_ends_otherwise_was_not_verified(outcome: str):
    entries = until(night(), "note.added")
    log = Log()
    log.entries, log.at, log.proposals = entries, entries[-1].at, {"P-1": "d" * 64}
    log.update("P-1", "retry", web_01="verified", db_03=outcome)
    moments = section(write(log.entries), "Moments")
    assert cell(moments, "last owed host verified") == "-"


def test_a_canary_that_was_lost_is_not_called_verified():
    moments = section(write(bad_night()), "Moments")
    assert cell(moments, "canary verified") == "-"


def test_the_cause_is_marked_as_a_hypothesis_with_its_evidence():
    cause = section(write(night()), "Cause hypothesis")
    assert "not a finding" in cause
    assert "tcp_estats_update_mss+0x12/0x40" in cause
    assert "Not tcp-sack-panic" in cause


def test_what_was_done_names_runbook_playbook_variables_and_the_sites_overrides():
    done = section(write(night()), "What was done")
    assert "tcp-estats-update-mss" in done
    assert "sysctl-set.yml" in done
    assert "key=net.ipv4.tcp_estats" in done
    assert "Site overrides: key" in done
    assert "| 2 |" in done


def test_approvals_have_full_digests_and_the_refused_ones_are_there():
    entries = night()
    digest = next(e.data["digest"] for e in entries if e.kind == "proposal.made")
    said = section(write(entries), "Approvals")
    assert said.count(digest) == 2
    assert re.search(r"Robin Oduya \(robin\) \| cli \| refused \| P-1", said)
    assert re.search(r"Kim Larsen \(kim\) \| slack \| approved \| P-1", said)
    assert "needs the role approver" in said


def test_a_rejection_is_listed_with_the_persons_reason():
    assert re.search(r"rejected \| P-2 \|.*wrong time", section(write(bad_night()), "Approvals"))


def test_hosts_that_need_somebody_come_first():
    hosts = section(write(until(bad_night(), "rollout.halted")), "Hosts")
    outcomes = re.findall(r"^\| \S+ \| ([a-z ]+) \|", hosts, flags=re.MULTILINE)
    assert outcomes[:3] == ["failed", "unknown", "owed"]
    assert outcomes[-1] == "not covered"


def test_a_halt_is_a_follow_up_with_its_reason():
    assert "Decide on P-3, halted: 1 of 4 hosts not verified" in section(
        write(until(bad_night(), "rollout.halted")), "Follow-ups"
    )


def test_hosts_owed_a_rollback_are_not_said_to_be_unmitigated():
    text = write(bad_night())
    assert "may still have the value" in text
    assert "6 owed, may be serving" not in text
    assert "P-4 took the value back: those hosts are exposed again" in text


def test_an_active_hold_is_a_follow_up_and_a_drift_asks_for_its_source():
    items = section(write(until(night(), "hold.restored")), "Follow-ups")
    assert "Release the hold" in items
    assert "Find out what changed the held value" in items


def test_the_hold_lists_drifts_and_restores():
    hold = section(write(night()), "Hold")
    assert "1 drift seen, 1 restored" in hold
    assert "| web-04 | drifted: changed under the hold | 0 | 127 |" in hold
    assert "released" in hold


def test_the_head_of_the_chain_and_the_command_that_checks_it_are_there():
    last = night()[-1]
    chain = section(write(night()), "Chain")
    assert f"`{last.seq}:{last.hash}`" in chain
    assert "`holdfast timeline verify INC-1`" in chain


@pytest.mark.parametrize("kind", ["note.added", "approval.refused", "hold.drifted"])
def test_redacted_entries_are_shown_as_redacted(kind: str):
    entries = [redacted(e) if e.kind == kind else e for e in night()]
    text = write(entries)
    assert "redacted: what they held is in no number here" in text
    number = next(e.seq for e in entries if e.kind == kind)
    assert cell(section(text, "Timeline"), str(number), 4) == "*redacted*"
    if kind == "note.added":
        assert "drained by hand" not in text


@pytest.mark.parametrize("story", NIGHTS)
def test_hostile_text_is_never_markup_and_breaks_no_table(story: Callable[[], list[Entry]]):
    clean, dirty = write(story()), write(poisoned(story(), HOSTILE))
    assert_tables_hold(dirty)
    shapes = structure(dirty)
    assert not {"html_block", "html_inline", "link_open", "image"} & set(shapes)
    assert shapes.count("heading_open") == structure(clean).count("heading_open")
    assert shapes.count("tr_open") == structure(clean).count("tr_open")
    assert shapes.count("fence") == structure(clean).count("fence")


def test_hostile_text_reaches_no_template_engine():
    text = write(poisoned(night(), HOSTILE))
    rendered = jinja2.Environment(autoescape=True, keep_trailing_newline=True).from_string(text)
    assert rendered.render() == text


def test_control_and_direction_characters_are_shown_not_sent():
    text = write(poisoned(night(), HOSTILE))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\u001b[31m" in text


@given(st.lists(st.text(alphabet="`~|\\{%#<>[](!*_ \n\r\t\x1b\u2028ab1.:/@w-", max_size=30)))
@settings(max_examples=200, deadline=None)
def test_no_text_leaves_its_cell(words: list[str]):
    row = ["first", *(inline(word) for word in words), "last"]
    text = table(["h"] * len(row), [row])
    assert_tables_hold(text)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<td>") == len(row)
    assert "<td>first</td>" in html
    assert "<td>last</td>" in html
    assert re.search(r"<(?!/?(?:table|thead|tbody|tr|th|td|code)\b)", html) is None
    assert re.search(r"\{[{%#]", text) is None


@given(st.lists(st.text(alphabet="`~ \n\r\u2028\x0b#<>{%ab-", max_size=30), max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_evidence_line_ends_its_fence(lines: list[str]):
    tokens = MarkdownIt("commonmark").parse(f"{fence(lines)}\n\nafter\n")
    assert [token.type for token in tokens] == [
        "fence", "paragraph_open", "inline", "paragraph_close",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "web-01",
        "tcp_estats_update_mss",
        "9 verified · 2 not applicable",
        "P-1: all waves carried out",
        "net.ipv4.tcp_estats=0",
    ],
)
def test_plain_words_stay_plain(text: str):
    assert inline(text) == text


@pytest.mark.parametrize(
    "text",
    ["https://evil.example", "www.evil.example", "@here", "a <b> c", "_x_", "#12", ":octocat:"],
)
def test_text_that_a_renderer_would_bring_to_life_becomes_code(text: str):
    assert inline(text) == f"`{text}`"
