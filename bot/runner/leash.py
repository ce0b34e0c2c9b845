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

Under the fork server a supervisor comes with a leash that is there already, and has Ansible's
imports (``wait_for_ansible``). Then the program only tells it what to run, hands it the terminal and
waits for the exit code; so ansible-runner sees no difference. If that leash is gone, the program is
the leash.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    import socket

LIMIT = 10.0
"""Seconds for which a lease is good without being renewed."""
LOOK = 0.1
RENEW = 1.0
GRACE = 0.2
"""Seconds that Ansible has to end by itself. It is given no more: an abort is to take less than one."""
PATIENCE = 5.0
ENDED = 128 + signal.SIGTERM
PDEATHSIG, SUBREAPER = 1, 36  # of prctl(2)
THROUGH = "--through=1"
"""The word before the command if a leash is there already, with the number of its protocol: the
program may be a newer one than the leash, when the package was upgraded under a running bot."""
SOCKET = "leash"
"""Where a leash that is there already listens: a name in the lease's directory."""
LONGEST = 1 << 16

ready: socket.socket | None = None
"""Leads to the leash that this process was forked with, if it was."""
MEMORY = "memory"
"""The name of a link in a run's directory: to what Ansible writes in passing, see ``scratch``."""


def now() -> int:
    """Return nanoseconds of a clock that also counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def command(lease: Lease, words: Sequence[str]) -> list[str]:
    """Return the command that runs ``words`` on the leash of this process."""
    through = [THROUGH] if _listens(lease) else []
    holder = str(os.getpid())
    return [sys.executable, "-I", "-S", __file__, holder, str(lease.path), *through, *words]


def _listens(lease: Lease) -> bool:
    """Ask the leash that this process was forked with to wait for its command."""
    if ready is None:
        return False
    try:
        ready.settimeout(PATIENCE)
        ready.send(str(lease.path).encode())
        return ready.recv(LONGEST) == b"listens"
    except OSError:
        return False


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


def _start(act: Callable[[], object]) -> int:
    """Start a child that does ``act``; it is killed if this process is."""
    me = os.getpid()
    child = os.fork()
    if child:
        return child
    _prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != me:
        os._exit(127)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    act()
    os._exit(127)


def _execute(words: Sequence[str]) -> None:
    try:
        os.execvp(words[0], list(words))  # noqa: S606 - the supervisor's own command, no shell
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201


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


def _watch(holder: int, lease: str, child: int, gone: Callable[[], bool]) -> int:
    """Wait for the command, or for a reason to end it; return its exit code."""
    end = math.inf
    while True:
        got = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, LOOK)
        if (code := _reap(child)) is not None:
            return code
        told = got is not None and got.si_signo == signal.SIGTERM
        if told or (end == math.inf and gone()):
            # Ansible's main process takes its workers along; killed, it would leave them.
            os.kill(child, signal.SIGTERM)
            end = min(end, time.monotonic() + GRACE)
        elif time.monotonic() >= end or (end == math.inf and not _held(holder, lease)):
            return ENDED


def main(holder: int, lease: str, words: Sequence[str]) -> int:
    """Run the command on the leash; return its exit code, 128 + n when signal n ended it."""
    if words[0].startswith("--through="):
        told, *words = words
        code = _through(lease, words) if told == THROUGH else None
        if code is not None:
            return code
    return _hold(holder, lease, lambda: _execute(words))


def _hold(
    holder: int, lease: str, act: Callable[[], object], gone: Callable[[], bool] = lambda: False
) -> int:
    _prctl(PDEATHSIG, signal.SIGTERM)
    _prctl(SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    if not _held(holder, lease):
        return ENDED
    code = _watch(holder, lease, _start(act), gone)
    _end_all()
    if os.getppid() != holder:
        _forget(Path(lease).parent / MEMORY)
    return code


def _through(lease: str, words: Sequence[str]) -> int | None:
    """Have the leash that is there run the command; None if there is none."""
    import _socket  # noqa: PLC0415 - ``socket`` itself would double the cost of this program

    here = os.open(Path(lease).parent, os.O_PATH)  # the path itself may be too long
    wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    variables = [f"{name}={value}" for name, value in os.environ.items()]
    told = "\0".join([os.getcwd(), str(len(words)), *words, *variables])  # noqa: PTH109
    output = b"".join(n.to_bytes(4, sys.byteorder) for n in (1, 2))
    try:
        wire.connect(f"/proc/self/fd/{here}/{SOCKET}")
        handed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, output)]
        wire.sendmsg([os.fsencode(told)], handed)
    except OSError:
        return None
    try:
        return int(wire.recv(LONGEST))
    except (OSError, ValueError):
        return 128 + signal.SIGKILL


def wait_for_ansible(
    channel: socket.socket,
    holder: int,
    become: Callable[[Sequence[str], Mapping[str, str]], NoReturn],
) -> NoReturn:
    """Be the leash of the process ``holder``, this one's parent, once it sends its lease.

    ``become`` turns a forked child into the command, by its words and its environment.
    """
    import select  # noqa: PLC0415
    import socket  # noqa: PLC0415

    _prctl(PDEATHSIG, signal.SIGTERM)
    lease = channel.recv(LONGEST).decode()
    if not lease or os.getppid() != holder:
        os._exit(0)
    os.setsid()
    here = os.open(Path(lease).parent, os.O_PATH)
    place = Path(f"/proc/self/fd/{here}", SOCKET)
    place.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(str(place))
    door.listen(1)
    channel.send(b"listens")
    wire, _ = door.accept()
    place.unlink()
    data, descriptors, _, _ = socket.recv_fds(wire, LONGEST, 2)
    directory, count, *texts = os.fsdecode(data).split("\0")
    words, variables = texts[: int(count)], texts[int(count) :]
    os.chdir(directory)
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    leading = (here, door.detach(), channel.detach())
    for used in leading:
        os.close(used)

    def act() -> None:
        wire.close()
        become(words, dict(text.split("=", 1) for text in variables))

    def gone() -> bool:
        return bool(select.select([wire], [], [], 0)[0])

    code = _hold(holder, lease, act, gone)
    with suppress(OSError):
        wire.send(str(code).encode())
    os._exit(0)


def _forget(link: Path) -> None:
    """Remove, in place of a supervisor that was killed, what nobody has redacted."""
    import shutil  # noqa: PLC0415 - seldom needed, and costs a third of a start

    with suppress(OSError):
        shutil.rmtree(link.readlink())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
