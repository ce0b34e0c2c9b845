"""Inventories as data: merging, sealing, narrowing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.fleet.inventory import (
    Group,
    Inventory,
    as_dict,
    document,
    from_dict,
    members,
    merged,
    narrowed,
    seals,
)

KEY = b"a key for tests"
GROUPS = {
    "all": Group(children=("ungrouped", "site", "late"), variables={"a": "all", "b": "all"}),
    "ungrouped": Group(),
    "site": Group(children=("web", "db"), variables={"b": "site", "c": "site"}),
    "web": Group(hosts=("w1", "w2"), variables={"c": "web", "password": "1234"}),
    "db": Group(hosts=("d1",)),
    "late": Group(hosts=("w1",), variables={"c": "late", "ansible_group_priority": 10}),
}
OWN: dict[str, dict[str, Any]] = {"w1": {"d": 1}, "w2": {"a": "own"}, "d1": {}}
FLEET = Inventory(hosts=merged(OWN, GROUPS), own=OWN, groups=GROUPS, place="/site")


def test_variables_merge_as_ansible_merges_them():
    assert FLEET.hosts["d1"] == {"a": "all", "b": "site", "c": "site"}
    assert FLEET.hosts["w2"] == {"a": "own", "b": "site", "c": "web", "password": "1234"}
    early = replace(GROUPS["late"], variables={"c": "late"})
    assert merged(OWN, {**GROUPS, "late": early})["w1"]["c"] == "web"  # it is nearer to the host


def test_a_group_holds_the_hosts_of_the_groups_below_it():
    assert members(GROUPS)["site"] == {"w1", "w2", "d1"}
    assert members(GROUPS)["all"] == {"w1", "w2", "d1"}


@pytest.mark.parametrize(
    ("own", "groups"),
    [
        ({**OWN, "w1": {"d": 2}}, GROUPS),
        (OWN, {**GROUPS, "web": Group(hosts=("w1", "w2"), variables={"c": "x"})}),
        (OWN, {**GROUPS, "site": Group(children=("web",), variables={"b": "y", "c": "site"})}),
        (OWN, {**GROUPS, "all": Group(children=("site", "late"))}),
        (OWN, {**GROUPS, "late": Group()}),
    ],
)
def test_a_seal_covers_every_variable_and_every_group_of_its_host(own, groups):
    before = seals(FLEET, ["w1"], KEY)
    assert seals(replace(FLEET, own=own, groups=groups), ["w1"], KEY) != before


def test_a_seal_is_keyed_and_does_not_depend_on_other_hosts():
    assert seals(FLEET, ["w1"], b"another key") != seals(FLEET, ["w1"], KEY)
    grown = {
        **GROUPS,
        "db": Group(hosts=("d1", "d2")),
        "web": replace(GROUPS["web"], hosts=("w1",)),
    }
    other = replace(FLEET, own={**OWN, "w2": {"x": 1}, "d2": {}}, groups=grown)
    assert seals(other, ["w1", "d1"], KEY) == seals(FLEET, ["w1", "d1"], KEY)
    assert "1234" not in json.dumps(seals(FLEET, list(OWN), KEY))


def test_what_is_handed_over_resolves_to_the_same():
    handed = from_dict(json.loads(json.dumps(as_dict(narrowed(FLEET, ["w1"])))))
    assert seals(handed, ["w1"], KEY) == seals(FLEET, ["w1"], KEY)
    assert handed.hosts == {"w1": FLEET.hosts["w1"]}


def test_a_run_sees_every_group_and_only_its_hosts():
    whole = document(FLEET, ["w1"])["all"]
    assert whole["hosts"] == {"w1": {"inventory_dir": "/site", "d": 1}}
    assert whole["children"]["db"] == {"hosts": {}, "children": {}, "vars": {}}
    assert whole["children"]["site"]["children"] == {"web": {}, "db": {}}
    assert "w2" not in json.dumps(whole)
