"""The payloads that only read: crash evidence and the kernel."""

from __future__ import annotations

import json


def test_evidence_is_what_the_crash_left_line_by_line(machine):
    machine.put("proc/sys/kernel/tainted", "512\n")
    machine.put("var/log/kern.log", 'old\nsaid "x\\y"\tand \x1b[31mred\nlast\n')
    machine.put("sys/fs/pstore/dmesg-efi-1", "Panic#1 Part1\n<0>Kernel panic\n")
    machine.put("var/crash/202611260116/vmcore", "x" * 100)
    said = machine.run("evidence.sh", "probe", lines="2")
    assert said.rc == 0
    found = said.facts["evidence"]
    assert found["log"] == ['said "x\\y"?and ?[31mred', "last"]
    assert found["records"][1:] == ["Panic#1 Part1", "<0>Kernel panic"]
    assert found["records"][0].startswith("== ")
    assert len(found["pstore"]) == len(found["crash"]) == 1
    assert said.facts["value"] == "taint 512"
    assert machine.tree() == {}


def test_evidence_stays_small(machine):
    machine.put("var/log/kern.log", "a line of the log\n" * 50_000)
    machine.put("sys/fs/pstore/dmesg-efi-1", "a record\n" * 50_000)
    said = machine.run("evidence.sh", "probe", lines="2000")
    assert len(json.dumps(said.facts)) < 200_000


def test_a_host_without_evidence_says_so(machine):
    machine.put("var/log/kern.log", "")
    said = machine.run("evidence.sh", "probe", lines="10")
    assert said.facts["evidence"] == {"log": [], "pstore": [], "records": [], "crash": []}
    assert "cannot be read" in said.facts["reason"]


def test_a_kernel_report_says_what_runs_and_what_is_installed(machine):
    machine.put("proc/cmdline", "ro quiet\n")
    machine.put("proc/uptime", "12345.67 1.0\n")
    machine.put("proc/modules", "ext4 1 1 - Live 0x0\nxfs 1 0 - Live 0x0\n")
    machine.put("boot/vmlinuz-6.1.0-test", "")
    machine.put("boot/vmlinuz-6.1.1-test", "")
    said = machine.run("kernel-report.sh", "probe", fixed="6.1.1-test").facts
    assert (said["value"], said["safe"]) == ("6.1.0-test", False)
    assert said["reason"] == "the kernel is 6.1.0-test, not 6.1.1-test"
    assert said["report"] == {
        "uptime_seconds": "12345",
        "taint": "",
        "command_line": "ro quiet",
        "installed": ["6.1.0-test", "6.1.1-test"],
        "modules": ["ext4", "xfs"],
    }
    missing = machine.run("kernel-report.sh", "probe", fixed="6.9").facts
    assert "not installed" in missing["reason"]
    assert machine.run("kernel-report.sh", "probe", fixed="6.1.0-test").facts["safe"] is True
    assert machine.run("kernel-report.sh", "probe", fixed="").facts["safe"] is True


def test_only_names_are_read_of_knobs_and_modules(machine):
    knob = machine.put("proc/sys/net/ipv4/tcp_sack", "1\n")
    knob.chmod(0)
    machine.put("proc/modules", "tipc 1 0 - Live 0x0\nxfs 1 0 - Live 0x0\n")
    said = machine.run("knob-names.sh", "probe", names="net.ipv4.tcp_sack net.ipv4.none net.ipv4")
    assert said.facts["names"] == {"sysctls": ["net.ipv4.tcp_sack"], "modules": ["tipc", "xfs"]}
    machine.put("proc/modules", "")
    nothing = machine.run("knob-names.sh", "probe", names="net.ipv4.none").facts["names"]
    assert nothing == {"sysctls": [], "modules": []}
