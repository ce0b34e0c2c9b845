"""A real Alertmanager posts to the bot: fires, repeats, resolves, and waits while it is away."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from bot.demo import oops
from tests.acceptance.bot import HTTP, Bot, wait_for
from tests.machine import free_port

CHANCE = random.Random(5)
PROGRAM = "prometheus-alertmanager"
HOSTS = [f"web-{number:02d}" for number in range(1, 6)]
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)


def console(function: str) -> str:
    """Return a crash that no runbook knows, so that nothing but the intake is at work."""
    return oops.console(oops.SACK, "6.1.0", CHANCE).replace("tcp_shifted_skb", function)


def program() -> str:
    """Return the real program; without it skip, or fail where CI must not skip anything."""
    found = shutil.which(PROGRAM) or shutil.which("alertmanager")
    if found is None:
        reason = f"needs Alertmanager: apt-get install -y {PROGRAM}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Alertmanager:
    """The real program, sending to one bot and repeating itself every second."""

    def __init__(self, home: Path, bot: Bot) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.home = home
        hook = {"url": f"{bot.url}/intake/alertmanager", "send_resolved": True}
        config = {
            "route": {
                "receiver": "bot",
                "group_by": ["alertname", "group"],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1s",
                "routes": [
                    {"receiver": "brief", "matchers": ['group="brief"'], "group_wait": "2s"}
                ],
            },
            "receivers": [
                {"name": "bot", "webhook_configs": [hook]},
                {"name": "brief", "webhook_configs": [{**hook, "max_alerts": 2}]},
            ],
        }
        (home / "alertmanager.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Self:
        command = [program(), f"--config.file={self.home / 'alertmanager.yml'}"]
        command += [f"--storage.path={self.home / 'data'}", "--cluster.listen-address="]
        command += [f"--web.listen-address={self.url.removeprefix('http://')}"]
        with (self.home / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: HTTP.get(f"{self.url}/-/ready").is_success, 20, self.log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(timeout=60)

    def log(self) -> str:
        """Return what it said, for a failing test."""
        return (self.home / "log").read_text()

    def post(self, *alerts: dict[str, Any]) -> None:
        """Post alerts to its own API, as Prometheus does."""
        answer = HTTP.post(f"{self.url}/api/v2/alerts", json=alerts)
        assert answer.is_success, answer.text

    def count(self, name: str = "alertmanager_notifications_total") -> float:
        """Return how many notifications were sent (or failed) by webhook."""
        lines = HTTP.get(f"{self.url}/metrics").text.splitlines()
        found = [line for line in lines if line.startswith(f'{name}{{integration="webhook"')]
        return sum(float(line.rpartition(" ")[2]) for line in found)


def alert(name: str, host: str, annotations: dict[str, str], **labels: str) -> dict[str, Any]:
    """Return an alert that began a minute ago."""
    return {
        "labels": {"alertname": name, "instance": f"{host}:9100", **labels},
        "annotations": annotations,
        "startsAt": BEGAN.isoformat(),
        "endsAt": (BEGAN + timedelta(minutes=20)).isoformat(),
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
    }


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    program()
    found = Bot(tmp_path_factory.mktemp("am") / "site")
    lines = [f"{host} ansible_host=127.0.0.1 ansible_port=1" for host in HOSTS]
    (found.site / "inventory.ini").write_text("\n".join(["[web]", *lines, ""]))
    with found:
        yield found


@pytest.fixture(scope="module")
def alertmanager(bot: Bot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path_factory.mktemp("alertmanager"), bot) as found:
        yield found


def incident(bot: Bot, function: str) -> str:
    """Wait for the incident of a function and return its id."""
    found: list[str] = []

    def ready() -> bool:
        with bot.client() as client:
            rows = client.say(["incidents"]).data
        found.extend(row["id"] for row in rows if function in row["title"])
        return bool(found)

    wait_for(ready, 20)
    return found[0]


def repeats(alertmanager: Alertmanager, times: int = 2) -> None:
    """Wait until Alertmanager has sent that often again."""
    before = alertmanager.count()
    wait_for(lambda: alertmanager.count() >= before + times, 30, alertmanager.log)


def crashes(bot: Bot, name: str) -> int:
    found: int = bot.status(name)["cascade"]["crashes"]
    return found


def test_a_crash_becomes_one_incident_that_counts_its_cascade(bot: Bot, alertmanager: Alertmanager):
    text = console("acme_night")
    fired = [alert("KernelOops", host, {"description": text}) for host in HOSTS[:3]]
    away = [alert("HostDown", host, {"summary": "no answer"}) for host in HOSTS[:2]]
    alertmanager.post(*fired)
    name = incident(bot, "acme_night")
    wait_for(lambda: crashes(bot, name) == 3, 20, lambda: bot.log(name))
    alertmanager.post(*away)
    wait_for(lambda: len(bot.timeline(name)) >= 7, 20, lambda: bot.log(name))
    cascade = bot.status(name)["cascade"]
    assert cascade["crashed_10m"] == cascade["crashed"] == cascade["crashes"] == 3
    assert cascade["down"] == HOSTS[:3]
    assert cascade["repeat"] == cascade["unknown_hosts"] == []
    assert bot.status(name)["signature"] == {
        "kind": "bug",
        "function": "acme_night",
        "module": None,
    }
    assert "3 crashed in the last 10 min · 3 down" in bot.cli("status", name).stdout

    entries = len(bot.timeline(name))
    repeats(alertmanager)
    assert len(bot.timeline(name)) == entries

    bot.kill()
    bot.start()
    repeats(alertmanager)
    assert len(bot.timeline(name)) == entries
    assert crashes(bot, name) == 3

    alertmanager.post(
        *[{**one, "endsAt": datetime.now(UTC).isoformat()} for one in (*fired[:1], *away[:1])]
    )
    wait_for(lambda: bot.status(name)["cascade"]["down"] == HOSTS[1:3], 20, lambda: bot.log(name))
    over = [e["data"]["name"] for e in bot.timeline(name) if e["kind"] == "alert.resolved"]
    assert "HostDown" in over
    repeats(alertmanager)
    kinds = [e["kind"] for e in bot.timeline(name)]
    assert kinds.count("alert.resolved") == 2
    assert crashes(bot, name) == 3


def test_alerts_that_come_while_the_bot_is_down_are_not_lost(bot: Bot, alertmanager: Alertmanager):
    failed = "alertmanager_notification_requests_failed_total"
    bot.kill()
    before = alertmanager.count(failed)
    text = console("acme_away")
    alertmanager.post(*[alert("KernelOops", h, {"console": text}, group="away") for h in HOSTS])
    wait_for(lambda: alertmanager.count(failed) > before, 20, alertmanager.log)
    bot.start()
    name = incident(bot, "acme_away")
    wait_for(lambda: crashes(bot, name) == 5, 30, lambda: bot.log(name))
    repeats(alertmanager)
    assert crashes(bot, name) == 5


def test_alerts_that_alertmanager_cut_off_are_noted(bot: Bot, alertmanager: Alertmanager):
    text = console("acme_brief")
    fired = [alert("KernelOops", h, {"console": text}, group="brief") for h in HOSTS]
    now = datetime.now(UTC).isoformat()  # what began long ago would not wait for the others
    alertmanager.post(*[{**one, "startsAt": now} for one in fired])
    name = incident(bot, "acme_brief")
    assert crashes(bot, name) == 2
    assert [e["data"]["cut"] for e in bot.timeline(name) if e["kind"] == "alert.received"] == [3, 3]
    assert "the sender left 3 alerts out" in bot.cli("status", name).stdout
