"""The order of all tests, and which of them stay together on one worker.

Workers take what is next in the list (``--dist loadgroup --no-loadscope-reorder`` in ``.ci/test``).
So what takes longest is begun first, and what is short fills the gaps at the end. Tests that share a
fixture of their module (a bot, a fleet) are one group: several workers would each build it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
LONGEST = (
    "test_chaos.py", "test_kills.py", "test_truth.py", "test_secrets.py", "test_lane.py",
    "test_night.py", "test_gates.py", "test_citizens.py", "test_postgres_night.py",
    "test_fleet.py", "test_intake.py", "test_slack_night.py", "test_injection.py",
    "test_alertmanager.py", "test_cli.py",
)  # fmt: skip
"""Acceptance tests, longest first; those that are not listed come behind these."""

CHUNK = 40
"""So many short tests are one group: a message to the worker for each would cost more than most."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first and mark what belongs together."""
    items.sort(key=_place)
    counts: Counter[str] = Counter()
    for item in items:
        name = item.path.relative_to(ROOT).as_posix()
        counts[name] += 1
        if _shares(item) or item.path.parent.name == "contract":  # there a server is shared
            group = name
        elif item.path.parent.name == "acceptance":
            group = f"{name} {counts[name]}"
        else:
            group = f"{name} {counts[name] // CHUNK}"
        item.add_marker(pytest.mark.xdist_group(group))


def _place(item: pytest.Item) -> tuple[int, int]:
    kind = item.path.relative_to(ROOT).parts[0]
    if kind == "acceptance":
        name = item.path.name
        return 0, LONGEST.index(name) if name in LONGEST else len(LONGEST)
    return (1, 0) if kind == "contract" else (2, 0)


def _shares(item: pytest.Item) -> bool:
    """Whether a test uses a fixture that its module builds once."""
    assert isinstance(item, pytest.Function)
    found = item._fixtureinfo.name2fixturedefs.values()
    return any(last.scope == "module" for *_, last in found)
