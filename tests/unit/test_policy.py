"""The approval policy: what is needed of whom, when not, and the emergency door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.approval.count import broken, tally
from bot.approval.policy import Person, may_start
from bot.approval.rules import (
    BreakGlass,
    Facts,
    Freeze,
    Policy,
    Rule,
    facts_of,
    frozen,
    needs_of,
    terms,
    weekly,
)
from bot.config import load
from bot.errors import BadInputError
from bot.incident.state import Approval, Proposal, ProposalState
from bot.proposal.content import changes
from tests.unit.log import START, Log, content

PEOPLE = {
    "dana": Person(id="dana", name="Dana", roles=frozenset({"commander"})),
    "alex": Person(id="alex", name="Alex", roles=frozenset({"approver"})),
    "kim": Person(id="kim", name="Kim", roles=frozenset({"approver"})),
    "sam": Person(id="sam", name="Sam", roles=frozenset({"responder"})),
}
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)  # a Saturday


def facts(**changes: object) -> Facts:
    return Facts(**{"risk": "low", "hosts": 10, **changes})  # type: ignore[arg-type]


def proposal(policy: Policy, severity: str = "unset", **changes: object) -> Proposal:
    """Return an open proposal as a site of this policy makes it."""
    log = Log().opened().requested().probed()
    plain = content(log.fold(), log.names, **changes)
    said = terms(policy, facts_of(plain, severity))
    most = max(need["required"] for need in said["needs"])
    found = log.proposed(**{"approval": said, "approvals": most, **changes}).fold().current
    assert found is not None
    return found


def yes(person: str, reason: str = "", at: datetime = START) -> Approval:
    name = PEOPLE[person].name if person in PEOPLE else person
    return Approval(person=person, name=name, via="cli", digest="d" * 64, at=at, reason=reason)


LARGE = Rule(name="large", required=2, more_than=2)
CAREFUL = Rule(name="careful", required=1, roles=("commander",), risks=frozenset({"high"}))


# What is needed


@pytest.mark.parametrize(
    ("rule", "changes", "why"),
    [
        (Rule(name="r", required=2), {}, "always (rule 'r')"),
        (LARGE, {"hosts": 3}, "3 hosts are more than 2 (rule 'large')"),
        (LARGE, {"hosts": 2}, ""),
        (CAREFUL, {"risk": "high"}, "risk is high (rule 'careful')"),
        (CAREFUL, {"risk": "medium"}, ""),
        (Rule(name="r", required=2, one_way=True), {"one_way": True}, "it cannot be undone"),
        (Rule(name="r", required=2, one_way=True), {}, ""),
        (Rule(name="r", required=2, severities=frozenset({"sev1"})), {"severity": "sev2"}, ""),
        (Rule(name="r", required=2, purposes=frozenset({"rollback"})), {}, ""),
        (
            Rule(name="r", required=2, more_than=5, risks=frozenset({"low"})),
            {},
            "risk is low and 10 hosts are more than 5 (rule 'r')",
        ),
    ],
)
def test_a_rule_asks_where_all_that_it_says_holds(rule: Rule, changes: dict[str, object], why: str):
    said = rule.reason(facts(**changes))
    assert said.startswith(why)
    assert bool(said) == bool(why)


def test_a_rule_can_only_ask_for_more():
    loose = Policy(required=2, rules=(Rule(name="r", required=1),))
    assert max(n["required"] for n in terms(loose, facts())["needs"]) == 2
    assert terms(Policy(), facts(), floor=3)["needs"][0]["required"] == 3
    strict = terms(Policy(rules=(Rule(name="r", required=2),)), facts())
    assert [n["required"] for n in strict["needs"]] == [2]


def test_hosts_without_the_knob_do_not_make_a_proposal_large():
    small = content(Log().opened().requested().probed(a="not_applicable").fold(), ["a", "b", "c"])
    assert facts_of(small, "unset").hosts == 2


def test_two_people_of_whom_one_is_a_commander():
    policy = Policy(rules=(LARGE, CAREFUL))
    asked = proposal(policy, mitigation=RISKY)
    two = tally(asked, [yes("alex"), yes("kim")], PEOPLE)
    assert not two.complete
    assert two.sentence == (
        "2 of 2: two counted; still needed: 0 of 1, commander, because risk is high (rule 'careful')"
    )
    assert tally(asked, [yes("alex"), yes("dana")], PEOPLE).complete
    assert not tally(asked, [yes("dana")], PEOPLE).complete


RISKY = {
    "id": "m",
    "title": "turn it off",
    "risk": "high",
    "residual": "r",
    "reversible": True,
    "overridden": [],
}


def test_the_answer_explains_itself():
    asked = proposal(Policy(rules=(LARGE,)), requester="dana")
    said = tally(asked, [yes("dana"), yes("alex")], PEOPLE)
    assert said.sentence == (
        "1 of 2: one counted; one not counted, because the requester cannot approve"
    )
    assert said.lines == (
        "✗ 1 of 2, approver or commander, because 4 hosts are more than 2 (rule 'large')",
        "  ✓ Alex",
        "  ✗ Dana: the requester cannot approve",
    )


def test_named_people_are_the_only_ones_that_count():
    rule = Rule(name="owners", required=2, people=("alex", "kim", "dana"))
    asked = proposal(Policy(rules=(rule,)))
    said = tally(asked, [yes("alex"), yes("kim")], PEOPLE)
    assert said.complete
    other = Rule(name="owners", required=1, people=("kim",))
    said = tally(proposal(Policy(required=1, rules=(other,))), [yes("alex")], PEOPLE)
    assert [part.missing for part in said.parts] == [0, 1]
    assert not said.complete


def test_a_refused_try_is_told_and_counts_for_nothing():
    log = Log().opened().requested().probed().proposed()
    data = {"proposal": "P-1", "digest": "d" * 64, "why": "the requester cannot approve"}
    log.add("approval.refused", {**data, "uncounted": True})
    log.add("approval.refused", {**data, "why": "you approved it already", "uncounted": False})
    found = log.fold().current
    assert found is not None
    said = tally(found, found.approvals, PEOPLE)
    assert (said.counted, [u.why for u in said.not_counted]) == ((), [data["why"]])


@given(
    st.lists(st.sampled_from([*PEOPLE, "nobody"]), max_size=8),
    st.sampled_from([*PEOPLE, "holdfast"]),
    st.integers(1, 3),
    st.booleans(),
)
def test_complete_never_without_enough_distinct_deciders_who_did_not_request(
    words: list[str], requester: str, required: int, commander: bool
):
    rules = (Rule(name="c", required=1, roles=("commander",)),) if commander else ()
    asked = proposal(Policy(required=required, rules=rules), requester=requester)
    said = tally(asked, [yes(one) for one in words], PEOPLE)
    able = ({"dana", "alex", "kim"} & set(words)) - {requester}
    led = not commander or "dana" in able
    assert said.complete == (len(able) >= required and led)
    if commander and required == 1:
        able &= {"dana"}  # the one need asks for a commander: nobody else counts for anything
    assert set(said.counted) == able
    assert said.sentence.startswith(f"{len(able)} of {said.required}: ")


def test_an_old_proposal_has_a_number_only():
    assert [n.required for n in needs_of({"approvals": 2})] == [2]
    assert [n.required for n in needs_of({"approvals": 0})] == [1]


def test_what_changed_is_named():
    old = {"variables": {"value": "0", "key": "a"}, "approval": terms(Policy(), facts())}
    new = {
        "variables": {"value": "1", "key": "a"},
        "approval": terms(Policy(rules=(LARGE,)), facts()),
    }
    said = changes(old, new)
    assert "a variable or site override (value: 0 → 1)" in said
    assert "who has to approve (now 2 of approver or commander, because 10 hosts are more" in said
    assert changes(old, {"missing": ["x", "y"]}).startswith("a host left the inventory (x; y)")


# Freezes


@pytest.mark.parametrize(
    ("window", "zone", "at", "inside"),
    [
        ("fri 16:00 - mon 08:00", UTC, NOON, True),
        ("fri 16:00 - mon 08:00", UTC, NOON + timedelta(days=2), False),
        ("sat 12:00 - sat 12:01", UTC, NOON, True),
        ("sat 12:01 - sat 13:00", UTC, NOON, False),
        ("sat 11:00 - sat 12:00", UTC, NOON, False),
        ("sun 23:00 to mon 24:00", UTC, NOON + timedelta(days=1, hours=11), True),
        ("sat 13:00 - sat 14:00", ZoneInfo("Europe/Berlin"), NOON, True),
        ("sat 14:00 - sat 15:00", ZoneInfo("Europe/Berlin"), NOON + timedelta(days=21), True),
    ],
)
def test_a_window_of_the_week_is_in_its_own_time(window, zone, at, inside):
    freeze = Freeze(name="w", weekly=weekly(window), zone=zone)
    assert freeze.covers(at) is inside


@pytest.mark.parametrize(
    "text",
    ["", "fri - mon", "fri 25:00 - mon 08:00", "fri 24:30 - sat 01:00", "mon 1:00 - mon 1:00"],
)
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(ValueError, match=r"window|length|time of a day"):
        weekly(text)


def test_a_freeze_stops_mitigations_but_no_exception_and_no_rollback():
    freeze = Freeze(
        name="year end",
        begins=NOON,
        ends=NOON + timedelta(hours=1),
        excepted=frozenset({"sev1"}),
    )
    policy = Policy(freezes=(freeze,))
    assert frozen(policy, facts(), NOON) == (
        "changes are frozen ('year end') until 2026-03-14 13:00 UTC"
    )
    assert frozen(policy, facts(severity="sev1"), NOON) == ""
    assert frozen(policy, facts(purpose="rollback"), NOON) == ""
    assert frozen(policy, facts(), NOON - timedelta(seconds=1)) == ""
    assert frozen(policy, facts(), NOON + timedelta(hours=1)) == ""


def test_nothing_starts_in_a_freeze():
    asked = proposal(Policy())
    asked.state = ProposalState.APPROVED
    asked.approvals.append(yes("dana"))
    assert may_start(asked, PEOPLE, START).ok
    assert may_start(asked, PEOPLE, START, "changes are frozen").sentence == (
        "P-1: changes are frozen"
    )


# Break-glass


def test_the_glass_opens_for_two_people_or_after_the_delay():
    asked = proposal(Policy(glass=BreakGlass(people=2, delay=600)), requester="dana")
    assert broken(asked, PEOPLE) is None
    asked.glass.append(yes("dana", "it burns"))
    one = broken(asked, PEOPLE)
    assert one is not None
    assert one.counted == ("dana",)  # the requester too: that is what it is for
    assert one.opens(START + timedelta(seconds=599)) == ""
    assert "the delay is over" in one.opens(START + timedelta(seconds=600))
    asked.glass.append(yes("dana", "again"))
    assert not broken(asked, PEOPLE).opens(START)  # type: ignore[union-attr]
    asked.glass.append(yes("kim", "yes it does"))
    assert broken(asked, PEOPLE).opens(START) == "two people broke the glass"  # type: ignore[union-attr]


def test_the_glass_is_not_for_everybody():
    asked = proposal(Policy())
    asked.glass.append(yes("sam", "I want to"))
    glass = broken(asked, PEOPLE)
    assert glass is not None
    assert (glass.counted, glass.due) == ((), None)
    assert glass.not_counted[0].why == (
        "break-glass needs the role approver or commander; Sam has responder"
    )


def test_there_may_be_no_glass():
    asked = proposal(Policy(glass=None))
    asked.glass.append(yes("dana", "please"))
    assert broken(asked, PEOPLE) is None


def test_a_broken_glass_goes_past_counting_and_freezes_and_not_past_expiry():
    asked = proposal(Policy(required=2))
    asked.state = ProposalState.APPROVED
    asked.glass.append(yes("dana", "it burns"))
    assert not may_start(asked, PEOPLE, START).ok
    asked.glass_opened = "Dana: the delay is over"
    assert may_start(asked, PEOPLE, START, "changes are frozen").sentence == (
        "P-1: BREAK-GLASS: Dana: the delay is over"
    )
    assert not may_start(asked, PEOPLE, asked.expires_at).ok
    assert not may_start(asked, {}, START).ok


# The configuration


def read(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "holdfast.yml"
    file.write_text(text)
    return load(file, {}).approvals.policy


def test_the_policy_is_read_from_the_configuration(tmp_path: Path):
    policy = read(
        tmp_path,
        """
