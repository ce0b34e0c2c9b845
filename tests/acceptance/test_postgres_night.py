"""The same night on PostgreSQL, served by two processes of which one is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.demo.fleet import KNOB, Fleet
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.test_night import agree, crash, settled
from tests.postgres import fresh, postgres

__all__ = ["postgres"]

pytestmark = [pytest.mark.fleet, pytest.mark.postgres]


@pytest.fixture
def pair(hosts: Fleet, postgres: str, tmp_path: Path) -> Iterator[tuple[Bot, Bot]]:
    """Return two bots that serve one database from one site directory."""
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    with fresh(postgres) as url:
        first = Bot(tmp_path / "site", overrides=override, database={"url": url})
        hosts.write_inventory(first.site / "inventory.ini")
        second = Bot.beside(first)
        with first, second:
            yield first, second


def test_two_bots_on_one_database_carry_out_one_rollout(pair: tuple[Bot, Bot], hosts: Fleet):
    first, second = pair
    token = first.tokens("dana")["dana"]
    crash(first, "web-01")
    second.proposal("open")
    second.tell(token, "approve", "P-1")
    wait_for(lambda: "wave.started" in [e["kind"] for e in second.timeline()], 20, second.log)
    first.kill()
    second.proposal("done")
    wait_for(lambda: settled(second), 30, second.log)
    agree(second, hosts)
    hosts.write("web-02", KNOB, "1")
    wait_for(lambda: hosts.read("web-02", KNOB) == "0", 30, second.log)
    time.sleep(1)
    kinds = [e["kind"] for e in second.timeline()]
    assert kinds.count("approval.given") == kinds.count("rollout.started") == 1
    assert kinds.count("wave.started") == kinds.count("wave.finished") == 3
    assert kinds.count("hold.drifted") == 1
    assert second.cli("timeline", "verify", "INC-1").returncode == 0
