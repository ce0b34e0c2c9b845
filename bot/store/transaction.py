"""One short writing transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from bot.clock import parse, stamp
from bot.ports import Clock, IncidentRow, Run
from bot.store import leases, ledger, queue
from bot.store.dialect import Dialect
from bot.store.plain import check_text
from bot.store.schema import alerts, counters, incidents, knobs
from bot.timeline.entry import Draft, Entry


def list_incidents(connection: Connection) -> list[IncidentRow]:
    """Return all incidents, newest first."""
    rows = connection.execute(select(incidents).order_by(incidents.c.number.desc()))
    return [
        IncidentRow(
            id=row.id, signature=row.signature, opened_at=parse(row.opened_at), open=row.open
        )
        for row in rows
    ]


class SqlTransaction:
    """The ``Transaction`` of ``bot.ports``; made by ``SqlStore.transaction``."""

    def __init__(
        self,
        dialect: Dialect,
        connection: Connection,
        locks: tuple[str, ...],
        *,
        clock: Clock,
        secret: bytes,
    ) -> None:
        self._dialect = dialect
        self._connection = connection
        self._locks = locks
        self._clock = clock
        self._secret = secret

    def incidents(self) -> list[IncidentRow]:
        """Return all incidents, newest first."""
        return list_incidents(self._connection)

    def open(self, signature: str) -> str:
        """Create an incident with this signature key and return its id (``INC-1``)."""
        check_text("the signature", signature)
        number = self.number("incident")
        name = f"INC-{number}"
        opened = stamp(self._clock.now())
        self._connection.execute(
            insert(incidents).values(
                id=name, number=number, signature=signature, opened_at=opened, open=True
            )
        )
        return name

    def close(self, incident: str, *, open: bool = False) -> None:  # noqa: A002 - the column's name
        """Mark the index row closed (or open again)."""
        change = update(incidents).where(incidents.c.id == incident).values(open=open)
        if self._connection.execute(change).rowcount == 0:
            raise ledger.missing(incident)

    def entries(self, incident: str) -> list[Entry]:
        """Return the incident's entries in order; raise ``NotFoundError`` if there is none."""
        return ledger.read(self._connection, incident)

    def append(self, incident: str, *drafts: Draft) -> list[Entry]:
        """Append drafts; those whose key exists already are skipped. Return the new entries."""
        if incident not in self._locks:
            self._dialect.lock(self._connection, (incident,))
        now = self._clock.now()
        return ledger.append(self._connection, self._secret, now, incident, drafts)

    def number(self, name: str) -> int:
        """Return the next number of a counter, from 1 (``proposal``)."""
        first = self._dialect.insert(counters).values(name=name, value=1)
        following = first.on_conflict_do_update(
            index_elements=["name"], set_={"value": counters.c.value + 1}
        )
        result = self._connection.execute(following.returning(counters.c.value))
        number: int = result.scalar_one()
        return number

    def alert(self, key: str, incident: str | None) -> str | None:
        """Note an alert by its key. None: it is new; else the incident (may be '') it went to.

        An alert that was noted without an incident may be noted again with one.
        """
        check_text("the alert key", key)
        new = self._dialect.insert(alerts).values(key=key, incident=incident or "")
        made = new.on_conflict_do_nothing(index_elements=["key"]).returning(alerts.c.key)
        if self._connection.scalar(made) is not None:
            return None
        if incident:
            vague = update(alerts).where(alerts.c.key == key, alerts.c.incident == "")
            self._connection.execute(vague.values(incident=incident))
        return self._connection.scalar(select(alerts.c.incident).where(alerts.c.key == key))

    def wake(self, incident: str, due: datetime) -> None:
        """Ask for a look at the incident at ``due`` or earlier."""
        ledger.require(self._connection, incident)
        leases.wake(self._dialect, self._connection, incident, due)

    def queue(self, run: Run) -> bool:
        """Queue a run. False (and nothing changed) if its ident exists."""
        ledger.require(self._connection, run.incident)
        return queue.queue(self._dialect, self._connection, run)

    def finish(self, ident: str, state: str) -> bool:
        """Move a running (or queued) run to ``finished``, ``lost`` or ``cancelled``.

        False if it was not queued or running: somebody else ended it.
        """
        return queue.finish(self._dialect, self._connection, ident, state)

    def cancel(self, ident: str) -> None:
        """Ask a run's supervisor to stop; a run that is still queued becomes ``cancelled``."""
        queue.cancel(self._dialect, self._connection, ident)

    def forget_runs(self, idents: Sequence[str]) -> None:
        """Delete these runs; one that has not ended stays."""
        queue.forget(self._dialect, self._connection, idents)

    def drop_answers(self, run: str) -> None:
        """Forget what the hosts of a lost run have said."""
        queue.drop_answers(self._connection, run)

    def claim_knob(self, key: str, incident: str, proposal: str) -> None:
        """Note that a proposal would set, or take back, this key."""
        new = self._dialect.insert(knobs).values(key=key, incident=incident, proposal=proposal)
        self._connection.execute(new.on_conflict_do_nothing(index_elements=["proposal", "key"]))

    def knob_claims(self, key: str) -> list[tuple[str, str]]:
        """Return (incident, proposal) of every claim to a key."""
        rows = select(knobs.c.incident, knobs.c.proposal).where(knobs.c.key == key)
        return [(row.incident, row.proposal) for row in self._connection.execute(rows)]

    def drop_knob(self, proposal: str) -> None:
        """Forget the claims of a proposal."""
        self._connection.execute(delete(knobs).where(knobs.c.proposal == proposal))

    def runs(self, incident: str) -> list[Run]:
        """Return the incident's runs in the order in which they were queued."""
        return queue.many(self._connection, queue.of_incident(incident))