people: {dana: {roles: [commander]}, alex: {}}
roles: {approver: {people: [alex], slack_groups: [S1]}}
approvals:
  rules:
    - {name: large, when: {hosts_above: 100, risk: [high]}, required: 2, people: [dana, alex]}
  freeze:
    - {name: year, begins: 2026-12-20, ends: 2027-01-02T06:00:00Z, timezone: Europe/Berlin}
    - {name: week, weekly: fri 16:00 - mon 08:00, except: [sev1]}
  break_glass: {people: 3, delay: 5m, roles: [responder]}
""",
    )
    assert policy.rules[0].reason(facts(hosts=101, risk="high"))
    begins, ends = policy.freezes[0].begins, policy.freezes[0].ends
    assert begins == datetime(2026, 12, 19, 23, tzinfo=UTC)
    assert ends == datetime(2027, 1, 2, 6, tzinfo=UTC)
    assert policy.freezes[1].excepted == {"sev1"}
    assert policy.glass == BreakGlass(people=3, delay=300, roles=("responder",))
    config = load(tmp_path / "holdfast.yml", {})
    assert config.persons["alex"].roles == {"approver"}
    assert config.groups == {"approver": ("S1",)}
    assert read(tmp_path, "approvals: {break_glass: {allowed: false}}").glass is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  rules: [{name: x, requird: 2}]", "did you mean 'required'?"),
        ("  rules: [{name: x, required: 2, when: {hosts: 3}}]", "did you mean 'hosts_above'?"),
        ("  rules: [{name: x, required: 0}]", "approvals.rules.0.required: "),
        ("  rules: [{name: x, required: 2, people: [dana]}]", "asks for 2 of 1 people"),
        ("  rules: [{name: x, required: 1, people: [dnaa]}]", "did you mean 'dana'?"),
        ("  rules: [{name: x, required: 1, roles: [responder]}]", "approvals.rules.0.roles.0"),
        ("  freeze: [{name: x}]", "say either begins and ends, or weekly"),
        ("  freeze: [{name: x, weekly: someday}]", "write: fri 16:00 - mon 08:00"),
        ("  freeze: [{name: x, begins: 2026-02-02, ends: 2026-02-01}]", "ends before it begins"),
        ("  freeze: [{name: x, weekly: mon 1:00 - tue 1:00, timezone: Mars}]", "no time zone"),
        ("  break_glass: {people: 1}", "approvals.break_glass.people: "),
        ("  break_glass: {delay: soon}", "is not a duration"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(BadInputError) as found:
        read(tmp_path, f"people: {{dana: {{}}}}\napprovals:\n{line}\n")
    assert said in found.value.what
    assert found.value.where.endswith("holdfast.yml:3")


def test_one_slack_user_is_one_person(tmp_path: Path):
    with pytest.raises(BadInputError, match="U1 is a's already"):
        read(tmp_path, "people:\n  a: {slack: U1}\n  b: {slack: U1}\n")


def test_the_policy_says_itself_in_words():
    policy = Policy(
        required=1,
        rules=(
            Rule(name="careful", required=2, risks=frozenset({"high"}), more_than=100),
            Rule(name="one way", required=1, people=("kim", "dana"), one_way=True),
        ),
        freezes=(
            Freeze(name="weekend", weekly=weekly("fri 16:00 - mon 08:00")),
            Freeze(
                name="launch",
                begins=datetime(2026, 2, 1, tzinfo=UTC),
                ends=datetime(2026, 2, 3, tzinfo=UTC),
                excepted=frozenset({"sev1"}),
            ),
        ),
        glass=BreakGlass(people=2, delay=900.0),
    )
    saturday = datetime(2026, 1, 3, 12, tzinfo=UTC)
    assert policy.sentences(saturday) == [
        "every proposal needs 1 approval, never of the one who asked for it",
        "and 2 of approver or commander if risk is high and there are more than 100 hosts "
        "('careful')",
        "and 1 of kim or dana if it cannot be undone ('one way')",
        "frozen NOW: 'weekend' until mon 08:00 (UTC)",
        "a freeze comes on 2026-02-01 00:00 UTC: 'launch' until 2026-02-03 00:00 UTC, not for sev1",
        "break-glass: 2 people at once, or one after 15 min",
    ]
    monday, march = saturday + timedelta(days=2), datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert policy.sentences(monday)[3] == (
        "a freeze comes every fri 16:00: 'weekend' until mon 08:00 (UTC)"
    )
    assert not any("launch" in line for line in policy.sentences(march))
    assert Policy(glass=None).sentences(saturday)[-1] == "there is no break-glass"
