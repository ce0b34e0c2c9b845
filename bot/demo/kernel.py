"""The few kernel calls that a host and its enclave are made of, by ctypes."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
# SYS_MODULE, SYS_RAWIO, SYS_TIME, MKNOD, SYSLOG: they reach past every namespace.
DROPPED = (16, 17, 25, 27, 34)
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000

_libc = ctypes.CDLL(None, use_errno=True)


def mount(
    source: str | Path | None, target: str | Path, kind: str | None, flags: int, data: str = ""
) -> None:
    """Mount, or raise OSError naming the target."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount on {target}")


def unmount(target: str | Path) -> None:
    """Detach the mount at ``target``; what uses it keeps it."""
    _check(_libc.umount2(os.fsencode(target), DETACH), f"umount {target}")


def die_with_parent() -> None:
    """Have the kernel end this process, for certain, when its parent ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")


def unshare() -> None:
    """Leave every namespace but the user's; the next child is pid 1 of the new one."""
    _check(_libc.unshare(NEWNET | NEWUTS | NEWNS | NEWIPC | NEWPID), "unshare")


def sethostname(name: str) -> None:
    """Name the host of this UTS namespace."""
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def drop_dangerous() -> None:
    """Give up, for this process and all that it starts, what reaches past every namespace."""
    for capability in DROPPED:
        _check(_libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


def started(pid: int) -> str:
    """Return when the process started, in clock ticks since boot: a pid and this are unique.

    Empty if there is no such process or only its remains.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


def make_read_only(root: Path) -> None:
    """Make a whole tree of mounts read-only in one step."""
    attributes = (ctypes.c_uint64 * 4)(RDONLY, 0, 0, 0)
    arguments = (AT_FDCWD, os.fsencode(root), AT_RECURSIVE, attributes, 32)
    _check(_libc.syscall(SYS_MOUNT_SETATTR, *arguments), "mount_setattr (needs Linux 5.12)")


def pivot(root: Path) -> None:
    """Make ``root`` the root directory and let go of the old one."""
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    unmount(".")
    os.chdir("/")


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
