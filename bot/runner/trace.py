"""Which processes belong to a run: each of them has the run's mark in its environment.

Parents and sessions tell nothing: Ansible's workers leave the session, and orphans change parents.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

MARK = "HOLDFAST_RUN"
"""The variable that holds a run's directory, in its supervisor and in all that it starts."""
PATIENCE = 5.0


def here() -> str:
    """Name this place: processes of the same place see each other, since its last boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return f"{socket.gethostname()}.{boot[:8]}.{Path('/proc/self/ns/pid').stat().st_ino}"


def worker() -> str:
    """Name this process for the runs that it claims."""
    return f"{here()}.{os.getpid()}"


def gone(name: str, directory: Path) -> bool:
    """Say whether the supervisor ``name`` of the run was a process of this place and is gone."""
    place, _, pid = name.rpartition(".")
    if place != here():
        return False
    try:
        return not _belongs(pid, directory)
    except PermissionError:  # it cannot be told; the heartbeat tells
        return False
    except OSError:
        return True


def processes(directory: Path) -> list[int]:
    """Return the pids of every process of the run that is alive on this machine."""
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if entry.name.isdigit() and _belongs(entry.name, directory):
                found.append(int(entry.name))
    return found


def end(directory: Path) -> None:
    """Kill every process of the run on this machine, stopped ones too, until none is left."""
    until = time.monotonic() + PATIENCE
    while (left := processes(directory)) and time.monotonic() < until:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _belongs(pid: str, directory: Path) -> bool:
    environment = Path("/proc", pid, "environ").read_bytes()
    return f"{MARK}={directory}".encode() in environment.split(b"\0")
