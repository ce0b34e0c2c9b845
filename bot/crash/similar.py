"""Which known crashes look like this one: by the frames of the call trace, in their order.

A frame says more the higher it stands and the fewer known crashes have it. The two traces are
aligned (a longest common subsequence by weight); what both name beside the trace adds to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from math import log
from typing import NamedTuple

from bot.crash.report import USERLAND, CrashReport
from bot.crash.skips import ANCHORS, rule_of

MAX_FRAMES = 64
"""Frames of a trace that are compared."""

_LEAST = 0.1
"""A lower score is chance."""

_DECAY = 0.85
"""What a frame weighs beside the frame above it."""

_GUESS = 0.3
"""What a frame that the kernel doubts weighs beside one that it is sure of."""

_COMMON = 0.1
"""What a frame weighs that stands in any trace: entry, dispatch, helpers."""

_LONGER = 0.8
"""How much frames of one trace alone count: at 0 a piece of a trace equals the whole."""

_FRAMES = 0.7
"""What the traces count beside the credits, which sum up to the rest."""

_SAME = 0.5
"""The least score of reports that a title says are the same bug."""

_ENTRY = re.compile(
    "^(?:"
    + "|".join(
        (
            # into the kernel and out of it, system calls by number
            "entry_", "asm_", "_{0,4}sysvec_", "el[01]t?_", "ret_", "system_call", "sysenter",
            "int_ret_from_sys_call", "_{0,4}(?:se|do|x64|ia32|arm64)_sys_", "x64_sys_", "ksys_",
            "syscall_", "do_exit", "do_group_exit", "get_signal", "do_signal",
            # where threads and processors begin and idle
            "secondary_startup", "start_kernel", "x86_64_start", "rest_init", "common_startup",
            "do_idle", "cpu_idle", "default_idle", "arch_cpu_idle", "worker_thread",
            "child_rip", "kernel_thread",
            # interrupts, and the clock that finds stalls
            "_{0,4}irq_", "handle_softirqs", "_{0,4}do_softirq", "call_on_irq_stack", "invoke_softirq",
            "(?:smp_|local_){0,2}apic_timer", "_{0,4}hrtimer_", "tick_", "update_process_times",
            "watchdog", "_{0,4}nmi_", "do_nmi", "default_do_nmi", "end_repeat_nmi", "gic_",
            "handle_(?:domain_irq|percpu|irq|fasteoi)", "arch_timer_",
            # reports of stalls
            "rcu_(?:check|dump|pending|sched_clock|print)", "_{0,4}print_(?:cpu|other)", "check_cpu_stall",
            "_{0,4}rcu_pending", "trigger_", "arch_trigger", "sched_show_task", "show_regs",
        )
    )
    + ")"
)  # fmt: skip
"""How the kernel is entered, where its threads begin: what anchors of stalls leave out."""


class Known(NamedTuple):
    """A crash to compare with: an earlier incident or the fixture of a runbook, by its name."""

    name: str
    report: CrashReport


class Similarity(NamedTuple):
    """How much a known crash resembles: ``score`` 0 to 1, ``common`` frames in the report's order.

    ``why`` says it in one sentence.
    """

    name: str
    score: float
    common: tuple[str, ...]
    why: str


class _Trace(NamedTuple):
    """A report made ready: its frames, what each weighs, and the sums that bound a score."""

    frames: tuple[str, ...]
    weights: tuple[float, ...]
    total: float
    sums: Mapping[str, float]
    telling: frozenset[str]


class _Weighed(NamedTuple):
    """A frame and its weight wherever it is rare; ``telling`` unless it stands in any trace."""

    name: str
    weight: float
    telling: bool


class _Pair(NamedTuple):
    """Two reports and their traces."""

    report: CrashReport
    here: _Trace
    known: Known
    there: _Trace


class _Credit(NamedTuple):
    """Something beside the trace: what it adds at most, in which words, and how far it holds.

    ``holds`` gives 0 to 1; None where neither report can say.
    """

    weight: float
    words: str
    holds: Callable[[_Pair], float | None]


def similar(
    report: CrashReport, others: Iterable[Known | CrashReport], limit: int = 5
) -> list[Similarity]:
    """Return the ``limit`` of ``others`` that resemble ``report`` most, best first.

    A report without a name goes by its title. Equal scores are ordered by name; whatever has next
    to nothing in common is left out. Deterministic, and never raises.
    """
    known = [one if isinstance(one, Known) else Known(one.title, one) for one in others]
    plain = [_plain(report), *(_plain(one.report) for one in known)]
    spread = Counter(name for frames in plain for name in {frame.name for frame in frames})
    rarity = {name: log(1 + len(plain) / count) for name, count in spread.items()}
    here, *rest = (_trace(frames, rarity) for frames in plain)
    pairs = [_Pair(report, here, one, there) for one, there in zip(known, rest, strict=True)]
    return _best(pairs, limit) if limit > 0 else []


def _best(pairs: Sequence[_Pair], limit: int) -> list[Similarity]:
    """Align those that can still be among the best, the most promising first."""
    bounds = sorted(
        (-_score(pair, _most(pair)), pair.known.name, n) for n, pair in enumerate(pairs)
    )
    found: list[Similarity] = []
    for bound, name, n in bounds:
        full = len(found) == limit
        if -bound < _LEAST or (full and (bound, name) >= (-found[-1].score, found[-1].name)):
            break
        found.append(_compared(pairs[n]))
        found.sort(key=lambda one: (-one.score, one.name))
        del found[limit:]
    return [one for one in found if one.score >= _LEAST]


def _plain(report: CrashReport) -> list[_Weighed]:
    """Return the frames of a report, a recursion as one; telling, sure ones push others down."""
    kernel = report.kind not in USERLAND
    frames: list[_Weighed] = []
    place = 1.0
    for name, run in groupby(report.trace[:MAX_FRAMES], key=lambda frame: frame.function):
        sure = any(frame.reliable for frame in run)
        telling = not (kernel and _anywhere(name))
        weight = place * (1.0 if telling else _COMMON) * (1.0 if sure else _GUESS)
        frames.append(_Weighed(name, weight, telling))
        if telling and sure:
            place *= _DECAY
    return frames


@lru_cache(maxsize=16384)
def _anywhere(function: str) -> bool:
    return (
        _ENTRY.match(function) is not None
        or ANCHORS.search(function) is not None
        or rule_of(function) is not None
    )


def _trace(frames: Sequence[_Weighed], rarity: Mapping[str, float]) -> _Trace:
    weights = tuple(frame.weight * rarity[frame.name] for frame in frames)
    sums: dict[str, float] = {}
    for frame, weight in zip(frames, weights, strict=True):
        sums[frame.name] = sums.get(frame.name, 0.0) + weight
    return _Trace(
        frames=tuple(frame.name for frame in frames),
        weights=weights,
        total=sum(weights),
        sums=sums,
        telling=frozenset(frame.name for frame in frames if frame.telling),
    )


def _most(pair: _Pair) -> float:
    """Return what the alignment can reach at most: every frame in common, in any order."""
    here, there = pair.here.sums, pair.there.sums
    return sum(min(here[name], there[name]) for name in here.keys() & there.keys())


def _compared(pair: _Pair) -> Similarity:
    reached, common = _aligned(pair.here, pair.there)
    return Similarity(
        name=pair.known.name,
        score=_score(pair, reached),
        common=common,
        why=_why(pair, common),
    )


def _aligned(here: _Trace, there: _Trace) -> tuple[float, tuple[str, ...]]:
    """Return the weight of the best common subsequence, and its telling frames."""
    a = [(n, w) for n, w in zip(here.frames, here.weights, strict=True) if n in there.sums]
    b = [(n, w) for n, w in zip(there.frames, there.weights, strict=True) if n in here.sums]
    best = [[0.0] * (len(b) + 1)]
    for name, weight in a:
        above, row = best[-1], [0.0]
        for column, (other, also) in enumerate(b):
            value = max(above[column + 1], row[column])
            if name == other:
                value = max(value, above[column] + min(weight, also))
            row.append(value)
        best.append(row)
    common: list[str] = []
    i, j = len(a), len(b)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            common.append(a[i][0])
    return best[-1][-1], tuple(name for name in reversed(common) if name in here.telling)


def _score(pair: _Pair, reached: float) -> float:
    parts: list[tuple[float, float]] = []
    if pair.here.frames or pair.there.frames:
        less = min(pair.here.total, pair.there.total)
        union = pair.here.total + pair.there.total - reached
        whole = (1 - _LONGER) * less + _LONGER * union
        parts.append((_FRAMES, min(1.0, reached / whole)))
    for credit in _CREDITS:
        value = credit.holds(pair)
        if value is not None:
            parts.append((credit.weight, value))
    score = sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)
    return round(_SAME + (1 - _SAME) * score if _same_bug(pair) else score, 4)


def _same_kind(pair: _Pair) -> float:
    return float(pair.report.kind is pair.known.report.kind)


def _same_module(pair: _Pair) -> float | None:
    one, other = pair.report.module, pair.known.report.module
    return None if one is None and other is None else float(one == other)


def _same_function(pair: _Pair) -> float | None:
    one, other = pair.report.function, pair.known.report.function
    return None if one is None and other is None else float(one == other)


def _inlined(pair: _Pair) -> float | None:
    """Tell whether a guilty function stands in the other's trace: there a callee was inlined."""
    one, other = pair.report.function, pair.known.report.function
    if one is None and other is None:
        return None
    return float(one == other or one in pair.there.sums or other in pair.here.sums)


def _same_bug(pair: _Pair) -> bool:
    one, other = pair.report, pair.known.report
    shared = {one.title, *one.alt_titles} & {other.title, *other.alt_titles}
    return any(title and "corrupted" not in title for title in shared)


_CREDITS = (
    _Credit(0.08, "same kind", _same_kind),
    _Credit(0.05, "same module", _same_module),
    _Credit(0.09, "same function", _same_function),
    _Credit(0.08, "the guilty function stands in both", _inlined),
)


def _why(pair: _Pair, common: Sequence[str]) -> str:
    parts = ["a title says it is the same bug"] if _same_bug(pair) else []
    if common:
        parts.append(
            f"{len(common)} of {len(pair.here.telling)} telling frames in the same order, first {common[0]}"
        )
    else:
        parts.append("no telling frame in common")
    parts += [credit.words for credit in _CREDITS if credit.holds(pair)]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
