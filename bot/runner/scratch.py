"""Where Ansible's passing files of a run are: in memory, so that no kill leaves a secret on a disk.

Ansible's events are written by its own process before anybody can redact them, and its temporary
files may be decrypted ones. They lie on a memory file system, readable by this user alone. Whoever
is left removes them: the supervisor, else the leash, else the bot that gives the run up or starts.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bot.runner import trace
from bot.runner.leash import MEMORY

log = logging.getLogger(__name__)

SHELF = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
PREFIX = "holdfast-"
OWNER = "run"
"""The name, in a run's place in memory, of the link back to the run's directory."""


def make(directory: Path, places: Sequence[Path]) -> None:
    """Put these places below a run's ``directory`` into memory, unless they are there already.

    Without a memory file system they are directories on the disk, removed in the same way.
    """
    if (directory / MEMORY).is_symlink():
        return
    try:
        memory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=SHELF))
    except OSError as error:
        log.warning("no memory for passing files", extra={"where": str(SHELF), "error": str(error)})
        memory = Path(tempfile.mkdtemp(prefix=MEMORY, dir=directory))
    (memory / OWNER).symlink_to(directory)
    (directory / MEMORY).symlink_to(memory)
    for number, place in enumerate(places):
        there = memory / str(number)
        there.mkdir(mode=0o700)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.symlink_to(there)


def remove(directory: Path) -> None:
    """Remove what ``make`` made for this run; nothing if it is gone."""
    with suppress(OSError):
        shutil.rmtree((directory / MEMORY).readlink())
    with suppress(OSError):
        (directory / MEMORY).unlink()


def sweep(runs: Path) -> None:
    """Remove what is in memory for runs below ``runs`` that no process is at any more."""
    for memory in SHELF.glob(f"{PREFIX}*"):
        with suppress(OSError):
            run = (memory / OWNER).readlink()
            if run.parent == runs and not trace.processes(run):
                shutil.rmtree(memory)
