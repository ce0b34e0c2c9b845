"""Take alerts in: durable before they are acknowledged, each counted once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot import crash
from bot.alert.alert import Alert, Status
from bot.crash.report import CrashReport
from bot.crash.show import as_dict
from bot.errors import HoldfastError
from bot.fleet.inventory import HOST_NAME, Inventory, bare
from bot.incident.fold import extend, fold
from bot.incident.grouping import home, touched
from bot.incident.state import Incident
from bot.ports import Transaction
from bot.runbook.match import match
from bot.service.sightings import Sighting, tell_others
from bot.service.site import Site, refold
from bot.timeline.entry import Actor, Draft

KEPT_TEXT = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a batch."""

    accepted: int
    duplicate: int
    incidents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An alert with what was read in it."""

    alert: Alert
    report: CrashReport | None
    host: str
    known: bool

    @property
    def key(self) -> str:
        """The alert's key; two crashes in one long-lived alert are two."""
        if self.report is None or self.alert.status is Status.RESOLVED:
            return self.alert.key
        lines = self.alert.text.splitlines()[self.report.start - 1 : self.report.end]
        mark = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        return f"{self.alert.key}/{mark}"


def receive(
    site: Site, alerts: Sequence[Alert], inventory: Inventory | None, actor: Actor
) -> Receipt:
    """Record every alert in one transaction and wake the incidents that it concerns."""
    read = [_read(site, alert, inventory) for alert in alerts]
    accepted = duplicate = 0
    incidents: list[str] = []
    heard: list[tuple[_Read, Sighting]] = []
    with site.store.transaction("intake") as tx:
        folded = {row.id: refold(tx, row.id) for row in tx.incidents() if row.open}
        for one in read:
            known = tx.alert(one.key, None)
            # A repeat of what concerned no incident may concern one by now.
            names = [] if known else _file(site, tx, one, folded, actor)
            repeat = known is not None and not names
            duplicate, accepted = duplicate + repeat, accepted + (not repeat)
            incidents += names or ([known] if known else [])
            for name in names:
                tx.alert(one.key, name)
                tx.wake(name, site.clock.now())
            if one.host and not repeat:
                heard.append((one, Sighting(word=_word(one), known_to=frozenset(names))))
    for crashed in (True, False):
        part = [(one, word) for one, word in heard if (word.word == "crashed") is crashed]
        if part:
            tell_others(site, part[-1][0].key, {one.host: word for one, word in part})
    return Receipt(
        accepted=accepted, duplicate=duplicate, incidents=tuple(dict.fromkeys(incidents))
    )


def _word(one: _Read) -> str:
    """Say in one word what an alert means for its host, wherever it is tended."""
    if one.alert.status is not Status.RESOLVED:
        return "down" if one.report is None else "crashed"
    return "answered" if one.report is None else "back"


def _read(site: Site, alert: Alert, inventory: Inventory | None) -> _Read:
    reports = crash.read(alert.text) or _known(site, alert)
    name = inventory.known(alert.host) if inventory and alert.host else None
    return _Read(
        alert=alert,
        report=reports[0] if reports else None,
        host=name or bare(alert.host),
        known=name is not None,
    )


def _known(site: Site, alert: Alert) -> Sequence[CrashReport]:
    """Return crashes of programs and notices of the kernel, if a runbook is about the first.

    Most of them are no reason to open an incident; one that somebody wrote a runbook for is.
    """
    reports = crash.read(alert.text, kinds=crash.ALL)
    if not reports:
        return ()
    with contextlib.suppress(HoldfastError):
        if match(site.sources.library(), reports[0], alert.text, alert.labels).best:
            return reports
    return ()


def _file(
    site: Site, tx: Transaction, one: _Read, folded: dict[str, Incident], actor: Actor
) -> list[str]:
    """Append the alert to its incidents, opening one if it is a new cause.

    ``folded`` holds the open incidents and is kept up to date, so that a batch folds them once.
    """
    incidents = list(folded.values())
    if one.report is None or one.alert.status is Status.RESOLVED:
        names = touched(one.host, incidents) if one.host else []
        for name in names:
            extend(folded[name], tx.append(name, _quiet(one, actor)))
        return names
    name = home(one.report, one.host, incidents, site.clock.now()) or ""
    if not name:
        name = tx.open(one.report.signature)
        folded[name] = fold(tx.append(name, _opening(one.report, actor)))
    extend(folded[name], tx.append(name, _crash(one, one.report, actor, folded[name])))
    return [name]


def _opening(report: CrashReport, actor: Actor) -> Draft:
    signature = {
        "kind": report.kind.value,
        "function": report.function,
        "module": report.module,
    }
    return Draft(
        key="opened",
        kind="incident.opened",
        text=f"incident opened: {report.title}",
        actor=actor,
        data={"title": report.title, "signature": signature, "report": as_dict(report)},
    )


def _crash(one: _Read, report: CrashReport, actor: Actor, incident: Incident) -> Draft:
    times = incident.hosts[one.host].crashes if one.host in incident.hosts else 0
    again = f" (crash {times + 1} of this host)" if times else ""
    stranger = "" if one.known or not one.host else ", not in the inventory"
    return Draft(
        key=f"alert.{one.key}",
        kind="alert.received",
        text=f"{one.host or 'a host that was not named'}{stranger}: {report.title}{again}",
        actor=actor,
        data={**_facts(one), "crash": as_dict(report), "text": one.alert.text[:KEPT_TEXT]},
    )


def _quiet(one: _Read, actor: Actor) -> Draft:
    over = one.alert.status is Status.RESOLVED
    what = one.alert.name or "alert"
    return Draft(
        key=f"alert.{one.key}",
        kind="alert.resolved" if over else "alert.received",
        text=f"{one.host}: {what} {'is over' if over else 'without crash text'}",
        actor=actor,
        data={
            **_facts(one),
            "text": one.alert.text[:KEPT_TEXT],
            "down": not over,
            "up": over and one.report is None,
        },
    )


def _facts(one: _Read) -> dict[str, Any]:
    return {
        "source": one.alert.source,
        "alert": one.alert.key,
        "name": one.alert.name,
        "host": one.host,
        "said": one.alert.host,
        "known": one.known,
        "plain_name": HOST_NAME.fullmatch(one.host) is not None,
        "labels": dict(one.alert.labels),
        "link": one.alert.link,
        "cut": one.alert.cut,
        "started_at": one.alert.started_at,
    }
