"""``holdfast run IDENT``: one supervisor process that carries one run to its end.

It claims the run, checks the approval once more, locks the hosts, drives Ansible, keeps a
heartbeat and reports to the store itself. It outlives the bot.
"""

from __future__ import annotations

import ctypes
import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from bot.approval.policy import may_write
from bot.config import FleetPart
from bot.errors import ConflictError, HoldfastError, UnavailableError
from bot.fleet.inventory import Inventory, document
from bot.ports import Run
from bot.proposal.content import digest
from bot.runner import ansible, prometheus, scratch
from bot.runner.inventory import sources_of
from bot.runner.leash import LIMIT, Lease
from bot.runner.notebook import Notebook
from bot.runner.pin import lay_out
from bot.runner.redact import Redactor, secrets
from bot.runner.vault import plaintexts
from bot.service.record import record, refuse
from bot.service.report import Report
from bot.service.site import Site, refold

log = logging.getLogger(__name__)

BEAT = 0.5
LOOK = 0.1
"""Seconds between two questions whether the run is to stop: an abort is to take less than one."""
LOCK = 60.0
PACE = 0.2
PATIENCE = 120.0
SUBREAPER = 36
HERE = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}
"""How Ansible reaches the bot's own machine, for a check of a gate."""


class Pulse:
    """Keeps the heartbeat in a thread of its own and stops Ansible when it is asked to."""

    def __init__(self, site: Site, run: Run, lease: Lease, limit: float) -> None:
        self._site, self._run, self._lease, self._limit = site, run, lease, limit
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
        began = beaten = time.monotonic()
        while not self._done.wait(LOOK):
            due = time.monotonic() - beaten >= BEAT
            alive = self._alive(beat=due)
            beaten = time.monotonic() if due else beaten
            if not self.stopped and not alive:
                self.stopped = "stopped by an abort"
            elif not self.stopped and time.monotonic() - began > self._limit:
                self.stopped = f"stopped after {self._limit:.0f} s, its time limit"
            if self.stopped:
                # Again and again: the word may have come before there was anything to stop.
                self._lease.give_up()
                ansible.stop()

    def _alive(self, *, beat: bool) -> bool:
        """Ask whether to go on. A database that is away neither aborts nor repeats a run."""
        try:
            if not beat:
                return self._site.store.wanted(self._run.ident)
            alive = self._site.store.beat(self._run.ident)
            if alive and self._run.spec.get("purpose") and not self._lease.lapsed:
                self._site.store.lock_hosts(self._run.ident, self._run.hosts, LOCK)
        except UnavailableError as error:
            log.warning("the database is away", extra={"error": str(error)})
            return True
        return alive


def supervise(
    site: Site,
    fleet: FleetPart,
    state: Path,
    ident: str,
    worker: str,
    redact: Sequence[str] = (),
) -> bool:
    """Carry out the run; False if somebody else has claimed it.

    ``redact`` are patterns of what no output may show.
    """
    with Lease() as lease:
        run = site.store.claim_run(ident, worker)
        if run is None:
            return False
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        _supervise(site, fleet, state, run, lease, redact)
    return True


def _supervise(
    site: Site, fleet: FleetPart, state: Path, run: Run, lease: Lease, redact: Sequence[str]
) -> None:
    directory = state / "runs" / run.ident
    # A run is claimed once, so whatever lies there is left over from another database.
    scratch.remove(directory)
    shutil.rmtree(directory, ignore_errors=True)
    try:
        refusal = _refusal(site, run)
        if refusal:
            _persistently(site, lambda: refuse(site, run, refusal))
            return
        news: list[bool] = []
        if run.spec.get("prometheus"):
            answer = prometheus.ask(run.spec["prometheus"])
            report = Report(run=run, raws=(), answer=answer)
            _persistently(site, lambda: news.append(record(site, report)))
            return
        with Pulse(site, run, lease, fleet.run_timeout) as pulse:
            job, results, why = _set_up(site, fleet, state, run, lease, redact)
            if job is None and run.spec.get("purpose") and not pulse.stopped:
                _persistently(site, lambda: refuse(site, run, why))
                return
            report = _carry_out(site, job, results, why, run, pulse, lease)
            _persistently(site, lambda: news.append(record(site, report)))
    finally:
        _persistently(site, lambda: site.store.unlock_hosts(run.ident))
        # Links to an inventory that was in memory, ciphertexts, and Ansible's leftovers.
        scratch.remove(directory)
        for used in ("env", "inventory", "vault", "home", "cp"):
            shutil.rmtree(directory / used, ignore_errors=True)
    # A hold is checked, and a dead host tried, for days: without news nothing stays on the disk.
    if run.kind in {"check", "retry", "readback"} and news == [False] and not report.trouble:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        ansible.settle(directory)


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
        if incident.host(host).doubt is not None:
            raise ConflictError(
                "the host is in doubt", where=host, next="it is read back first; nothing was run"
            )
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
        site.clock.sleep(PACE)
        waited += PACE


