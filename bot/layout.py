"""The files that ship with the product, and a new site directory made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot.errors import ConflictError

CONFIG = """\
# Holdfast's configuration. Every key is described in docs/reference.md.
# Relative paths start at this file's directory.
database:
  url: sqlite:///state/holdfast.db     # or postgresql://user@host/holdfast
runbooks: runbooks
playbooks: playbooks

fleet:
  inventory: inventory.yml             # any Ansible inventory
  # pools: [web, db]                   # groups whose share of live hosts is shown

# Who may do what. The key is the stable id; give each a token: holdfast token create alice
people:
  alice: {name: Alice, roles: [commander]}
  bob: {name: Bob, roles: [responder]}

approvals:
  required: 1
  expiry: 30m

# A site may set a runbook's variable otherwise:
# overrides:
#   tcp-estats-update-mss:
#     disable-estats:
#       key: net.ipv4.tcp_estats

# Slack through Socket Mode; tokens: SLACK_BOT_TOKEN and SLACK_APP_TOKEN
# slack:
#   channel: C0123456789
#   alert_channels: [C0123456789]
#   alert_bots: [B0123456789]
"""

INVENTORY = """\
# An example: replace it with your own inventory (INI, YAML, a directory, a script).
web:
  hosts:
    web-01: {ansible_host: 192.0.2.11, rack: r1}
    web-02: {ansible_host: 192.0.2.12, rack: r2}
  vars:
    ansible_user: root
"""


def bundled(name: str) -> Path:
    """Return the directory of shipped ``playbooks`` or ``runbooks``."""
    here = Path(__file__).resolve().parent
    inside = here / "_bundled" / name
    return inside if inside.is_dir() else here.parent / name


def lay_out(target: Path) -> list[Path]:
    """Make a working site directory; refuse to touch one that has a configuration."""
    config = target / "holdfast.yml"
    if config.exists():
        raise ConflictError(
            "there is a configuration already", where=str(config), next="choose another directory"
        )
    target.mkdir(parents=True, exist_ok=True)
    for name in ("playbooks", "runbooks"):
        shutil.copytree(bundled(name), target / name, dirs_exist_ok=True)
    inventory = target / "inventory.yml"
    if not inventory.exists():
        inventory.write_text(INVENTORY)
    config.write_text(CONFIG)
    (target / "state").mkdir(mode=0o700, exist_ok=True)
    return [config, inventory, target / "runbooks", target / "playbooks"]
