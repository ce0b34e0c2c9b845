"""Which runbooks and playbooks a ``runbook`` command is about, and how it reads crash texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import click

from bot import crash
from bot.crash.report import CrashReport
from bot.layout import bundled
from bot.runbook.disk import open_library
from bot.runbook.model import Library

Directory = click.Path(path_type=Path, exists=True, file_okay=False)


def runbook_dir(directory: Path | None) -> Path:
    """Return the named directory; without one ``./runbooks``, else the shipped runbooks."""
    here = Path("runbooks")
    return directory or (here if here.is_dir() else bundled("runbooks"))


def library_of(directory: Path | None, *, texts: bool = False) -> Library:
    """Load the runbooks; with ``texts``, the crash texts of their tests too."""
    return open_library(runbook_dir(directory), texts=texts)


def playbook_dir(directory: Path | None) -> Path:
    """Return the playbooks beside the runbooks, else the shipped ones."""
    beside = runbook_dir(directory).parent / "playbooks"
    return beside if beside.is_dir() else bundled("playbooks")


def playbook_texts(root: Path) -> Mapping[str, str]:
    """Return the playbooks of a directory by their paths."""
    files = sorted(path for path in root.glob("*.y*ml") if path.is_file())
    return {path.as_posix(): path.read_text(errors="surrogateescape") for path in files}


@lru_cache(maxsize=4096)
def read_all(text: str) -> Sequence[CrashReport]:
    """Read every kind of crash, those of programs and the kernel's notices too."""
    return crash.read(text, kinds=crash.ALL)


def counted(number: int, what: str) -> str:
    """Say a number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"
