"""The bot's end of the fork server: starts it, asks it for supervisors, and does without it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.runner import forkserver, trace
from bot.runner.ansible import KEPT

log = logging.getLogger(__name__)

PATIENCE = 5.0


@dataclass(slots=True)
class Forked:
    """A process that the fork server has forked: a child in all but name."""

    server: ForkServer
    pid: int
    descriptor: int
    """Of the process (pidfd): its number may be another process's by the time it is killed."""

    def poll(self) -> int | None:
        """Return its exit code once it has ended; 1 if nobody is left who knows it."""
        if self.pid not in self.server.ends:
            self.server.listen()
        code = self.server.ends.pop(self.pid, None)
        if code is not None:
            self._close()
            return code
        if self.server.alive or not select.select([self.descriptor], [], [], 0)[0]:
            return None
        self._close()
        return 1

    def kill(self) -> None:
        """Kill it."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class ForkServer:
    """One fork server process. ``ends`` are exit codes, ``costs`` CPU seconds, by pid."""

    def __init__(self, log_file: Path) -> None:
        """Start it. It takes about two seconds to be ready; OSError if it cannot be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        names = (*KEPT, "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
        env = {name: os.environ[name] for name in names if name in os.environ}
        env.setdefault("LANG", "C.UTF-8")
        # Room where the kernel shows the environment and the arguments, see ``forkserver._Place``.
        env[trace.MARK] = " " * forkserver.ROOM
        words = [sys.executable, "-m", "bot.runner.forkserver", " " * forkserver.ROOM]
        try:
            with theirs, log_file.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    words,
                    stdin=theirs.fileno(),
                    stdout=output,
                    stderr=output,
                    env=env,
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            raise
        self._channel = ours
        self._requests = itertools.count(1)
        self._answers: dict[int, int] = {}
        self.ready = False
        self.ends: dict[int, int] = {}
        self.costs: dict[int, float] = {}

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Let it end; what it has forked goes on."""
        self.listen()
        if not self.ready:  # it is importing, and has forked nothing
            self._process.kill()
        self._channel.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:  # it is still importing, or hangs
            self._process.kill()
            self._process.wait()

    def fork(
        self, words: Sequence[str], env: Mapping[str, str], stdin: int, output: int
    ) -> Forked | None:
        """Fork the supervisor that ``words`` would start; None if it is not to be had.

        ``env`` is its environment, with the mark of its run. It is handed over in memory, and the
        fork server does not read it.
        """
        self.listen()
        if not (self.ready and self.alive):
            return None
        number = next(self._requests)
        request = {"request": number, "words": list(words), "mark": env[trace.MARK]}
        memory = os.memfd_create("environment", os.MFD_CLOEXEC)
        try:
            with open(memory, "w", closefd=False) as file:
                json.dump(dict(env), file)
            os.lseek(memory, 0, os.SEEK_SET)
            socket.send_fds(self._channel, [json.dumps(request).encode()], [stdin, output, memory])
            while number not in self._answers:
                if not self.listen(PATIENCE):
                    log.warning("the fork server does not answer", extra={"pid": self.pid})
                    self._process.kill()
                    return None
            pid = self._answers.pop(number)
            return Forked(self, pid, os.pidfd_open(pid))
        except OSError as error:
            log.warning("the fork server failed", extra={"error": str(error)})
            return None
        finally:
            os.close(memory)

    def listen(self, seconds: float = 0.0) -> bool:
        """Take in what it says; False if it said nothing within this time."""
        heard = False
        while select.select([self._channel], [], [], 0 if heard else seconds)[0]:
            try:
                data = self._channel.recv(forkserver.LONGEST)
            except OSError:
                data = b""
            if not data:
                return heard
            heard = True
            self._note(json.loads(data))
        return heard

    def _note(self, said: Mapping[str, Any]) -> None:
        if "ready" in said:
            self.ready = True
        elif "request" in said:
            self._answers[said["request"]] = said["pid"]
        else:
            self.ends[said["pid"]], self.costs[said["pid"]] = said["code"], said["cpu"]
