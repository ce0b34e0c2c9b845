"""How right, how robust and how fast the crash reader is.

``HOLDFAST_CORPUS=FILE python -m bench.crash [WHAT …] [-v]``: FILE holds one JSON object a line with
the keys ``id``, ``title`` (empty: no crash), ``alts``, ``corrupted`` and ``log``; without it our own
golden logs are measured. WHAT is any of the names below, ``all`` by default; ``-v`` lists every
miss. Exit status 1 says that something is below what is promised, 2 that a name is unknown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bench import (
    crash_accuracy,
    crash_clean,
    crash_damage,
    crash_hostile,
    crash_speed,
    crash_transports,
)

MEASUREMENTS: dict[str, Callable[..., bool]] = {
    "accuracy": crash_accuracy.measure,
    "transports": crash_transports.measure,
    "truncation": crash_damage.truncation,
    "renaming": crash_damage.renaming,
    "speed": crash_speed.measure,
    "clean": crash_clean.measure,
    "hostile": crash_hostile.measure,
}


def main(words: list[str]) -> int:
    """Run the named measurements in the order of the table and say which fell short."""
    verbose = "-v" in words
    named = [word for word in words if word != "-v"] or ["all"]
    unknown = [word for word in named if word not in MEASUREMENTS and word != "all"]
    if unknown:
        print(f"no such measurement: {' '.join(unknown)}; there are: {' '.join(MEASUREMENTS)} all")
        return 2
    short = []
    for name, measure in MEASUREMENTS.items():
        if name in named or "all" in named:
            begun = time.monotonic()
            fine = measure(verbose=verbose)
            print(
                f"({name}: {'as promised' if fine else 'BELOW'}, {time.monotonic() - begun:.0f} s)\n"
            )
            short += [] if fine else [name]
    print(f"below what is promised: {' '.join(short)}" if short else "everything as promised")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
