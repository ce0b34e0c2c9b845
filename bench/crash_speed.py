"""Reports a second with every attribute read, milliseconds a log, and a naive reader beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

from bench import line_by_line, naive
from bench.crash_corpus import Row, rows
from bot.crash import ALL, read

ROUNDS = 3
_GETTERS: dict[type[Any], Callable[[object], tuple[object, ...]] | None] = {}


def _every_field(kind: type[Any]) -> Callable[[object], tuple[object, ...]] | None:
    """Return what reads all fields of a dataclass; None for any other type."""
    if kind not in _GETTERS:
        names = [entry.name for entry in fields(kind)] if is_dataclass(kind) else []
        _GETTERS[kind] = attrgetter(*names) if names else None
    return _GETTERS[kind]


def touch(value: Any) -> None:
    """Read every field of a report and of each frame, line and skip in its tuples."""
    getter = _every_field(type(value))
    if getter is None:
        return
    for part in getter(value):
        if type(part) is tuple:
            for item in part:
                touch(item)


def _whole(log: str) -> None:
    for report in read(log):
        touch(report)
        _ = report.signature, report.taint_words


def _every_kind(log: str) -> None:
    for report in read(log, ALL):
        touch(report)


def _titles(log: str) -> None:
    read(log)


def _naive(log: str) -> None:
    naive.read(log)


def _line_by_line(log: str) -> None:
    line_by_line.read(log)


def measure(*, verbose: bool) -> bool:
    """Print throughput by CPU time, latency of single logs, and the ratio to the naive reader."""
    found = rows()
    size = sum(len(row.log) for row in found) / 1e6
    print(f"speed over {len(found)} logs, {size:.1f} MB; the best of {ROUNDS} rounds, CPU time")
    begun = time.process_time()
    _whole(found[-1].log)
    print(f"  the first log, tables and all: {(time.process_time() - begun) * 1e3:.1f} ms")
    spent = {
        what: _rounds(work, found)
        for what, work in (
            ("every attribute read", _whole),
            ("reports only", _titles),
            ("kinds=ALL, every attribute read", _every_kind),
            ("naive: a few patterns a line", _naive),
            ("naive: our tables, line by line", _line_by_line),
        )
    }
    for what, seconds in spent.items():
        print(f"  {what:<32} {len(found) / seconds:8,.0f} reports/s  {size / seconds:6.1f} MB/s")
    ours = spent["every attribute read"]
    ratio = spent["naive: our tables, line by line"] / ours
    few = spent["naive: a few patterns a line"] / ours
    titled = sum(bool(row.title) for row in found)
    right = sum(bool(row.title) and _titles_of(row.log) == row.title for row in found)
    few_right = sum(bool(row.title) and _naive_title(row.log) == row.title for row in found)
    print(f"  {ratio:.2f} times as fast as our tables line by line ({right} of {titled} titles)")
    print(f"  {few:.2f} times as fast as a few patterns a line ({few_right} of {titled} titles)")
    each = sorted((_latency(row.log), row.id, len(row.log)) for row in found)
    median, p99 = each[len(each) // 2][0], each[int(len(each) * 0.99)][0]
    print(f"  one log: median {median:.2f} ms, p99 {p99:.2f} ms, most {each[-1][0]:.2f} ms")
    for ms, name, length in each[-10:] if verbose else ():
        print(f"    {name}: {ms:.2f} ms for {length} characters")
    return len(found) / ours >= 6000 and ratio >= 3 and p99 <= 3


def _rounds(work: Callable[[str], None], found: Sequence[Row]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for row in found:
            work(row.log)
        best = min(best, time.process_time() - begun)
    return best


def _latency(log: str) -> float:
    """Return the milliseconds that one log takes, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        _whole(log)
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def _naive_title(log: str) -> str | None:
    crash = naive.read(log)
    return crash.title if crash else None


def _titles_of(log: str) -> str | None:
    crashes = line_by_line.read(log)
    return crashes[0].title if crashes else None
