"""What a proposal says of waves and gates, and what it refuses before anybody approves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.chat.proposal_cards import proposal_card
from bot.fleet.inventory import Inventory
from bot.layout import bundled
from bot.runbook.load import load
from tests.fakes import EVERYBODY, FLAGSHIP, FakeHost, Night, Sources

Prepare = Callable[..., Night]
RULES = {"order": "loaded-last", "spread": "rack", "min_survivors": "60%", "max_parallel": 2}
QUERY = {"title": "errors", "prometheus": {"query": "sum(errors)", "max": 5}}


class Shelf(Sources):
    """One runbook whose mitigation was changed, and hosts with variables."""

    def __init__(self, hosts: Mapping[str, Mapping[str, Any]], **mitigation: Any) -> None:
        super().__init__(list(hosts))
        self.rows = hosts
        self.idle: list[str] = []
        runbook = yaml.safe_load((bundled("runbooks") / FLAGSHIP).read_text())
        runbook["mitigations"][0] |= mitigation
        self._library = load({FLAGSHIP: yaml.safe_dump(runbook)})
        assert self._library.problems == ()

    def inventory(self, age: float = 0.0) -> Inventory:
        return Inventory(hosts=self.rows, pools={"web": tuple(self.rows)})

    def playbooks(self) -> frozenset[str]:
        return super().playbooks() | {"look.yml"}

    def idle_plays(self, spec: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
        return self.idle


@pytest.fixture
def prepare(tmp_path: Path) -> Iterator[Prepare]:
    """Return ``prepare(hosts, **mitigation)``: a night that has its proposal, or its refusal."""
    nights: list[Night] = []

    def make(
        hosts: Mapping[str, Mapping[str, Any]], idle: Sequence[str] = (), **mitigation: Any
    ) -> Night:
        night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in hosts})
        nights.append(night)
        night.sources = Shelf(hosts, **mitigation)
        night.sources.idle = list(idle)
        night.site = replace(
            night.site, sources=night.sources, prometheus_url=mitigation.get("url")
        )
        night.worker._site = night.site
        night.crash(next(iter(hosts)))
        night.go(lambda: bool({"proposal.made", "proposal.failed"} & set(night.kinds())))
        return night

    yield make
    for night in nights:
        night.close()


def refusal(night: Night) -> str:
    assert not night.incident.proposals
    return next(e.text for e in night.entries if e.kind == "proposal.failed")


def test_what_was_asked_of_the_waves_is_in_the_digest_and_on_the_card(prepare: Prepare):
    hosts = {
        "a": {"rack": "r1", "loaded": True, "ansible_password": "hunter2"},
        "b": {"rack": "r1"},
        "c": {"rack": "r2", "loaded": "no"},
    }
    checks = [{"title": "the balancer", "playbook": "look.yml", "where": "localhost"}]
    night = prepare(hosts, rollout=RULES, gate={"soak": "5m", "checks": checks})
    proposal = night.incident.proposals["P-1"]
    plan, listed = proposal.content["waves"], proposal.content["hosts"]
    assert plan["order"] == ["b", "c", "a"]
    assert [listed[h]["domain"] for h in "abc"] == ["r1", "r1", "r2"]
    assert (plan["pools"], plan["shard"]) == ({"web": ["a", "b", "c"]}, 500)
    assert "hunter2" not in str(proposal.content)
    waves = dict(proposal_card(night.incident, proposal, EVERYBODY).fields)["Waves"]
    assert waves == (
        "canary 1 → 1 → 1 hosts; the 1 loaded hosts last; in turn over 2 values of rack; "
        "at most 2 at once; at least 60% of each pool stay untouched or verified; "
        "halts above 0 failed or 10% lost in a wave; the canary soaks for 300 s; "
        "after each wave: the balancer (look.yml on localhost)"
    )


@pytest.mark.parametrize(
    ("hosts", "mitigation", "said"),
    [
        (
            {"a": {}, "b": {}},
            {"rollout": {"spread": "rack"}},
            "no listed host has the variable 'rack' that the rollout is spread over",
        ),
        (
            {"a": {"loaded": "rather"}},
            {"rollout": {"order": "loaded-last"}},
            "a: its variable 'loaded' is neither true nor false",
        ),
        (
            {"a": {"rack": ["r1"]}},
            {"rollout": {"spread": "rack"}},
            "a: its variable 'rack' is no short text that could name a failure domain",
        ),
        (
            {"a": {}, "b": {}},
            {"rollout": {"min_survivors": 2}},
            "pool web: min_survivors is 2, and the pool has 2 hosts",
        ),
        (
            {"a": {}},
            {"gate": {"checks": [QUERY]}},
            "gate.prometheus_url in holdfast.yml: the gate asks Prometheus, and no server is",
        ),
        (
            {"a": {}},
            {"gate": {"checks": [{"title": "x", "playbook": "gone.yml"}]}},
            "names playbooks that do not exist: gone.yml",
        ),
    ],
)
def test_what_can_never_be_carried_out_is_no_proposal(
    prepare: Prepare, hosts: Mapping[str, Any], mitigation: Mapping[str, Any], said: str
):
    assert said in refusal(prepare(hosts, **mitigation))


def test_a_play_that_fits_no_target_is_no_proposal(prepare: Prepare):
    night = prepare({"a": {}}, idle=["play 'Set' (hosts: db)"])
    assert refusal(night) == "no proposal: no target is in play 'Set' (hosts: db)"
    assert "exposure.probed" not in night.kinds()
