"""Runs whose supervisor is gone are given up."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.ports import Processes, Run
from bot.service.site import Site

PAUSE = timedelta(seconds=1)
STILL = timedelta(seconds=3)
"""How long an old heartbeat has to stand still while we look: supervisors beat twice a second."""


class Watch:
    """Finds runs whose supervisor is gone, and gives them up.

    A supervisor of this machine that is not there any more is gone for sure. Of others, an
    old heartbeat alone proves nothing: after an outage of the database, or a jump of the clock, every
    heartbeat is old. It also has to stand still while we look.
    """

    def __init__(self, site: Site, processes: Processes) -> None:
        self._site = site
        self._processes = processes
        self._looked: datetime | None = None
        self._still: dict[str, tuple[datetime | None, datetime]] = {}

    def give_up_lost(self) -> list[str]:
        """Mark runs whose heartbeat lapsed as lost; return the incidents to look at."""
        now, before = self._site.clock.now(), self._still
        self._still = {}
        incidents = [run.incident for run in self._orphans(now) if self._give_up(run)]
        for run in self._site.store.lapsed_runs(self._site.heartbeat):
            beat, since = before.get(run.ident, (run.heartbeat, now))
            if beat != run.heartbeat:
                since = now
            self._still[run.ident] = (run.heartbeat, since)
            if now - since >= STILL and self._give_up(run):
                incidents.append(run.incident)
        return incidents

    def _orphans(self, now: datetime) -> list[Run]:
        """Return the running runs whose supervisor is known to be gone; look once a second."""
        if self._looked is not None and abs(now - self._looked) < PAUSE:
            return []
        self._looked = now
        running = [r for r in self._site.store.unfinished_runs() if r.state == "running"]
        return [run for run in running if self._processes.gone(run)]

    def _give_up(self, run: Run) -> bool:
        """Mark the run as lost, once nothing of it is left here that could still write."""
        self._processes.end(run.ident)
        with self._site.store.transaction(run.incident) as tx:
            lost = tx.finish(run.ident, "lost")
            tx.wake(run.incident, self._site.clock.now())
        self._site.store.unlock_hosts(run.ident)
        return lost
