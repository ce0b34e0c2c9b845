"""The database door: one implementation for SQLite and PostgreSQL."""

from bot.store.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
