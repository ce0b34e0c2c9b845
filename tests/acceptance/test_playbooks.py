"""The shipped playbooks, run by plain ansible-playbook against real hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.demo.fleet import KNOB, Fleet
from tests.machine import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))
OURS = f"/etc/sysctl.d/99-zz-holdfast-{KNOB}.conf"
# As the bot runs it; the hosts have no pty, and a master connection would outlive the test.
SETTINGS = {
    "ANSIBLE_FORKS": "50",
    "ANSIBLE_PIPELINING": "True",
    "ANSIBLE_SSH_USETTY": "False",
    "ANSIBLE_SSH_ARGS": (
        "-o ControlMaster=no -o ServerAliveInterval=2 -o ServerAliveCountMax=3 "
        "-o KexAlgorithms=curve25519-sha256"
    ),
    "ANSIBLE_SSH_RETRIES": "0",
    "ANSIBLE_TIMEOUT": "5",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_LOCALHOST_WARNING": "False",
}
LINE = re.compile(r"(ok|changed|fatal|skipping): \[([^\]]+)\][^{]*(\{.*\})$")
WEB = "web-01"
UNPATCHED = "db-01"


@dataclass
class Played:
    """What a run printed: each host's facts in order, its status of each task, and the rest."""

    rc: int
    text: str
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[str]] = field(default_factory=dict)

    def last(self, host: str) -> dict[str, Any]:
        return self.facts[host][-1]


