"""Prove that the fleet is one: hosts and boots differ, and nothing that is written leaves a host.

A rollout test on a fleet that fails this proves nothing. ``python -m bot.demo.enclave python -m
bot.demo.selftest [--size N]`` prints one line a check and exits 1 if one fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.demo.fleet import KNOB, Fleet, plan
from bot.errors import BadInputError, HoldfastError

MARKER = "/etc/holdfast-selftest"
PERSISTED = "/etc/sysctl.d/99-zz-holdfast-selftest.conf"
SACK = "net.ipv4.tcp_sack"  # another knob that every kernel has for each network namespace
# The machine's own: opened for writing, and nothing is written even where that succeeds.
FORBIDDEN = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/swappiness",
    "/proc/sysrq-trigger",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One statement about the fleet, whether it holds, and what was seen."""

    name: str
    ok: bool
    detail: str


def selftest(fleet: Fleet) -> list[Check]:
    """Check a fleet that is up; it needs a patched and an unpatched host of different releases.

    The patched host is rebooted three times and is left as it was found.
    """
    patched = [name for name, spec in fleet.hosts.items() if spec.patched]
    others = [name for name, spec in fleet.hosts.items() if not spec.patched]
    if not patched or not others:
        raise BadInputError(
            "the self-test compares a patched host with an unpatched one",
            next="give the fleet one of each",
        )
    return list(_checks(fleet, patched[0], others[0]))


def _checks(fleet: Fleet, host: str, other: str) -> Iterator[Check]:
    yield _login(fleet, host)
    yield _differ("two hosts differ in boot id", fleet.boot_id, host, other)
    yield _differ(
        "two hosts differ in kernel release", lambda name: _release(fleet, name), host, other
    )
    there, absent = fleet.read(host, KNOB), fleet.read(other, KNOB)
    yield Check(
        name="two hosts differ in the presence of the knob",
        ok=there == "1" and absent is None,
        detail=f"{host} has {there}, {other} has {absent}",
    )
    yield _differ(
        "two hosts differ in /etc", lambda name: _file(fleet, name, "/etc/hostname"), host, other
    )
    yield from _stays_home(fleet, host)
    for path in FORBIDDEN:
        yield _refused(fleet, host, path)
    yield _same_value_refused(fleet, host)
    yield from _boots(fleet, host)


def _login(fleet: Fleet, host: str) -> Check:
    shown = fleet.ssh(host, "cat /proc/sys/kernel/random/boot_id")
    return Check(
        name="a real ssh login reaches the host",
        ok=shown.stdout.strip() == fleet.boot_id(host) != "",
        detail=shown.stdout.strip() or shown.stderr.strip(),
    )


def _differ(name: str, look: Callable[[str], str], host: str, other: str) -> Check:
    first, second = look(host), look(other)
    return Check(
        name=name,
        ok=bool(first) and bool(second) and first != second,
        detail=f"{host} has {first or 'nothing'}, {other} has {second or 'nothing'}",
    )


def _stays_home(fleet: Fleet, host: str) -> Iterator[Check]:
    """Write a setting and two files on one host; look for them everywhere else."""
    rest = [name for name in fleet.hosts if name != host]
    before = {name: fleet.read(name, SACK) for name in rest}
    outside = Path("/proc/sys/net/ipv4/tcp_sack")
    machine = outside.read_text(encoding="ascii")
    old = fleet.read(host, SACK)
    fleet.write(host, SACK, "0" if old == "1" else "1")
    leaked = [name for name in rest if fleet.read(name, SACK) != before[name]]
    leaked += ["the machine"] if outside.read_text(encoding="ascii") != machine else []
    yield Check(
        name="a setting that is written stays on its host",
        ok=not leaked and fleet.read(host, SACK) != old,
        detail=f"{SACK} changed on {', '.join([host, *leaked])}",
    )
    fleet.write(host, SACK, old or "1")
    for path in (MARKER, "/tmp/holdfast-selftest"):  # noqa: S108 - on the host, to see it stay there
        fleet.run(host, "tee", path, input=host)
        leaked = [name for name in rest if _file(fleet, name, path)]
        leaked += ["the machine"] if Path(path).exists() else []
        yield Check(
            name=f"a file that is written in {Path(path).parent} stays on its host",
            ok=not leaked and _file(fleet, host, path) == host,
            detail=f"{path} is on {', '.join([host, *leaked])}",
        )


def _refused(fleet: Fleet, host: str, path: str) -> Check:
    tried = fleet.run(host, "sh", "-c", f": >> {path}")
    return Check(
        name=f"{path} of the machine cannot be opened for writing",
        ok=tried.returncode != 0,
        detail=tried.stderr.strip() or "it opened",
    )


def _same_value_refused(fleet: Fleet, host: str) -> Check:
    """Try a real write, over the network as the login user, of the value that is there already."""
    path = FORBIDDEN[0]
    tried = fleet.ssh(host, f'v=$(cat {path}) && printf "%s\\n" "$v" > {path}')
    return Check(
        name="a write to kernel.core_pattern is refused",
        ok=tried.returncode not in (0, 255),
        detail=tried.stderr.strip() or "it was written",
    )


def _boots(fleet: Fleet, host: str) -> Iterator[Check]:
    """Reboot with an unpersisted value, with a persisted one, and without it again."""
    first = fleet.boot_id(host)
    fleet.write(host, KNOB, "0")
    fleet.reboot(host, down_for=0.1)
    second = fleet.boot_id(host)
    yield Check(
        name="two boots of a host differ in boot id",
        ok=bool(first) and bool(second) and first != second,
        detail=f"{first}, then {second}",
    )
    yield Check(
        name="/etc outlives a reboot",
        ok=_file(fleet, host, MARKER) == host,
        detail=f"{MARKER} says {_file(fleet, host, MARKER) or 'nothing'}",
    )
    yield _value("a value that is not persisted is gone after a reboot", fleet, host, "1")
    fleet.run(host, "tee", PERSISTED, input=f"{KNOB.replace('.', '/')} = 0\n")
    fleet.reboot(host, down_for=0.1)
    yield _value("a persisted value is in force at boot", fleet, host, "0")
    fleet.run(host, "rm", PERSISTED, MARKER)
    fleet.reboot(host, down_for=0.1)
    yield _value("the default is back once it is no longer persisted", fleet, host, "1")


def _value(name: str, fleet: Fleet, host: str, wanted: str) -> Check:
    found = fleet.read(host, KNOB)
    return Check(name=name, ok=found == wanted, detail=f"{KNOB} is {found}, {wanted} is wanted")


def _release(fleet: Fleet, host: str) -> str:
    """Return what both ways of asking say; nothing if they do not agree."""
    asked = fleet.ssh(host, "uname -r").stdout.strip()
    return asked if asked == fleet.read(host, "kernel.osrelease") else ""


def _file(fleet: Fleet, host: str, path: str) -> str:
    return fleet.run(host, "cat", path).stdout.strip()


def main() -> None:
    """Start a fleet, check it, print one line a check."""
    parser = argparse.ArgumentParser(prog="python -m bot.demo.selftest", description=__doc__)
    parser.add_argument("--size", type=int, default=3, help="how many hosts (2 or more)")
    options = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="holdfast-") as folder,
            Fleet(Path(folder), plan(options.size)) as fleet,
        ):
            checks = selftest(fleet)
    except HoldfastError as error:
        sys.exit(f"selftest: {error}")
    for check in checks:
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name} ({check.detail})")
    sys.exit(0 if all(check.ok for check in checks) else 1)


if __name__ == "__main__":
    main()
