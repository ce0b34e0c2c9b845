"""The sysctl playbooks' one payload, on a made-up machine: a directory with its own proc and etc."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.playbooks.machine import SHELLS, Root, Said

PAYLOAD = (Path(__file__).parents[3] / "playbooks/files/sysctl.sh").read_text()
KEY = "net.ipv4.tcp_sack"
OURS = "etc/sysctl.d/99-zz-holdfast-net.ipv4.tcp_sack.conf"


class Machine(Root):
    def run(self, phase: str, key: str = KEY, wanted: str = "0", ref: str = "P-1") -> Said:
        head = {"phase": phase, "key": key, "wanted": wanted, "ref": ref, "root": str(self.root)}
        lines = [f"{name}={shlex.quote(value)}" for name, value in head.items()]
        return self.execute("\n".join([*lines, PAYLOAD]))


@pytest.fixture(params=SHELLS)
def machine(request, tmp_path):
    return Machine(tmp_path, request.param)


@pytest.fixture
def knob(machine):
    return machine.put("proc/sys/net/ipv4/tcp_sack", "1\n")


def test_a_probe_says_what_is_there(machine, knob):
    said = machine.run("probe")
    assert said.rc == 0
    assert said.facts == {
        "holdfast": 1,
        "phase": "probe",
        "applicable": True,
        "value": "1",
        "wanted": "0",
        "safe": False,
        "persisted": False,
        "prior": None,
        "would": [],
        "changed": False,
        "boot_id": "b00t-1d",
        "kernel": "6.1.0-test",
        "reason": f"not persisted: there is no /{OURS}",
    }


def test_a_machine_without_the_knob_is_not_applicable_and_nothing_is_written(machine):
    for phase in ("probe", "verify", "preview", "apply"):
        said = machine.run(phase)
        assert said.rc == 0
        assert (said.facts["applicable"], said.facts["value"]) == (False, None)
        assert said.facts["reason"] == f"this kernel has no {KEY}"
    assert not (machine.root / "etc").exists()


def test_a_preview_says_what_an_apply_would_do_and_does_not_do_it(machine, knob):
    said = machine.run("preview")
    assert said.facts["would"] == [f"{KEY}: 1 -> 0", f"write /{OURS}"]
    assert (knob.read_text(), (machine.root / "etc").exists()) == ("1\n", False)


def test_an_apply_persists_sets_and_reads_back(machine, knob):
    said = machine.run("apply")
    assert said.rc == 0
    facts = said.facts
    assert (facts["value"], facts["safe"], facts["persisted"]) == ("0", True, True)
    assert (facts["prior"], facts["changed"]) == ("1", True)
    assert machine.get(OURS).splitlines()[:2] == ["# holdfast P-1", "# prior: 1"]
    assert machine.get(OURS).splitlines()[-1] == f"{KEY} = 0"
    assert [path.name for path in (machine.root / "etc/sysctl.d").iterdir()] == [Path(OURS).name]
    assert machine.run("verify").facts["persisted"] is True


def test_a_second_apply_changes_nothing(machine, knob):
    machine.run("apply")
    before = (machine.root / OURS).stat().st_ino
    said = machine.run("apply", ref="P-2")
    assert (said.facts["changed"], said.facts["safe"]) == (False, True)
    assert (machine.root / OURS).stat().st_ino == before
    assert machine.run("preview").facts["would"] == []


def test_a_second_value_keeps_the_first_prior_value(machine, knob):
    machine.run("apply")
    said = machine.run("apply", wanted="2")
    assert (said.facts["value"], said.facts["prior"]) == ("2", "1")
    assert "# prior: 1\n" in machine.get(OURS)


def test_an_apply_after_a_drift_sets_the_live_value_again(machine, knob):
    machine.run("apply")
    knob.write_text("1\n")
    said = machine.run("apply")
    assert (said.facts["changed"], said.facts["safe"], said.facts["prior"]) == (True, True, "1")


def test_a_rollback_restores_the_prior_value_and_removes_the_file(machine, knob):
    machine.run("apply")
    assert machine.run("unpreview").facts["would"] == [f"{KEY}: 0 -> 1", f"remove /{OURS}"]
    said = machine.run("rollback")
    assert said.rc == 0
    assert knob.read_text() == "1\n"
    assert not (machine.root / OURS).exists()
    facts = said.facts
    assert (facts["phase"], facts["wanted"], facts["prior"]) == ("rollback", "1", "1")
    assert (facts["safe"], facts["persisted"], facts["changed"]) == (True, False, True)


def test_a_rollback_without_our_file_does_nothing(machine, knob):
    said = machine.run("rollback")
    assert (said.rc, said.facts["changed"], knob.read_text()) == (0, False, "1\n")
    assert said.facts["reason"] == f"nothing to roll back: there is no /{OURS}"
    assert machine.run("unpreview").facts["would"] == []


def test_a_rollback_of_a_file_without_a_prior_value_leaves_the_live_value(machine, knob):
    machine.put(OURS, f"{KEY} = 0\n")
    knob.write_text("0\n")
    said = machine.run("rollback")
    assert (knob.read_text(), (machine.root / OURS).exists()) == ("0\n", False)
    assert "records no prior value" in str(said.facts["reason"])


def test_a_rollback_on_a_kernel_that_lost_the_knob_removes_the_file(machine):
    machine.put(OURS, f"# prior: 1\n{KEY} = 0\n")
    said = machine.run("rollback")
    assert (said.rc, said.facts["applicable"], said.facts["changed"]) == (0, False, True)
    assert not (machine.root / OURS).exists()


@pytest.mark.parametrize(
    ("file", "line", "beats"),
    [
        ("etc/sysctl.conf", "net.ipv4.tcp_sack=1", True),
        ("etc/sysctl.conf", "  -net/ipv4/tcp_sack =  1", True),
        ("etc/sysctl.conf", "net.ipv4.tcp_sack = 0", False),
        ("etc/sysctl.conf", "#net.ipv4.tcp_sack = 1", False),
        ("etc/sysctl.conf", "net.ipv4.tcp_sackx = 1", False),
        ("etc/sysctl.d/99-zzz-site.conf", "net.ipv4.tcp_sack = 1", True),
        ("etc/sysctl.d/zz last.conf", "net.ipv4.tcp_sack = 1", True),
        ("usr/lib/sysctl.d/99-zzz.conf", "net.ipv4.tcp_sack = 1", True),
        ("run/sysctl.d/99-zzz.conf", "net.ipv4.tcp_sack = 1", True),
        ("etc/sysctl.d/99-sysctl.conf", "net.ipv4.tcp_sack = 1", False),
        ("etc/sysctl.d/10-site.conf", "net.ipv4.tcp_sack = 1", False),
        ("etc/sysctl.d/99-zzz.conf.bak", "net.ipv4.tcp_sack = 1", False),
        ("etc/sysctl.d/99-zzz.conf", "net.ipv4.* = 1", False),
    ],
)
def test_a_file_that_is_read_later_beats_ours_and_is_named(machine, knob, file, line, beats):
    machine.put(file, f"# words\n{line}\n")
    will = str(machine.run("preview").facts["reason"])
    facts = machine.run("apply").facts
    assert facts["safe"] is True
    assert facts["persisted"] is not beats
    said = f"/{file} sets it to 1 and is read after ours"
    assert facts["reason"] == (f"not persisted: {said}" if beats else "")
    assert will == (f"will not be persisted: {said}" if beats else "")


def test_a_link_from_the_directory_to_sysctl_conf_is_harmless(machine, knob):
    machine.put("etc/sysctl.conf", "# nothing\n")
    machine.put("etc/sysctl.d/README", "x")
    (machine.root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    assert machine.run("apply").facts["persisted"] is True


def test_a_file_that_another_of_its_name_hides_is_not_read(machine, knob):
    machine.put("usr/lib/sysctl.d/99-zzz.conf", f"{KEY} = 1\n")
    machine.put("etc/sysctl.d/99-zzz.conf", "# nothing\n")
    assert machine.run("apply").facts["persisted"] is True


def test_whitespace_runs_count_as_one_space(machine):
    machine.put("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
    said = machine.run("probe", key="net.ipv4.tcp_rmem", wanted="4096  131072 6291456")
    assert (said.facts["value"], said.facts["safe"]) == ("4096 131072 6291456", True)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"),
    ],
)
def test_the_first_separator_decides_as_in_sysctl(machine, key, path):
    knob = machine.put(f"proc/sys/{path}", "1\n")
    assert machine.run("apply", key=key).facts["persisted"] is True
    assert knob.read_text() == "0\n"
    assert [p.suffix for p in (machine.root / "etc/sysctl.d").iterdir()] == [".conf"]


def test_odd_values_stay_one_line_of_json(machine):
    machine.put("proc/sys/kernel/core_pattern", '|/bin/x "a\\b" \x1b[31m %p\n')
    said = machine.run("probe", key="kernel.core_pattern")
    assert said.facts["value"] == '|/bin/x "a\\b" ?[31m %p'


def test_a_directory_is_no_knob_and_there_is_no_answer(machine, knob):
    said = machine.run("probe", key="net.ipv4")
    assert (said.rc, said.facts) == (1, {})
    assert "names a directory" in said.err


def test_a_refused_write_leaves_everything_as_it_was(machine, knob, tmp_path):
    # A tee that refuses stands in for a kernel that answers EINVAL.
    tool = machine.put("bin/tee", '#!/bin/sh\necho "tee: $1: Invalid argument" >&2\nexit 1\n')
    tool.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}/bin:{before}"
    try:
        said = machine.run("apply")
        machine.put(OURS, f"# prior: 2\n{KEY} = 1\n")
        again = machine.run("apply")
    finally:
        os.environ["PATH"] = before
    assert said.rc == again.rc == 1
    assert said.err.startswith(f"cannot set {KEY} to 0, nothing was changed: tee: ")
    assert "Invalid argument" in said.err
    assert (said.facts["safe"], said.facts["changed"]) == (False, False)
    assert knob.read_text() == "1\n"
    assert machine.get(OURS) == f"# prior: 2\n{KEY} = 1\n"


def test_where_nothing_can_be_persisted_nothing_is_set(machine, knob):
    machine.put("etc/sysctl.d", "a file where a directory should be\n")
    said = machine.run("apply")
    assert said.rc == 1
    assert said.err.startswith(f"cannot persist {KEY}, nothing was set: ")
    assert knob.read_text() == "1\n"


def test_an_unknown_phase_is_refused(machine, knob):
    assert machine.run("apply-all").rc == 1
    assert knob.read_text() == "1\n"


@pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock(1) here")
@pytest.mark.parametrize(("phase", "mode"), [("verify", "-x"), ("apply", "-x"), ("apply", "-s")])
def test_while_a_write_is_under_way_nothing_is_read_and_nothing_else_written(
    machine, knob, phase, mode
):
    """A write whose connection was cut goes on: reading its host then would prove nothing."""
    lock = machine.put("run/holdfast.lock", "")
    words = ["flock", "-o", mode, str(lock), "sh", "-c", "echo held; exec cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        said = machine.run(phase)
        assert (said.rc, said.facts) == (1, {})
        assert "a write is still under way" in said.err
        assert knob.read_text() == "1\n"
        writer.kill()
    assert machine.run(phase).facts["safe"] is (phase == "apply")


@pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock(1) here")
def test_readers_do_not_wait_for_each_other(machine, knob):
    lock = machine.put("run/holdfast.lock", "")
    words = ["flock", "-o", "-s", str(lock), "sh", "-c", "echo held; exec cat"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        assert machine.run("verify").facts["value"] == "1"
        reader.kill()
