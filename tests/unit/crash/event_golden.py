"""Golden logs of events: what ``find`` and ``context`` say, an empty line, the raw log.

``python -m tests.unit.crash.event_golden [NEW.log ...]`` takes raw logs in and rewrites every
header. Read the difference before committing it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bot.crash import CrashReport
from bot.crash.events import context, find
from tests.unit.crash import golden
from tests.unit.crash.tagged import entries

HERE = Path(__file__).parent / "events"
FIELDS = (
    "title", "kind", "function", "module", "release", "taint", "comm", "pid", "cpu", "hardware",
    "corrupted_reason", "start", "end",
)  # fmt: skip


def files() -> list[Path]:
    return sorted(HERE.glob("*.txt"))


def header(log: str) -> dict[str, str]:
    """Return what is read from ``log``: one numbered block a report, then the evidence."""
    lines = entries(log)
    told: dict[str, str] = {}
    for n, report in enumerate(find(lines), start=1):
        told |= {f"{n}.{name}": value for name, value in _told(report).items()}
    evidence = [f"{found.kind} {found.line}" for found in context(lines)]
    return {**told, "context": ", ".join(evidence)}


def _told(report: CrashReport) -> dict[str, str]:
    told = {
        name: str(value)
        for name in FIELDS
        if (value := getattr(report, name)) is not None and value is not False
    }
    told["evidence"] = ", ".join(f"{line.number} {line.role}".strip() for line in report.evidence)
    if report.trace:
        told["frames"] = str(len(report.trace))
    return {**told, **{f"details.{name}": text for name, text in report.details.items()}}


def write(path: Path, log: str) -> None:
    head = "\n".join(f"{key}: {value}".rstrip() for key, value in header(log).items())
    path.write_bytes(f"{head}\n\n{log}".encode())


def main() -> None:
    for name in sys.argv[1:]:
        raw = Path(name)
        write(HERE / f"{raw.stem}.txt", raw.read_bytes().decode())
    for path in files():
        write(path, golden.split(path)[1])


if __name__ == "__main__":
    main()
