"""Two proposals never set one key differently on one host, whichever incidents they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.chat.proposal_cards import proposal_card
from bot.incident.state import Proposal, Request
from bot.layout import bundled
from bot.proposal.knob import knobs_of, spelled
from bot.runbook.load import load as load_runbooks
from bot.service import approve, request
from bot.service.site import load
from tests.fakes import ALEX, DANA, EVE, EVERYBODY, FLAGSHIP, OOPS, FakeHost, Night

OTHER = OOPS.replace("tcp_estats_update_mss", "tcp_other_fault")
AGAIN = (("tcp-estats-update-mss", "tcp-other-fault"), ("tcp_estats_update_mss", "tcp_other_fault"))
SLASHES = ("value: net.ipv4.tcp_estats\n", "value: net/ipv4/tcp_estats\n")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night with a second runbook: the same knob, spelled otherwise, set to 3."""
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    three = (('value: "0"\n', 'value: "3"\n'), ('allowed: ["0"]', 'allowed: ["0", "3"]'))
    night.sources.add("net/other.yml", *AGAIN, SLASHES, *three)
    yield night
    night.close()


def second(night: Night) -> Proposal | None:
    """Let the second incident ask for a proposal; return it, or None if it was refused."""
    night.crash("b", text=OTHER)
    night.go(lambda: bool(requests(night)) and requests(night)[-1].settled)
    proposals = load(night.site, "INC-2").proposals
    return list(proposals.values())[-1] if proposals else None


def requests(night: Night) -> list[Request]:
    known = [row.id for row in night.store.incidents()]
    return load(night.site, "INC-2").requests if "INC-2" in known else []


def again(night: Night) -> Proposal | None:
    """Let the second incident ask once more."""
    request.request(night.site, "INC-2", EVE, runbook="tcp-other-fault")
    night.go(lambda: requests(night)[-1].settled)
    proposals = load(night.site, "INC-2").proposals
    return list(proposals.values())[-1] if proposals else None


def why(night: Night) -> str:
    return requests(night)[-1].why


def first(night: Night) -> None:
    night.crash("a")
    night.go(lambda: "P-1" in night.incident.proposals)


def held(night: Night) -> None:
    first(night)
    approve.approve(night.site, "P-1", DANA)
    night.go(lambda: night.incident.hold.state == "active")


def test_an_open_proposal_stands_in_the_way_until_it_is_rejected(night: Night):
    first(night)
    assert second(night) is None
    assert why(night) == (
        "net.ipv4.tcp_estats: P-1 of INC-1 sets it to 0 on 3 of these hosts (a, b, c), not "
        "started, requested by holdfast; this one would set it to 3. Next: let P-1 end, or reject, "
        "abort or roll it back, or release INC-1; then propose again"
    )
    approve.reject(night.site, "P-1", DANA)
    assert again(night) is not None


def test_a_hold_in_force_stands_in_the_way_and_names_who_runs_it(night: Night):
    held(night)
    assert second(night) is None
    assert "P-1 of INC-1 sets it to 0 on 3 of these hosts (a, b, c), run by Dana" in why(night)
    approve.release(night.site, "INC-1", DANA)
    assert again(night) is not None


def test_a_hold_outlives_its_incident_and_so_does_its_claim(night: Night):
    held(night)
    with night.store.transaction("INC-1") as tx:
        tx.close("INC-1")
    assert second(night) is None


def test_an_abort_frees_the_knob(night: Night):
    held(night)
    assert second(night) is None
    approve.abort(night.site, "P-1", DANA)
    assert again(night) is not None


def test_a_rollback_frees_the_knob_when_it_is_done(night: Night):
    held(night)
    assert second(night) is None
    request.rollback(night.site, "P-1", ALEX)
    night.go(lambda: "P-2" in night.incident.proposals)
    approve.approve(night.site, "P-2", DANA)
    night.go(lambda: night.state("P-2") == "running")
    assert again(night) is None
    assert "P-2 of INC-1 takes its value back" in why(night)
    night.go(lambda: night.state("P-2") == "done")
    assert again(night) is not None


