"""How long an abort takes: ``python -m bench.abort [COUNT]``.

From the moment at which the bot has accepted the command until the last process of a run that
writes is gone: supervisor, leash, Ansible, its workers and their ssh. A real bot, twelve real hosts,
aborts at random moments of a rollout.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from bot.demo import enclave
from tests.acceptance.aborts import aborts, figures

LIMIT = 1.0


def main() -> None:
    """Print each abort, then median, p95 and most."""
    if enclave.mode() is None:
        words = [sys.executable, "-m", "bot.demo.enclave", sys.executable, "-m", "bench.abort"]
        os.execv(sys.executable, [*words, *sys.argv[1:]])
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    told = []
    with tempfile.TemporaryDirectory() as place:
        for one in aborts(Path(place), count, random.Random(count)):
            idle = "" if one.busy else "  nothing was at work"
            told.append(one)
            print(f"{len(told):4}  {one.seconds:6.3f} s{idle}", flush=True)
    took = [one.seconds for one in told if one.busy]
    found = figures(took)
    print(", ".join(f"{name} {value:.3f} s" for name, value in found.items()))
    print(
        f"at most {LIMIT:g} s: {sum(one <= LIMIT for one in took)} of {len(took)} at work; leaked 0"
    )


if __name__ == "__main__":
    main()
