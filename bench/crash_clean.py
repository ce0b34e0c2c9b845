"""Megabytes a second over logs without a crash, growth with size, and memory of a long stream.

``python -m bench.crash_clean SIZE`` is the child whose memory is measured: it reads a stream of
that many characters and prints the kilobytes by which its peak grew.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import clean_logs
from bot.crash import ALL, read, read_stream
from bot.crash.report import NOTICES

MEGA = 1 << 20
PART = 16 * MEGA
PARTS = 7
STREAM = 256 * MEGA
SWITCH = "bot.crash.scan"
PROMISED = {"re2": 250.0, "re": 60.0}


def measure(*, verbose: bool) -> bool:
    """Print speed by engine, false alarms, the growth from 16 to 64 MB, and peak memory."""
    parts = [clean_logs.text(seed, PART) for seed in range(PARTS)]
    dense = [clean_logs.text(seed, PART // 2, dense=True) for seed in range(100, 102)]
    fine = True
    for engine in _engines():
        fine = _speed(engine, parts, dense, verbose=verbose) and fine
    fine = _growth(parts) and fine
    return _memory() and fine


def _engines() -> list[str]:
    """Name the engines that can be chosen, the usual one last; one empty name: no choice."""
    if importlib.util.find_spec(SWITCH) is None:
        return [""]
    return ["re", "re2"] if importlib.util.find_spec("re2") else ["re"]


def _speed(engine: str, parts: Sequence[str], dense: Sequence[str], *, verbose: bool) -> bool:
    if engine:
        importlib.import_module(SWITCH).use(engine)
    read(parts[0][:MEGA])
    rate, alarms = _pass(parts, verbose=verbose)
    dense_rate, dense_alarms = _pass(dense, verbose=verbose)
    size = sum(map(len, parts)) / 1e6
    print(f"clean logs, engine {engine or 'as it is'}: {rate:.1f} MB/s over {size:.0f} MB")
    print(f"  with words of crashes in every sixth line: {dense_rate:.1f} MB/s")
    every = sum(len(read(part, ALL - NOTICES)) for part in (parts[0], dense[0]))
    print(
        f"  false alarms: {alarms + dense_alarms}; of any kind but notices over the first of each: {every}"
    )
    return alarms + dense_alarms + every == 0 and rate >= PROMISED.get(engine, 0)


def _pass(parts: Sequence[str], *, verbose: bool) -> tuple[float, int]:
    """Return megabytes a second of CPU time and the number of reports."""
    begun = time.process_time()
    found = [report for part in parts for report in read(part)]
    spent = time.process_time() - begun
    for report in found if verbose else ():
        print(f"    line {report.start}: {report.title!r}: {report.evidence[0].text!r}")
    return sum(map(len, parts)) / 1e6 / spent, len(found)


def _growth(parts: Sequence[str]) -> bool:
    """Compare 16 with 64 MB: linear is 4."""
    long = "".join(parts[:4])
    small, large = (min(_time(text) for _ in range(3)) for text in (parts[0], long))
    print(
        f"16 MB in {small:.3f} s, 64 MB in {large:.3f} s: ratio {large / small:.2f} (linear is 4)"
    )
    return large / small < 5


def _time(text: str) -> float:
    begun = time.process_time()
    read(text)
    return time.process_time() - begun


class _Endless(io.RawIOBase):
    """Clean logs again and again, up to a size, as bytes of a file that cannot seek."""

    def __init__(self, size: int) -> None:
        self._block = clean_logs.text(9, 2 * MEGA).encode()
        self.left = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), self.left, len(self._block) - self._at)
        view[:count] = self._block[self._at : self._at + count]
        self.left -= count
        self._at = (self._at + count) % len(self._block)
        return count


def _memory() -> bool:
    """Read a long stream in a child process and print by how much its memory grew."""
    command = [sys.executable, "-m", "bench.crash_clean", str(STREAM)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, found, left, seconds = done.stdout.split()
    print(f"stream of {STREAM // MEGA} MB: peak memory grew by {int(grown) / 1024:.0f} MB")
    print(
        f"  {found} reports, {int(left) / MEGA:.0f} MB not read, {float(seconds):.1f} s of CPU time"
    )
    return int(grown) < 512 * 1024 and found == "0"


def _peak() -> int:
    """Return the most kilobytes this program had; getrusage would tell the parent's before exec."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) if match else 0


def child(size: int) -> None:
    """Read ``size`` bytes of clean logs; print kilobytes grown, reports, bytes left, seconds."""
    read(clean_logs.text(1, MEGA))
    raw = _Endless(size)
    with io.BufferedReader(raw, MEGA) as stream:
        before = _peak()
        begun = time.process_time()
        found = len(read_stream(stream))
        spent = time.process_time() - begun
        unread = len(stream.peek(0)) + raw.left
    after = _peak()
    print(after - before, found, unread, spent)


if __name__ == "__main__":
    child(int(sys.argv[1]))
