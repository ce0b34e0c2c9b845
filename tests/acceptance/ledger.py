"""A playbook that appends a line to a file of each host: a blind repeat shows as a second line."""

from __future__ import annotations

from pathlib import Path

import yaml

from bot.demo.fleet import KNOB, Fleet
from bot.runner.leash import LIMIT
from tests.acceptance.bot import Bot

LEDGER = "/etc/ledger"
RUNBOOK = Path("runbooks/network/tcp-estats-update-mss.yml")
PLAYBOOK = """\
- name: {name}
  hosts: all
  gather_facts: false
  tasks:
    - name: {name}
      ansible.builtin.raw: |
        phase={phase}
        {{{{ lookup('ansible.builtin.file', 'ledger.sh') }}}}
      check_mode: false
"""
PLAYBOOKS = {
    "ledger-append.yml": PLAYBOOK.format(
        name="Append a line", phase="{{ 'preview' if ansible_check_mode else 'apply' }}"
    ),
    "ledger-read.yml": PLAYBOOK.format(
        name="Count the lines", phase="{{ phase | default('probe') | quote }}"
    ),
}
# One line is right; none and two are not. The pauses leave time to be killed before and after it.
SCRIPT = f"""\
applicable=false safe=false
[ -e /run/slow ] && [ "$phase" = apply ] && sleep 60
[ -e /proc/sys/{KNOB.replace(".", "/")} ] && applicable=true
if $applicable && [ "$phase" = apply ]; then
  sleep 0.4
  echo "$phase" >> {LEDGER}
  sleep 0.4
fi
lines=$(cat {LEDGER} 2>/dev/null | wc -l)
[ "$lines" -eq 1 ] && safe=true
read -r boot_id < /proc/sys/kernel/random/boot_id
read -r kernel < /proc/sys/kernel/osrelease
printf '{{"holdfast":1,"phase":"%s","applicable":%s,"value":"%s","wanted":"1","safe":%s,' \\
  "$phase" "$applicable" "$lines" "$safe"
printf '"persisted":%s,"boot_id":"%s","kernel":"%s","would":["append"],"reason":""}}\\n' \\
  "$safe" "$boot_id" "$kernel"
"""


def ledger(bot: Bot) -> None:
    """Put the ledger in the place of the flagship's knob; some hosts take the ordinary lane."""
    with (bot.site / "inventory.ini").open("a", encoding="utf-8") as inventory:
        inventory.write("\n[db:vars]\nansible_ssh_extra_args=-o ForwardAgent=yes\n")
    for name, text in PLAYBOOKS.items():
        (bot.site / "playbooks" / name).write_text(text)
    (bot.site / "playbooks" / "files" / "ledger.sh").write_text(SCRIPT)
    file = bot.site / RUNBOOK
    runbook = yaml.safe_load(file.read_text())
    runbook["applies_if"] = {"probe": "ledger-read.yml"}
    runbook["mitigations"][0] |= {
        "playbook": "ledger-append.yml",
        "verify": "ledger-read.yml",
        "variables": {},
        "waves": [1, 2, 2, 3, "100%"],
        "gate": {"max_failed": 0, "max_lost": "50%"},
        "reversible": False,
    }
    del runbook["mitigations"][0]["rollback"], runbook["knob"]
    runbook["hold"]["action"] = "alert"
    file.write_text(yaml.safe_dump(runbook))


def slow_ledger(bot: Bot) -> None:
    """Let Ansible wait for longer than a lease holds before it appends, in two waves."""
    ledger(bot)
    file = bot.site / "playbooks" / "ledger-append.yml"
    (play,) = yaml.safe_load(file.read_text())
    wait = {"ansible.builtin.raw": "sleep 1", "loop": list(range(int(LIMIT) + 3))}
    play["tasks"] = [{"name": "Wait", **wait}, *play["tasks"]]
    file.write_text(yaml.safe_dump([play], sort_keys=False))
    _edit(bot, waves=[1, "100%"])


def sysctl(bot: Bot) -> None:
    """Use the fleet's stand-in for the flagship's knob, in many small waves."""
    _edit(bot, waves=[1, 4, "100%"])


def _edit(bot: Bot, **changes: object) -> None:
    file = bot.site / RUNBOOK
    runbook = yaml.safe_load(file.read_text())
    runbook["mitigations"][0] |= changes
    file.write_text(yaml.safe_dump(runbook))


def ledgers(fleet: Fleet) -> dict[str, int]:
    """Return how many lines each host's ledger has."""
    return {name: fleet.run(name, "cat", LEDGER).stdout.count("\n") for name in fleet.hosts}


def patched(fleet: Fleet) -> list[str]:
    """Return the hosts that have the knob."""
    return [name for name, spec in fleet.hosts.items() if spec.patched]


def once_each(fleet: Fleet) -> None:
    """Prove that every host that has the knob was written to once, and no other host was."""
    assert ledgers(fleet) == {name: int(spec.patched) for name, spec in fleet.hosts.items()}
