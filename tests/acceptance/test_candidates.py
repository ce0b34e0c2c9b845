"""What could turn this off? Asked of a crash text, of one real host, and of an incident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bot.demo.fleet import Fleet
from tests.acceptance.bot import Bot, wait_for
from tests.library.console import SHAPES, Crash
from tests.library.machines import BOOKWORM

ROOT = Path(__file__).resolve().parents[2]
LABEL = "candidates to look at, not a recommendation"


def text(function: str, *calls: str) -> str:
    return SHAPES["gpf"](Crash(machine=BOOKWORM, function=function, calls=calls))


def knobs(site: Path, *words: str, given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", "--config", str(site / "holdfast.yml"), "knobs", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    config = {
        "runbooks": str(ROOT / "runbooks"),
        "playbooks": str(ROOT / "playbooks"),
        "fleet": {"inventory": "inventory.ini"},
    }
    (tmp_path / "holdfast.yml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_a_crash_text_gets_a_labelled_list_with_reasons_and_nothing_to_run(site):
    said = knobs(site, "-", given=text("mptcp_token_new_connect", "mptcp_stream_connect"))
    assert said.returncode == 0, said.stderr
    assert LABEL in said.stdout
    assert "no host was asked" in said.stdout
    assert "1. net.mptcp.enabled" in said.stdout
    assert "because mptcp_token_new_connect begins like mptcp" in said.stdout
    nothing = knobs(site, "-", "--json", given=text("zzz_unheard_of"))
    assert (nothing.returncode, json.loads(nothing.stdout)) == (1, [])


@pytest.mark.fleet
def test_a_host_is_asked_for_names_and_only_what_it_has_is_listed(site, fleet: Fleet):
    fleet.write_inventory(site / "inventory.ini")
    crash = text("tcp_try_fastopen", "tcp_conn_request", "tcp_v4_conn_request")
    said = knobs(site, "-", "--host", "web-01", "--json", given=crash)
    assert said.returncode == 0, said.stderr
    rows = {row["candidate"]: row for row in json.loads(said.stdout)}
    assert rows["net.ipv4.tcp_fastopen"]["present"] is True
    assert "web-01 has it" in rows["net.ipv4.tcp_fastopen"]["reasons"]
    for name in rows:
        if not name.startswith("module "):
            path = f"/proc/sys/{name.replace('.', '/')}"
            assert fleet.run("web-01", "test", "-e", path).returncode == 0
    stranger = knobs(site, "-", "--host", "web-1", given=crash)
    assert stranger.returncode == 1
    assert "did you mean web-01?" in stranger.stderr


def test_an_incident_that_no_runbook_knows_has_the_button_and_no_other(tmp_path):
    with Bot(tmp_path / "site") as bot, bot.client() as client:
        crash = text("mptcp_token_new_connect", "mptcp_stream_connect")
        assert client.text(crash.encode(), "web-09")["incidents"] == ["INC-1"]
        wait_for(lambda: "none matches" in json.dumps(client.say(["status"]).card), 30)
        assert [b["line"] for b in client.say(["status"]).card["buttons"]] == ["knobs INC-1"]
        answer = client.say(["knobs", "INC-1"])
        assert answer.data[0]["candidate"] == "net.mptcp.enabled"
        assert LABEL in answer.card["code"]
        assert answer.card["buttons"] == []
