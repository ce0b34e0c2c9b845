"""Waves and their gates on real hosts: who is touched, when it stops, and how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.demo.fleet import KNOB, Fleet
from bot.incident.state import Answer
from bot.runner import prometheus
from tests.acceptance.bot import HTTP, Bot, wait_for
from tests.acceptance.test_night import agree, crash, settled
from tests.machine import free_port

fleet = pytest.mark.fleet
PATIENCE = 180
RUNBOOK = "runbooks/network/tcp-estats-update-mss.yml"
CHECK = """\
- name: Look
  hosts: all
  gather_facts: false
  tasks:
    - name: Say whether it is well
      ansible.builtin.raw: |
        echo '{"holdfast":1,"phase":"check","ok":true,"reason":""}'
      check_mode: false
      changed_when: false
"""
STRANGER = """\
- name: Leave the list
  hosts: all
  gather_facts: false
  tasks:
    - name: Take a host from elsewhere
      ansible.builtin.add_host: {name: stranger-01, ansible_connection: local}
      when: not ansible_check_mode
- name: Touch it
  hosts: stranger-01
  gather_facts: false
  tasks:
    - name: Say hello
      ansible.builtin.raw: echo hello
      when: not ansible_check_mode
"""


class Metrics:
    """A server with Prometheus' instant query; ``value`` is what every query comes to.

    Without a value it answers as a proxy does whose Prometheus is away.
    """

    def __init__(self) -> None:
        self.value: float | None = 0.0
        metrics = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sample = {"metric": {}, "value": [1700000000, str(metrics.value)]}
                data = {"resultType": "vector", "result": [sample]}
                body = json.dumps({"status": "success", "data": data}).encode()
                known = self.path.startswith("/api/v1/query?query=") and metrics.value is not None
                self.send_response(200 if known else 503)
                self.end_headers()
                self.wfile.write(body if known else b"")

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    found = Metrics()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def site(hosts: Fleet, tmp_path: Path, metrics: Metrics) -> Iterator[Bot]:
    """Return a bot that is not started yet; its runbook has every rule of waves and gates."""
    override = {"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}}
    bot = Bot(tmp_path / "site", overrides=override, gate={"prometheus_url": metrics.url})
    inventory = hosts.write_inventory(bot.site / "inventory.ini")
    inventory.write_text(inventory.read_text() + "[db:vars]\nloaded=true\n")
    (bot.site / "playbooks/look.yml").write_text(CHECK)
    runbook = yaml.safe_load((bot.site / RUNBOOK).read_text())
    (mitigation,) = runbook["mitigations"]
    mitigation["waves"] = [2, "100%"]
    mitigation["rollout"] = {
        "order": "loaded-last",
        "spread": "rack",
        "min_survivors": "30%",
        "max_parallel": 2,
    }
    mitigation["gate"] |= {
        "soak": "2s",
        "checks": [
            {"title": "the bot's side", "playbook": "look.yml", "where": "localhost"},
            {"title": "the hosts' side", "playbook": "look.yml"},
            {"title": "error rate", "prometheus": {"query": "sum(rate(errors[5m]))", "max": 5}},
        ],
    }
    (bot.site / RUNBOOK).write_text(yaml.safe_dump(runbook))
    yield bot
    bot.stop()


def change(bot: Bot, **parts: Any) -> None:
    """Change parts of the mitigation before the bot is started."""
    runbook = yaml.safe_load((bot.site / RUNBOOK).read_text())
    runbook["mitigations"][0] |= parts
    (bot.site / RUNBOOK).write_text(yaml.safe_dump(runbook))


def entries(bot: Bot, *kinds: str) -> list[dict[str, Any]]:
    return [e for e in bot.timeline() if e["kind"] in kinds]


@fleet
def test_a_check_halts_and_a_commander_lets_it_go_on(site: Bot, hosts: Fleet, metrics: Metrics):
    metrics.value = 9
    site.start()
    token = site.tokens("dana", "sam")
    crash(site, "web-01")
    site.proposal("open", seconds=PATIENCE)
    card = site.cli("details", "P-1").stdout
    for said in ("the 1 loaded hosts last", "at most 2 at once", "3 values of rack", "max 5"):
        assert said in " ".join(card.split()), card
    site.tell(token["dana"], "approve", "P-1")
    site.proposal("halted", seconds=PATIENCE)
    (halt,) = entries(site, "rollout.halted")
    assert "check 'error rate': 1 of 1 samples out: 9 (max 5)" in halt["text"]
    (soaking,) = entries(site, "gate.soaking")
    assert "2 hosts, 0 not verified (limit 0), 0 vanished (limit 1)" in soaking["text"]
    checked = [(e["data"]["title"], e["data"]["why"]) for e in entries(site, "gate.checked")]
    assert checked[:2] == [("the bot's side", "1 say yes"), ("the hosts' side", "2 say yes")]
    (canary,) = entries(site, "wave.started")
    racks = {hosts.hosts[name].rack for name in canary["data"]["hosts"]}
    assert len(racks) == len(canary["data"]["hosts"]) == 2
    assert "db-01" not in canary["data"]["hosts"]
    touched = {h for h in hosts.hosts if hosts.read(h, KNOB) == "0"}
    assert touched == set(canary["data"]["hosts"])

    refused = site.cli("resume", "P-1", token=token["sam"])
    assert refused.returncode == 1
    assert "resume needs the role" in refused.stderr
    metrics.value = 1
    site.tell(token["dana"], "resume", "P-1")
    site.proposal("done", seconds=PATIENCE)
    wait_for(lambda: settled(site), PATIENCE, site.log)
    agree(site, hosts)
    (resumed,) = entries(site, "rollout.resumed")
    assert resumed["actor"]["id"] == "dana"
    assert resumed["data"]["digest"] == halt["data"]["digest"]
    (passed,) = entries(site, "gate.passed")
    assert "error rate: 1 (max 5)" in passed["text"]
    assert all(len(e["data"]["hosts"]) <= 2 for e in entries(site, "wave.started"))


@fleet
def test_a_query_that_nobody_answers_halts_and_the_rollout_is_taken_back(
    site: Bot, hosts: Fleet, metrics: Metrics
):
    metrics.value = None
    site.start()
    token = site.tokens("dana", "alex")
    crash(site, "web-01")
    site.proposal("open", seconds=PATIENCE)
    site.tell(token["dana"], "approve", "P-1")
    site.proposal("halted", seconds=PATIENCE)
    (halt,) = entries(site, "rollout.halted")
    assert "HTTP 503 without JSON" in halt["text"]
    site.tell(token["alex"], "rollback", "P-1")
    wait_for(lambda: site.status()["proposals"][-1]["id"] == "P-2", PATIENCE, site.log)
    assert [p["state"] for p in site.status()["proposals"]] == ["halted", "open"]
    site.tell(token["dana"], "approve", "P-2")
    wait_for(lambda: site.status()["proposals"][-1]["state"] == "halted", PATIENCE, site.log)
    assert site.status()["proposals"][0]["state"] == "aborted"
    site.tell(token["dana"], "resume", "P-2")
    site.proposal("done", seconds=PATIENCE)
    assert [hosts.read(h, KNOB) for h in hosts.hosts] == ["1", "1", "1", "1", None]
    assert site.status()["hosts"]["rolled_back"] == 2


@fleet
def test_a_run_that_leaves_its_list_of_hosts_stops_the_rollout(site: Bot, hosts: Fleet):
    tail = (site.site / "playbooks/sysctl-set.yml").read_text().partition("---\n")[2]
    (site.site / "playbooks/sysctl-set.yml").write_text(STRANGER + tail)
    change(site, gate={"max_failed": 0})
    site.start()
    crash(site, "web-01")
    wait_for(lambda: bool(entries(site, "proposal.failed")), PATIENCE, site.log)
    said = entries(site, "proposal.failed")[0]["text"]
    assert "no target is in play 'Touch it' (hosts: stranger-01)" in said
    assert {hosts.read(h, KNOB) for h in hosts.hosts} == {"1", None}

    # A pattern that fits the targets as well hides the stranger until the play is run.
    playbook = site.site / "playbooks/sysctl-set.yml"
    playbook.write_text(playbook.read_text().replace("stranger-01\n", "stranger-01:all\n"))
    token = site.tokens("dana", "sam")
    site.tell(token["sam"], "propose", "INC-1")
    site.proposal("open", seconds=PATIENCE)
    site.tell(token["dana"], "approve", "P-1")
    site.proposal("halted", seconds=PATIENCE)
    (halt,) = entries(site, "rollout.halted")
    assert "BREACH" in halt["text"]
    assert "1 hosts that are not on its list: stranger-01" in halt["text"]
    touched = {h for h in hosts.hosts if hosts.read(h, KNOB) == "0"}
    assert len(touched) <= 2
    site.tell(token["sam"], "abort", "P-1")
    site.proposal("aborted", seconds=PATIENCE)


@pytest.mark.parametrize(
    ("rule", "value", "ok", "said"),
    [
        ({"max": 5}, 5, True, "5 (max 5)"),
        ({"max": 5}, 5.5, False, "1 of 1 samples out: 5.5 (max 5)"),
        ({"min": 2, "max": 5}, 1, False, "1 of 1 samples out: 1 (min 2 and max 5)"),
        ({"min": 0}, float("nan"), False, "1 of 1 samples out: nan (min 0)"),
    ],
)
def test_a_query_is_asked_over_http_and_held_against_its_bounds(
    metrics: Metrics, rule: dict[str, float], value: float, ok: bool, said: str
):
    metrics.value = value
    answer = prometheus.ask({"url": metrics.url, "query": "sum(up)", **rule})
    assert answer == Answer(ok=ok, sentence=said)


def test_a_query_that_cannot_be_asked_does_not_pass(metrics: Metrics):
    lost = prometheus.ask({"url": f"{metrics.url}/nowhere", "query": "up", "max": 1})
    assert (lost.ok, "HTTP 503 without JSON" in lost.sentence) == (False, True)
    gone = prometheus.ask({"url": f"http://127.0.0.1:{free_port()}", "query": "up", "max": 1})
    assert (gone.ok, "not answered" in gone.sentence) == (False, True)


def test_a_real_prometheus_is_asked(tmp_path: Path):
    program = shutil.which("prometheus")
    if program is None:
        reason = "needs Prometheus: apt-get install -y prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    address = f"127.0.0.1:{free_port()}"
    config = {
        "scrape_configs": [
            {"job_name": "own", "scrape_interval": "1s", "static_configs": [{"targets": [address]}]}
        ]
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program, f"--config.file={tmp_path / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://{address}"
        wait_for(lambda: HTTP.get(f"{url}/-/ready", timeout=2).status_code == 200, 30)
        rule = {"url": url, "query": 'up{job="own"}', "min": 1}
        wait_for(lambda: prometheus.ask(rule).ok, 30)
        assert prometheus.ask(rule) == Answer(ok=True, sentence="1 (min 1)")
        assert prometheus.ask({**rule, "query": "vector(7)", "min": 8}).sentence == (
            "1 of 1 samples out: 7 (min 8)"
        )
        assert "no sample" in prometheus.ask({**rule, "query": "absent_metric"}).sentence
        assert "parse error" in prometheus.ask({**rule, "query": "up{"}).sentence
    finally:
        process.terminate()
        process.wait(timeout=60)
