"""The places in which the store's contract is tested: a SQLite file and a real PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, event

from bot.store import SqlStore, open_store
from tests.contract.writer import SECRET
from tests.postgres import fresh, postgres

__all__ = ["SECRET", "postgres"]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFUSED = (sqlite3.Error, psycopg.Error)


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Place:
    """An empty database, and what a test may do to it from outside."""

    def __init__(self, kind: str, url: str, file: Path | None = None) -> None:
        self.kind = kind
        self.url = url
        self.file = file
        self.clock = HandClock()
        self.stack = ExitStack()

    def open(self, secret: bytes = SECRET) -> SqlStore:
        """Open a store that is closed after the test."""
        store = open_store(self.url, secret=secret, clock=self.clock)
        self.stack.callback(store.close)
        return store

    def prepare(self, schema: list[str]) -> None:
        """Make the schema in an empty place, faster than by migrations."""
        if self.file is not None:
            self.file.parent.mkdir()
        self.attack("BEGIN", *schema, "COMMIT")

    def pass_time(self, seconds: float) -> None:
        """Let time pass for leases: PostgreSQL looks at its own clock, so there we wait."""
        self.clock.sleep(seconds)
        if self.kind == "postgresql":
            time.sleep(seconds)

    def attack(self, *statements: str) -> None:
        """Run raw SQL past the store, each statement committed by itself."""
        if self.file is not None:
            with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
                for statement in statements:
                    connection.execute(statement)
            return
        with psycopg.connect(self.url, autocommit=True) as server:
            for statement in statements:
                server.execute(statement.encode())

    def disarm(self) -> None:
        """Drop every trigger, as somebody who owns the database can."""
        names = {
            "sqlite": ("no_update", "no_delete", "no_replace"),
            "postgresql": ("no_change", "no_truncate", "no_update", "no_delete"),
        }[self.kind]
        for table in ("events", "payloads"):
            on = f" ON {table}" if self.kind == "postgresql" else ""
            self.attack(*(f"DROP TRIGGER IF EXISTS {table}_{name}{on}" for name in names))


@pytest.fixture
def file_place(tmp_path: Path) -> Iterator[Place]:
    """Return a place for a SQLite file that does not exist yet."""
    file = tmp_path / "state" / "holdfast.db"
    place = Place("sqlite", f"sqlite:///{file}", file)
    with place.stack:
        yield place


@pytest.fixture
def server(postgres: str) -> Iterator[Place]:
    """Return an empty place on a PostgreSQL server."""
    with fresh(postgres) as url:
        place = Place("postgresql", url)
        with place.stack:
            yield place


@pytest.fixture(
    params=["file_place", pytest.param("server", marks=pytest.mark.postgres)],
    ids=["sqlite", "postgresql"],
)
def place(request: pytest.FixtureRequest) -> Place:
    """Return an empty place of each kind."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="session")
def schemas() -> dict[str, list[str]]:
    """Return the statements that made the schema, by kind, as they were once recorded."""
    return {}


@pytest.fixture
def store(place: Place, schemas: dict[str, list[str]]) -> SqlStore:
    """Return an open store of each kind. Only the first one of a kind is really migrated."""
    if place.kind in schemas:
        place.prepare(schemas[place.kind])
        return place.open()
    said: list[str] = []

    def record(_1: object, _2: object, statement: str, *_more: object) -> None:
        if statement.split(maxsplit=1)[0] in {"CREATE", "ALTER", "INSERT", "UPDATE"}:
            said.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    opened = place.open()
    event.remove(Engine, "before_cursor_execute", record)
    schemas[place.kind] = said
    return opened
