"""The places in which the store's contract is tested: a SQLite file and a real PostgreSQL."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

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


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file that has the schema: to copy it saves most tests the migration."""
    place = Place("sqlite", f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/holdfast.db")
    with place.stack:
        place.open()
    return Path(place.url.removeprefix("sqlite:///"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Return a fresh place of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            file = tmp_path / "state" / "holdfast.db"
            made = Place("sqlite", f"sqlite:///{file}", file)
        else:
            url = stack.enter_context(fresh(request.getfixturevalue("postgres")))
            made = Place("postgresql", url)
        stack.enter_context(made.stack)
        yield made


@pytest.fixture
def store(place: Place, migrated: Path) -> SqlStore:
    """Return an open store of each kind."""
    if place.file is not None:
        place.file.parent.mkdir()
        shutil.copy(migrated, place.file)
    return place.open()
