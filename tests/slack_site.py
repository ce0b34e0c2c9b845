"""A bot's Slack door on a real store, and the alerts and proposals that its tests begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.approval.policy import Person
from bot.chat.identity import Identities
from bot.chat.slack import SlackDoor
from bot.clock import SystemClock
from bot.config import SlackPart
from bot.fleet.inventory import Inventory
from bot.service.site import Site
from bot.store import open_store
from bot.timeline.entry import Draft, Entry
from tests.fakes import Sources
from tests.unit.events import OOPS, Log

PEOPLE = {
    "kim": Person(id="kim", name="Kim Larsen", roles=frozenset({"approver", "commander"})),
    "lee": Person(id="lee", name="Lee Wong", roles=frozenset({"approver"})),
    "robin": Person(id="robin", name="Robin Oduya", roles=frozenset({"responder"})),
}
HOSTS = ("web-01", "web-02")
LABELS = ("host", "hostname", "nodename", "node", "instance")


@contextmanager
def stored(folder: Path) -> Iterator[Site]:
    """Yield a site on a database in ``folder``."""
    clock = SystemClock()
    store = open_store(f"sqlite:///{folder / 'holdfast.db'}", secret=b"key", clock=clock)
    try:
        yield Site(
            store=store,
            clock=clock,
            sources=Sources(list(HOSTS)),
            people=PEOPLE,
            host_labels=LABELS,
        )
    finally:
        store.close()


@contextmanager
def opened_door(
    site: Site, config: Mapping[str, Any], slack: Mapping[str, str]
) -> Iterator[SlackDoor]:
    """Yield a door that was started; ``slack`` is person by Slack user id."""
    found = SlackDoor(
        site,
        Identities(store=site.store, people=site.people, slack=slack),
        SlackPart(**config),
        known=lambda: Inventory(hosts={name: {} for name in HOSTS}),
        page_url="http://127.0.0.1:8420",
        pace=0.05,
    )
    found.start()
    try:
        yield found
    finally:
        found.stop()


def attachment(text: str = OOPS, title: str = "[FIRING] KernelOops", **more: Any) -> dict[str, Any]:
    """Return an alert as Alertmanager writes it: no text, all in the attachment."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {
        "title": title,
        "title_link": "http://alertmanager.example/#/alerts",
        "text": escaped,
        "fallback": title,
        "color": "danger",
        "fields": [{"title": "instance", "value": "web-01:9100", "short": True}],
        **more,
    }


def kinds(site: Site, incident: str = "INC-1") -> list[str]:
    """Return the kinds of an incident's entries."""
    return [entry.kind for entry in site.store.entries(incident)]


def append(site: Site, entries: Iterable[Entry]) -> None:
    """Let made-up entries happen in INC-1."""
    rows = [Draft(key=e.key, kind=e.kind, text=e.text, actor=e.actor, data=e.data) for e in entries]
    with site.store.transaction("INC-1") as tx:
        tx.append("INC-1", *rows)


def proposed(site: Site, name: str = "P-1", rollback_of: str | None = None) -> Log:
    """Let a proposal be made in INC-1."""
    log = Log(at=site.clock.now())
    log.matched()
    log.prepare(name, 1, rollback_of)
    append(site, log.entries)
    return log
