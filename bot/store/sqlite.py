"""What SQLite does in its own way."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    TableValuedAlias,
    create_engine,
    event,
    func,
)
from sqlalchemy import literal as value
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from bot.errors import BadInputError
from bot.ports import Clock
from bot.store.bell import Bell
from bot.store.schema import millis

BUSY = 30.0
POLL = 0.2
THREADS = 64

# What an operator can mend, by primary result code; any other error is a fault of ours.
OUTAGES = {
    sqlite3.SQLITE_BUSY: "another process keeps it locked; end that process",
    sqlite3.SQLITE_CANTOPEN: "check that the directory exists and may be written to",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk reports errors: look into the kernel log",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: check database.url",
    sqlite3.SQLITE_PERM: "check the permissions of the file",
    sqlite3.SQLITE_READONLY: "the file may only be read: check its permissions and mount",
}


class Sqlite:
    """One file. All writers of this process queue at a gate, so that they wait fairly."""

    def __init__(self, url: URL, clock: Clock) -> None:
        if not url.database or url.database == ":memory:":
            raise BadInputError(
                "the database must be a file", next="set database.url to sqlite:///PATH"
            )
        self.where = url.render_as_string()
        self.gate = threading.Lock()
        self._clock = clock
        self._bell = Bell()
        self._watch = _Watch()
        _create(Path(url.database))
        self.engine = create_engine(
            url, pool_size=8, max_overflow=THREADS, connect_args={"timeout": BUSY}
        )
        event.listen(self.engine, "connect", _prepare)
        event.listen(self.engine, "begin", _begin)

    def insert(self, table: Any) -> sqlite.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite.insert(table)

    def now(self) -> ColumnElement[int]:
        """Return the time that leases are compared with: the clock that was handed in."""
        return value(millis(self._clock.now()), BigInteger)

    def each(self, names: Sequence[str]) -> TableValuedAlias:
        """Return a table of the names, in their order, in its column ``value``."""
        return func.json_each(json.dumps(names)).table_valued("value")

    def lock(self, connection: Connection, names: tuple[str, ...]) -> None:
        """Exclude others: BEGIN IMMEDIATE has done it already, for all names."""

    def announce(self, connection: Connection) -> None:
        """Tell other processes of the commit to come: they poll, and see it by themselves."""

    def committed(self) -> None:
        """Wake the sleepers of this process."""
        self._watch.skip(self.engine)
        self._bell.ring()

    def wait(self, seconds: float) -> None:
        """Sleep until a commit of this process or, seen by polling, of another one."""

        def poll() -> None:
            if self._watch.look(self.engine):
                self._bell.ring()

        poll()
        self._bell.wait(seconds, poll, POLL)

    def forget(self, engine: Engine) -> None:
        """Take what was just redacted out of the write-ahead log as well."""
        # A failure is no loss: the log is written back, and begun anew, by a later commit.
        with engine.connect() as connection, suppress(sqlite3.Error):
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.close()

    def outage(self, error: DBAPIError) -> str | None:
        """Return what to do about an error that is no fault of ours; None if it is one."""
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return OUTAGES.get(code)

    def close(self) -> None:
        """Wake the sleepers and close all connections."""
        self._bell.close()
        self._watch.close()
        self.engine.dispose()


class _Watch:
    """Sees commits of others by ``PRAGMA data_version``, which reads a few bytes of memory."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._connection: Any = None
        self._version: int | None = None
        self._closed = False

    def look(self, engine: Engine) -> bool:
        """Return whether anything was committed since the last look."""
        with self._mutex:
            if self._closed:
                return True
            try:
                if self._connection is None:
                    self._connection = engine.raw_connection()
                cursor = self._connection.cursor()
                found = cursor.execute("PRAGMA data_version").fetchone()[0]
                cursor.close()
            except (sqlite3.Error, DBAPIError):
                # Whoever asks the database next is told what is wrong with it.
                self._drop()
                return True
            changed = self._version is not None and found != self._version
            self._version = found
            return changed

    def skip(self, engine: Engine) -> None:
        """Leave out what was committed so far: a commit of our own is no news."""
        if self._connection is not None:
            self.look(engine)

    def close(self) -> None:
        """Give the connection back; every later look says that something happened."""
        with self._mutex:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _create(path: Path) -> None:
    """Make the file before SQLite does, so that it is private from its first byte."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError:
        # Read-only or forbidden: SQLite says so itself, in the one place where it is explained.
        return


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin does.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. SQLite's own busy wait does not cover this one statement."""
    end = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    mode = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")
