"""The store: opens the database, and runs each of its verbs in a transaction of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import URL, Connection, delete, make_url, select
from sqlalchemy.exc import ArgumentError

from bot.errors import BadInputError, UnavailableError
from bot.ports import Answer, Clock, IncidentRow, Posted, Run
from bot.store import leases, ledger, queue
from bot.store.dialect import Dialect, explained
from bot.store.migrate import upgrade
from bot.store.schema import alerts, incidents, tokens, work
from bot.store.schema import posted as posts
from bot.store.sqlite import Sqlite
from bot.store.transaction import SqlTransaction, list_incidents
from bot.timeline.entry import Entry


def open_store(url: str, *, secret: bytes, clock: Clock) -> SqlStore:
    """Open the database at ``url``, bring its schema up to date, and return the store.

    ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/NAME``. ``secret`` keys the timeline's
    chain. Raises ``BadInputError``, ``UnavailableError``, or ``ConflictError`` for a newer schema.
    """
    dialect = _dialect(url, clock)
    store = SqlStore(dialect, secret=secret, clock=clock)
    try:
        store.migrate()
    except BaseException:  # also on Ctrl-C no connection stays open
        store.close()
        raise
    return store


def _dialect(text: str, clock: Clock) -> Dialect:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    kind = url.drivername.partition("+")[0] if url else ""
    if url and kind == "sqlite":
        return Sqlite(url.set(drivername="sqlite"), clock)
    if url and kind in {"postgresql", "postgres"}:
        return _postgres(url.set(drivername="postgresql+psycopg"))
    raise BadInputError(
        "the database URL cannot be read" if not kind else f"{kind} is no database that is known",
        where="database.url",
        next="use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME",
    )


def _postgres(url: URL) -> Dialect:
    try:
        # Imported late: the driver is an extra that SQLite does without.
        from bot.store.postgres import Postgres  # noqa: PLC0415 - see above
    except ImportError as error:
        raise UnavailableError(
            f"the PostgreSQL driver cannot be loaded: {error}",
            where=url.set(query={}).render_as_string(),
            next="pip install 'holdfast[postgres]'",
        ) from error
    return Postgres(url)


class SqlStore:
    """The ``Store`` of ``bot.ports``. Every method may be called from any thread."""

    def __init__(self, dialect: Dialect, *, secret: bytes, clock: Clock) -> None:
        self._dialect = dialect
        self._secret = secret
        self._clock = clock
        self._reader = dialect.engine
        self._writer = dialect.engine.execution_options(writes=True)
        self._thread = threading.local()
        self._closed = False

    @contextmanager
    def _reads(self) -> Iterator[Connection]:
        self._check_open()
        with explained(self._dialect), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def _writes(self) -> Iterator[Connection]:
        if getattr(self._thread, "writes", False):
            raise RuntimeError(
                "a transaction was begun inside a transaction of the same thread: "
                "it would wait for itself; use the outer one, or end it first"
            )
        self._check_open()
        self._thread.writes = True
        try:
            with (
                explained(self._dialect),
                self._dialect.gate,
                self._writer.begin() as connection,
            ):
                yield connection
        finally:
            self._thread.writes = False

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the store is closed", next="start the program again")

    def migrate(self) -> None:
        """Bring the schema up to date; other processes that do the same wait."""
        with self._writes() as connection:
            self._dialect.lock(connection, ("schema",))
            upgrade(connection)

    @contextmanager
    def transaction(self, *locks: str) -> Iterator[SqlTransaction]:
        """Begin a writing transaction that excludes others holding one of the same locks.

        A lock is an incident id or ``intake``. Commits on leaving, rolls back on an exception.
        On commit, sleepers in ``wait`` wake up.
        """
        with self._writes() as connection:
            self._dialect.lock(connection, locks)
            yield SqlTransaction(
                self._dialect, connection, locks, clock=self._clock, secret=self._secret
            )
            self._dialect.announce(connection)
        self._dialect.committed()

    def incidents(self) -> list[IncidentRow]:
        """Return all incidents, newest first."""
        with self._reads() as connection:
            return list_incidents(connection)

    def heads(self) -> Mapping[str, int]:
        """Return open incident -> number of its last entry."""
        with self._reads() as connection:
            return ledger.heads(connection)

    def entries(self, incident: str, after: int = 0) -> list[Entry]:
        """Return entries with ``seq > after``; raise ``NotFoundError`` for an unknown incident."""
        with self._reads() as connection:
            return ledger.read(connection, incident, after)

    def payloads(self, incident: str) -> Mapping[str, str | None]:
        """Return payload hash -> body of an incident's entries (None: redacted)."""
        with self._reads() as connection:
            return ledger.bodies(connection, incident)

    def redact(self, payload_hash: str) -> bool:
        """Forget one payload's body for ever. False if it was redacted already."""
        with self._writes() as connection:
            done = ledger.redact(connection, payload_hash)
        with explained(self._dialect):
            self._dialect.forget(self._reader)
        return done

    def wait(self, seconds: float) -> None:
        """Sleep until something was committed, at most ``seconds``."""
        self._dialect.wait(seconds)

    def claim_work(self, owner: str, lease: float) -> str | None:
        """Claim the most overdue incident for ``lease`` seconds and return its id."""
        now = self._clock.now()
        with self._reads() as connection:
            # Looking first keeps idle workers from queueing for the write lock.
            some = select(work.c.incident).where(leases.overdue(self._dialect, now)).limit(1)
            if connection.scalar(some) is None:
                return None
        with self._writes() as connection:
            return leases.claim(self._dialect, connection, now, owner, lease)

    def release_work(self, incident: str, owner: str, due: datetime | None) -> None:
        """End the lease; look again at ``due`` (None: when woken). Wakes during it are kept."""
        with self._writes() as connection:
            leases.release(connection, incident, owner, due)

    def claim_run(self, ident: str, worker: str) -> Run | None:
        """Move a run from queued to running. None if it was not queued."""
        with self._writes() as connection:
            return queue.claim(self._dialect, connection, ident, worker)

    def beat(self, ident: str) -> bool:
        """Renew a running run's heartbeat. False: it was cancelled or taken away; stop."""
        with self._writes() as connection:
            return queue.beat(self._dialect, connection, ident)

    def wanted(self, ident: str) -> bool:
        """Say what ``beat`` would, without writing anything."""
        with self._reads() as connection:
            return queue.wanted(connection, ident)

    def run(self, ident: str) -> Run:
        """Return one run; raise ``NotFoundError``."""
        with self._reads() as connection:
            return queue.one(connection, ident)

    def runs(self, incident: str) -> list[Run]:
        """Return the incident's runs in the order in which they were queued."""
        with self._reads() as connection:
            return queue.many(connection, queue.of_incident(incident))

    def note(self, run: str, said: Sequence[Answer]) -> bool:
        """Keep what hosts of a running run have said. False: it does not run any more."""
        with self._writes() as connection:
            return queue.note(self._dialect, connection, run, said)

    def answers(self, run: str) -> list[Answer]:
        """Return what the hosts of a live or lost run have said so far, by name."""
        with self._reads() as connection:
            return queue.answers_of(connection, run)

    def tended(self) -> list[str]:
        """Return the incidents that somebody will look at, open or not, in order of their ids."""
        with self._reads() as connection:
            return leases.tended(connection)

    def unfinished_runs(self, incident: str = "") -> list[Run]:
        """Return every queued or running run, or those of one incident."""
        with self._reads() as connection:
            return queue.many(connection, queue.unfinished(incident))

    def lapsed_runs(self, seconds: float) -> list[Run]:
        """Return running runs whose heartbeat is older than ``seconds``."""
        with self._reads() as connection:
            return queue.many(connection, queue.lapsed(self._dialect, seconds))

    def lock_hosts(self, run: str, hosts: Sequence[str], seconds: float) -> Mapping[str, str]:
        """Lock all hosts for a run, or none. Return {} or the hosts held by others -> their run.

        A lock that has outlived its time is free. The same run may lock again to renew.
        """
        with self._writes() as connection:
            held = leases.lock_hosts(self._dialect, connection, run, hosts, seconds)
            if held:
                connection.rollback()
            return held

    def unlock_hosts(self, run: str) -> None:
        """Give a run's host locks back."""
        with self._writes() as connection:
            leases.unlock_hosts(connection, run)

    def add_token(self, digest: str, person: str) -> None:
        """Store a token's sha256 (hex) for a person."""
        with self._writes() as connection:
            new = self._dialect.insert(tokens).values(digest=digest, person=person)
            connection.execute(new.on_conflict_do_nothing(index_elements=["digest"]))

    def remove_tokens(self, person: str) -> int:
        """Forget all tokens of a person; return how many."""
        with self._writes() as connection:
            return connection.execute(delete(tokens).where(tokens.c.person == person)).rowcount

    def token_person(self, digest: str) -> str | None:
        """Return whose token this is."""
        with self._reads() as connection:
            return connection.scalar(select(tokens.c.person).where(tokens.c.digest == digest))

    def alert_keys(self, beginning: str, least: str = "") -> list[str]:
        """Return the keys of noted alerts that begin so and are not below ``least``, in order."""
        key = alerts.c.key
        wanted = key.startswith(beginning, autoescape=True)
        with self._reads() as connection:
            found = connection.scalars(select(key).where(wanted))
            return sorted(one for one in found if one >= least)

    def posted(self, incident: str) -> Mapping[str, Posted]:
        """Return slot -> message of an incident."""
        with self._reads() as connection:
            rows = connection.execute(select(posts).where(posts.c.incident == incident))
            return {
                row.slot: Posted(channel=row.channel, ref=row.ref, content=row.content)
                for row in rows
            }

    def posted_in(self, channel: str) -> list[tuple[str, str, str]]:
        """Return (incident, slot, message's ref) of a channel, newest incident first."""
        found = select(posts.c.incident, posts.c.slot, posts.c.ref).join(incidents)
        found = found.where(posts.c.channel == channel).order_by(incidents.c.number.desc())
        with self._reads() as connection:
            return [(row.incident, row.slot, row.ref) for row in connection.execute(found)]

    def set_posted(self, incident: str, slot: str, posted: Posted) -> None:
        """Remember the message that stands for a slot."""
        values = {"channel": posted.channel, "ref": posted.ref, "content": posted.content}
        with self._writes() as connection:
            ledger.require(connection, incident)
            new = self._dialect.insert(posts).values(incident=incident, slot=slot, **values)
            same = ["incident", "slot"]
            connection.execute(new.on_conflict_do_update(index_elements=same, set_=values))

    def ping(self) -> None:
        """Raise ``UnavailableError`` if the database does not answer."""
        with self._reads() as connection:
            connection.scalar(select(1))

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._dialect.close()
