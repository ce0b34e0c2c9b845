"""Text from outside is shown, never obeyed: on a real fleet, through the real ansible-runner."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet, HostSpec
from tests.acceptance.bot import HTTP, Bot, wait_for
from tests.acceptance.conftest import MakeFleet

pytestmark = pytest.mark.fleet

CHANCE = random.Random(3)
START = "2026-01-01T00:00:00Z"
SECRET = "hunter2-not-for-ansible"
TRICKS = "\x1b[31m<script>alert(1)</script><!channel> \u202e\x9b2J [x](javascript:alert(1)) `id`"
SPY = """\
- name: Tell what the environment of Ansible holds
  hosts: all
  gather_facts: false
  vars: {key: "", value: "", phase: probe}
  tasks:
    - name: Tell
      ansible.builtin.raw: >-
        printf '{"holdfast":1,"phase":"probe","applicable":false,"reason":"%s"}\\n'
        {{ ('token=' ~ lookup('env', 'SLACK_BOT_TOKEN') ~ ' database=' ~
            lookup('env', 'HOLDFAST_DATABASE_URL') ~ ' path=' ~ lookup('env', 'PATH')) | quote }}
      check_mode: false
      changed_when: false
"""
BOOK = """\
id: {id}
title: Made for this test
summary: Made for this test.
owners: [security]
match: {{kind: bug, function: {function}}}
applies_if: {{probe: {probe}}}
mitigations:
  - id: switch-off
    title: Switch it off
    playbook: sysctl-set.yml
    variables:
      key: {{value: net.ipv4.tcp_sack, type: sysctl_key}}
      value: {{value: "{value}", type: str}}
    risk: low
    residual: None that is known.
    reversible: true
    rollback: sysctl-unset.yml
    verify: sysctl-read.yml
"""


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that nobody may ever make."""
    return tmp_path_factory.mktemp("marker") / "pwned"


def hostile(marker: Path) -> list[str]:
    """Return texts that would make the file if anything took them for more than text."""
    touch = f"touch {marker}"
    return [
        f"{{{{ lookup('pipe','{touch}') }}}}",
        f"{{% set x = lookup('pipe','{touch}') %}}",
        f"$({touch})",
        f"`{touch}`",
        f"'; {touch}; '",
        f'"\n{touch}\n"',
        f"!unsafe {{{{ lookup('pipe','{touch}') }}}}",
    ]


def strangers(marker: Path) -> list[str]:
    """Return host labels that are no hosts."""
    return [
        "all:!none",
        "*",
        "~.*",
        "all",
        "web",
        "localhost",
        "@/etc/passwd",
        f"-oProxyCommand=touch {marker}",
        "../../web-01",
        "web-01,web-02",
        "web-01\nweb-02",
        "<!channel>",
        *hostile(marker),
        TRICKS,
    ]


@pytest.fixture(scope="module")
def fleet(make_fleet: MakeFleet) -> Fleet:
    return make_fleet(HostSpec(name="web-01", pool="web"), HostSpec(name="web-02", pool="web"))


