"""Runbooks on a running bot: looks that change nothing, and files that change under it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet
from tests.acceptance.bot import Bot, wait_for

pytestmark = pytest.mark.fleet

START = "2026-01-01T00:00:00Z"
LOOK = f"""\
diagnose:
  - title: The switch of a host that crashed
    playbook: sysctl-read.yml
    variables: {{key: {KNOB}, value: "0"}}
applies_if:
  probe: sysctl-read.yml
  not_applicable: {{kernel: "= 6.1"}}
mitigations:
"""


def test_a_runbook_is_looked_up_looked_at_and_followed_while_it_changes(
    fleet: Fleet, tmp_path: Path
):
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    bot = Bot(tmp_path / "site", overrides=override)
    fleet.write_inventory(bot.site / "inventory.ini")
    (ours,) = (bot.site / "runbooks").rglob("tcp-estats-update-mss.yml")
    text = ours.read_text()
    probe = "applies_if:\n  probe: sysctl-read.yml\nmitigations:\n"
    assert probe in text
    ours.write_text(text.replace(probe, LOOK))
    with bot:
        before = bot.health()["runbooks"]
        assert before["revision"].startswith("sha256:")
        assert (before["left_out"], "runbooks" in bot.health()["warnings"]) == (0, False)
        console = oops.console(oops.ESTATS, "6.12.9-fleet", random.Random(7))
        bot.post(oops.crashed("web-01", console, START))
        bot.post(oops.down("web-01", START, START))

        # The look and the rule of the probe, on real hosts; nothing was written.
        first = bot.proposal("open")
        wait_for(lambda: any(e["kind"] == "host.diagnosed" for e in bot.timeline()), 60, bot.log)
        (looked,) = [e for e in bot.timeline() if e["kind"] == "host.diagnosed"]
        assert list(looked["data"]["hosts"]) == ["web-01"]
        assert looked["data"]["hosts"]["web-01"]["value"] == "1"
        assert bot.hosts()["db-01"]["exposure"] == "not_applicable"
        assert {fleet.read(name, KNOB) for name in ("web-01", "web-02")} == {"1"}
        (made,) = [e for e in bot.timeline() if e["kind"] == "proposal.made"]
        content = made["data"]["content"]["runbook"]
        assert content["library"] == before["revision"]
        assert content["revision"] == hashlib.sha256(ours.read_bytes()).hexdigest()

        # Another runbook changes, and is bad: it is left out, and the proposal stays.
        other = next(f for f in (bot.site / "runbooks").rglob("hung-task.yml"))
        other.write_text(other.read_text().replace("no_knob:", "no_konb:"))
        wait_for(lambda: bot.health()["runbooks"]["left_out"] == 1, 30)
        found = bot.health()
        assert "did you mean 'no_knob'?" in " ".join(found["warnings"]["runbooks"])
        assert found["runbooks"]["used"] == before["used"] - 1
        assert found["runbooks"]["revision"] != before["revision"]
        assert bot.status()["proposals"][-1] == first

        # Its own runbook changes: it is superseded, and made anew.
        ours.write_text(ours.read_text() + "# one more line\n")
        wait_for(lambda: bot.status()["proposals"][0]["state"] == "superseded", 60, bot.log)
        assert "the runbook changed" in bot.log()
        assert bot.proposal("open")["id"] == "P-2"
