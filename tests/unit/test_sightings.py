"""A host that was seen by one incident is known to be alive, dead or rebooted in every other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.incident.state import Outcome
from bot.service import people
from bot.service.sightings import Sighting, sighted, tell_others
from tests.fakes import DANA, OOPS, FakeHost, Night

OTHER = OOPS.replace("tcp_estats_update_mss", "ext4_writepages")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night whose mitigation is carried out and held on a and c; b is dead and owed."""
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost(), "b": FakeHost(), "c": FakeHost()})
    night.crash("a")
    night.approve()
    night.fleet["b"].up = False
    night.go(lambda: night.outcomes() == {"a": "verified", "b": "owed", "c": "verified"})
    night.go(lambda: night.incident.host("b").down and night.state() == "done")
    yield night
    night.close()


def boot(night: Night, host: str) -> str:
    return str(night.fleet[host].fact(host, "probe")["boot_id"])


def test_a_crash_of_another_cause_owes_a_verified_host_until_it_was_read_again(night: Night):
    before = len(night.fleet["a"].writes)
    night.clock.sleep(400)  # no aftermath
    night.crash("a", up=False, text=OTHER)
    assert [row.id for row in night.store.incidents()] == ["INC-2", "INC-1"]
    assert night.kinds()[-1] == "hosts.sighted"
    assert night.outcomes()["a"] == "owed"
    assert night.incident.host("a").down
    night.fleet["a"].boot()
    night.go(lambda: night.outcomes()["a"] == "verified")
    assert night.incident.host("a").boot_id == boot(night, "a")
    assert len(night.fleet["a"].writes) == before, "it was read, and had the value"


def test_a_resolved_incident_that_holds_its_hosts_hears_of_them_too(night: Night):
    people.resolve(night.site, "INC-1", DANA)
    night.crash("c", text=OTHER)
    assert [row.id for row in night.store.incidents()] == ["INC-2", "INC-1"]
    assert "hosts.sighted" in night.kinds()
    night.go(lambda: night.outcomes()["c"] == "verified")


def test_an_answer_elsewhere_lets_an_owed_host_be_tried_at_once(night: Night):
    end = night.clock.now() + timedelta(seconds=60)
    night.go(lambda: night.clock.now() > end)  # it backs off
    night.fleet["b"].boot()
    tell_others(night.site, "INC-2.probe.1", {"b": Sighting(word="answered", boot_id="any")})
    began = night.clock.now()
    night.go(lambda: night.outcomes()["b"] == "verified", 60)
    assert (night.clock.now() - began).total_seconds() < 2


def test_what_is_known_already_or_concerns_nobody_is_not_told(night: Night):
    a = night.incident.host("a")
    same = Sighting(word="answered", boot_id=str(a.boot_id))
    tell_others(night.site, "one", {"a": same, "nobody": same})
    tell_others(night.site, "two", {"b": Sighting(word="down")})
    mine = frozenset({"INC-1"})
    tell_others(night.site, "three", {"b": Sighting(word="answered", known_to=mine)})
    assert "hosts.sighted" not in night.kinds()


def test_a_silent_reboot_that_any_read_sees_is_verified_at_once(night: Night):
    writes = len(night.fleet["a"].writes)
    night.fleet["a"].boot()
    run = next(r for r in reversed(night.runs()) if r.kind == "wave" and "a" in r.hosts)
    raw = night.touch(run, "a", "")  # as any read-only run of another incident would see it
    seen = sighted("INC-2", [raw])
    assert seen["a"].boot_id == boot(night, "a")
    tell_others(night.site, "INC-2.check.1", seen)
    assert night.outcomes()["a"] == "owed"
    night.go(lambda: night.outcomes()["a"] == "verified", 60)
    assert night.incident.host("a").boot_id == boot(night, "a")
    assert len(night.fleet["a"].writes) == writes + 1  # the one by which it was seen


def test_hosts_that_nothing_holds_are_read_while_the_incident_is_open(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost(), "b": FakeHost()})
    text = night.sources._texts
    (name,) = text
    whole = text[name]
    start = whole.index("\nhold:")
    rest = whole[start + 1 :].split("\n")
    end = next((n for n, line in enumerate(rest[1:], 1) if line and line[0] not in " #"), len(rest))
    night.sources.rewrite(("\n".join(rest[:end]) + "\n", ""))
    night.crash("a")
    night.approve()
    night.go(lambda: night.state() == "done")
    night.fleet["b"].boot()
    night.go(lambda: night.incident.host("b").boot_id == boot(night, "b"), 400)
    assert night.incident.host("b").outcome is Outcome.VERIFIED
    people.resolve(night.site, "INC-1", DANA)
    checks = sum(r.kind == "check" for r in night.runs())
    night.clock.sleep(1000)
    night.turn()
    assert sum(r.kind == "check" for r in night.runs()) == checks
    night.close()
