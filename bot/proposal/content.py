"""What a proposal says, and the digest over exactly that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
        "approval": "who has to approve",
    }
    changed = [
        names.get(part, part) + _detail(part, content.get(part), value)
        for part, value in current.items()
        if content.get(part) != value
    ]
    return f"{' and '.join(changed)} changed since the proposal was made" if changed else ""


def _detail(part: str, old: Any, new: Any) -> str:
    """Say what changed, where it can be said in a few words."""
    if part == "missing":
        return f" ({_few(new)})"
    if part == "runbook":
        return " (it is gone)" if new is None else ""
    if part == "variables" and isinstance(old, Mapping):
        names = sorted(n for n in {*old, *new} if old.get(n) != new.get(n))
        return f" ({_few([f'{n}: {old.get(n)} → {new.get(n)}' for n in names])})"
    if part == "approval":
        needs = [
            f"{need['required']} of {' or '.join(need['people'] or need['roles'])}"
            + (f", because {need['why']}" if need["why"] else "")
            for need in new["needs"]
        ]
        return f" (now {_few(needs)})"
    return ""


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - 4} more" if len(words) > 4 else ""
    return "; ".join(words[:4]) + more


def blast_radius(content: Mapping[str, Any]) -> dict[str, int]:
    """Count the listed hosts by exposure."""
    counts: dict[str, int] = {}
    for host in content["hosts"].values():
        counts[host["exposure"]] = counts.get(host["exposure"], 0) + 1
    return counts
