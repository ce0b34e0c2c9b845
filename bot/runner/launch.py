"""Start a supervisor process for a queued run, in a session of its own.

It is forked from the fork server (``bot.runner.forkserver``); as long as that is not ready, or when
it is gone, the supervisor is started as a program.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ConflictError, UnavailableError
from bot.ports import Run
from bot.runner import scratch, trace
from bot.runner.forked import Forked, ForkServer

log = logging.getLogger(__name__)

STARTS = 4
PACE = 5.0
STUCK = 120.0
FORGET = 600.0
AGAIN = 60.0
"""Seconds between two starts of the fork server."""


@dataclass(slots=True)
class _Start:
    """The starts of one run's supervisor so far."""

    times: int = 0
    at: float = 0.0
    child: subprocess.Popen[bytes] | Forked | None = None


class Launcher:
    """Starts ``holdfast run IDENT`` so that it outlives the bot, and reaps what has ended."""

    def __init__(
        self, config: Path, state: Path, memory: Callable[[Run], bytes] = lambda _: b""
    ) -> None:
        """``memory`` returns what a run's supervisor reads from its standard input."""
        self._memory = memory
        self.config = config.resolve()
        self._log_dir = state / "log"
        self._runs = state / "runs"
        self._starts: dict[str, _Start] = {}
        self._lock = threading.Lock()
        self.server: ForkServer | None = None
        self._served = -AGAIN

    def launch(self, run: Run) -> None:
        """Start the supervisor of a queued run unless one of this process is at it.

        A supervisor that ended without taking its run is started again after a while, a few times:
        then ``ConflictError`` says where to read why.
        """
        self.reap()
        ident = run.ident
        with self._lock:
            start = self._starts.setdefault(ident, _Start())
            waited = time.monotonic() - start.at
            if start.child is not None and waited > STUCK:
                start.child.kill()
            if start.child is not None or (start.times and waited < PACE):
                return
            if start.times >= STARTS:
                del self._starts[ident]
                raise ConflictError(
                    f"its supervisor was started {STARTS} times and did not take it",
                    where=str(self._log(ident)),
                    next="read that file",
                )
            start.times, start.at = start.times + 1, time.monotonic()
            start.child = self._start(run)

    def command(self, ident: str) -> list[str]:
        """Return the command of a run's supervisor."""
        return [sys.executable, "-m", "bot", "--config", str(self.config), "run", ident]

    def serve(self) -> None:
        """Start the fork server unless it runs; the first run does."""
        now = time.monotonic()
        if (self.server is None or not self.server.alive) and now - self._served >= AGAIN:
            self._served = now
            self.close()
            try:
                self._log_dir.mkdir(parents=True, exist_ok=True)
                self.server = ForkServer(self._log("forkserver"))
            except OSError as error:
                log.warning("there is no fork server", extra={"error": str(error)})

    def close(self) -> None:
        """Let the fork server end; supervisors go on."""
        if self.server is not None:
            self.server.close()
            self.server = None

    def _start(self, run: Run) -> subprocess.Popen[bytes] | Forked:
        ident = run.ident
        command = self.command(ident)
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            # In memory, not in a pipe: the bot may die before the supervisor has read it.
            memory = os.fdopen(os.memfd_create("inventory", os.MFD_CLOEXEC), "w+b")
            with memory, self._log(ident).open("ab") as output:
                memory.write(self._memory(run))
                memory.seek(0)
                env = {**os.environ, trace.MARK: str(self._runs / ident)}
                forked = self._fork(command, env, memory.fileno(), output.fileno())
                return forked or subprocess.Popen(  # noqa: S603 - our own program, no shell
                    command,
                    stdin=memory,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=env,
                )
        except OSError as error:
            raise UnavailableError(
                f"no supervisor can be started: {error.strerror or error}",
                where=str(self._log(ident)),
                next="free disk space, memory or processes; it is tried again",
            ) from error

    def _fork(
        self, command: list[str], env: Mapping[str, str], stdin: int, output: int
    ) -> Forked | None:
        if self.server is not None:
            forked = self.server.fork(command, env, stdin, output)
            if forked is not None:
                return forked
        self.serve()
        return None

    def started(self) -> list[str]:
        """Return the runs whose supervisors this process has started and not collected."""
        with self._lock:
            return [ident for ident, start in self._starts.items() if start.child is not None]

    def withdraw(self, ident: str) -> None:
        """End the supervisor of a run that was cancelled before anybody took it."""
        with self._lock:
            start = self._starts.get(ident)
            if start is not None and start.child is not None:
                start.child.kill()

    def gone(self, run: Run) -> bool:
        """Say whether a running run's supervisor was a process of this machine and is gone."""
        return trace.gone(run.worker, self._runs / run.ident)

    def end(self, ident: str) -> None:
        """Kill whatever is alive of a run on this machine, before it is given up."""
        trace.end(self._runs / ident)
        scratch.remove(self._runs / ident)

    def tidy(self) -> None:
        """Forget what is in memory for runs that were killed while no bot was there."""
        scratch.sweep(self._runs)

    def _log(self, ident: str) -> Path:
        return self._log_dir / f"{ident}.log"

    def reap(self) -> None:
        """Collect supervisors that have ended."""
        with self._lock:
            for ident, start in list(self._starts.items()):
                code = start.child.poll() if start.child is not None else None
                if code is not None:
                    start.child = None
                    self._tidy(ident)
                if code == 0 or (start.child is None and time.monotonic() - start.at > FORGET):
                    del self._starts[ident]

    def _tidy(self, ident: str) -> None:
        """Remove the log of a supervisor that had nothing to say."""
        with contextlib.suppress(OSError):
            if self._log(ident).stat().st_size == 0:
                self._log(ident).unlink()
