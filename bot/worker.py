"""The worker: claims incidents, asks ``decide`` what is due, carries it out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from bot.decide import Action, ask_for_newcomers, decide, due
from bot.errors import ConflictError, HoldfastError, NotFoundError, UnavailableError
from bot.incident.state import Incident
from bot.ports import Processes, Run, Transaction
from bot.service import diagnose, glass, knobs, newcomers, prepare, request, rollout
from bot.service.record import refuse
from bot.service.site import Site, load, refold
from bot.service.step import Commit
from bot.service.watch import Watch
from bot.timeline.entry import Draft

log = logging.getLogger(__name__)

LEASE = 5.0
PAUSE = 1.0
ROUNDS = 50
AGAIN = timedelta(seconds=5)
"""When to look again at an incident at which a look has failed."""
REMEMBERED = timedelta(seconds=15)

STEPS: Mapping[str, Callable[[Site, Incident, Action], Commit | None]] = MappingProxyType(
    {
        "match": request.match_crash,
        "newcomers": newcomers.propose,
        "diagnose": diagnose.diagnose,
        "probe": prepare.probe,
        "preview": prepare.preview,
        "propose": prepare.propose,
        "give_up": prepare.give_up,
        "expire": rollout.expire,
        "review": rollout.review,
        "glass": glass.open_door,
        "start": rollout.start,
        "wave": rollout.wave,
        "soak": rollout.soak,
        "ask": rollout.ask,
        "pass": rollout.pass_gate,
        "halt": rollout.halt,
        "finish": rollout.finish,
        "retry": rollout.retry,
        "readback": rollout.read_back,
        "check": rollout.check,
        "hold": rollout.hold,
        "lost": rollout.lost,
    }
)


class Launcher(Processes, Protocol):
    """Starts the supervisor of a queued run."""

    def launch(self, run: Run) -> None:
        """Start it unless it was started already.

        Raises ``UnavailableError`` if that cannot be done now, and ``ConflictError`` if it was done
        often enough in vain.
        """

    def started(self) -> list[str]:
        """Return the runs whose supervisors this process has started and not collected."""

    def withdraw(self, ident: str) -> None:
        """End the supervisor of a run that was cancelled before anybody took it."""

    def reap(self) -> None:
        """Collect supervisors that have ended."""


class Worker:
    """One thread's work. Several, in several processes, may serve one store."""

    def __init__(self, site: Site, launcher: Launcher, name: str) -> None:
        self._site = site
        self._launcher = launcher
        self._name = name
        self._watch = Watch(site, launcher)
        self._trouble: tuple[str, datetime] = ("", site.clock.now())

    @property
    def trouble(self) -> str:
        """What stands in the way now; ``''`` a while after it was last met."""
        said, at = self._trouble
        return said if self._site.clock.now() - at < REMEMBERED else ""

    def serve(self, stop: threading.Event) -> None:
        """Work until ``stop``. A database that is away is waited for, and shown in health."""
        while not stop.is_set():
            try:
                self.turn()
            except Exception as error:  # one bad incident, or a full disk, must not end the work
                self._trouble = (str(error) or type(error).__name__, self._site.clock.now())
                log.warning("a turn failed", exc_info=not isinstance(error, HoldfastError))
                stop.wait(PAUSE)

    def turn(self) -> None:
        """Look at one incident that is due, or wait a little for one."""
        self._launcher.reap()
        self._withdraw()
        self._watch.give_up_lost()
        incident = self._site.store.claim_work(self._name, LEASE)
        if incident is None:
            self._site.store.wait(PAUSE)
            return
        when: datetime | None = self._site.clock.now() + AGAIN
        try:
            seen = self.look(incident)
            state, runs = load(self._site, incident), self._site.store.runs(incident)
            when = due(state, runs, seen, self._site.tempo)
        finally:
            self._site.store.release_work(incident, self._name, when)

    def _withdraw(self) -> None:
        """End supervisors that are still on their way to a run that was cancelled.

        Not a part of the look: an abort must not wait for a look that waits for an inventory.
        """
        for ident in self._launcher.started():
            try:
                run = self._site.store.run(ident)
            except NotFoundError:
                continue  # it has ended, and decides nothing any more
            if run.state == "cancelled" and not run.worker:
                self._launcher.withdraw(ident)

    def look(self, incident: str) -> datetime:
        """Carry out everything that is due for the incident now; return when it was looked at."""
        for _ in range(ROUNDS):
            state, runs = load(self._site, incident), self._site.store.runs(incident)
            now = self._site.clock.now()
            actions = self._decide(state, runs, now)
            done = [self._carry_out(state, action) for action in actions]
            if not any([*done, self._launch(incident)]):
                return now
        log.warning("still busy after many rounds", extra={"incident": incident})
        return self._site.clock.now()

    def _decide(self, state: Incident, runs: Sequence[Run], now: datetime) -> list[Action]:
        due = decide(state, runs, now, self._site.tempo)
        return due + ask_for_newcomers(state) + diagnose.looks(state, runs, now)

    def _launch(self, incident: str) -> bool:
        """Start the supervisors of queued runs; True if one was given up."""
        given_up = False
        for run in self._site.store.runs(incident):
            if run.state != "queued":
                continue
            try:
                self._launcher.launch(run)
            except ConflictError as error:
                refuse(self._site, run, str(error))
                given_up = True
        return given_up

    def _carry_out(self, state: Incident, action: Action) -> bool:
        """Do one action; True if something was recorded."""
        try:
            commit = STEPS[action.verb](self._site, state, action)
        except UnavailableError as error:
            if not action.request:
                raise
            commit = _failed(action, error)
        except HoldfastError as error:
            log.warning("an action failed", extra={"verb": action.verb, "error": str(error)})
            commit = _failed(action, error) if action.request else None
        if commit is None:
            return False
        locks = (knobs.LOCK,) if action.verb == "propose" else ()
        with self._site.store.transaction(state.id, *locks) as tx:
            now = refold(tx, state.id)
            current = self._decide(now, tx.runs(state.id), self._site.clock.now())
            if action not in current:
                return True
            before = (now.seq, len(tx.runs(state.id)))
            commit(tx, now)
            return (refold(tx, state.id).seq, len(tx.runs(state.id))) != before


def _failed(action: Action, error: HoldfastError) -> Commit:
    """Say in the timeline why no proposal could be made."""

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(
            now.id,
            Draft(
                key=f"proposal.failed.{action.request}",
                kind="proposal.failed",
                text=f"no proposal: {error}",
                data={"request": action.request, "why": error.what, **error.as_dict()},
            ),
        )

    return commit


def wake_all(site: Site) -> None:
    """Look at every incident once: what a restarted bot does first."""
    for row in site.store.incidents():
        with site.store.transaction(row.id) as tx:
            tx.wake(row.id, site.clock.now())
