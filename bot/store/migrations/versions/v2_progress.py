"""What the hosts of a live run have said so far, and which proposals claim a knob.

Revision ID: 2
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "answers",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger()),
        sa.Column("said", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "host"),
    )
    op.create_table(
        "knobs",
        sa.Column("proposal", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("proposal", "key"),
    )
    op.create_index("knobs_key_ix", "knobs", ["key"])
