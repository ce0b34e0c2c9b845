"""``holdfast serve``: HTTP, workers and Slack in one process, ended cleanly by SIGTERM."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import uvicorn

from bot.app import App, start_workers
from bot.errors import BadInputError, HoldfastError
from bot.web.http import create
from bot.web.slack import Answering
from bot.worker import Launcher

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE = 128 * 1024


class ChatDoor(Protocol):
    """A chat system that is connected while the bot serves."""

    def start(self) -> None:
        """Connect in the background; never raises because the other side is away."""

    def stop(self) -> None:
        """Drain and disconnect."""

    def health(self) -> Mapping[str, Any]:
        """Say how the connection is."""


def listen(address: str) -> socket.socket:
    """Bind ``HOST:PORT``; raise ``BadInputError`` when that cannot be done."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadInputError(f"{address!r} is no address", next="use HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), int(port)))
    except OSError as error:
        sock.close()
        raise BadInputError(
            f"cannot listen on {address}: {error.strerror}", next="choose another --listen"
        ) from error
    return sock


def serve(
    app: App,
    sockets: Sequence[socket.socket],
    doors: Sequence[ChatDoor],
    *,
    launcher: Launcher,
    stop: threading.Event,
) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``. Supervisors of runs go on by themselves."""
    _share_memory()
    workers = start_workers(app, launcher, stop)  # what was under way does not wait for more
    app.sources.known(patience=5.0)

    def health() -> dict[str, Any]:
        return _health(app, [worker.trouble for worker, _ in workers], doors)

    config = uvicorn.Config(
        create(app, health, _slack(doors)),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    if threading.current_thread() is threading.main_thread():
        # uvicorn ends on a signal and then raises it once more; by default that would kill us
        # before the doors are closed and the workers have ended.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_end, args=(server, stop), daemon=True).start()
    for door in doors:
        door.start()
    try:
        server.run(sockets=list(sockets))
    finally:
        stop.set()
        for door in doors:
            door.stop()
        for _, thread in workers:
            thread.join(timeout=10)


def _slack(doors: Sequence[ChatDoor]) -> Answering | None:
    """Return what answers Slack's requests, if one of the doors does."""
    return next((door.http for door in doors if hasattr(door, "http")), None)


def _share_memory() -> None:
    """Let all threads allocate from one heap: each heap of its own keeps what it once needed.

    Large pieces, such as a page, are given back to the kernel as soon as they are sent.
    """
    with contextlib.suppress(AttributeError):  # not every C library has it
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, LARGE)


def _end(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True


def _health(app: App, troubles: Sequence[str], doors: Sequence[ChatDoor]) -> dict[str, Any]:
    problems: dict[str, Any] = {}
    try:
        app.site.store.ping()
    except HoldfastError as error:
        problems["store"] = error.as_dict()
    if said := [trouble for trouble in troubles if trouble]:
        problems["worker"] = said[0]
    warnings: dict[str, Any] = {}
    if app.sources.trouble:
        warnings["inventory"] = app.sources.trouble
    runbooks: dict[str, Any] = {}
    try:
        library = app.sources.library()
        left_out = [str(problem) for problem in library.problems]
        runbooks = {
            "revision": app.sources.library_revision(),
            "used": len(library.runbooks),
            "left_out": len({problem.file for problem in library.problems}),
        }
        if bad := [one for one in (app.sources.bookshelf.trouble, *left_out) if one]:
            warnings["runbooks"] = bad
    except HoldfastError as error:
        warnings["runbooks"] = [str(error)]
    chat = [dict(door.health()) for door in doors]
    return {
        "ok": not problems,
        "problems": problems,
        "warnings": warnings,
        "runbooks": runbooks,
        "chat": chat,
    }
