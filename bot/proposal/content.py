"""What a proposal says, and the digest over exactly that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bot.timeline.chain import canonical


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) over the canonical JSON of the whole content."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def changes(content: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Say which source of a proposal is no longer what it was; '' if none changed.

    ``current`` holds today's value of some of the content's parts.
    """
    names = {
        "runbook": "the runbook",
        "tree": "a playbook",
        "variables": "a variable or site override",
        "inventory": "the inventory (a host's variables or groups)",
        "missing": "a host left the inventory",
    }
    changed = [
        names.get(part, part) for part, value in current.items() if content.get(part) != value
    ]
    return f"{' and '.join(changed)} changed since the proposal was made" if changed else ""


def blast_radius(content: Mapping[str, Any]) -> dict[str, int]:
    """Count the listed hosts by exposure."""
    counts: dict[str, int] = {}
    for host in content["hosts"].values():
        counts[host["exposure"]] = counts.get(host["exposure"], 0) + 1
    return counts
