"""Fixtures of the acceptance tests: the enclave and real fleets inside it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.demo import enclave as place
from bot.demo.fleet import KNOB, Fleet, HostSpec
from tests.acceptance.bot import Bot

MakeFleet = Callable[..., Fleet]


@pytest.fixture(scope="session")
def enclave() -> place.Mode:
    """Return the enclave's mode; outside of it skip, or fail where CI must not skip anything."""
    found = place.mode()
    if found is None:
        reason = "needs the enclave: run `make test`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def make_fleet(
    enclave: place.Mode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeFleet]:
    """Return ``make(*specs, kind=Fleet)``: a fleet that is up, and down after the module."""
    with ExitStack() as stack:

        def make(*specs: HostSpec, kind: type[Fleet] = Fleet) -> Fleet:
            return stack.enter_context(kind(tmp_path_factory.mktemp("fleet"), specs))

        yield make


@pytest.fixture(scope="module")
def fleet(make_fleet: MakeFleet) -> Fleet:
    """Return two patched hosts in pool web and one without the patch in pool db."""
    return make_fleet(
        HostSpec(name="web-01", pool="web", rack="r1"),
        HostSpec(name="web-02", pool="web", rack="r2"),
        HostSpec(name="db-01", pool="db", rack="r1", patched=False, release="6.1.119-fleet"),
    )


@pytest.fixture
def hosts(enclave: place.Mode, tmp_path: Path) -> Iterator[Fleet]:
    """Return a fresh fleet for one test: four patched hosts and one without the knob."""
    specs = [HostSpec(name=f"web-0{n}", pool="web", rack=f"r{n}") for n in range(1, 4)]
    specs += [
        HostSpec(name="db-01", pool="db"),
        HostSpec(name="lb-01", pool="lb", patched=False, release="6.1.119-fleet"),
    ]
    with Fleet(tmp_path / "fleet", specs) as fleet:
        yield fleet


@pytest.fixture
def bot(hosts: Fleet, tmp_path: Path) -> Iterator[Bot]:
    """Return a running bot that knows the fleet, its flagship knob overridden by the stand-in."""
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    bot = Bot(tmp_path / "site", overrides=override)
    hosts.write_inventory(bot.site / "inventory.ini")
    with bot:
        yield bot
