"""The order of all tests, and which of them stay together on one worker.

Workers take what is next in the list (``--dist loadgroup --no-loadscope-reorder`` in ``.ci/test``).
So what takes longest is begun first, and what is short fills the gaps at the end. Tests that share a
fixture of their module (a bot, a fleet) are one group: several workers would each build it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code, so nothing is timed. The same examples every time: a run
# of tests tells what a change did; HOLDFAST_SOAK=1 looks for new ones.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=os.environ.get("HOLDFAST_SOAK") != "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

ROOT = Path(__file__).parent
LONGEST = (
    "test_chaos.py", "test_kills.py", "test_truth.py", "test_secrets.py", "test_lane.py",
    "test_night.py", "test_gates.py", "test_citizens.py", "test_postgres_night.py",
    "test_fleet.py", "test_intake.py", "test_slack_night.py", "test_injection.py",
    "test_alertmanager.py", "test_cli.py",
    "test_store_outage.py", "test_store_concurrency.py",
    "test_worker.py", "test_rollout_properties.py", "test_supervise.py", "test_report.py",
    "test_index.py", "test_stream.py", "test_linear.py", "test_userland.py",
)  # fmt: skip
"""Longest first; acceptance tests that are not listed come behind these, others behind theirs."""

CHUNK = 12
"""So many short tests are one group: a message to the worker for each would cost more than most."""


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
    kind, name = item.path.relative_to(ROOT).parts[0], item.path.name
    among = ("acceptance", "contract", "unit").index(kind)
    return among, LONGEST.index(name) if name in LONGEST else len(LONGEST)


def _shares(item: pytest.Item) -> bool:
    """Whether a test uses a fixture that its module builds once."""
    assert isinstance(item, pytest.Function)
    found = item._fixtureinfo.name2fixturedefs.values()
    return any(last.scope == "module" for *_, last in found)
