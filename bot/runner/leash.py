"""Runs Ansible on a leash: it and all that it starts end when its supervisor does.

``python -I -S leash.py HOLDER LEASE COMMAND…`` is a process of its own between supervisor and
Ansible. ``HOLDER`` is the supervisor's pid, ``LEASE`` a file that the supervisor renews. Whatever
Ansible leaves behind (its workers have sessions of their own, shared ssh connections detach
themselves) is handed to this process by the kernel, so nothing is out of its reach. It ends

- everything, gently first, when it is told to (SIGTERM),
- everything at once, when the supervisor is gone or has not renewed the lease for ``LIMIT``,
- what is left over, when Ansible has ended by itself.

If the supervisor is gone by then, it also removes what Ansible has written in passing.

A supervisor that was stopped for longer finds its lease lapsed for ever: the run that others have
meanwhile given up is neither begun nor gone on with. ``LIMIT`` is well below the time after which
a silent run is given up (``Site.heartbeat``).

The program knows the standard library only and is started without site packages: 15 ms.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

LIMIT = 10.0
"""Seconds for which a lease is good without being renewed."""
LOOK = 0.1
RENEW = 1.0
GRACE = 0.2
"""Seconds that Ansible has to end by itself. It is given no more: an abort is to take less than one."""
PATIENCE = 5.0
ENDED = 128 + signal.SIGTERM
PDEATHSIG, SUBREAPER = 1, 36  # of prctl(2)
MEMORY = "memory"
"""The name of a link in a run's directory: to what Ansible writes in passing, see ``scratch``."""


def now() -> int:
    """Return nanoseconds of a clock that also counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def command(lease: Lease, words: Sequence[str]) -> list[str]:
    """Return the command that runs ``words`` on the leash of this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(lease.path), *words]


class Lease:
    """The supervisor's end: renewed by a thread until it is given up or has lapsed.

    It begins to run when it is made. ``lapsed`` never becomes false again.
    """

    def __init__(self) -> None:
        self._last = now()
        self._file = -1
        self._over = threading.Event()
        self._mutex = threading.Lock()
        self.path = Path()
        self.lapsed = False
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write_to(self, path: Path) -> None:
        """Put the lease where the leash reads it."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.renew()

    def renew(self) -> None:
        """Renew the lease, unless it has lapsed or was given up."""
        with self._mutex:
            at = now()
            self.lapsed = self.lapsed or at - self._last > LIMIT * 1e9
            if self.lapsed or self._over.is_set():
                at = 0
            self._last = at or self._last
            if self._file >= 0:
                with suppress(OSError):
                    os.pwrite(self._file, b"%020d" % at, 0)

    def give_up(self) -> None:
        """End the lease: nothing is begun on it any more."""
        self._over.set()
        self.renew()

    def _keep(self) -> None:
        while not self._over.wait(RENEW):
            self.renew()


def _held(holder: int, lease: str) -> bool:
    """Say whether the supervisor lives and has renewed its lease of late."""
    try:
        last = int(Path(lease).read_bytes())
    except (OSError, ValueError):
        return False
    return os.getppid() == holder and now() - last <= LIMIT * 1e9


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(words: Sequence[str]) -> int:
    """Start the command; it is killed if this process is."""
    me = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        _prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() == me:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvp(words[0], list(words))  # noqa: S606 - the supervisor's own command, no shell
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        os._exit(127)


def _reap(child: int) -> int | None:
    """Collect what has ended; return the exit code of ``child`` if it is among it."""
    code = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                ended = os.waitstatus_to_exitcode(status)
                code = 128 - ended if ended < 0 else ended
    return code


def _below() -> list[int]:
    """Return every process below this one, parents before their children."""
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2]
                parents.setdefault(int(fields.split()[1]), []).append(int(entry.name))
    found = [os.getpid()]
    for pid in found:
        found += parents.get(pid, ())
    return found[1:]


def _end_all() -> None:
    """Kill whatever is below this process until nothing is left."""
    end = time.monotonic() + PATIENCE
    while (left := _below()) and time.monotonic() < end:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        _reap(0)


def _watch(holder: int, lease: str, child: int) -> int:
    """Wait for the command, or for a reason to end it; return its exit code."""
    end = math.inf
    while True:
        got = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, LOOK)
        if (code := _reap(child)) is not None:
            return code
        if got is not None and got.si_signo == signal.SIGTERM:
            # Ansible's main process takes its workers along; killed, it would leave them.
            os.kill(child, signal.SIGTERM)
            end = min(end, time.monotonic() + GRACE)
        elif time.monotonic() >= end or (end == math.inf and not _held(holder, lease)):
            return ENDED


def main(holder: int, lease: str, words: Sequence[str]) -> int:
    """Run the command on the leash; return its exit code, 128 + n when signal n ended it."""
    _prctl(PDEATHSIG, signal.SIGTERM)
    _prctl(SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    if not _held(holder, lease):
        return ENDED
    code = _watch(holder, lease, _start(words))
    _end_all()
    if os.getppid() != holder:
        _forget(Path(lease).parent / MEMORY)
    return code


def _forget(link: Path) -> None:
    """Remove, in place of a supervisor that was killed, what nobody has redacted."""
    import shutil  # noqa: PLC0415 - seldom needed, and costs a third of a start

    with suppress(OSError):
        shutil.rmtree(link.readlink())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
