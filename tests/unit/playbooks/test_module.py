from __future__ import annotations

import pytest

from tests.unit.playbooks.machine import Machine, Said

OURS = "etc/modprobe.d/zz-holdfast-dccp.conf"
UNUSED = "dccp 151552 0 - Live 0x0000000000000000\n"
USED = "dccp 151552 2 dccp_ipv4,dccp_diag, Live 0x0000000000000000\n"
UNLOAD = 'test "$1 $2" = "-r dccp" && : > "$ROOT/proc/modules"'


@pytest.fixture
def dccp(machine):
    machine.put("lib/modules/6.1.0-test/modules.dep", "kernel/net/dccp/dccp.ko.xz:\n")
    machine.put("lib/modules/6.1.0-test/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    machine.put("proc/modules", "ext4 1 1 - Live 0x0\n")
    return machine


def run(machine: Machine, phase: str, module: str = "dccp") -> Said:
    return machine.run("module.sh", phase, module=module)


def test_a_kernel_without_the_module_is_not_applicable_and_nothing_is_written(dccp):
    for phase in ("probe", "verify", "preview", "apply", "rollback", "unpreview"):
        said = run(dccp, phase, "tipc")
        assert (said.rc, said.facts["applicable"]) == (0, False)
    assert run(dccp, "apply", "tipc").facts["reason"] == "this kernel has no module tipc"
    assert dccp.tree() == {}


def test_a_built_in_module_can_be_neither_blocked_nor_unloaded(dccp):
    said = run(dccp, "apply", "ext4")
    assert said.facts["applicable"] is False
    assert "built into this kernel" in said.facts["reason"]
    assert dccp.tree() == {}


def test_a_module_that_is_not_loaded_is_blocked(dccp):
    probe = run(dccp, "probe").facts
    assert (probe["value"], probe["safe"]) == ("not loaded, not blocked", False)
    assert run(dccp, "preview").facts["would"] == [f"write /{OURS}"]
    said = run(dccp, "apply").facts
    assert (said["safe"], said["persisted"], said["changed"]) == (True, True, True)
    assert dccp.get(OURS).splitlines()[-1] == "install dccp /bin/false"
    before = dccp.tree()
    again = run(dccp, "apply").facts
    assert (again["changed"], again["safe"]) == (False, True)
    assert dccp.tree() == before


def test_a_loaded_module_that_nobody_uses_is_unloaded(dccp):
    dccp.put("proc/modules", UNUSED)
    dccp.program("modprobe", UNLOAD)
    assert run(dccp, "preview").facts["would"] == [f"write /{OURS}", "unload dccp"]
    assert dccp.get("proc/modules") == UNUSED
    said = run(dccp, "apply").facts
    assert (said["value"], said["safe"]) == ("not loaded, blocked", True)


def test_a_module_in_use_is_blocked_for_the_next_boot_and_never_forced_out(dccp):
    dccp.put("proc/modules", USED)
    dccp.program("modprobe", UNLOAD)
    assert "in use" in run(dccp, "preview").facts["reason"]
    said = run(dccp, "apply")
    assert (said.rc, said.facts["safe"], said.facts["persisted"]) == (0, False, True)
    assert said.facts["value"] == "loaded, used by 2 (dccp_ipv4,dccp_diag), blocked"
    assert "reboot the host" in said.facts["reason"]
    assert dccp.get("proc/modules") == USED


def test_a_module_that_will_not_go_says_why(dccp):
    dccp.put("proc/modules", UNUSED)
    dccp.program("modprobe", 'echo "modprobe: FATAL: Module dccp is in use." >&2; exit 1')
    said = run(dccp, "apply")
    assert (said.rc, said.facts["safe"], said.facts["persisted"]) == (0, False, True)
    assert "Module dccp is in use" in said.facts["reason"]


def test_the_block_is_taken_back_once(dccp):
    dccp.put("proc/modules", UNUSED)
    dccp.program("modprobe", UNLOAD)
    run(dccp, "apply")
    assert run(dccp, "unpreview").facts["would"] == [f"remove /{OURS}"]
    said = run(dccp, "rollback").facts
    assert (said["phase"], said["changed"], said["safe"]) == ("rollback", True, True)
    assert (said["prior"], dccp.tree()) == ("yes", {})
    again = run(dccp, "rollback").facts
    assert (again["changed"], again["reason"][:20]) == (False, "nothing to roll back")


def test_dashes_and_underscores_are_the_same(dccp):
    dccp.put("lib/modules/6.1.0-test/modules.dep", "kernel/drivers/net/wan/hdlc-ppp.ko:\n")
    assert run(dccp, "apply", "hdlc-ppp").facts["safe"] is True
    assert run(dccp, "probe", "hdlc_ppp").facts["safe"] is True


def test_where_nothing_can_be_written_nothing_is_unloaded(dccp):
    dccp.put("proc/modules", UNUSED)
    dccp.program("modprobe", UNLOAD)
    dccp.put("etc/modprobe.d", "a file where a directory should be\n")
    said = run(dccp, "apply")
    assert said.rc == 1
    assert said.err.startswith("cannot block dccp, nothing was done")
    assert dccp.get("proc/modules") == UNUSED
