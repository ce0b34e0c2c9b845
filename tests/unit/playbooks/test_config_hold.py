from __future__ import annotations

import json

from tests.unit.playbooks.machine import Machine, Said

LOCK = "var/cache/puppet/state/agent_disabled.lock"
UNIT = "etc/systemd/system/chef-client.service.d/99-zz-holdfast.conf"
SYSTEMCTL = """\
echo "$@" >> "$ROOT/log"
case "$*" in "-q is-active chef-client") exit 0 ;; "-q is-active"*) exit 3 ;; esac"""


def run(machine: Machine, phase: str) -> Said:
    return machine.run("config-hold.sh", phase)


def test_a_host_without_config_management_is_not_applicable(machine):
    for phase in ("probe", "preview", "apply", "rollback", "unpreview"):
        said = run(machine, phase)
        assert (said.rc, said.facts["applicable"], said.facts["would"]) == (0, False, [])
    assert machine.tree() == {}


def test_puppets_agent_is_held_and_released_once(machine):
    machine.put("var/cache/puppet/state/state.yaml", "")
    assert run(machine, "probe").facts["value"] == "running: puppet"
    assert run(machine, "preview").facts["would"] == ["hold puppet"]
    assert not machine.has(LOCK)
    said = run(machine, "apply").facts
    assert (said["value"], said["safe"], said["persisted"]) == ("held", True, True)
    assert "holdfast P-1" in json.loads(machine.get(LOCK))["disabled_message"]
    assert run(machine, "apply").facts["changed"] is False
    assert run(machine, "unpreview").facts["would"] == ["release puppet"]
    back = run(machine, "rollback").facts
    assert (back["value"], back["safe"], back["changed"]) == ("running: puppet", True, True)
    assert not machine.has(LOCK)
    assert run(machine, "rollback").facts["changed"] is False


def test_a_lock_of_somebody_else_is_named_and_never_taken_away(machine):
    machine.put(LOCK, '{"disabled_message":"migration, ask Ann"}')
    said = run(machine, "apply").facts
    assert said["safe"] is True
    assert "ask Ann" in said["reason"]
    back = run(machine, "rollback").facts
    assert "still held by somebody else" in back["reason"]
    assert "ask Ann" in machine.get(LOCK)


def test_puppet_apply_in_cron_is_put_aside_and_comes_back(machine):
    job = "*/30 * * * * root puppet apply /etc/puppet/site.pp\n"
    machine.put("etc/cron.d/puppet", job)
    machine.put("etc/cron.d/other", "# puppet apply is gone\n* * * * * root true\n")
    said = run(machine, "apply").facts
    assert (said["safe"], machine.has("etc/cron.d/puppet")) == (True, False)
    assert machine.has("etc/cron.d/other")
    run(machine, "rollback")
    assert machine.get("etc/cron.d/puppet") == job
    assert not machine.has("etc/holdfast/cron.d")


def test_a_cron_file_that_was_made_anew_stays_and_ours_is_named(machine):
    machine.put("etc/cron.d/pull", "* * * * * root ansible-pull -U old\n")
    run(machine, "apply")
    machine.put("etc/cron.d/pull", "* * * * * root ansible-pull -U new\n")
    said = run(machine, "rollback").facts
    assert "etc/holdfast/cron.d/pull" in said["reason"]
    assert "new" in machine.get("etc/cron.d/pull")


def test_a_service_is_stopped_kept_from_starting_and_started_again(machine):
    machine.put("usr/lib/systemd/system/chef-client.service", "[Service]\n")
    machine.put("usr/lib/systemd/system/salt-minion.service", "[Service]\n")
    (machine.root / "run/systemd/system").mkdir(parents=True)
    machine.program("systemctl", SYSTEMCTL)
    assert run(machine, "apply").facts["safe"] is True
    assert "ConditionPathExists=!/etc/holdfast/config-hold" in machine.get(UNIT)
    assert machine.has("etc/holdfast/config-hold")
    assert "stop chef-client" in machine.get("log")
    assert "stop salt-minion" not in machine.get("log")
    run(machine, "rollback")
    assert "start chef-client" in machine.get("log")
    assert "start salt-minion" not in machine.get("log")
    assert machine.tree() == {}


def test_a_service_that_does_not_stop_is_said(machine):
    machine.put("usr/lib/systemd/system/chef-client.service", "[Service]\n")
    (machine.root / "run/systemd/system").mkdir(parents=True)
    stuck = 'case $1 in stop) echo "Job timed out"; exit 1 ;; esac'
    machine.program("systemctl", stuck)
    said = run(machine, "apply")
    assert said.rc == 1
    assert "did not stop: Job timed out" in said.err
