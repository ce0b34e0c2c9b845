"""A whole rollout with secrets everywhere: they are used, and lie nowhere but where they were."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet, HostSpec
from tests.acceptance.bot import HTTP, Bot, wait_for
from tests.acceptance.conftest import MakeFleet

pytestmark = pytest.mark.fleet

VAULTED = "vaulted-battery-staple"
HIDDEN = "hidden-by-no-log-7431"
BECOME = "become-me-if-you-can"
PLAIN = "plain-in-the-inventory"
PATTERN = "AKIAIOSFODNN7EXAMPLE"
SLACK = "xoxb-12345-planted"
DATABASE = "planted-in-a-database-url"
SECRETS = (VAULTED, HIDDEN, BECOME, PLAIN, PATTERN, SLACK, DATABASE)
SET = """\
- hosts: web
  gather_facts: false
  tasks:
    - name: Write the application's password
      ansible.builtin.copy:
        content: "password={{ database_key }}\\n"
        dest: /etc/app.conf
        mode: "0600"
    - name: Say it
      ansible.builtin.command: "echo {{ database_key }} {{ app_password }} AKIAIOSFODNN7EXAMPLE"
      changed_when: false
    - name: Say nothing
      ansible.builtin.command: "echo hidden-by-no-log-7431"
      no_log: true
      changed_when: false
    - name: Not for this host
      ansible.builtin.command: "true"
      when: inventory_hostname == 'nobody'
    - name: Look for the bot's own
      ansible.builtin.assert:
        that:
          - lookup('env', 'SLACK_BOT_TOKEN') == ''
          - lookup('env', 'HOLDFAST_DATABASE_URL') == ''
          - lookup('env', 'SITE_REGION') == 'eu-7'
- import_playbook: sysctl-set.yml
"""
BOOK = """\
id: app
title: Made for this test
summary: Made for this test.
owners: [security]
match: {kind: null-deref, function: tcp_estats_update_mss}
mitigations:
  - id: switch-off
    title: Switch it off
    playbook: app-set.yml
    variables:
      key: {value: %s, type: sysctl_key}
      value: {value: "0", type: str}
    targets: fleet
    risk: low
    residual: None that is known.
    reversible: true
    rollback: sysctl-unset.yml
    verify: sysctl-read.yml
hold: {watch: value, interval: 5s, action: restore, exit: Never.}
"""


@pytest.fixture(scope="module")
def fleet(make_fleet: MakeFleet) -> Fleet:
    return make_fleet(*(HostSpec(name=f"web-0{n}", pool="web") for n in (1, 2, 3)))


def inventory(bot: Bot, fleet: Fleet, *names: str) -> None:
    """Write the hosts."""
    lines = [f"{name} ansible_host={fleet.address(name)}" for name in names]
    (bot.site / "inventory/hosts.ini").write_text("\n".join(["[web]", *lines, ""]))


@pytest.fixture(scope="module")
def bot(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Return a bot whose site, environment and playbook hold secrets."""
    home = tmp_path_factory.mktemp("secrets")
    part = {"inventory": "inventory", "vault_password_file": "keys/vault", "connect_timeout": 5}
    found = Bot(
        home / "site",
        fleet={**part, "environment": ["SITE_REGION"]},
        slack={"api_url": "http://127.0.0.1:9/api/"},
        hold={"interval": "5s"},
        redact=["AKIA[0-9A-Z]{16}"],
    )
    for folder in ("keys", "inventory/group_vars/all"):
        (found.site / folder).mkdir(parents=True)
    (found.site / "keys/vault").write_text("let-me-in")
    (found.site / "keys/become").write_text(BECOME)
    (found.site / "inventory/ansible.cfg").write_text(
        "[defaults]\nbecome_password_file = ../keys/become\n"
    )
    reach = {
        "ansible_user": fleet.user,
        "ansible_ssh_private_key_file": str(fleet.key),
        "ansible_ssh_common_args": f"-F none {' '.join(fleet.ssh_options)}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "app_password": PLAIN,
    }
    everywhere = found.site / "inventory/group_vars/all"
    (everywhere / "reach.yml").write_text(yaml.safe_dump(reach))
    (everywhere / "vault.yml").write_text(f"database_key: {VAULTED}\n")
    program = str(Path(sys.executable).parent / "ansible-vault")
    encrypt = [program, "encrypt", "--vault-password-file", str(found.site / "keys/vault")]
    subprocess.run([*encrypt, str(everywhere / "vault.yml")], check=True, capture_output=True)
    inventory(found, fleet, "web-01", "web-02")
    (found.site / "playbooks/app-set.yml").write_text(SET)
    for book in (found.site / "runbooks").rglob("*.yml"):
        book.unlink()
    (found.site / "runbooks/app.yml").write_text(BOOK % KNOB)
    (home / DATABASE).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_DATABASE_URL", f"sqlite:///{home}/{DATABASE}/holdfast.db")
        patch.setenv("SLACK_BOT_TOKEN", SLACK)
        patch.setenv("SITE_REGION", "eu-7")
        with found:
            yield found


