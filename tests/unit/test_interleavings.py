"""Nothing slips through: whatever the order, no unapproved start, no second one, no loser untold.

``HOLDFAST_SOAK=1`` plays 100,000 orders instead of 2,000. A seed that fails is played again by
``Arena(place, requester).play(seed)``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.interleave import Arena

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
ORDERS = 100_000 if SOAK else 2_000
CHUNKS = 8
MEMORY = Path("/dev/shm")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a directory in memory if there is one: the order matters here, not the disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_in_any_order_only_what_was_approved_is_carried_out_and_only_once(chunk: int, place: Path):
    arena = Arena(place, "dana" if chunk % 2 else "holdfast")
    size, faults, began = ORDERS // CHUNKS, Counter[str](), time.monotonic()
    try:
        for number in range(size):
            seed = chunk * size + number
            for fault in arena.play(seed):
                faults[f"seed {seed}: {fault}"] += 1
            if SOAK and number % 500 == 499:
                pace = (time.monotonic() - began) / (number + 1)
                print(
                    f"chunk {chunk}: {number + 1} orders, {len(faults)} faults, {pace:.3f} s each"
                )
    finally:
        arena.close()
    assert not faults


def test_the_orders_are_not_all_alike(place: Path):
    """A good many of them start a rollout, supersede, reject, expire, and break the glass."""
    arena, kinds = Arena(place), Counter[str]()
    try:
        for seed in range(150):
            assert arena.play(seed) == []
            kinds.update({e.kind for e in arena.entries()})
    finally:
        arena.close()
    assert kinds["rollout.started"] > 20
    for kind in ("proposal.superseded", "proposal.rejected", "proposal.expired", "glass.opened"):
        assert kinds[kind] > 0
    assert kinds["approval.refused"] > 50
