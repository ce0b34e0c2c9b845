"""What PostgreSQL does in its own way."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    TableValuedAlias,
    cast,
    create_engine,
    event,
    extract,
    func,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from bot.store.bell import Bell
from bot.store.ear import CHANNEL, Ear

POOL = 5
THREADS = 15

# A client that hangs in a transaction, or a server that vanishes, must not stop the others.
SETTINGS = (
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET lock_timeout = '30s'",
)
CONNECT = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20000,
    "application_name": "holdfast",
}

# By SQLSTATE, or its class; '' is a connection that could not be made or broke.
OUTAGES = {
    "": "check that PostgreSQL runs and that database.url is right",
    "08": "check that PostgreSQL runs and that database.url is right",
    "25006": "the server is read-only: point database.url at the primary",
    "40": "try again: two transactions were in each other's way",
    "42501": "grant this user the rights on the database",
    "53": "the server is out of disk, memory or connections: give it more",
    "55P03": "another process keeps a lock: end that process",
    "57": "the server is starting or stopping: try again",
    "58": "the server's disk has trouble: look into its log",
}


class Postgres:
    """A server, shared by several processes and machines."""

    def __init__(self, url: URL) -> None:
        self.where = url.set(drivername="postgresql", query={}).render_as_string()
        self._mark = secrets.token_hex(8)
        self._bell = Bell()
        options = {key: value for key, value in CONNECT.items() if key not in url.query}
        self.engine = create_engine(
            url, pool_size=POOL, max_overflow=THREADS, pool_pre_ping=True, connect_args=options
        )
        event.listen(self.engine, "connect", _prepare)
        self._ear = Ear(self._connect, self._bell, self._mark)

    @property
    def gate(self) -> AbstractContextManager[Any]:
        """Let writers in as they come: the server queues them."""
        return nullcontext()

    def insert(self, table: Any) -> postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        return postgresql.insert(table)

    def now(self) -> ColumnElement[int]:
        """Return the server's time: machines disagree about theirs."""
        seconds = extract("epoch", func.statement_timestamp())
        return cast(func.floor(seconds * 1000), BigInteger)

    def each(self, names: Sequence[str]) -> TableValuedAlias:
        """Return a table of the names, in their order, in its column ``value``."""
        texts = cast(list(names), postgresql.JSON)
        return func.json_array_elements_text(texts).table_valued("value")

    def lock(self, connection: Connection, names: tuple[str, ...]) -> None:
        """Take an advisory lock a name, in one order; the transaction's end gives them back.

        Incidents come last, because whoever holds ``intake`` goes on to lock incidents.
        """
        for name in sorted(set(names), key=lambda name: (name.startswith("INC-"), name)):
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_number(name),))

    def announce(self, connection: Connection) -> None:
        """Notify all listeners when, and only if, this transaction commits."""
        connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, self._mark))

    def committed(self) -> None:
        """Wake the sleepers of this process without the way over the server."""
        self._bell.ring()

    def wait(self, seconds: float) -> None:
        """Sleep until a commit is heard of. While nothing can be heard, sleep briefly: poll."""
        self._bell.wait(self._ear.limit(seconds))

    def forget(self, engine: Engine) -> None:
        """Leave the rest to the server: VACUUM takes old row versions away."""

    def outage(self, error: DBAPIError) -> str | None:
        """Return what to do about an error that is no fault of ours; None if it is one."""
        state = getattr(error.orig, "sqlstate", None) or ""
        away = isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)
        if not state and not away:
            return None
        return OUTAGES.get(state) or OUTAGES.get(state[:2]) or (OUTAGES[""] if away else None)

    def close(self) -> None:
        """Wake the sleepers and close all connections."""
        self._bell.close()
        self._ear.close()
        self.engine.dispose()

    def _connect(self) -> psycopg.Connection[Any]:
        arguments, options = self.engine.dialect.create_connect_args(self.engine.url)
        return psycopg.connect(*arguments, **{**CONNECT, **options}, autocommit=True)


def _number(name: str) -> int:
    """Return the lock's number, the same in every process and version."""
    digest = hashlib.sha256(b"holdfast:" + name.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _prepare(connection: psycopg.Connection[Any], _record: object) -> None:
    with connection.cursor() as cursor:
        for setting in SETTINGS:
            cursor.execute(setting)
    connection.commit()
