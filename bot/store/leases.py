"""Leases over incidents, and locks over sets of hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    update,
)

from bot.store.dialect import Dialect
from bot.store.schema import host_locks, millis, work


def wake(dialect: Dialect, connection: Connection, incident: str, due: datetime) -> None:
    """Ask for a look at ``due``, or at an earlier time that was asked for before."""
    new = dialect.insert(work).values(incident=incident, due=millis(due), owner="")
    connection.execute(
        new.on_conflict_do_update(
            index_elements=["incident"], set_={"due": _earlier(new.excluded.due)}
        )
    )


def _earlier(due: ColumnElement[int]) -> ColumnElement[int]:
    return case((or_(work.c.due.is_(None), work.c.due > due), due), else_=work.c.due)


def overdue(dialect: Dialect, now: datetime) -> ColumnElement[bool]:
    """Return what makes an incident claimable: due and free, or its owner's lease has lapsed.

    ``due`` was written by a bot's clock and is compared with a bot's clock; leases are written
    and compared with the database's.
    """
    free = work.c.until.is_(None)
    return or_(and_(free, work.c.due <= millis(now)), work.c.until <= dialect.now())


def claim(
    dialect: Dialect, connection: Connection, now: datetime, owner: str, lease: float
) -> str | None:
    """Take the most overdue incident. A ``due`` that is past is cleared, so that new wakes show.

    One to come stays: it may be all that a killed owner's lease had heard.
    """
    to_come = case((work.c.due > millis(now), work.c.due), else_=None)
    most = (
        select(work.c.incident)
        .where(overdue(dialect, now))
        .order_by(func.coalesce(work.c.due, work.c.until), work.c.incident)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    taken = (
        update(work)
        .where(work.c.incident == most)
        .values(due=to_come, owner=owner, until=dialect.now() + int(lease * 1000))
        .returning(work.c.incident)
    )
    found: str | None = connection.scalar(taken)
    return found


def release(connection: Connection, incident: str, owner: str, due: datetime | None) -> None:
    """End the owner's lease; a wake that came during it stands. Nothing if it is another's."""
    values: dict[str, object] = {"owner": "", "until": None}
    if due is not None:
        new = millis(due)
        values["due"] = case((or_(work.c.due.is_(None), work.c.due > new), new), else_=work.c.due)
    mine = and_(work.c.incident == incident, work.c.owner == owner, work.c.until.is_not(None))
    connection.execute(update(work).where(mine).values(values))


def tended(connection: Connection) -> list[str]:
    """Return the incidents that are looked at now, or will be."""
    looked_at = or_(work.c.due.is_not(None), work.c.until.is_not(None))
    rows = select(work.c.incident).where(looked_at).order_by(work.c.incident)
    return list(connection.scalars(rows))


def lock_hosts(
    dialect: Dialect, connection: Connection, run: str, hosts: Sequence[str], seconds: float
) -> Mapping[str, str]:
    """Lock all hosts in this transaction; if others are returned, it must be rolled back.

    In one order, so that two runs cannot wait for each other; and as one parameter, because
    ten thousand hosts are renewed at every beat.
    """
    names = sorted(set(hosts))
    until = dialect.now() + int(seconds * 1000)
    wanted = dialect.each(names)
    # SQLite needs the WHERE to tell ON CONFLICT from a join's ON.
    rows = select(wanted.c.value, literal(run), until).where(true())
    new = dialect.insert(host_locks).from_select(["host", "run", "until"], rows)
    taken = new.on_conflict_do_update(
        index_elements=["host"],
        set_={"run": new.excluded.run, "until": new.excluded.until},
        where=or_(host_locks.c.run == run, host_locks.c.until <= dialect.now()),
    ).returning(host_locks.c.host)
    missing = set(names) - set(connection.scalars(taken))
    if not missing:
        return {}
    others = select(dialect.each(sorted(missing)).c.value)
    held = connection.execute(select(host_locks).where(host_locks.c.host.in_(others)))
    return {row.host: row.run for row in held}


def unlock_hosts(connection: Connection, run: str) -> None:
    """Give back every host lock of a run."""
    connection.execute(delete(host_locks).where(host_locks.c.run == run))
