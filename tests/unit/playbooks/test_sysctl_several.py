from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Sequence

import pytest

from tests.unit.playbooks.machine import FILES, Machine, Said

LOW, HIGH = "net.ipv4.ipfrag_low_thresh", "net.ipv4.ipfrag_high_thresh"
SETTINGS = (f"{LOW}=196608", f"{HIGH}=262144", "net.ipv6.ip6frag_low_thresh=196608")
OURS = f"etc/sysctl.d/99-zz-holdfast-several-{LOW}.conf"
# A tee that refuses what the kernel would: a low bound above the high one, or the other way round.
BOUNDED = """\
read -r value
low=$ROOT/proc/sys/net/ipv4/ipfrag_low_thresh high=$ROOT/proc/sys/net/ipv4/ipfrag_high_thresh
case $1 in
  "$low") [ "$value" -le "$(cat "$high")" ] ;;
  "$high") [ "$value" -ge "$(cat "$low")" ] ;;
esac || { echo "tee: $1: Invalid argument" >&2; exit 1; }
echo "$value" > "$1"
"""


def run(machine: Machine, phase: str, settings: Sequence[str] = SETTINGS) -> Said:
    head = {"phase": phase, "ref": "P-1", "root": str(machine.root), "settings": ";".join(settings)}
    lines = [f"{name}={shlex.quote(value)}" for name, value in head.items()]
    script = [*lines, (FILES / "sysctl.sh").read_text(), (FILES / "sysctl-several.sh").read_text()]
    done = subprocess.run(
        [*machine.shell, "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{machine.root}/bin:{os.environ['PATH']}", "ROOT": str(machine.root)},
    )
    out = done.stdout.splitlines()
    assert len(out) <= 1
    return Said(rc=done.returncode, err=done.stderr, facts=json.loads(out[0]) if out else {})


@pytest.fixture
def router(machine):
    machine.put("proc/sys/net/ipv4/ipfrag_low_thresh", "3145728\n")
    machine.put("proc/sys/net/ipv4/ipfrag_high_thresh", "4194304\n")
    machine.program("tee", BOUNDED)
    return machine


def values(machine: Machine) -> list[int]:
    return [int(machine.get(f"proc/sys/net/ipv4/ipfrag_{name}_thresh")) for name in ("low", "high")]


def test_a_host_with_none_of_the_keys_is_not_applicable(machine):
    for phase in ("probe", "preview", "apply", "rollback", "unpreview"):
        said = run(machine, phase)
        assert (said.rc, said.facts["applicable"]) == (0, False)
    assert machine.tree() == {}


def test_keys_that_bound_each_other_are_lowered_and_restored_in_the_right_order(router):
    assert run(router, "preview").facts["would"] == [
        f"{LOW}: 3145728 -> 196608",
        f"{HIGH}: 4194304 -> 262144",
        f"write /{OURS}",
    ]
    said = run(router, "apply")
    assert said.rc == 0, said.err
    assert values(router) == [196608, 262144]
    assert (said.facts["safe"], said.facts["persisted"], said.facts["changed"]) == (
        True,
        True,
        True,
    )
    assert said.facts["reason"] == "this kernel has no net.ipv6.ip6frag_low_thresh"
    before = router.tree()
    again = run(router, "apply").facts
    assert (again["changed"], router.tree()) == (False, before)
    assert run(router, "preview").facts["would"] == []

    assert run(router, "unpreview").facts["would"][0] == f"{HIGH}: 262144 -> 4194304"
    back = run(router, "rollback")
    assert back.rc == 0, back.err
    assert (values(router), router.tree()) == ([3145728, 4194304], {})
    assert (back.facts["safe"], back.facts["changed"]) == (True, True)
    assert run(router, "rollback").facts["changed"] is False


def test_at_boot_they_are_set_in_the_same_order(router):
    run(router, "apply")
    lines = [line for line in router.get(OURS).splitlines() if not line.startswith("#")]
    assert lines == [f"{LOW} = 196608", f"{HIGH} = 262144"]


def test_the_wrong_order_is_refused_and_everything_is_as_it_was(router):
    said = run(router, "apply", (f"{HIGH}=262144", f"{LOW}=196608"))
    assert said.rc == 1
    assert "nothing was changed" in said.err
    assert "Invalid argument" in said.err
    assert (values(router), router.tree()) == ([3145728, 4194304], {})


def test_what_was_written_before_a_refusal_is_put_back(router):
    said = run(router, "apply", (f"{LOW}=196608", f"{HIGH}=100000"))
    assert said.rc == 1
    assert (values(router), router.tree()) == ([3145728, 4194304], {})
    assert said.facts["changed"] is False


def test_a_later_file_that_wins_is_named(router):
    router.put("etc/sysctl.conf", f"{HIGH} = 4194304\n")
    said = run(router, "apply").facts
    assert (said["safe"], said["persisted"]) == (True, False)
    assert "/etc/sysctl.conf sets it to 4194304" in said["reason"]
