"""What a proposal is made from: an inventory that never stays the same, playbooks that ask people."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bot.clock import SystemClock
from bot.config import load
from bot.fleet.inventory import Inventory, differing, told
from bot.layout import lay_out
from bot.runner.plays import prompting
from bot.runner.sources import DiskSources
from tests.fakes import FakeHost, Night

RESTLESS = """\
#!/bin/sh
printf '{"web": {"hosts": ["web-01", "web-02"], "vars": {"tick": "%s"}}, "_meta": {"hostvars":'
printf '{"web-01": {"last_seen": "%s", "rack": "r1"}, "web-02": {"rack": "r2"}}}}' "$(date +%s%N)"
"""


def sources(site: Path, **fleet: object) -> DiskSources:
    """Return the sources of a site whose inventory is a script."""
    if not site.exists():
        lay_out(site)
        script = site / "hosts.sh"
        script.write_text(RESTLESS)
        script.chmod(0o755)
    (site / "holdfast.yml").write_text(
        yaml.safe_dump({"fleet": {"inventory": "hosts.sh", **fleet}})
    )
    return DiskSources(load(site / "holdfast.yml"), SystemClock())


def test_a_variable_that_changes_at_every_reading_is_named_and_may_be_left_out(tmp_path: Path):
    restless = sources(tmp_path / "site")
    hosts = ["web-01", "web-02"]
    assert restless.unsteady(hosts) == "", "nothing was read yet"
    pinned = restless.pin_hosts(restless.inventory(), hosts)
    assert restless.hosts_hash(restless.inventory(), hosts) != pinned
    assert restless.unsteady(hosts) == "last_seen of web-01"
    assert restless.changed(pinned, hosts) == "last_seen of web-01"
    assert restless.unsteady(["web-02"]) == ""
    steady = sources(tmp_path / "site", ignore_variables=["last_seen", "no_such"])
    pinned = steady.pin_hosts(steady.inventory(), hosts)
    assert steady.hosts_hash(steady.inventory(), hosts) == pinned
    assert steady.unsteady(hosts) == steady.changed(pinned, hosts) == ""
    found = steady.approved(hosts, pinned)
    assert dict(found.hosts["web-01"]) == {"rack": "r1", "tick": ""}, "no run sees it"


def test_what_differs_is_named_without_its_value():
    one = Inventory(hosts={"a": {"x": 1, "secret": "s"}, "b": {"x": 1}, "c": {}})
    other = Inventory(hosts={"a": {"x": 2, "secret": "t"}, "b": {"x": 2}, "c": {"y": None}})
    found = differing(one, other, ["c", "b", "a"])
    assert found == {"secret": ["a"], "x": ["a", "b"], "y": ["c"]}
    assert told(found) == "secret of a, x of a and 1 more, y of c"
    assert told({**found, "z": ["a"]}).endswith(", 1 more variables")
    assert told({}) == ""


def test_an_inventory_that_never_stays_the_same_makes_no_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost()})
    monkeypatch.setattr(night.sources, "unsteady", lambda _: "last_seen of a")
    night.crash("a")
    night.go(lambda: night.kinds()[-1] == "proposal.failed")
    said = night.entries[-1].text
    assert "something else at every reading: last_seen of a" in said
    assert "fleet.ignore_variables" in said
    night.close()


PLAYS = {
    "ask.yml": "- hosts: all\n  vars_prompt:\n    - name: colour\n      prompt: Which\n",
    "old.yml": "- hosts: all\n  vars_prompt: size\n",
    "outer.yml": "- import_playbook: sub/inner.yml\n- import_playbook: '{{ any }}.yml'\n",
    "sub/inner.yml": "- ansible.builtin.import_playbook: ../ask.yml\n- import_playbook: inner.yml\n",
    "quiet.yml": "- hosts: all\n  vars: {key: !vault abc}\n  vars_prompt: []\n",
    "broken.yml": "- hosts: [\n",
    "text.yml": "just text\n",
}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("ask.yml", ["ask.yml: colour"]),
        ("old.yml", ["old.yml: size"]),
        ("outer.yml", ["ask.yml: colour"]),
        ("quiet.yml", []),
        ("broken.yml", []),
        ("text.yml", []),
        ("missing.yml", []),
    ],
)
def test_a_playbook_that_asks_a_person_is_found_through_imports(name: str, asked: list[str]):
    assert prompting(PLAYS, [name]) == asked


def test_a_playbook_that_asks_a_person_is_not_proposed(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost()})
    night.sources.asking = {"sysctl-unset.yml"}
    night.crash("a")
    night.go(lambda: night.kinds()[-1] == "proposal.failed")
    assert "waits for a person to type (vars_prompt): sysctl-unset.yml: colour" in night.story()[-1]
    assert not night.runs()
    night.close()