def play(inventory: Path, name: str | Path, *argv: str, **variables: str) -> Played:
    given = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    done = subprocess.run(
        [PROGRAM, "-v", "-i", str(inventory), str(ROOT / "playbooks" / name), *given, *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * PATIENCE,
        env={**os.environ, **SETTINGS},
    )
    played = Played(rc=done.returncode, text=done.stdout + done.stderr)
    for line in done.stdout.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        status, host, result = found[1], found[2], json.loads(found[3])
        if "stdout" in result:
            played.statuses.setdefault(host, []).append(status)
            answers = result["stdout"].splitlines()
            played.facts.setdefault(host, []).extend(map(json.loads, answers))
    return played


@pytest.fixture
def inventory(fleet: Fleet, tmp_path: Path) -> Iterator[Path]:
    yield fleet.write_inventory(tmp_path / "inventory.ini")
    for name in fleet.hosts:  # the next test finds the hosts as this one did
        fleet.run(name, "rm", "-f", OURS, "/etc/sysctl.conf")
        if fleet.read(name, KNOB) is not None:
            fleet.write(name, KNOB, "1")


def test_every_playbook_passes_ansibles_syntax_check():
    assert PLAYBOOKS
    done = subprocess.run(
        [PROGRAM, "--syntax-check", "-i", "localhost,", *map(str, PLAYBOOKS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.fleet
def test_a_dry_run_says_what_it_would_do_and_does_nothing(inventory, fleet):
    # Not even a variable of that name talks it into writing.
    played = play(
        inventory, "sysctl-set.yml", "--check", key=KNOB, value="0", ansible_check_mode="false"
    )
    assert played.rc == 0, played.text
    assert played.last(WEB)["phase"] == "preview"
    assert played.last(WEB)["would"] == [f"{KNOB}: 1 -> 0", f"write {OURS}"]
    assert played.last(UNPATCHED)["applicable"] is False
    assert played.statuses[WEB] == ["ok"]
    assert fleet.read(WEB, KNOB) == "1"
    assert fleet.run(WEB, "test", "-e", OURS).returncode == 1


@pytest.mark.fleet
def test_a_value_is_set_once_survives_a_reboot_and_is_taken_back(inventory, fleet, tmp_path):
    both = tmp_path / "both.json"  # as the bot runs them: write, then read back
    plays: list[dict[str, Any]] = [
        {"import_playbook": str(ROOT / "playbooks/sysctl-set.yml")},
        {
            "import_playbook": str(ROOT / "playbooks/sysctl-read.yml"),
            "vars": {"phase": "verify"},
        },
    ]
    both.write_text(json.dumps(plays))
    first = play(inventory, both, key=KNOB, value="0", ref="P-17")
    assert first.rc == 0, first.text
    assert [fact["phase"] for fact in first.facts[WEB]] == ["apply", "verify"]
    assert first.statuses[WEB] == ["changed", "ok"]
    assert first.last(WEB)["safe"] is first.last(WEB)["persisted"] is True
    assert first.last(WEB)["boot_id"] == fleet.boot_id(WEB)
    assert first.last(WEB)["kernel"] == "6.12.9-fleet"
    assert first.statuses[UNPATCHED] == ["ok", "ok"]
    assert fleet.run(UNPATCHED, "test", "-e", OURS).returncode == 1

    again = play(inventory, both, key=KNOB, value="0", ref="P-18")
    assert again.statuses[WEB] == ["ok", "ok"]
    assert "# holdfast P-17" in fleet.run(WEB, "cat", OURS).stdout

    fleet.reboot(WEB)
    assert fleet.read(WEB, KNOB) == "0"
    assert play(inventory, "sysctl-read.yml", key=KNOB, value="0").last(WEB)["safe"] is True

    back = play(inventory, "sysctl-unset.yml", key=KNOB, value="0", ref="P-19")
    assert back.rc == 0, back.text
    assert (back.last(WEB)["phase"], back.last(WEB)["value"]) == ("rollback", "1")
    assert back.statuses[WEB] == ["changed"]
    assert fleet.read(WEB, KNOB) == "1"
    assert fleet.run(WEB, "test", "-e", OURS).returncode == 1
    assert play(inventory, "sysctl-unset.yml", key=KNOB).statuses[WEB] == ["ok"]


@pytest.mark.fleet
def test_persisted_is_what_the_machines_own_sysctl_makes_of_it(inventory, fleet):
    play(inventory, "sysctl-set.yml", key=KNOB, value="0")
    fleet.write(WEB, KNOB, "1")
    fleet.run(WEB, "sysctl", "--system")
    assert fleet.read(WEB, KNOB) == "0"

    fleet.run(WEB, "tee", "/etc/sysctl.conf", input=f"{KNOB}=1\n")
    said = play(inventory, "sysctl-read.yml", key=KNOB, value="0").last(WEB)
    assert (said["safe"], said["persisted"]) == (True, False)
    assert said["reason"].startswith("not persisted: /etc/sysctl.conf sets it to 1")
    fleet.run(WEB, "sysctl", "--system")
    assert fleet.read(WEB, KNOB) == "1"


@pytest.mark.fleet
def test_a_value_that_the_kernel_refuses_fails_with_its_reason_and_leaves_nothing(inventory, fleet):
    played = play(inventory, "sysctl-set.yml", key="net.ipv4.tcp_ecn", value="99")
    assert played.rc == 2
    assert played.statuses[WEB] == ["fatal"]
    assert "Invalid argument" in played.last(WEB)["reason"]
    assert "nothing was changed" in played.last(WEB)["reason"]
    assert "tcp_ecn" not in fleet.run(WEB, "ls", "/etc/sysctl.d").stdout


@pytest.mark.fleet
@pytest.mark.parametrize(
    "words",
    [
        {"key": KNOB, "value": "0; touch /etc/owned"},
        {"key": KNOB, "value": "$(touch /etc/owned)"},
        {"key": "../../etc/owned", "value": "0"},
        {"key": "net.ipv4.*", "value": "0"},
        {"key": KNOB, "value": "0", "ref": "x\ntouch /etc/owned"},
        {"key": KNOB},
    ],
)
def test_words_that_are_no_sysctl_are_refused_before_any_host_is_asked(inventory, fleet, words):
    played = play(inventory, "sysctl-set.yml", "-e", json.dumps(words))
    assert played.rc == 2
    assert "nothing was sent to any host" in played.text
    assert played.facts == {}
    assert fleet.run(WEB, "test", "-e", "/etc/owned").returncode == 1


def together(tmp_path: Path, *names: str) -> Path:
    """Return a playbook that runs several of ours one after the other: one start for all."""
    file = tmp_path / "together.json"
    file.write_text(json.dumps([{"import_playbook": str(ROOT / "playbooks" / n)} for n in names]))
    return file


SEVERAL = ["net.ipv4.ipfrag_low_thresh=196608", "net.ipv4.ipfrag_high_thresh=262144"]
SEVERAL_FILE = "/etc/sysctl.d/99-zz-holdfast-several-net.ipv4.ipfrag_low_thresh.conf"


@pytest.mark.fleet
def test_settings_that_bound_each_other_are_set_in_order_at_boot_too_and_taken_back(
    inventory, fleet
):
    given = json.dumps({"settings": SEVERAL, "ref": "P-20"})
    before = [fleet.read(WEB, one.partition("=")[0]) for one in SEVERAL]
    first = play(inventory, "sysctl-several-set.yml", "-e", given)
    assert first.rc == 0, first.text
    said = first.last(WEB)
    assert (said["value"], said["safe"], said["persisted"]) == (" ".join(SEVERAL), True, True)
    assert play(inventory, "sysctl-several-set.yml", "-e", given).statuses[WEB] == ["ok"]
    fleet.run(WEB, "sysctl", "-w", "net.ipv4.ipfrag_high_thresh=4194304")
    fleet.run(WEB, "sysctl", "--system")
    assert play(inventory, "sysctl-several-read.yml", "-e", given).last(WEB)["safe"] is True
    back = play(inventory, "sysctl-several-unset.yml", "-e", given)
    assert back.statuses[WEB] == ["changed"]
    assert [fleet.read(WEB, one.partition("=")[0]) for one in SEVERAL] == before
    assert fleet.run(WEB, "test", "-e", SEVERAL_FILE).returncode == 1


@pytest.mark.fleet
def test_hosts_without_the_thing_are_not_applicable_and_never_failed(inventory, fleet, tmp_path):
    names = ["kernel-report.yml", "collect-evidence.yml", "module-block.yml", "sysfs-set.yml"]
    names += ["config-hold.yml", "boot-parameter-set.yml", "drain.yml"]
    given = {
        "module": "holdfast_none",
        "path": "/sys/module/holdfast_none/parameters/x",
        "value": "1",
        "parameter": "holdfast_none=1",
        "drain": "/nonexistent/out",
        "undrain": "/nonexistent/in",
    }
    argv = ("--check", "-e", json.dumps(given))
    played = play(inventory, together(tmp_path, *names), *argv)
    assert played.rc == 0, played.text
    for host in (WEB, UNPATCHED):
        kernel, evidence, *others = played.facts[host]
        assert kernel["value"] == fleet.hosts[host].release
        assert kernel["boot_id"] == fleet.boot_id(host)
        assert set(evidence["evidence"]) == {"log", "pstore", "records", "crash"}
        assert [fact["applicable"] for fact in others[:3]] == [False, False, False]
        assert {fact["phase"] for fact in others} == {"preview"}
        assert not any(fact["changed"] for fact in others)


@pytest.mark.fleet
def test_config_management_is_held_and_a_host_drained_and_both_are_taken_back(
    inventory, fleet, tmp_path
):
    job = "*/30 * * * * root puppet apply /etc/puppet/site.pp\n"
    fleet.run(WEB, "mkdir", "-p", "/etc/cron.d", "/etc/site")
    fleet.run(WEB, "tee", "/etc/cron.d/puppet-apply", input=job)
    for name, does in (("out", ": > /etc/site/away"), ("in", "rm /etc/site/away")):
        fleet.run(WEB, "tee", f"/etc/site/{name}", input=f"#!/bin/sh\n{does}\n")
        fleet.run(WEB, "chmod", "755", f"/etc/site/{name}")
    given = {"drain": "/etc/site/out now", "undrain": "/etc/site/in now", "ref": "P-21"}
    argv = ("-e", json.dumps(given))
    first = play(inventory, together(tmp_path, "config-hold.yml", "drain.yml"), *argv)
    assert first.rc == 0, first.text
    assert [fact["safe"] for fact in first.facts[WEB]] == [True, True]
    assert first.facts[UNPATCHED][1]["applicable"] is False
    assert fleet.run(WEB, "test", "-e", "/etc/cron.d/puppet-apply").returncode == 1
    assert fleet.run(WEB, "test", "-e", "/etc/site/away").returncode == 0
    again = play(inventory, together(tmp_path, "config-hold.yml", "drain.yml"), *argv)
    assert again.statuses[WEB] == ["ok", "ok"]
    back = play(inventory, together(tmp_path, "undrain.yml", "config-release.yml"), *argv)
    assert back.statuses[WEB] == ["changed", "changed"]
    assert fleet.run(WEB, "cat", "/etc/cron.d/puppet-apply").stdout == job
    assert fleet.run(WEB, "test", "-e", "/etc/site/away").returncode == 1
    fleet.run(WEB, "rm", "-rf", "/etc/cron.d/puppet-apply", "/etc/site", "/etc/holdfast")


@pytest.mark.fleet
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("drain.yml", {}),
        ("drain.yml", {"drain": "/bin/sh -c 'x'", "undrain": "/bin/true"}),
        ("module-block.yml", {"module": "x; touch /etc/owned"}),
        ("sysfs-set.yml", {"path": "/sys/../etc/owned", "value": "1"}),
        ("boot-parameter-set.yml", {"parameter": "a b"}),
        ("sysctl-several-set.yml", {"settings": ["net.ipv4.tcp_sack=0; reboot"]}),
        ("sysctl-several-set.yml", {"settings": "net.ipv4.tcp_sack=0"}),
    ],
)
def test_words_that_mean_nothing_to_a_playbook_are_refused_by_it(inventory, name, words):
    played = play(inventory, name, "-e", json.dumps(words))
    assert played.rc == 2
    assert "nothing was sent to any host" in played.text
    assert played.facts == {}
