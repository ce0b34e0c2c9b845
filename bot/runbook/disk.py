"""The only part of the runbook domain that reads a disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.errors import BadInputError

SUFFIXES = frozenset({".yml", ".yaml", ".log", ".txt"})


def read_dir(path: Path) -> Mapping[str, str]:
    """Return the runbooks and their test texts below ``path``, by paths that start with it.

    Bytes that are no UTF-8 become U+FFFD: one odd file is a problem of its own, not of all.
    Raises ``BadInputError`` if there is no such directory.
    """
    if not path.is_dir():
        raise BadInputError("there is no such directory", where=str(path), next="name another one")
    found: dict[str, str] = {}
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.suffix not in SUFFIXES or hidden or not file.is_file():
            continue
        try:
            found[file.as_posix()] = file.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise BadInputError(
                f"cannot be read: {error.strerror}", where=str(file), next="mend its permissions"
            ) from error
    return found
