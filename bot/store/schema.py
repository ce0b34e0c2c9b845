"""The tables as they are now; ``migrations`` holds how they came to be.

Times that a lease, a heartbeat or a lock is compared with are milliseconds since the epoch
(``Millis``), because both databases calculate with them alike. ``events.at`` and
``incidents.opened_at`` are the text of ``bot.clock.stamp``, the very form that is hashed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Millis = BigInteger
# SQLite numbers rows by itself only if the type is spelled INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


def millis(at: datetime) -> int:
    """Return an aware time as whole milliseconds since the epoch."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def moment(value: int | None) -> datetime | None:
    """Read what ``millis`` wrote."""
    return None if value is None else EPOCH + timedelta(milliseconds=value)


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("signature", Text, nullable=False),
    Column("opened_at", Text, nullable=False),
    Column("open", Boolean, nullable=False),
)

payloads = Table(
    "payloads",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("body", Text),
)

events = Table(
    "events",
    metadata,
    Column("incident", Text, ForeignKey("incidents.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload_hash", Text, ForeignKey("payloads.hash"), nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    PrimaryKeyConstraint("incident", "seq"),
    UniqueConstraint("incident", "key"),
    sqlite_with_rowid=False,
)

work = Table(
    "work",
    metadata,
    Column("incident", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("due", Millis),
    Column("owner", Text, nullable=False),
    Column("until", Millis),
)

runs = Table(
    "runs",
    metadata,
    Column("number", Serial, primary_key=True),
    Column("ident", Text, nullable=False, unique=True),
    Column("incident", Text, ForeignKey("incidents.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("hosts", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("worker", Text, nullable=False),
    Column("queued_at", Millis, nullable=False),
    Column("heartbeat", Millis),
    Column("finished_at", Millis),
    Index(None, "incident"),
    Index(None, "state"),
)

host_locks = Table(
    "host_locks",
    metadata,
    Column("host", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("until", Millis, nullable=False),
    Index(None, "run"),
)

answers = Table(
    "answers",
    metadata,
    Column("run", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("began", Millis, nullable=False),
    Column("at", Millis),
    Column("said", Text, nullable=False),
    PrimaryKeyConstraint("run", "host"),
)

knobs = Table(
    "knobs",
    metadata,
    Column("proposal", Text, nullable=False),
    Column("incident", Text, ForeignKey("incidents.id"), nullable=False),
    Column("key", Text, nullable=False),
    PrimaryKeyConstraint("proposal", "key"),
    Index(None, "key"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("incident", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("person", Text, nullable=False),
)

posted = Table(
    "posted",
    metadata,
    Column("incident", Text, ForeignKey("incidents.id"), nullable=False),
    Column("slot", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("content", Text, nullable=False),
    PrimaryKeyConstraint("incident", "slot"),
)