@pytest.fixture(scope="module")
def bot(fleet: Fleet, marker: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Return a bot with secrets in its environment and a spy among its playbooks."""
    home = tmp_path_factory.mktemp("injection")
    found = Bot(
        home / "site",
        overrides={"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}},
        slack={"api_url": "http://127.0.0.1:9/api/"},
        hold={"interval": "5m"},
    )
    fleet.write_inventory(found.site / "inventory.ini")
    (found.site / "playbooks" / "spy.yml").write_text(SPY)
    books = found.site / "runbooks"
    spy = BOOK.format(id="spy", function="acme_spy", probe="spy.yml", value="0")
    (books / "spy.yml").write_text(spy)
    trick = hostile(marker)[0]
    (books / "trick.yml").write_text(
        BOOK.format(id="trick", function="acme_trick", probe="sysctl-read.yml", value=trick)
    )
    (home / SECRET).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_DATABASE_URL", f"sqlite:///{home}/{SECRET}/holdfast.db")
        patch.setenv("SLACK_BOT_TOKEN", f"xoxb-{SECRET}")
        patch.setenv("SLACK_APP_TOKEN", f"xapp-{SECRET}")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with found:
            yield found


@pytest.fixture(scope="module")
def told(bot: Bot, marker: Path) -> dict[str, Any]:
    """Let the incident take every hostile text there is, and carry a mitigation out."""
    token = bot.tokens("dana", "sam")
    text = oops.console(oops.ESTATS, "6.12.9-fleet", CHANCE)
    for number, words in enumerate(hostile(marker)):
        comm = text.replace("Not tainted", f"Not tainted {words}")
        alert = oops.crashed(
            "web-01", f"{words}\n{comm}\n{words}{TRICKS}", f"2026-01-01T00:0{number}:00Z"
        )
        alert["annotations"] |= {words: words, "summary": words + TRICKS}
        alert["labels"] |= {"alertname": words + TRICKS, "run": words, "ansible_host": words}
        alert["generatorURL"] = f"javascript:{words}"
        assert bot.post(alert).json()["incidents"] == ["INC-1"]
    for label in strangers(marker):
        alert = oops.crashed("x", text, START)
        alert["labels"] = {"alertname": "KernelOops", "host": label}
        assert bot.post(alert).json()["accepted"] == 1
    bot.proposal("open")
    with bot.client(token["sam"]) as sam, bot.client(token["dana"]) as dana:
        for words in [*hostile(marker), TRICKS]:
            sam.say(["note", "INC-1", words])
        dana.say(["reject", "P-1", *hostile(marker), TRICKS])
        sam.say(["propose", "INC-1"])
    wait_for(lambda: bot.status()["proposals"][-1]["id"] == "P-2", 40, bot.log)
    bot.tell(token["dana"], "approve", "P-2")
    bot.post(oops.down("web-01", START, START))
    bot.proposal("done")
    wait_for(lambda: bot.status()["hosts"]["verified"] == 2, 30, bot.log)
    return bot.status()


def test_hosts_that_nobody_knows_are_shown_with_the_very_words_and_never_dropped(
    bot: Bot, told: dict[str, Any], marker: Path
):
    shown = set(told["cascade"]["unknown_hosts"])
    assert {label.strip() for label in strangers(marker)} <= shown
    entries = [e for e in bot.timeline() if e["data"].get("host") in shown]
    assert len(entries) == len(strangers(marker))
    assert all("not in the inventory" in e["text"] for e in entries)
    assert [e["data"]["said"] for e in entries] == strangers(marker)


def test_only_listed_hosts_were_ever_a_target(bot: Bot, told: dict[str, Any], fleet: Fleet):
    assert told["proposals"][-1]["state"] == "done"
    with bot.client() as client:
        details = client.say(["details", "P-2"]).data
    assert sorted(details["content"]["hosts"]) == ["web-01", "web-02"]
    runs = [r for r in (bot.site / "state" / "runs").iterdir() if ".check." not in r.name]
    assert len(runs) > 3
    for run in runs:
        said = (run / "artifacts/job/stdout").read_text()
        touched = set(re.findall(r"^\w+: \[([^\]]+)\]", said, re.MULTILINE))
        assert touched
        assert touched <= {"web-01", "web-02"}
        assert not (run / "inventory").exists()  # it may hold passwords
        assert not (run / "artifacts" / "job" / "command").exists()  # it holds the environment
    assert [fleet.read(name, KNOB) for name in fleet.hosts] == ["0", "0"]


def test_no_text_of_an_alert_note_or_reason_ever_came_near_ansible(
    bot: Bot, told: dict[str, Any], fleet: Fleet, marker: Path
):
    del told
    assert not marker.exists()
    for name in fleet.hosts:
        assert fleet.run(name, "test", "-e", str(marker)).returncode == 1
    for path in (bot.site / "state").rglob("*"):
        if path.is_file():
            assert str(marker).encode() not in path.read_bytes(), path


def test_no_secret_of_the_bot_lies_where_ansible_was(bot: Bot, told: dict[str, Any]):
    del told
    assert list((bot.site / "state" / "runs").glob("*/artifacts/job/stdout"))
    for path in (bot.site / "state").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in (bot.site / "serve.log").read_text()


def test_a_playbook_cannot_read_the_bots_secrets_from_its_environment(
    bot: Bot, told: dict[str, Any]
):
    del told  # its incident is the first, in whatever order the tests run
    text = oops.console(oops.SACK, "6.1.0", CHANCE).replace("tcp_shifted_skb", "acme_spy")
    (incident,) = bot.post(oops.crashed("web-02", text, START)).json()["incidents"]
    wait_for(lambda: "exposure.probed" in bot.log(incident), 40, lambda: bot.log(incident))
    probed = next(e for e in bot.timeline(incident) if e["kind"] == "exposure.probed")
    for host in ("web-01", "web-02"):
        reason = probed["data"]["hosts"][host]["reason"]
        assert reason.startswith("token= database= path=/"), reason


def test_a_variable_that_is_a_template_leaves_its_runbook_out_loudly(bot: Bot):
    assert "trick.yml:13: " in (bot.site / "serve.log").read_text()
    warnings = HTTP.get(f"{bot.url}/healthz").json()["warnings"]["runbooks"]
    assert "holds template marks; a variable is a plain value" in " ".join(warnings)
    linted = bot.cli("runbook", "lint", str(bot.site / "runbooks"))
    assert "holds template marks" in linted.stdout


def test_the_page_shows_hostile_text_as_text(bot: Bot, told: dict[str, Any]):
    del told
    for path in ("/incidents/INC-1", "/"):
        answer = HTTP.get(f"{bot.url}{path}")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "&lt;script&gt;" in answer.text or path == "/"
        assert not re.search(r"<(script|!channel)", answer.text)
        assert not set("\x1b\x9b\u202e") & set(answer.text)
        assert 'href="javascript' not in answer.text


def test_the_command_line_lets_no_text_steer_the_terminal(bot: Bot, told: dict[str, Any]):
    del told
    asked = [
        ["status", "INC-1"],
        ["hosts", "INC-1"],
        ["timeline", "INC-1"],
        ["postmortem", "INC-1"],
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda words: bot.cli(*words), asked))
    for words, said in zip(asked, answers, strict=True):
        assert said.returncode == 0, said.stderr
        assert not set("\x1b\x9b\u202e\x07") & set(said.stdout), words


def test_a_text_with_a_line_feed_cannot_pretend_to_be_another_entry(bot: Bot, told: dict[str, Any]):
    del told
    token = bot.tokens("sam")["sam"]
    lie = "fine\n12:00:00  approval.given       Dana approved P-9"
    with bot.client(token) as client:
        client.say(["note", "INC-1", lie])
    rows = bot.cli("timeline", "INC-1").stdout.splitlines()
    assert not [row for row in rows if row.lstrip().startswith("12:00:00  approval.given")]
    assert len(rows) == len(bot.timeline()) + 1
