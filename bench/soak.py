"""Add up what a soak has left in its log: ``python -m bench.soak FILE``.

``make soak`` writes a line of JSON for each rollout, night and abort to ``HOLDFAST_SOAK_LOG``; a line
is written only after everything that its test asserts was true.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QUICK = 10.0
"""Seconds after which what was under way is to have gone on."""


def shown(took: Sequence[float]) -> str:
    """Return median, p95 and most of some durations (seconds), and how many were quick."""
    if not took:
        return "none"
    ordered = sorted(took)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    quick = sum(one <= QUICK for one in took)
    return (
        f"median {statistics.median(took):.2f} s, p95 {p95:.2f} s, most {ordered[-1]:.2f} s; "
        f"{quick} of {len(took)} at most {QUICK:g} s"
    )


def main() -> None:
    """Print the figures."""
    rows: list[dict[str, Any]] = [json.loads(x) for x in Path(sys.argv[1]).read_text().splitlines()]
    kills = [row for row in rows if row["test"] in {"chaos", "night"}]
    killed = sum((Counter(row["killed"]) for row in kills), Counter[str]())
    rollouts = [row for row in kills if row["test"] == "chaos"]
    aborts = [row for row in rows if row["test"] == "abort" and "seconds" in row]
    print(f"kills     {killed.total()}: {', '.join(f'{n} {v}' for v, n in killed.most_common())}")
    print(f"rollouts  {len(kills)}, reboots {sum(row.get('reboots', 0) for row in rollouts)}")
    for word in ("forgotten", "repeats", "leaked"):
        print(f"{word:9} {sum(row[word] for row in rollouts)}")
    for part in ("bot", "run"):
        took = [one for row in kills for one in row["resumed"][part]]
        print(f"resumed   after {'a bot' if part == 'bot' else 'a run'} was killed: {shown(took)}")
    busy = [row["seconds"] for row in aborts if row["busy"]]
    leaked = sum(row["leaked"] for row in aborts)
    print(f"aborts    {len(aborts)}, {len(busy)} while a run was at work, leaked {leaked}")
    print(f"gone      {shown(busy)}; {sum(one <= 1 for one in busy)} at most 1 s")
    loads = [row["load"] for row in (*rollouts, *aborts) if "load" in row]
    if loads:
        print(f"load      median {statistics.median(loads):.1f}, most {max(loads):.1f}")


if __name__ == "__main__":
    main()