def test_the_same_value_is_allowed_and_said(night: Night):
    night.sources.add("net/other.yml", *AGAIN)
    held(night)
    made = second(night)
    assert made is not None
    said = "P-1 of INC-1 sets it to 0 on 3 of these hosts (a, b, c), run by Dana"
    assert made.content["shared"] == [said]
    incident = load(night.site, "INC-2")
    assert ("Shared", said) in proposal_card(incident, made, EVERYBODY).fields
    assert any(said in e.text for e in night.store.entries("INC-2"))


def test_a_rollback_is_refused_while_another_incident_relies_on_the_value(night: Night):
    night.sources.add("net/other.yml", *AGAIN)
    held(night)
    assert second(night) is not None
    request.rollback(night.site, "P-1", ALEX)
    night.go(lambda: night.incident.requests[-1].settled)
    said = night.incident.requests[-1].why
    assert said.startswith("net.ipv4.tcp_estats: P-2 of INC-2 sets it to 0 on 3 of these hosts")
    assert "this one would take its value back" in said


def test_one_incident_does_not_contradict_itself(night: Night):
    held(night)
    night.sources.rewrite(
        ('value: "0"\n', 'value: "3"\n'), ('allowed: ["0"]', 'allowed: ["0", "3"]')
    )
    request.request(night.site, "INC-1", EVE)
    night.go(lambda: night.incident.requests[-1].settled)
    assert "P-1 of INC-1 sets it to 0" in night.incident.requests[-1].why


def test_hosts_that_have_no_such_knob_are_not_fought_over(night: Night):
    night.fleet["b"].knob = night.fleet["c"].knob = False
    first(night)
    night.fleet["a"].knob, night.fleet["b"].knob = False, True
    assert second(night) is not None


def test_what_sets_no_knob_claims_none():
    text = (bundled("runbooks") / FLAGSHIP).read_text()
    (runbook,) = load_runbooks({FLAGSHIP: text}).runbooks
    (mitigation,) = runbook.mitigations
    key = "net.ipv4.tcp_estats"
    assert knobs_of(runbook, mitigation, "mitigate") == {key: "0"}
    assert knobs_of(runbook, mitigation, "rollback") == {key: None}
    assert knobs_of(runbook.model_copy(update={"knob": ()}), mitigation, "mitigate") == {}
    bare = mitigation.model_copy(update={"variables": {}})
    assert knobs_of(runbook, bare, "mitigate") == {}


def shipped(name: str) -> dict[str, str | None]:
    text = (bundled("runbooks") / name).read_text()
    (runbook,) = load_runbooks({name: text}).runbooks
    return knobs_of(runbook, runbook.mitigations[0], "mitigate")


def test_a_mitigation_of_several_settings_claims_each_and_one_of_a_module_its_name():
    assert shipped("network/ip-fragments.yml") == {
        "net.ipv4.ipfrag_low_thresh": "196608",
        "net.ipv4.ipfrag_high_thresh": "262144",
        "net.ipv6.ip6frag_low_thresh": "196608",
        "net.ipv6.ip6frag_high_thresh": "262144",
    }
    assert shipped("modules/tcindex-delete.yml") == {"module cls_tcindex": "blocked"}


def test_of_several_settings_one_that_disagrees_is_in_the_way(night: Night):
    more = "      settings: {value: [net.y=1, net.ipv4.tcp_estats=5], type: sysctl_settings}\n"
    other_key = ("value: net.ipv4.tcp_estats\n", "value: net.x\n")
    added = ("    variables:\n", f"    variables:\n{more}")
    night.sources.add("net/other.yml", *AGAIN, other_key, added)
    first(night)
    assert second(night) is None
    assert "net.ipv4.tcp_estats: P-1 of INC-1 sets it to 0" in why(night)


def test_a_key_is_one_key_however_it_is_spelled():
    assert spelled("net/ipv4/conf/eth0.100/rp_filter") == "net.ipv4.conf.eth0/100.rp_filter"
    assert spelled("net.ipv4.conf.eth0/100.rp_filter") == "net.ipv4.conf.eth0/100.rp_filter"
