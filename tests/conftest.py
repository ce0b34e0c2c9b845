"""The order of all tests, and which of them stay together on one worker.

Workers take what is next in the list (``--no-loadscope-reorder`` in ``.ci/test``).
So what takes longest is begun first, and what is short fills the gaps at the end. Tests that share a
fixture of their module (a bot, a fleet) are one group: several workers would each build it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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

ALONE = frozenset({"test_chaos.py", "test_kills.py", "test_night.py", "test_gates.py"})
"""Acceptance tests that each have a fleet of their own: nothing is gained by one worker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[int, int]:
    kind, name = item.path.relative_to(ROOT).parts[0], item.path.name
    among = ("acceptance", "contract", "unit").index(kind)
    return among, LONGEST.index(name) if name in LONGEST else len(LONGEST)


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out groups in the order of the tests.

    xdist's own ``loadgroup`` writes a group into the id of a test, which pytest 9.2 no longer
    permits: it groups nothing and does not say so.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if "/unit/" in file or Path(file).name in ALONE:
            return f"{file}::{test.partition('[')[0]}"  # the rows of a test stay together
        return file  # its tests share a bot, a fleet or a server


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """Use the groups from here, whatever ``--dist`` says."""
    return Groups(config, log)
