"""Golden files: a header with what must be read, an empty line, the raw log."""

from __future__ import annotations

from pathlib import Path

from bot.crash import CrashReport, read

HERE = Path(__file__).parent / "golden"
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


def files() -> list[Path]:
    """Every golden file, by name."""
    return sorted(HERE.glob("*.txt"))


def split(path: Path) -> tuple[dict[str, str], str]:
    """Return the header and the log of a golden file."""
    text = path.read_bytes().decode()
    head, _, log = text.partition("\n\n")
    header = dict(line.partition(":")[::2] for line in head.split("\n"))
    return {key: value.strip() for key, value in header.items()}, log


def header(log: str) -> dict[str, str]:
    """Return what is read from ``log`` in the form of a header."""
    reports = read(log)
    if not reports:
        return {"title": ""}
    told = _told(reports[0])
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


def write(path: Path, log: str) -> None:
    """Write a golden file with a fresh header."""
    head = "\n".join(f"{key}: {value}".rstrip() for key, value in header(log).items())
    path.write_bytes(f"{head}\n\n{log}".encode())
