"""Listens to PostgreSQL for commits of other processes, on a connection and thread of its own."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from bot.store.bell import Bell

log = logging.getLogger(__name__)

CHANNEL = "holdfast"
PAUSE = 1.0
DEAF = 0.3


class Ear:
    """Rings the bell for every notification that is not our own.

    The thread starts with the first sleeper. When the connection breaks it is made anew, and
    until then ``limit`` keeps sleepers to short naps.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], bell: Bell, own: str
    ) -> None:
        self._connect = connect
        self._bell = bell
        self._own = own
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._hears = threading.Event()
        self._inside, self._outside = socket.socketpair()

    def limit(self, seconds: float) -> float:
        """Return how long a sleeper may sleep without missing a commit for long."""
        with self._mutex:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
                self._thread.start()
        return seconds if self._hears.is_set() else min(seconds, DEAF)

    def close(self) -> None:
        """End the thread and its connection."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._outside.send(b".")
        if self._thread is not None:
            self._thread.join()
        self._inside.close()
        self._outside.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._listen(connection)
            except (psycopg.Error, OSError) as error:
                log.warning("the database cannot be heard", extra={"error": str(error)})
            self._hears.clear()
            self._stop.wait(PAUSE)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._hears.set()
        # Something may have been committed while nobody listened.
        self._bell.ring()
        while not self._stop.is_set():
            select.select([connection.fileno(), self._inside.fileno()], [], [])
            for heard in connection.notifies(timeout=0):
                if heard.payload != self._own:
                    self._bell.ring()