@pytest.fixture(scope="module")
def token(bot: Bot) -> str:
    return bot.tokens("dana")["dana"]


@pytest.fixture(scope="module")
def done(bot: Bot, fleet: Fleet, token: str) -> list[str]:
    """Carry the mitigation out; return what every door has shown of it."""
    text = oops.console(oops.ESTATS, "6.12.9-fleet", random.Random(1))
    at = "2026-01-01T00:00:00Z"
    assert bot.post(oops.crashed("web-01", text, at), oops.down("web-01", at, at)).is_success
    bot.proposal("open", seconds=240)
    shown = [bot.cli("details", "P-1").stdout]
    # A variable changes between the yes and the start: the yes starts nothing.
    (bot.site / "inventory/group_vars/web.yml").write_text("colour: blue\n")
    bot.tell(token, "approve", "P-1")
    wait_for(lambda: bot.status()["proposals"][0]["state"] == "superseded", 120, bot.log)
    assert "the inventory (a host's variables or groups) changed" in bot.log()
    assert [fleet.read(name, KNOB) for name in fleet.hosts] == ["1", "1", "1"]
    wait_for(lambda: len(bot.status()["proposals"]) == 2, 240, bot.log)
    bot.tell(token, "approve", "P-2")
    bot.proposal("done", seconds=240)
    wait_for(lambda: bot.status()["hold"]["state"] == "active", 60, bot.log)
    words = (["status", "INC-1"], ["hosts", "INC-1"], ["timeline", "INC-1"], ["details", "P-2"])
    shown += [bot.cli(*line, "--json").stdout for line in words]
    shown.append(bot.cli("postmortem", "INC-1").stdout)
    shown.append(HTTP.get(f"{bot.url}/incidents/INC-1", timeout=30).text)
    return shown


def test_the_dry_run_shows_its_diff_and_what_it_cannot_preview(bot: Bot, done: list[str]):
    dry = json.loads(done[4])["dry_run"]
    assert "cannot preview: Say it (ansible.builtin.command)" in dry
    assert not [line for line in dry if "Not for this host" in line]
    assert "web-01: would change: Write the application's password (ansible.builtin.copy)" in dry
    assert "web-01: +password=[redacted]" in dry
    assert any("99-zz-holdfast" in line for line in dry)  # what our own playbook would do


def in_memory(file: Path) -> bool:
    """Whether a file is a link to what another process holds open; its target is on no disk."""
    return file.is_symlink() and str(file.readlink()).startswith("/proc/")


def test_the_secrets_were_used_and_lie_nowhere_else(bot: Bot, fleet: Fleet, done: list[str]):
    for name in ("web-01", "web-02"):
        assert fleet.run(name, "cat", "/etc/app.conf").stdout == f"password={VAULTED}\n"
        assert fleet.read(name, KNOB) == "0"
    for text in done:
        assert len(text) > 100
        assert [s for s in SECRETS if s in text] == []
    places = [bot.site / "state", bot.site.parent / DATABASE, bot.site / "serve.log"]
    every = [f for p in places for f in ([p] if p.is_file() else p.rglob("*"))]
    # A run that is under way has a link to its inventory, which is in memory and on no disk.
    files = [f for f in every if f.is_file() and not in_memory(f)]
    assert any(b"[redacted]" in f.read_bytes() for f in files if f.name == "stdout")
    # The playbook says HIDDEN by itself: its own copies do, nothing that came of running it.
    for file in files:
        data = file.read_bytes()
        own = {HIDDEN, PATTERN} if file.name == "app-set.yml" else set()
        assert [s for s in SECRETS if s.encode() in data and s not in own] == [], file


def test_a_host_that_joins_is_proposed_once_and_untouched_until_approved(
    bot: Bot, fleet: Fleet, done: list[str], token: str
):
    del done
    inventory(bot, fleet, "web-01", "web-02", "web-03")
    wait_for(lambda: len(bot.status()["proposals"]) == 3, 400, bot.log)
    joined = [e for e in bot.timeline() if e["kind"] == "hosts.joined"]
    assert [e["data"]["hosts"] for e in joined] == [["web-03"]]
    with bot.client() as client:
        content = client.say(["details", "P-3"]).data["content"]
    assert (list(content["hosts"]), content["requester"]) == (["web-03"], "holdfast")
    assert fleet.read("web-03", KNOB) == "1"
    bot.tell(token, "approve", "P-3")
    wait_for(lambda: bot.status()["hosts"]["verified"] == 3, 240, bot.log)
    assert fleet.read("web-03", KNOB) == "0"
    # The hosts of the first rollout are still held.
    fleet.write("web-01", KNOB, "1")
    wait_for(lambda: fleet.read("web-01", KNOB) == "0", 240, bot.log)
    assert sum(e["kind"] == "hosts.joined" for e in bot.timeline()) == 1
