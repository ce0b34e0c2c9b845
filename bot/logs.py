"""Log lines: a constant message, then its fields."""

from __future__ import annotations

import logging

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Fields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Append the record's own fields as ``name=value``."""
        fields = {k: v for k, v in vars(record).items() if k not in _PLAIN}
        return " ".join([super().format(record), *(f"{k}={v!r}" for k, v in fields.items())])


def configure() -> None:
    """Log warnings and worse to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Fields("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
