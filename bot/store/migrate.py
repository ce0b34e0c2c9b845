"""Brings a database to the schema of this version, silently, before it is used."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bot.errors import ConflictError

HEAD = "2"
SCRIPTS = Path(__file__).with_name("migrations")


def current(connection: Connection) -> str | None:
    """Return the revision that the database is at; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def upgrade(connection: Connection) -> None:
    """Apply what is missing, in the transaction of ``connection``.

    The caller's transaction must exclude other processes that open the same database. Raises
    ``ConflictError`` if the database was made by a newer version.
    """
    found = current(connection)
    if found == HEAD:
        return
    _apply(connection, found)


def _apply(connection: Connection, found: str | None) -> None:
    # Imported late: a database that is up to date, the usual case, should open at once.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    # Its notes on each step are not for the people who read our log.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ConflictError(
            f"the database has schema {found}, which this version does not know",
            next="run the newer version of holdfast that made it; nothing was changed",
        )
    command.upgrade(config, HEAD)
