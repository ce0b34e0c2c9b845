"""Runs in the database: a queue whose every move is guarded by the state that it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, select, update

from bot.errors import NotFoundError
from bot.ports import Answer, Run
from bot.store.dialect import Dialect
from bot.store.plain import check_json, check_text
from bot.store.schema import EPOCH, answers, millis, moment, runs

ENDS = frozenset({"finished", "lost", "cancelled"})
UNFINISHED = ("queued", "running")


def queue(dialect: Dialect, connection: Connection, run: Run) -> bool:
    """Queue a run unless its ident exists."""
    check_text("the run", run.ident)
    check_json(f"the run {run.ident}", [list(run.hosts), dict(run.spec)])
    new = dialect.insert(runs).values(
        ident=run.ident,
        incident=run.incident,
        kind=run.kind,
        hosts=json.dumps(run.hosts),
        spec=json.dumps(dict(run.spec)),
        state="queued",
        cancel=False,
        worker="",
        queued_at=dialect.now(),
    )
    made = new.on_conflict_do_nothing(index_elements=["ident"]).returning(runs.c.ident)
    return connection.scalar(made) is not None


def claim(dialect: Dialect, connection: Connection, ident: str, worker: str) -> Run | None:
    """Move a run from queued to running."""
    taken = (
        update(runs)
        .where(runs.c.ident == ident, runs.c.state == "queued")
        .values(state="running", worker=worker, heartbeat=dialect.now())
        .returning(*runs.c)
    )
    row = connection.execute(taken).first()
    return None if row is None else _run(row)


def beat(dialect: Dialect, connection: Connection, ident: str) -> bool:
    """Renew the heartbeat of a running run, also while it is being stopped."""
    alive = (
        update(runs)
        .where(runs.c.ident == ident, runs.c.state == "running")
        .values(heartbeat=dialect.now())
        .returning(runs.c.cancel)
    )
    return connection.scalar(alive) is False


def wanted(connection: Connection, ident: str) -> bool:
    """Say whether a run is running and nobody asked it to stop."""
    running = select(runs.c.cancel).where(runs.c.ident == ident, runs.c.state == "running")
    return connection.scalar(running) is False


def finish(dialect: Dialect, connection: Connection, ident: str, state: str) -> bool:
    """End a queued or running run."""
    if state not in ENDS:
        raise ValueError(f"a run cannot end as {state!r}")
    if state != "lost":  # of a lost run they are all that is known
        drop_answers(connection, ident)
    ended = (
        update(runs)
        .where(runs.c.ident == ident, runs.c.state.in_(UNFINISHED))
        .values(state=state, finished_at=dialect.now())
        .returning(runs.c.ident)
    )
    return connection.scalar(ended) is not None


def cancel(dialect: Dialect, connection: Connection, ident: str) -> None:
    """Ask a running run to stop; end a queued one. Nothing if it has ended."""
    waiting = runs.c.state == "queued"
    connection.execute(
        update(runs)
        .where(runs.c.ident == ident, runs.c.state.in_(UNFINISHED))
        .values(
            cancel=True,
            state=case((waiting, "cancelled"), else_=runs.c.state),
            finished_at=case((waiting, dialect.now()), else_=runs.c.finished_at),
        )
    )


def forget(dialect: Dialect, connection: Connection, idents: Sequence[str]) -> None:
    """Delete runs that have ended."""
    wanted = runs.c.ident.in_(select(dialect.each(idents).c.value))
    connection.execute(delete(runs).where(wanted, runs.c.state.in_(ENDS)))


def note(dialect: Dialect, connection: Connection, ident: str, said: Sequence[Answer]) -> bool:
    """Keep what hosts have said in a running run; a later answer of a host replaces its earlier."""
    state = select(runs.c.state).where(runs.c.ident == ident).with_for_update()
    if connection.scalar(state) != "running":
        return False
    if not said:
        return True
    rows = [
        {
            "run": ident,
            "host": one.host,
            "began": millis(one.began),
            "at": None if one.at is None else millis(one.at),
            "said": json.dumps(dict(one.said)),
        }
        for one in said
    ]
    new = dialect.insert(answers)
    fields = {name: new.excluded[name] for name in ("began", "at", "said")}
    connection.execute(new.on_conflict_do_update(index_elements=["run", "host"], set_=fields), rows)
    return True


def answers_of(connection: Connection, ident: str) -> list[Answer]:
    """Return what the hosts of a run have said so far, by name."""
    rows = connection.execute(select(answers).where(answers.c.run == ident).order_by("host"))
    return [
        Answer(
            host=row.host,
            began=EPOCH + timedelta(milliseconds=row.began),
            at=moment(row.at),
            said=json.loads(row.said),
        )
        for row in rows
    ]


def drop_answers(connection: Connection, ident: str) -> None:
    """Forget what the hosts of a run have said."""
    connection.execute(delete(answers).where(answers.c.run == ident))


def one(connection: Connection, ident: str) -> Run:
    """Return a run; raise ``NotFoundError``."""
    found = many(connection, select(runs).where(runs.c.ident == ident))
    if not found:
        raise NotFoundError(f"there is no run {ident}", next="see 'status' of its incident")
    return found[0]


def of_incident(incident: str) -> Select[Any]:
    """Select the runs of an incident."""
    return select(runs).where(runs.c.incident == incident)


def unfinished(incident: str = "") -> Select[Any]:
    """Select the queued and the running, of all incidents or of one."""
    found = select(runs).where(runs.c.state.in_(UNFINISHED))
    return found.where(runs.c.incident == incident) if incident else found


def lapsed(dialect: Dialect, seconds: float) -> Select[Any]:
    """Select the running runs that have been silent for longer than ``seconds``."""
    oldest = dialect.now() - int(seconds * 1000)
    return select(runs).where(runs.c.state == "running", runs.c.heartbeat < oldest)


def many(connection: Connection, wanted: Select[Any]) -> list[Run]:
    """Return the selected runs in the order in which they were queued."""
    return [_run(row) for row in connection.execute(wanted.order_by(runs.c.number))]


def _run(row: Row[Any]) -> Run:
    return Run(
        ident=row.ident,
        incident=row.incident,
        kind=row.kind,
        hosts=tuple(json.loads(row.hosts)),
        spec=json.loads(row.spec),
        state=row.state,
        cancel=row.cancel,
        worker=row.worker,
        queued_at=moment(row.queued_at),
        heartbeat=moment(row.heartbeat),
        finished_at=moment(row.finished_at),
    )
