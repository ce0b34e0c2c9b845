"""The only part of the runbook domain that reads a disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bot.errors import BadInputError
from bot.runbook.load import SUFFIXES, load
from bot.runbook.marks import LARGEST
from bot.runbook.model import Library, Problem

TEXTS = (".log", ".txt")
"""Crash texts of tests."""
LARGEST_TEXT = 4 << 20
"""Bytes of a crash text."""


def open_library(path: Path, *, texts: bool = True) -> Library:
    """Return the library of a directory; what cannot be read is a problem of that file alone.

    Without ``texts`` the crash texts of tests are not read. Raises ``BadInputError`` if there is
    no such directory.
    """
    problems: list[Problem] = []
    return load(read_dir(path, problems, texts=texts), problems)


def read_dir(
    path: Path, problems: list[Problem] | None = None, *, texts: bool = True
) -> Mapping[str, str]:
    """Return the runbooks and their test texts below ``path``, by paths that start with it.

    What cannot be read is added to ``problems``. Bytes of a runbook that are no UTF-8 become lone
    surrogates, which the reader refuses with their line. Raises ``BadInputError`` if there is no
    such directory.
    """
    if not path.is_dir():
        raise BadInputError("there is no such directory", where=str(path), next="name another one")
    found: dict[str, str] = {}
    for file in runbook_files(path, texts=texts):
        try:
            found[file.as_posix()] = read_file(file)
        except OSError as error:
            what = f"cannot be read: {error.strerror or error}"
            problem = Problem(
                file=file.as_posix(), line=1, what=what, hint="mend its permissions", rule="yaml"
            )
            if problems is not None:
                problems.append(problem)
    return found


def runbook_files(path: Path, *, texts: bool) -> Iterator[Path]:
    """Yield the files that count, in the order of their names; hidden ones do not."""
    wanted = (*SUFFIXES, *TEXTS) if texts else SUFFIXES
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.suffix in wanted and not hidden and not file.is_dir():
            yield file


def read_file(file: Path) -> str:
    """Return the text of a file; of one that is too large, as much as proves it.

    Raises ``OSError`` if it cannot be read, or is no plain file.
    """
    if not file.is_file():
        raise OSError("it is no plain file")
    is_text = file.suffix in TEXTS
    with file.open("rb") as opened:
        data = opened.read(LARGEST_TEXT if is_text else 4 * LARGEST + 4)
    return data.decode("utf-8", "replace" if is_text else "surrogateescape")
