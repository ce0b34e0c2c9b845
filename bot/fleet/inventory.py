"""The fleet as the bot sees it: an explicit list of hosts, never a pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
"""What a host may be called. Everything else is shown, never used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Hosts with the variables that Ansible needs to reach them, and their pools."""

    hosts: Mapping[str, Mapping[str, Any]]
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def known(self, label: str) -> str | None:
        """Map a label's value to an inventory name: exact, alias, address, short or full name."""
        name = bare(label)
        if name in self.hosts:
            return name
        if self.aliases.get(name) in self.hosts:
            return self.aliases[name]
        for host, variables in self.hosts.items():
            if variables.get("ansible_host") == name:
                return host
        short = name.partition(".")[0]
        matches = [h for h in self.hosts if h == short or h.partition(".")[0] == name]
        return matches[0] if len(matches) == 1 else None


def bare(label: str) -> str:
    """Cut a port off ``host:9100`` and brackets off ``[::1]:9100``; ``all:!none`` stays whole."""
    text = label.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.rpartition(":")
    return host if port.isdecimal() and host and ":" not in host else text


def pools(groups: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the pools: the chosen groups, else every group but ``all`` and ``ungrouped``."""
    names = chosen or [g for g in sorted(groups) if g not in {"all", "ungrouped"}]
    return {name: tuple(sorted(groups.get(name, ()))) for name in names}
