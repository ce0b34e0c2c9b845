"""Golden files: a header with what must be read, an empty line, the raw log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.crash import CrashReport, read
from bot.crash.userland import find
from tests.unit.crash.tagged import entries

HERE = Path(__file__).parent / "golden"
USERLAND = Path(__file__).parent / "userland"
FIELDS = (
    "title",
    "kind",
    "function",
    "module",
    "location",
    "release",
    "arch",
    "taint",
    "comm",
    "pid",
    "cpu",
    "hardware",
    "panicked",
    "corrupted_reason",
    "start",
    "end",
)


def files(folder: Path = HERE) -> list[Path]:
    """Every golden file of a folder, by name."""
    return sorted(folder.glob("*.txt"))


def read_programs(log: str) -> list[CrashReport]:
    """Return the crashes of programs alone."""
    return find(entries(log))


def reader_of(folder: Path) -> Callable[[str], list[CrashReport]]:
    """Return what reads the logs of a folder."""
    return read_programs if folder == USERLAND else read


def split(path: Path) -> tuple[dict[str, str], str]:
    """Return the header and the log of a golden file."""
    text = path.read_bytes().decode()
    head, _, log = text.partition("\n\n")
    header = dict(line.partition(":")[::2] for line in head.split("\n"))
    return {key: value.strip() for key, value in header.items()}, log


def header(log: str, folder: Path = HERE) -> dict[str, str]:
    """Return what is read from ``log`` in the form of a header."""
    reports = reader_of(folder)(log)
    if not reports:
        return {"title": ""}
    told = _told(reports[0])
    if folder == USERLAND:
        told |= _lists(reports[0])
    if len(reports) > 1:
        told["then"] = " | ".join(report.title for report in reports[1:])
    return told


def _told(report: CrashReport) -> dict[str, str]:
    told: dict[str, str] = {}
    for name in FIELDS:
        value = getattr(report, name)
        if value is not None and value is not False:
            told[name] = str(value)
    return told


def _lists(report: CrashReport) -> dict[str, str]:
    """Return signature, other titles, details and skipped frames, each in one line."""
    details = [f"{key}={value}" for key, value in sorted(report.details.items())]
    skipped = [f"{frame.function} ({frame.rule})" for frame in report.skipped]
    values = {
        "signature": [report.signature],
        "alt_titles": report.alt_titles,
        "details": details,
        "skipped": skipped,
    }
    return {key: " | ".join(value) for key, value in values.items() if value}


def write(path: Path, log: str) -> None:
    """Write a golden file with a fresh header."""
    told = header(log, path.parent)
    head = "\n".join(f"{key}: {value}".rstrip() for key, value in told.items())
    path.write_bytes(f"{head}\n\n{log}".encode())
