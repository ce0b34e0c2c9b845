"""Resolve any Ansible inventory to an explicit host list, by Ansible's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.config import FleetPart
from bot.errors import BadInputError, UnavailableError
from bot.fleet.inventory import HOST_NAME, Inventory, pools

TIMEOUT = 120.0


def resolve(fleet: FleetPart, path: Path) -> Inventory:
    """Return the hosts, their variables and pools of the inventory at ``path``.

    Raises ``BadInputError`` when it is missing or unreadable, ``UnavailableError`` when a dynamic
    source does not answer. Host names that are not plain names are refused by name.
    """
    if not path.exists():
        raise BadInputError(
            "there is no inventory",
            where=str(path),
            next="set fleet.inventory in holdfast.yml to a file or directory",
        )
    listing = _list(path)
    variables: Mapping[str, dict[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    groups = _members(listing)
    if fleet.targets != "all" and fleet.targets not in groups:
        raise BadInputError(
            f"fleet.targets names the group {fleet.targets!r}, which the inventory lacks",
            where=str(path),
            next=f"use one of: {', '.join(sorted(groups)) or 'all'}",
        )
    names = sorted(groups.get(fleet.targets, ()) or groups.get("all", ()))
    odd = [name for name in names if HOST_NAME.fullmatch(name) is None]
    if odd or not names:
        what = f"host names that cannot be used: {odd[:5]!r}" if odd else "it holds no hosts"
        raise BadInputError(what, where=str(path), next="mend the inventory")
    members = {g: tuple(h for h in sorted(m) if h in set(names)) for g, m in groups.items()}
    return Inventory(
        hosts={name: dict(variables.get(name, {})) for name in names},
        pools={g: m for g, m in pools(members, fleet.pools).items() if m},
        aliases=fleet.aliases,
    )


def _list(path: Path) -> dict[str, Any]:
    program = Path(sys.executable).parent / "ansible-inventory"
    command = [str(program), "-i", str(path), "--list"]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(  # noqa: S603 - no shell; our own program and a configured path
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
                env={**_environment(), "ANSIBLE_LOCAL_TEMP": scratch},
            )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"the inventory did not answer within {TIMEOUT:.0f} s",
            where=str(path),
            next="check the dynamic source; nothing was done to the fleet",
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"ansible-inventory cannot be started: {error}",
            where=str(program),
            next="install ansible-core beside holdfast",
        ) from error
    trouble = [
        line for line in done.stderr.splitlines() if "Unable to parse" in line or "ERROR" in line
    ]
    if done.returncode != 0 or trouble:
        raise BadInputError(
            f"ansible-inventory cannot read it: {(trouble or [done.stderr.strip()])[-1][:300]}",
            where=str(path),
            next=f"run 'ansible-inventory -i {path} --list' by hand",
        )
    listing: dict[str, Any] = json.loads(done.stdout)
    return listing


def _environment() -> dict[str, str]:
    """Return the environment without our own secrets; a dynamic source may need the rest."""
    ours = ("HOLDFAST_", "SLACK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _members(listing: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return group -> all its hosts, children included."""
    groups = {name: part for name, part in listing.items() if name != "_meta"}

    def hosts(name: str, seen: frozenset[str]) -> set[str]:
        part = groups.get(name, {})
        found = set(part.get("hosts", ()))
        for child in part.get("children", ()):
            if child not in seen:
                found |= hosts(child, seen | {child})
        return found

    return {name: hosts(name, frozenset({name})) for name in {*groups, "all"}}