def _set_up(
    site: Site, fleet: FleetPart, state: Path, run: Run, lease: Lease, redact: Sequence[str]
) -> tuple[ansible.Job | None, ansible.Results, str]:
    """Lay the pinned playbooks and the approved inventory out; no host is touched.

    Returns the job, the empty results, and why there is no job.
    """
    directory, spec = state / "runs" / run.ident, run.spec
    results = ansible.Results(
        redactor=Redactor(redact),
        check=bool(spec.get("check")),
        closing=spec["playbooks"][-1][1],
    )
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lease.write_to(directory / "lease")
        lay_out(spec["tree"], state / "pinned", directory / "project")
        ansible.make_room(directory)  # what is decrypted below passes through it, too
        if run.kind == "ask" and run.hosts == ("localhost",):
            inventory = Inventory(hosts={"localhost": HERE}, own={"localhost": HERE})
        else:
            inventory = site.sources.approved(run.hosts, str(spec["inventory"]))
        env = ansible.environment(directory, fleet)
        places = [*sources_of(Path(fleet.inventory)), directory / "project"]
        known = [*secrets(inventory), *plaintexts(places, env, directory / "vault")]
        results.redactor = Redactor(redact, known)
        named = (inventory.hosts[h].get("ansible_host") for h in run.hosts)
        results.addresses = {str(address) for address in named if address}
        job = ansible.Job(
            directory=directory,
            playbooks=tuple((str(name), phase) for name, phase in spec["playbooks"]),
            inventory=document(inventory, run.hosts),
            variables=spec["variables"],
            fleet=fleet,
            check=bool(spec.get("check")),
        )
    except HoldfastError as error:
        return None, results, str(error)
    except Exception as error:  # a run that broke is reported: silence would only look like death
        log.exception("the run broke", extra={"run": run.ident})
        return None, results, f"it broke: {str(error) or type(error).__name__}"
    return job, results, ""


def _carry_out(
    site: Site,
    job: ansible.Job | None,
    results: ansible.Results,
    why: str,
    run: Run,
    pulse: Pulse,
    lease: Lease,
) -> Report:
    trouble, status = why, ""
    try:
        if job is not None and not pulse.stopped:
            status = ansible.KILLED
            with Notebook(site.store, run, results):
                status = ansible.run(job, results, lease)
            trouble = _trouble(results, status, job.directory, pulse.stopped)
    except Exception as error:  # hosts may have been touched: what is known of them is reported
        log.exception("the run broke", extra={"run": run.ident})
        trouble = f"it broke: {str(error) or type(error).__name__}"
    stopped = pulse.stopped
    ansible.sweep()
    state_of_run = "cancelled" if stopped else "finished"
    if status == ansible.KILLED and not stopped:
        state_of_run = "lost"
        reasons = [why for why in (_lapsed(lease), trouble) if why]
        trouble = "; ".join(reasons) or "its Ansible was killed"
    return Report(
        run=run,
        raws=results.raws(run.hosts),
        state=state_of_run,
        trouble=stopped or trouble,
        strangers=sorted(results.strangers(run.hosts)),
    )


def _lapsed(lease: Lease) -> str:
    lease.renew()  # the leash may have found it lapsed before we did
    return f"its supervisor stood still for more than {LIMIT:.0f} s" if lease.lapsed else ""


def _trouble(results: ansible.Results, status: str, directory: Path, stopped: str) -> str:
    """Say what went wrong with the run as a whole; hosts speak for themselves."""
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
