"""The labelled logs that the measurements run over: a collection, or our own golden logs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bot.crash import CrashReport, read
from tests.unit.crash import golden

_GUILTY = re.compile(r" in ([A-Za-z_]\w*)(?:/\w+)?$")


class Row(NamedTuple):
    """One log with its label; an empty ``title`` says that no crash may be found in it."""

    id: str
    title: str
    alts: tuple[str, ...]
    corrupted: bool
    log: str

    @property
    def guilty(self) -> str | None:
        """The guilty function: the X of a title that ends in `` in X``, if the log calls it so."""
        match = _GUILTY.search(self.title)
        if match is None or match[1] == "corrupted":
            return None
        as_function = rf"{match[1]}(?:[.+(]| [\w./-]{{1,200}}:\d| *\n|\]|$)"
        return match[1] if re.search(as_function, self.log) else None


def rows() -> list[Row]:
    """Return the collection that HOLDFAST_CORPUS names, else our golden logs.

    A collection holds one JSON object a line with the keys ``id``, ``title``, ``alts``,
    ``corrupted`` and ``log``. Rows about the fuzzer that collected it (``SYZ…``) are left out.
    """
    name = os.environ.get("HOLDFAST_CORPUS")
    found = _collection(Path(name)) if name else _golden()
    return [row for row in found if not row.title.startswith("SYZ")]


def _collection(path: Path) -> list[Row]:
    lines = path.read_text(encoding="utf-8").split("\n")
    entries = [json.loads(line) for line in lines if line.strip()]
    return [
        Row(
            id=entry["id"],
            title=entry["title"],
            alts=tuple(entry["alts"]),
            corrupted=entry["corrupted"],
            log=entry["log"],
        )
        for entry in entries
    ]


def _golden() -> list[Row]:
    """Return our golden logs; their headers name no alternatives, so those are as read."""
    found = []
    for path in golden.files():
        header, log = golden.split(path)
        reports = read(log)
        found.append(
            Row(
                id=path.stem,
                title=header["title"],
                alts=reports[0].alt_titles if reports else (),
                corrupted="corrupted_reason" in header,
                log=log,
            )
        )
    return found


def first(text: str) -> CrashReport | None:
    """Return the first report of ``text``, if there is one."""
    reports = read(text)
    return reports[0] if reports else None


def read_right(found: Sequence[Row]) -> list[Row]:
    """Return the rows whose clean log is read with the labelled title."""
    return [row for row in found if row.title and title(row.log) == row.title]


def title(text: str) -> str | None:
    """Return the title of the first report of ``text``, if there is one."""
    report = first(text)
    return report.title if report else None


def share(part: int, whole: int) -> str:
    """Say how much of ``whole`` a ``part`` is, for people."""
    return f"{part}/{whole} = {part / whole:.2%}" if whole else "nothing to measure"
