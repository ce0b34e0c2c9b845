"""The fleet as the bot sees it: an explicit list of hosts, never a pattern."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.timeline.chain import canonical

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
"""What a host may be called. Everything else is shown, never used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of the inventory: its own hosts, the groups below it, and its variables."""

    hosts: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Hosts with all their variables (those of their groups too), and their pools.

    ``own`` holds the variables that a host has by itself, ``groups`` every group but ``all``'s list
    of hosts, ``place`` the directory that ``inventory_dir`` stands for. Variables are as the sources
    say them: templates unresolved, single vaulted values encrypted, vaulted files decrypted. So an
    inventory lives in memory only.
    """

    hosts: Mapping[str, Mapping[str, Any]]
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    place: str = ""

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


def members(groups: Mapping[str, Group]) -> dict[str, frozenset[str]]:
    """Return group -> all its hosts, those of the groups below it included.

    Ansible refuses groups that go in circles, so they end.
    """
    found: dict[str, frozenset[str]] = {}

    def hosts(name: str) -> frozenset[str]:
        if name not in found:
            group = groups.get(name, Group())
            found[name] = frozenset(group.hosts).union(*(hosts(c) for c in group.children))
        return found[name]

    for name in groups:
        hosts(name)
    return found


def merged(
    own: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Group]
) -> dict[str, dict[str, Any]]:
    """Return host -> its variables as Ansible merges them: outer groups, inner groups, the host."""
    depth = _depths(groups)
    inside = members(groups)
    variables: dict[str, dict[str, Any]] = {host: {} for host in own}

    def rank(name: str) -> tuple[int, int, str]:
        priority = str(groups[name].variables.get("ansible_group_priority", 1))
        return (depth.get(name, 1), int(priority) if priority.isdecimal() else 1, name)

    for name in sorted(groups, key=rank):
        if not groups[name].variables:
            continue
        for host in own if name == "all" else inside[name] & own.keys():
            variables[host].update(groups[name].variables)
    for host, values in own.items():
        variables[host].update(values)
    return variables


def _depths(groups: Mapping[str, Group]) -> dict[str, int]:
    """Return how deep below ``all`` (0) each group is, along the longest way."""
    depth = {"all": 0}
    todo = ["all"]
    while todo:
        name = todo.pop()
        for child in groups.get(name, Group()).children:
            if depth[name] < len(groups) and depth.get(child, 0) <= depth[name]:
                depth[child] = depth[name] + 1
                todo.append(child)
    return depth


def differing(one: Inventory, other: Inventory, hosts: Collection[str]) -> dict[str, list[str]]:
    """Return variable -> the hosts to which two inventories say something else of it."""
    found: dict[str, list[str]] = {}
    for host in sorted(hosts):
        before, now = one.hosts.get(host, {}), other.hosts.get(host, {})
        for name in sorted({*before, *now}):
            if (name in before, before.get(name)) != (name in now, now.get(name)):
                found.setdefault(name, []).append(host)
    return found


def told(differences: Mapping[str, Sequence[str]]) -> str:
    """Name what ``differing`` found, never a value: ``last_seen of web-01 and 3 more``."""
    shown = []
    for name, hosts in list(differences.items())[:3]:
        more = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
        shown.append(f"{name} of {hosts[0]}{more}")
    rest = [f"{len(differences) - 3} more variables"] if len(differences) > 3 else []
    return ", ".join(shown + rest)


def seals(inventory: Inventory, hosts: Sequence[str], key: bytes) -> dict[str, str]:
    """Return host -> keyed hash (32 hex) over all that it resolves to: variables and groups.

    Keyed, so that a short password cannot be guessed from it.
    """
    inside = members(inventory.groups)
    spoken = {
        name: hashlib.sha256(canonical([name, dict(group.variables)]).encode()).hexdigest()
        for name, group in inventory.groups.items()
    }
    belongs: dict[str, list[str]] = {host: [] for host in hosts}
    for name in sorted(inventory.groups):
        for host in belongs if name == "all" else inside[name] & belongs.keys():
            belongs[host].append(spoken[name])
    return {
        host: hmac.new(
            key,
            canonical([host, dict(inventory.own.get(host, {})), belongs[host]]).encode(),
            hashlib.sha256,
        ).hexdigest()[:32]
        for host in hosts
    }


def narrowed(inventory: Inventory, hosts: Collection[str]) -> Inventory:
    """Return the part that these hosts need: their variables, and every group with them alone."""
    wanted = set(hosts)
    return Inventory(
        hosts={h: inventory.hosts[h] for h in hosts if h in inventory.hosts},
        own={h: inventory.own[h] for h in hosts if h in inventory.own},
        groups={
            name: Group(
                hosts=tuple(h for h in group.hosts if h in wanted),
                children=group.children,
                variables=group.variables,
            )
            for name, group in inventory.groups.items()
        },
        place=inventory.place,
    )


def as_dict(inventory: Inventory) -> dict[str, Any]:
    """Return the JSON form of what ``from_dict`` needs."""
    groups = {
        name: [list(g.hosts), list(g.children), dict(g.variables)]
        for name, g in inventory.groups.items()
    }
    return {"own": inventory.own, "groups": groups, "place": inventory.place}


def from_dict(data: Mapping[str, Any]) -> Inventory:
    """Read what ``as_dict`` wrote."""
    groups = {
        name: Group(hosts=tuple(hosts), children=tuple(children), variables=variables)
        for name, (hosts, children, variables) in data["groups"].items()
    }
    own: Mapping[str, Mapping[str, Any]] = data["own"]
    return Inventory(hosts=merged(own, groups), own=own, groups=groups, place=str(data["place"]))


def document(inventory: Inventory, hosts: Collection[str]) -> dict[str, Any]:
    """Return the inventory of one run, in Ansible's own form: every group, and only these hosts."""
    everyone = {h: {"inventory_dir": inventory.place, **inventory.own.get(h, {})} for h in hosts}
    children = {
        name: {
            "hosts": {h: {} for h in group.hosts},
            "children": {c: {} for c in group.children},
            "vars": dict(group.variables),
        }
        for name, group in narrowed(inventory, hosts).groups.items()
        if name not in {"all", "ungrouped"}
    }
    variables = dict(inventory.groups.get("all", Group()).variables)
    return {"all": {"hosts": everyone, "children": children, "vars": variables}}
