"""Looks that a runbook asks for and that change nothing: run without an approval, and noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.decide import LIVE, Action, following
from bot.incident.state import Incident
from bot.ports import Run, Transaction
from bot.runbook.targets import chosen
from bot.service.site import Site
from bot.service.step import Commit
from bot.timeline.entry import Draft

TRIES = 6
FIRST = timedelta(seconds=20)
"""Pause before the second try of a host that said nothing; doubled each time."""


def looks(incident: Incident, runs: Sequence[Run], now: datetime) -> list[Action]:
    """Return the looks that are due: each once a host, and again a few times for silent ones.

    The hosts of a look are those at its first run; a host that is known to be down is waited for.
    """
    if incident.state != "open":
        return []
    found = []
    for number, look in enumerate((incident.match or {}).get("diagnose", ())):
        mine = [run for run in runs if run.kind == "diagnose" and run.spec["look"] == number]
        if any(run.state in LIVE for run in mine) or len(mine) >= TRIES:
            continue
        done = incident.diagnosed.get(number, frozenset())
        if "*" in done:
            continue
        asked = mine[0].hosts if mine else _crashed(incident, look)
        left = tuple(h for h in asked if h not in done and not incident.host(h).down)
        ended = [run.finished_at for run in mine if run.finished_at is not None]
        wait = FIRST * 2 ** max(0, len(mine) - 1)
        if (mine and not left) or (ended and now < max(ended) + wait):
            continue
        if left or (look["targets"] != "crashed" and not mine):
            attempt = following(mine)
            found.append(Action(verb="diagnose", check=number, attempt=attempt, hosts=left))
    return found


def _crashed(incident: Incident, look: Mapping[str, Any]) -> list[str]:
    """Return whom a first look at crashed hosts asks; others only the inventory knows."""
    if look["targets"] != "crashed":
        return []
    return list(dict.fromkeys(crash.host for crash in incident.crashes if crash.host))


def diagnose(site: Site, incident: Incident, action: Action) -> Commit | None:
    """Queue one look, in check mode: whatever the playbook says, its modules change nothing."""
    look = (incident.match or {})["diagnose"][action.check]
    if look["playbook"] not in site.sources.playbooks():
        return _not_looked(look, action, f"there is no playbook {look['playbook']}")
    inventory = site.sources.known()
    if inventory is None:
        return None
    names = sorted(inventory.hosts)
    crashed = {crash.host for crash in incident.crashes}
    wanted = set(action.hosts or chosen(look["targets"], names, crashed, inventory.pools))
    hosts = tuple(name for name in names if name in wanted)
    if not hosts:
        return _not_looked(look, action, "none of its hosts is in the inventory")
    spec = {
        "look": action.check,
        "title": look["title"],
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, hosts),
        "playbooks": [[look["playbook"], "probe"]],
        "variables": {**look["variables"], "ref": f"{incident.id}-look"},
        "check": True,
        "pools": {},
    }
    ident = f"{incident.id}.diagnose.{action.check}.{action.attempt}"

    def commit(tx: Transaction, now: Incident) -> None:
        run = Run(ident=ident, incident=now.id, kind="diagnose", hosts=hosts, spec=spec)
        tx.queue(run)

    return commit


def _not_looked(look: Mapping[str, Any], action: Action, why: str) -> Commit:
    """Say that a look cannot be taken, and count its hosts as done: it is not tried for ever."""

    def commit(tx: Transaction, now: Incident) -> None:
        data = {"look": action.check, "title": look["title"], "hosts": {}, "over": True}
        text = f"not looked at '{look['title']}': {why}"
        key = f"diagnosed.{action.check}.{action.attempt}"
        tx.append(now.id, Draft(key=key, kind="host.diagnosed", text=text, data=data))

    return commit
