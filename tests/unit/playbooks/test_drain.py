from __future__ import annotations

import pytest

from tests.unit.playbooks.machine import Machine, Said

NOTE = "etc/holdfast/drained"


@pytest.fixture
def site(machine):
    machine.program("out", 'echo "$@" >> "$ROOT/log"; : > "$ROOT/away"')
    machine.program("in", 'echo "$@" >> "$ROOT/log"; rm -f "$ROOT/away"')
    machine.program("is-out", 'test -e "$ROOT/away"')
    return machine


def run(machine: Machine, phase: str, **more: str) -> Said:
    words = {
        "drain": f"{machine.root}/bin/out web",
        "undrain": f"{machine.root}/bin/in web",
        "drained": "",
        **more,
    }
    return machine.run("drain.sh", phase, **words)


@pytest.mark.parametrize("asks", [False, True])
def test_a_host_is_drained_once_and_put_back_once(site, asks):
    more = {"drained": f"{site.root}/bin/is-out"} if asks else {}
    assert run(site, "probe", **more).facts["value"] == "serving"
    assert len(run(site, "preview", **more).facts["would"]) == 1
    assert not site.has("log")
    said = run(site, "apply", **more).facts
    assert (said["value"], said["safe"], said["changed"]) == ("drained", True, True)
    assert run(site, "apply", **more).facts["changed"] is False
    assert site.get("log") == "web\n"
    back = run(site, "rollback", **more).facts
    assert (back["value"], back["safe"], back["changed"]) == ("serving", True, True)
    assert run(site, "rollback", **more).facts["changed"] is False
    assert site.get("log") == "web\nweb\n"
    assert not site.has(NOTE)


def test_a_host_that_somebody_else_drained_is_left_to_them(site):
    site.put("away", "")
    more = {"drained": f"{site.root}/bin/is-out"}
    said = run(site, "apply", **more).facts
    assert (said["safe"], said["changed"]) == (True, False)
    assert "not by us" in said["reason"]
    assert run(site, "rollback", **more).facts["changed"] is False
    assert site.has("away")


def test_a_host_without_the_program_is_not_applicable(site):
    said = run(site, "apply", drain="/nonexistent/out")
    assert (said.rc, said.facts["applicable"]) == (0, False)
    assert not site.has(NOTE)


def test_a_command_that_fails_says_so_and_notes_nothing(site):
    site.program("out", 'echo "backend not found" >&2; exit 3')
    said = run(site, "apply")
    assert said.rc == 1
    assert "backend not found" in said.err
    assert not site.has(NOTE)


def test_a_command_that_does_not_do_it_is_found_out(site):
    site.program("out", ":")
    said = run(site, "apply", drained=f"{site.root}/bin/is-out")
    assert said.rc == 1
    assert "still takes work" in said.err
