"""The store's contract when the database is away, full, forbidden, broken or of another version."""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from bot.errors import BadInputError, ConflictError, HoldfastError, UnavailableError
from bot.store import SqlStore, migrate, open_store
from bot.store.schema import metadata
from tests.contract.conftest import SECRET, HandClock, Place
from tests.contract.test_store import note, opened
from tests.contract.test_store_wait import LONG, SOON, settle, slept

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'holdfast' AND pid != pg_backend_pid()"
)
PAGES = 200


def attempt(url: str) -> SqlStore:
    return open_store(url, secret=SECRET, clock=HandClock())


def said(error: HoldfastError) -> str:
    return f"{error!r} {error} {error.as_dict()}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bot:hunter2@127.0.0.1:1/holdfast",
        "postgresql+psycopg://bot@127.0.0.1:1/holdfast?password=hunter2",
        "postgres://bot:hunter2@127.0.0.1:1/holdfast?connect_timeout=3",
    ],
)
def test_a_server_that_is_away_is_named_without_its_password(url: str) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as caught:
        attempt(url)
    assert caught.value.where.startswith("postgresql://bot")
    assert caught.value.next
    assert "hunter2" not in said(caught.value)


@pytest.mark.parametrize(
    "url", ["", "holdfast.db", "mysql://bot:hunter2@db/x", "sqlite://", "sqlite:///:memory:"]
)
def test_a_url_that_cannot_be_used_is_bad_input(url: str) -> None:
    with pytest.raises(BadInputError, match=r"sqlite:///PATH") as caught:
        attempt(url)
    assert "hunter2" not in said(caught.value)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bot.store.postgres", "bot.store.ear"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnavailableError, match=r"pip install 'holdfast\[postgres\]'"):
        attempt("postgresql://bot@db/holdfast")


def test_a_path_where_no_file_can_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    for path in (tmp_path, tmp_path / "plain" / "holdfast.db"):
        with pytest.raises(UnavailableError, match="directory exists"):
            attempt(f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database at all\n" * 100)
    before = file.read_bytes()
    with pytest.raises(UnavailableError, match=r"database\.url"):
        attempt(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("pragma", "advice"),
    [(f"max_page_count={PAGES}", "free some space"), ("query_only=ON", "only be read")],
    ids=["full", "read-only"],
)
def test_a_full_or_read_only_disk_is_unavailable_and_leaves_nothing(
    tmp_path: Path, pragma: str, advice: str
) -> None:
    store = attempt(f"sqlite:///{tmp_path / 'holdfast.db'}")
    incident = opened(store, note("before"))
    engine = store._dialect.engine

    def hinder(connection: object, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    event.listen(engine, "connect", hinder)
    engine.dispose()
    with (
        pytest.raises(UnavailableError, match=advice) as caught,
        store.transaction(incident) as tx,
    ):
        tx.append(incident, note("small"))
        tx.append(incident, note("large", "x" * 4096 * PAGES))
    assert "holdfast.db" in caught.value.where
    event.remove(engine, "connect", hinder)
    engine.dispose()
    assert [entry.key for entry in store.entries(incident)] == ["before"]
    with store.transaction(incident) as tx:
        tx.append(incident, note("after"))
    store.close()


@pytest.mark.postgres
def test_a_server_that_restarted_between_two_calls_is_not_even_noticed(server: Place) -> None:
    store = server.open()
    incident = opened(store, note("a"))
    server.attack(TERMINATE)
    assert len(store.entries(incident)) == 1


@pytest.mark.postgres
def test_a_connection_that_breaks_in_a_transaction_leaves_nothing(server: Place) -> None:
    store = server.open()
    incident = opened(store)
    with (
        pytest.raises(UnavailableError, match="does not serve") as caught,
        store.transaction(incident) as tx,
    ):
        tx.append(incident, note("a"))
        server.attack(TERMINATE)
        tx.append(incident, note("b"))
    assert isinstance(caught.value.__cause__, Exception)
    assert store.entries(incident) == []
    opened(store, note("c"))


@pytest.mark.postgres
def test_a_listener_that_breaks_is_made_anew(server: Place) -> None:
    sleeper, other = server.open(), server.open()
    settle(sleeper)
    server.attack(TERMINATE)
    opened(other)
    assert slept(lambda: sleeper.wait(LONG)) < SOON, "a short nap, while nothing is heard"
    until(lambda: slept(lambda: sleeper.wait(1)) > 0.9)
    opened(other)
    assert slept(lambda: sleeper.wait(LONG)) < SOON


@pytest.mark.postgres
def test_two_transactions_in_each_other_s_way_end_as_unavailable(server: Place) -> None:
    first, second = server.open(), server.open()
    with first.transaction("INC-1") as one:
        one.number("x")
        with pytest.raises(UnavailableError, match="keeps a lock"), second.transaction("y") as two:
            two._connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            two.number("x")
    with second.transaction() as two:
        assert two.number("x") == 2


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end


def test_opening_is_silent(
    place: Place, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        place.open()
        place.open()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_migrations_lead_to_the_tables_that_the_program_knows(place: Place) -> None:
    store = place.open()
    with store._dialect.engine.connect() as connection:
        assert migrate.current(connection) == migrate.HEAD
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert ScriptDirectory(str(migrate.SCRIPTS)).get_heads() == [migrate.HEAD]


def test_a_database_of_a_newer_version_is_left_alone(place: Place) -> None:
    place.open().close()
    place.attack("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConflictError, match="newer version"):
        place.open()


def test_a_closed_store_stays_closed(place: Place) -> None:
    store = place.open()
    store.wait(0)
    store.close()
    store.close()
    assert slept(lambda: store.wait(LONG)) < SOON
    with pytest.raises(UnavailableError, match="closed"):
        store.ping()
    with pytest.raises(UnavailableError, match="closed"), store.transaction():
        pass
