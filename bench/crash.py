"""How right and how fast the crash reader is over a labelled collection.

``HOLDFAST_CORPUS=FILE python -m bench.crash``: FILE holds one JSON object a line with the keys
``id``, ``title`` (empty: no crash), ``alts``, ``corrupted`` and ``log``. Rows about the fuzzer
itself (``SYZ…``) are left out. ``-v`` lists every miss.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bot.crash import CrashReport, read


def load(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a collection, those about the fuzzer left out."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [row for row in rows if not row["title"].startswith("SYZ")]


def judge(row: dict[str, Any], first: CrashReport) -> tuple[bool, bool, bool]:
    """Tell whether title, alternative titles and the corrupted mark are the labelled ones."""
    names = {first.title, *first.alt_titles}
    return (
        first.title == row["title"],
        names >= {row["title"], *row["alts"]},
        first.corrupted == row["corrupted"],
    )


def main() -> int:
    """Print accuracy and throughput; 2 when no collection is named."""
    name = os.environ.get("HOLDFAST_CORPUS")
    if not name:
        print("set HOLDFAST_CORPUS to a labelled collection (one JSON object a line)")
        return 2
    rows = load(Path(name))
    start = time.process_time()
    found = [read(row["log"]) for row in rows]
    spent = time.process_time() - start
    titled = [(row, reports) for row, reports in zip(rows, found, strict=True) if row["title"]]
    alarms = [row["id"] for row, r in zip(rows, found, strict=True) if r and not row["title"]]
    marks = [judge(row, r[0]) if r else (False, False, False) for row, r in titled]
    size = sum(len(row["log"]) for row in rows) / 1e6
    for what, n in (("title", 0), ("alternatives", 1), ("corrupted", 2)):
        right = sum(mark[n] for mark in marks)
        print(f"{what:<13} {right}/{len(titled)} = {right / len(titled):.2%}")
    print(f"false alarms  {len(alarms)} of {len(rows) - len(titled)} {' '.join(alarms)}")
    print(f"throughput    {len(rows) / spent:,.0f} reports/s, {size / spent:.1f} MB/s of CPU time")
    if "-v" in sys.argv[1:]:
        for (row, reports), mark in zip(titled, marks, strict=True):
            if not mark[0]:
                print(
                    f"{row['id']}: {row['title']!r}, read {reports[0].title if reports else None!r}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
