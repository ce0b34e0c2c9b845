"""``holdfast run IDENT``: one supervisor process that carries one run to its end.

It claims the run, checks the approval once more, locks the hosts, drives Ansible, keeps a
heartbeat and reports to the store itself. It outlives the bot.
"""

from __future__ import annotations

import ctypes
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from bot.approval.policy import may_write
from bot.config import FleetPart
from bot.errors import ConflictError, HoldfastError, UnavailableError
from bot.ports import Run
from bot.proposal.content import digest
from bot.runner import ansible
from bot.runner.notebook import Notebook
from bot.runner.pin import lay_out
from bot.service.report import Report, record, refuse
from bot.service.site import Site, refold

log = logging.getLogger(__name__)

BEAT = 0.5
LOCK = 60.0
PATIENCE = 120.0
SUBREAPER = 36


class Pulse:
    """Keeps the heartbeat in a thread of its own and stops Ansible when it is asked to."""

    def __init__(self, site: Site, run: Run, limit: float) -> None:
        self._site, self._run, self._limit = site, run, limit
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.stopped = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=30)

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._done.wait(BEAT):
            alive = self._alive()
            if not self.stopped and not alive:
                self.stopped = "stopped by an abort"
            elif not self.stopped and time.monotonic() - began > self._limit:
                self.stopped = f"stopped after {self._limit:.0f} s, its time limit"
            if self.stopped:
                # At every beat: the word to stop may have come before there was anything to stop.
                ansible.stop()

    def _alive(self) -> bool:
        """Renew the heartbeat. A database that is away neither aborts nor repeats a run."""
        try:
            alive = self._site.store.beat(self._run.ident)
            if alive and self._run.spec.get("purpose"):
                self._site.store.lock_hosts(self._run.ident, self._run.hosts, LOCK)
        except UnavailableError as error:
            log.warning("the database is away", extra={"error": str(error)})
            return True
        return alive


def supervise(site: Site, fleet: FleetPart, state: Path, ident: str, worker: str) -> bool:
    """Carry out the run; False if somebody else has claimed it."""
    run = site.store.claim_run(ident, worker)
    if run is None:
        return False
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    directory = state / "runs" / ident
    # A run is claimed once, so whatever lies there is left over from another database.
    shutil.rmtree(directory, ignore_errors=True)
    try:
        refusal = _refusal(site, run)
        if refusal:
            _persistently(site, lambda: refuse(site, run, refusal))
            return True
        with Pulse(site, run, fleet.run_timeout) as pulse:
            report = _carry_out(site, fleet, state, directory, run, pulse)
            news: list[bool] = []
            _persistently(site, lambda: news.append(record(site, report)))
    finally:
        _persistently(site, lambda: site.store.unlock_hosts(run.ident))
    # A hold is checked, and a dead host tried, for days: without news nothing stays on the disk.
    # Of the others the hosts' connection settings go, which may hold passwords.
    quiet = run.kind in {"check", "retry", "readback"} and news == [False] and not report.trouble
    for used in [directory] if quiet else [directory / "env", directory / "inventory"]:
        shutil.rmtree(used, ignore_errors=True)
    return True


def _refusal(site: Site, run: Run) -> str:
    """Lock the hosts of a run that writes, then ask the approval. '' if it may go on."""
    if not run.spec.get("purpose"):
        return ""
    try:
        _lock(site, run)
        _authorise(site, run)
    except HoldfastError as error:
        return str(error)
    return ""


def _authorise(site: Site, run: Run) -> None:
    """Ask the approval for every host, the moment before the run: nothing else may write."""
    purpose = str(run.spec["purpose"])
    with site.store.transaction(run.incident) as tx:
        incident = refold(tx, run.incident)
    proposal = incident.proposals[str(run.spec["proposal"])]
    if proposal.digest != run.spec["digest"] or digest(proposal.content) != proposal.digest:
        raise ConflictError("the run does not carry the approved digest", next="nothing was run")
    for part in ("tree", "inventory", "playbooks", "variables"):
        if run.spec[part] != proposal.content[part]:
            raise ConflictError(f"the run's {part} is not the approved one", next="nothing was run")
    for host in run.hosts:
        decision = may_write(proposal, host, purpose)
        if not decision.ok:
            raise ConflictError(decision.sentence, where=host, next="nothing was run")


def _lock(site: Site, run: Run) -> None:
    """Lock every host, or wait; two writing runs never meet on one host."""
    waited = 0.0
    while True:
        if not site.store.beat(run.ident):
            raise ConflictError("aborted while it waited for its hosts", next="nothing was run")
        held = site.store.lock_hosts(run.ident, run.hosts, LOCK)
        if not held:
            return
        if waited >= PATIENCE:
            host, other = next(iter(held.items()))
            raise ConflictError(
                f"{host} is locked by run {other}", where=host, next="wait until that run has ended"
            )
        site.clock.sleep(BEAT)
        waited += BEAT


def _carry_out(
    site: Site, fleet: FleetPart, state: Path, directory: Path, run: Run, pulse: Pulse
) -> Report:
    spec = run.spec
    results, trouble = ansible.Results(closing=spec["playbooks"][-1][1]), ""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lay_out(spec["tree"], state / "pinned", directory / "project")
        job = _job(fleet, state, directory, run, spec)
        if not pulse.stopped:
            with Notebook(site.store, run, results):
                status = ansible.run(job, results)
            trouble = _trouble(results, status, directory, run, pulse.stopped)
    except Exception as error:  # a run that broke is reported: silence would only look like death
        log.exception("the run broke", extra={"run": run.ident})
        trouble = f"it broke: {str(error) or type(error).__name__}"
    stopped = pulse.stopped
    ansible.sweep()
    return Report(
        run=run,
        raws=results.raws(run.hosts),
        state="cancelled" if stopped else "finished",
        trouble=stopped or trouble,
    )


def _job(
    fleet: FleetPart, state: Path, directory: Path, run: Run, spec: Mapping[str, Any]
) -> ansible.Job:
    pinned = json.loads((state / "pinned" / f"{spec['inventory']}.json").read_text())
    return ansible.Job(
        directory=directory,
        playbooks=tuple((str(name), phase) for name, phase in spec["playbooks"]),
        hosts={host: pinned["hosts"][host] for host in run.hosts},
        pools=pinned["pools"],
        variables=spec["variables"],
        fleet=fleet,
        check=bool(spec.get("check")),
    )


def _trouble(results: ansible.Results, status: str, directory: Path, run: Run, stopped: str) -> str:
    """Say what went wrong with the run as a whole; hosts speak for themselves."""
    if strangers := results.strangers(run.hosts):
        return f"BREACH: hosts that were not approved were touched: {sorted(strangers)}"
    if results.status or stopped or status == "successful":
        return ""
    output = directory / "artifacts" / "job" / "stdout"
    lines = output.read_text(errors="replace").splitlines() if output.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    error = next((line for line in said if line.startswith(("ERROR", "[ERROR]", "fatal"))), "")
    return f"Ansible ended with {status}: {(error or ' '.join(said[-2:]))[:300]}"


def _persistently(site: Site, act: Callable[[], None]) -> None:
    """Report even if the database is away for a while: up to an hour."""
    for attempt in range(60):
        try:
            act()
        except UnavailableError as error:
            log.warning("cannot report yet", extra={"error": str(error), "attempt": attempt})
            site.clock.sleep(min(60.0, 2.0**attempt))
        else:
            return
