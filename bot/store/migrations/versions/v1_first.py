"""The first schema, and the triggers that let a timeline only grow.

Revision ID: 1
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

SQLITE = (
    """CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the timeline can be added to, never changed'); END""",
    """CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the timeline can be added to, never changed'); END""",
    # INSERT OR REPLACE deletes without firing delete triggers: refuse it before it does.
    """CREATE TRIGGER events_no_replace BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events
        WHERE incident = NEW.incident AND (seq = NEW.seq OR key = NEW.key))
    BEGIN SELECT RAISE(ABORT, 'the timeline can be added to, never changed'); END""",
    """CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads
    WHEN NEW.hash IS NOT OLD.hash OR NEW.body IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a payload can be redacted, never changed'); END""",
    """CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads
    BEGIN SELECT RAISE(ABORT, 'a payload can be redacted, never changed'); END""",
    """CREATE TRIGGER payloads_no_replace BEFORE INSERT ON payloads
    WHEN EXISTS (SELECT 1 FROM payloads WHERE hash = NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'a payload can be redacted, never changed'); END""",
)

POSTGRESQL = (
    """CREATE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'the timeline can be added to, never changed'; END $$""",
    """CREATE FUNCTION payloads_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'a payload can be redacted, never changed'; END $$""",
    """CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_refuse()""",
    """CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_refuse()""",
    """CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads
    FOR EACH ROW WHEN (NEW.hash IS DISTINCT FROM OLD.hash OR NEW.body IS NOT NULL)
    EXECUTE FUNCTION payloads_refuse()""",
    """CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads
    FOR EACH ROW EXECUTE FUNCTION payloads_refuse()""",
    """CREATE TRIGGER payloads_no_truncate BEFORE TRUNCATE ON payloads
    FOR EACH STATEMENT EXECUTE FUNCTION payloads_refuse()""",
    # Also for sessions that switch ordinary triggers off (session_replication_role).
    *(
        f"ALTER TABLE {name.partition('_')[0]} ENABLE ALWAYS TRIGGER {name}"
        for name in (
            "events_no_change",
            "events_no_truncate",
            "payloads_no_update",
            "payloads_no_delete",
            "payloads_no_truncate",
        )
    ),
)


def upgrade() -> None:
    """Create everything."""
    _timeline()
    _work()
    _intake()
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for statement in statements:
        op.execute(statement)


def _timeline() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "payloads",
        sa.Column("hash", sa.Text(), primary_key=True),
        sa.Column("body", sa.Text()),
    )
    op.create_table(
        "events",
        sa.Column("incident", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.Text(), sa.ForeignKey("payloads.hash"), nullable=False),
        sa.Column("prev", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident", "seq"),
        sa.UniqueConstraint("incident", "key"),
        sqlite_with_rowid=False,
    )


def _work() -> None:
    op.create_table(
        "work",
        sa.Column("incident", sa.Text(), sa.ForeignKey("incidents.id"), primary_key=True),
        sa.Column("due", sa.BigInteger()),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger()),
    )
    op.create_table(
        "runs",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("ident", sa.Text(), nullable=False, unique=True),
        sa.Column("incident", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
    )
    op.create_index("runs_incident_ix", "runs", ["incident"])
    op.create_index("runs_state_ix", "runs", ["state"])
    op.create_table(
        "host_locks",
        sa.Column("host", sa.Text(), primary_key=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("host_locks_run_ix", "host_locks", ["run"])


def _intake() -> None:
    op.create_table(
        "alerts",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("incident", sa.Text(), nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("person", sa.Text(), nullable=False),
    )
    op.create_table(
        "posted",
        sa.Column("incident", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident", "slot"),
    )
