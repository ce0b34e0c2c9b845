"""The machine that tests share with each other: its patience and its ports."""

from __future__ import annotations

import os
import socket

# How much longer a wait may last where tests share a machine: CI has 2 cores for 4 workers.
PATIENCE = 4 if os.environ.get("CI") or os.environ.get("PYTEST_XDIST_WORKER") else 1

WIDTH = 1_000
_given: set[int] = set()


def free_port() -> int:
    """Return a port that is free, and that nobody is given by chance before it is used.

    Whatever connects, or asks for any port, gets an ephemeral one (from 32768 on). Such a port,
    looked up and let go, may be gone before the program that is started binds it, or while a bot
    that was killed is away. So these lie lower, and each worker of xdist has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + worker % 20 * WIDTH
    for number in range(WIDTH):
        port = first + (os.getpid() + number) % WIDTH
        if port not in _given and _free(port):
            _given.add(port)
            return port
    raise AssertionError(f"no port is free from {first} to {first + WIDTH}")


def _free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
