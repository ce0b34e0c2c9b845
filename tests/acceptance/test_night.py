"""The whole flow on real hosts: what the bot claims is compared with what the hosts say."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet
from tests.acceptance.bot import Bot, wait_for

pytestmark = pytest.mark.fleet

CHANCE = random.Random(7)
START = "2026-01-01T00:00:00Z"


def crash(bot: Bot, host: str, *, at: str = START) -> None:
    """Post a crash of a host that is up again, as a watcher of the console does."""
    text = oops.console(oops.ESTATS, "6.12.9-fleet", CHANCE)
    answer = bot.post(oops.crashed(host, text, at))
    assert answer.status_code == 202, answer.text
    bot.post(oops.down(host, at, at))


def agree(bot: Bot, hosts: Fleet, knob: str = KNOB, incident: str = "INC-1") -> None:
    """Ask every host itself, and compare."""
    for name, row in bot.hosts(incident).items():
        value = hosts.read(name, knob)
        if row["outcome"] == "verified":
            assert (row["value"], value) == ("0", "0"), name
            assert row["boot_id"] == hosts.boot_id(name)
        elif row["outcome"] == "not_applicable":
            assert value is None, name
        else:
            assert row["outcome"] == "owed", row
            assert value in {"1", None}, name


def settled(bot: Bot, incident: str = "INC-1") -> bool:
    counts = bot.status(incident)["hosts"]
    return bool(counts["owed"] == counts["unknown"] == 0 and counts["verified"] > 0)


def test_an_oops_becomes_a_verified_mitigation_that_is_held_and_taken_back(bot: Bot, hosts: Fleet):
    token = bot.tokens("dana", "sam", "alex")
    crash(bot, "web-01")
    open_one = bot.proposal("open")
    refused = bot.cli("approve", "P-1", token=token["sam"])
    assert refused.returncode == 1
    assert "needs the role approver or commander; Sam has responder" in refused.stderr
    assert "approve needs to know who you are" in bot.cli("approve", "P-1").stderr
    assert [hosts.read(h, KNOB) for h in hosts.hosts] == ["1", "1", "1", "1", None]

    said = bot.cli("approve", "P-1", "--digest", open_one["digest"][:12], token=token["dana"])
    assert said.returncode == 0, said.stderr
    bot.proposal("done")
    wait_for(lambda: settled(bot), 30, bot.log)
    agree(bot, hosts)
    counts = bot.status()["hosts"]
    assert (counts["verified"], counts["not_applicable"]) == (4, 1)
    assert bot.hosts()["web-01"]["lane"] == "bulk"
    waves = [e for e in bot.timeline() if e["kind"] == "wave.finished"]
    assert [set(e["data"]["lanes"]) for e in waves] == [{"bulk"}] * len(waves)
    assert "bulk lane" in waves[0]["text"]

    hosts.reboot("db-01")
    assert hosts.read("db-01", KNOB) == "0"
    hosts.write("web-02", KNOB, "1")
    wait_for(lambda: hosts.read("web-02", KNOB) == "0", 30, bot.log)
    wait_for(lambda: bot.status()["hold"]["restores"] == 1, 10, bot.log)
    wait_for(lambda: bot.hosts()["db-01"]["boot_id"] == hosts.boot_id("db-01"), 20, bot.log)
    agree(bot, hosts)

    verdict = bot.cli("timeline", "verify", "INC-1")
    assert verdict.returncode == 0
    assert "chain intact" in verdict.stdout
    paper = bot.cli("postmortem", "INC-1").stdout
    assert open_one["digest"] in paper
    assert "tcp_estats_update_mss" in paper

    _take_back(bot, hosts, token)


def _take_back(bot: Bot, hosts: Fleet, token: dict[str, str]) -> None:
    """A rollback is a proposal of its own, and restores the prior value."""
    assert bot.cli("rollback", "P-1", token=token["alex"]).returncode == 0
    wait_for(lambda: bot.status()["proposals"][-1]["id"] == "P-2", 30, bot.log)
    own = bot.cli("approve", "P-2", token=token["alex"])
    assert "the requester cannot approve" in own.stderr
    bot.tell(token["dana"], "approve", "P-2")
    bot.proposal("done")
    assert [hosts.read(h, KNOB) for h in hosts.hosts] == ["1", "1", "1", "1", None]
    assert bot.status()["hosts"]["rolled_back"] == 4
    assert bot.status()["hold"]["state"] == "released"
    hosts.reboot("web-01")
    assert hosts.read("web-01", KNOB) == "1"


def test_hosts_that_are_down_are_owed_and_never_stop_the_rollout(bot: Bot, hosts: Fleet):
    token = bot.tokens("dana")["dana"]
    hosts.crash("web-03")
    crash(bot, "web-01")
    bot.post(oops.crashed("web-03", oops.console(oops.ESTATS, "6.12.9-fleet", CHANCE), START))
    bot.proposal("open")
    bot.tell(token, "approve", "P-1")
    bot.proposal("done")
    row = bot.hosts()["web-03"]
    assert row["outcome"] == "owed"
    assert bot.status()["cascade"]["down"] == ["web-03"]
    assert "may be serving unmitigated" in bot.cli("status", "INC-1").stdout
    hosts.boot("web-03")
    wait_for(lambda: settled(bot), 40, bot.log)
    agree(bot, hosts)
    runs = [p.name for p in (bot.site / "state" / "runs").iterdir()]
    # Which of the two tells it first is a matter of moments.
    assert [r for r in runs if ".retry." in r or ".check." in r]


def test_a_bot_that_is_killed_in_mid_rollout_goes_on_where_it_was(bot: Bot, hosts: Fleet):
    token = bot.tokens("dana")["dana"]
    crash(bot, "web-01")
    bot.proposal("open")
    bot.tell(token, "approve", "P-1")
    wait_for(lambda: "wave.started" in [e["kind"] for e in bot.timeline()], 20, bot.log)
    bot.kill()
    time.sleep(random.Random(1).uniform(0.1, 2.0))
    bot.start()
    bot.proposal("done")
    wait_for(lambda: settled(bot), 30, bot.log)
    agree(bot, hosts)
    kinds = [e["kind"] for e in bot.timeline()]
    assert kinds.count("approval.given") == 1
    assert kinds.count("rollout.started") == 1
    assert kinds.count("wave.started") == 3
    assert kinds.count("wave.finished") == 3
    assert "wave.lost" not in kinds
    runs = [p.name for p in (bot.site / "state" / "runs").iterdir()]
    assert sorted(r for r in runs if ".wave." in r) == [
        "INC-1.P-1.wave.1.1",
        "INC-1.P-1.wave.2.1",
        "INC-1.P-1.wave.3.1",
    ]


def test_a_supervisor_that_is_killed_is_noticed_and_its_hosts_are_read_back(bot: Bot, hosts: Fleet):
    token = bot.tokens("dana")["dana"]
    crash(bot, "web-01")
    bot.proposal("open")
    bot.tell(token, "approve", "P-1")
    pid = _supervisor(bot, "INC-1.P-1.wave.1.1")
    _kill_tree(pid)
    wait_for(lambda: "wave.lost" in [e["kind"] for e in bot.timeline()], 45, bot.log)
    bot.proposal("done")
    wait_for(lambda: settled(bot), 30, bot.log)
    agree(bot, hosts)
    kinds = [e["kind"] for e in bot.timeline()]
    lost = kinds.index("wave.lost")
    assert "hosts.updated" in kinds[lost:] or "wave.started" in kinds[lost:]


def test_a_changed_playbook_supersedes_the_proposal_and_an_abort_stops_the_next_one(
    bot: Bot, hosts: Fleet
):
    token = bot.tokens("dana", "sam")
    crash(bot, "web-01")
    first = bot.proposal("open")
    playbook = bot.site / "playbooks" / "sysctl-set.yml"
    playbook.write_text(playbook.read_text() + "# one more line\n")
    wait_for(lambda: bot.status()["proposals"][0]["state"] == "superseded", 20, bot.log)
    said = bot.cli("approve", "P-1", "--digest", first["digest"], token=token["dana"])
    assert said.returncode == 1
    assert "superseded" in said.stderr
    second = bot.proposal("open")
    assert second["id"] == "P-2"
    assert second["digest"] != first["digest"]
    assert {hosts.read(h, KNOB) for h in hosts.hosts} == {"1", None}

    bot.tell(token["dana"], "approve", "P-2")
    pid = _supervisor(bot, "INC-1.P-2.wave.1.1")
    assert bot.cli("abort", "P-2", "wrong", "night", token=token["sam"]).returncode == 0
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 15, bot.log)
    wait_for(lambda: bot.status()["hosts"]["unknown"] == 0, 30, bot.log)
    time.sleep(1)
    agree(bot, hosts)
    kinds = [e["kind"] for e in bot.timeline()]
    assert "wave.started" not in kinds[kinds.index("rollout.aborted") :]
    assert [p["state"] for p in bot.status()["proposals"]] == ["superseded", "aborted"]


def _supervisor(bot: Bot, ident: str) -> int:
    """Return the pid of a run's supervisor once its Ansible is at work."""
    found: list[int] = []

    def ready() -> bool:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cmdline()[-2:] == ["run", ident]:
                    found.append(process.pid)
        return bool(found) and (bot.site / "state" / "runs" / ident / "artifacts").exists()

    def quietly() -> bool:
        try:
            return ready()
        except OSError:
            return False

    wait_for(quietly, 60, bot.log)
    return found[-1]


def _kill_tree(pid: int) -> None:
    """Kill a supervisor and everything below it, as a machine that loses its power does."""
    whole = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in whole:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
