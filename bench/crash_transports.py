"""How many titles survive each transport, and each two of them in a row."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.crash_corpus import Row, read_right, rows, share, title
from tests.unit.crash.carriers import CARRIERS, HOPELESS, LOSSY, Carrier, compose

SAMPLE = 60
SHOWN = 40
SEED = 4


class Miss(NamedTuple):
    """A title that a transport changed; ``got`` is None when no crash was found."""

    id: str
    wanted: str
    got: str | None


class Tried(NamedTuple):
    """What one carrier, or one in another, did to a number of logs."""

    name: str
    logs: int
    misses: list[Miss]

    @property
    def kept(self) -> float:
        """The share of titles that stayed."""
        return 1 - len(self.misses) / self.logs


def measure(*, verbose: bool) -> bool:
    """Print what every carrier keeps, then what every ordered pair keeps, the worst first."""
    right = read_right(rows())
    print(f"transports: {len(right)} logs whose clean title is the labelled one")
    singles = [_tried(name, carrier, right) for name, carrier in CARRIERS.items()]
    _table("carriers", singles, verbose=verbose)
    chosen = random.Random(SEED).sample(right, min(SAMPLE, len(right)))
    pairs = [
        _tried(f"{inner} | {outer}", compose(CARRIERS[inner], CARRIERS[outer]), chosen)
        for inner in CARRIERS
        for outer in CARRIERS
        if inner != outer and HOPELESS.get((inner, outer)) is None
    ]
    _table(f"ordered pairs over {len(chosen)} logs", pairs, verbose=verbose)
    print(f"not tried: {len(HOPELESS)} pairs that cannot work")
    return all(one.kept >= _wanted(one.name) for one in (*singles, *pairs))


def _wanted(name: str) -> float:
    """Return the share that is promised: less for two carriers, and where caller ids are lost."""
    return 0.98 if " | " in name or name in LOSSY else 0.99


def _tried(name: str, carrier: Carrier, logs: Sequence[Row]) -> Tried:
    misses = [
        Miss(row.id, row.title, got)
        for row in logs
        if (got := title(carrier(row.log))) != row.title
    ]
    return Tried(name, len(logs), misses)


def _table(what: str, tried: Iterable[Tried], *, verbose: bool) -> None:
    ranked = sorted(tried, key=lambda one: one.kept)
    whole = sum(one.logs for one in ranked)
    kept = whole - sum(len(one.misses) for one in ranked)
    bad = [one for one in ranked if one.kept < _wanted(one.name)]
    print(f"{what}: {share(kept, whole)} titles kept; {len(bad)} of {len(ranked)} below the line")
    for one in ranked if verbose else ranked[:SHOWN]:
        if one.misses:
            print(f"  {one.kept:7.2%}  {one.name}")
        if verbose:
            for miss in one.misses:
                print(f"             {miss.id}: {miss.wanted!r}, read {miss.got!r}")
