"""What differs between the databases, as one Protocol; everything else is written once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, TableValuedAlias
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bot.errors import BadInputError, UnavailableError


class Dialect(Protocol):
    """``Sqlite`` or ``Postgres``. ``where`` names the database without its password."""

    where: str
    engine: Engine

    @property
    def gate(self) -> AbstractContextManager[Any]:
        """Return what every writer of this process passes through, one at a time or not."""

    def insert(self, table: Any) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""

    def now(self) -> ColumnElement[int]:
        """Return the milliseconds that leases, heartbeats and locks are compared with."""

    def each(self, names: Sequence[str]) -> TableValuedAlias:
        """Return a table of the names, in their order, in its column ``value``."""

    def lock(self, connection: Connection, names: tuple[str, ...]) -> None:
        """Exclude others that hold one of the names, until the transaction ends."""

    def announce(self, connection: Connection) -> None:
        """Tell other processes of the commit to come."""

    def committed(self) -> None:
        """Wake the sleepers of this process."""

    def wait(self, seconds: float) -> None:
        """Sleep until something was committed, at most ``seconds``."""

    def forget(self, engine: Engine) -> None:
        """Take what was just redacted out of the database's journals, as far as it can."""

    def outage(self, error: DBAPIError) -> str | None:
        """Return what to do about an error that is no fault of ours; None if it is one."""

    def close(self) -> None:
        """Wake the sleepers and close all connections."""


@contextmanager
def explained(dialect: Dialect) -> Iterator[None]:
    """Turn what an operator can mend into ``UnavailableError``."""
    try:
        yield
    except DataError as error:
        raise BadInputError(
            f"the database cannot keep this value: {_line(error)}", next="nothing was changed"
        ) from error
    except DBAPIError as error:
        advice = dialect.outage(error)
        if advice is None:
            raise
        raise UnavailableError(
            f"the database does not serve: {_line(error)}", where=dialect.where, next=advice
        ) from error
    except PoolTimeoutError as error:
        raise UnavailableError(
            "the database is too busy: no connection became free",
            where=dialect.where,
            next="try again; if it stays so, look for slow queries",
        ) from error


def _line(error: DBAPIError) -> str:
    """Return the driver's first line: the others quote SQL and parameters."""
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
