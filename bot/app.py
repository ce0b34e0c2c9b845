"""The composition root: configuration in, wired doors out."""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass

from bot.chat.identity import Identities
from bot.clock import SystemClock
from bot.config import Config
from bot.decide import Tempo
from bot.runner.sources import DiskSources, secret
from bot.service.roster import Roster
from bot.service.site import Site
from bot.store import open_store
from bot.worker import Launcher, Worker, wake_all

log = logging.getLogger(__name__)

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything that a process needs, wired once."""

    config: Config
    site: Site
    sources: DiskSources
    identities: Identities
    roster: Roster
    key: bytes

    def close(self) -> None:
        """Close the store."""
        self.site.store.close()


def build(config: Config) -> App:
    """Open the store and wire the services. Raises the errors of ``bot.errors``."""
    clock = SystemClock()
    key = secret(config.state_dir / "timeline.key")
    store = open_store(config.database.url, secret=key, clock=clock)
    sources = DiskSources(config, clock)
    slack = {part.slack: key for key, part in config.people.items() if part.slack}
    roster = Roster(config.persons, slack, config.groups, clock)
    site = Site(
        store=store,
        clock=clock,
        sources=sources,
        people=roster,
        tempo=Tempo(retry_first=config.retry.first, retry_max=config.retry.max),
        policy=config.approvals.policy,
        expiry=config.approvals.expiry,
        hold_interval=config.hold.interval,
        prometheus_url=config.gate.prometheus_url,
        host_labels=config.intake.host_labels,
    )
    identities = Identities(store=store, people=config.persons, slack=slack)
    return App(
        config=config,
        site=site,
        sources=sources,
        identities=identities,
        roster=roster,
        key=key,
    )


def start_workers(
    app: App, launcher: Launcher, stop: threading.Event
) -> list[tuple[Worker, threading.Thread]]:
    """Start the worker threads; they end soon after ``stop`` is set."""
    wake_all(app.site)
    started = []
    for number in range(WORKERS):
        name = f"{socket.gethostname()}.{os.getpid()}.{number}"
        worker = Worker(app.site, launcher, name)
        thread = threading.Thread(target=worker.serve, args=(stop,), name=name)
        thread.start()
        started.append((worker, thread))
    return started
