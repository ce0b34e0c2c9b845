"""The doors of the product, as Protocols: what the services need of the outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from bot.timeline.entry import Draft, Entry

if TYPE_CHECKING:
    from bot.fleet.inventory import Inventory
    from bot.runbook.model import Library


class Clock(Protocol):
    """Time, handed in."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Block for ``seconds``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """The index row of an incident; everything else is folded from its entries."""

    id: str
    signature: str
    opened_at: datetime
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One piece of slow work for a supervisor: a probe, a dry run, a wave, a check.

    ``state`` is ``queued running finished lost cancelled``. ``spec`` is JSON for the runner.
    ``cancel`` asks the supervisor to stop. Times are None until they happen.
    """

    ident: str
    incident: str
    kind: str
    hosts: tuple[str, ...]
    spec: Mapping[str, Any] = field(default_factory=dict)
    state: str = "queued"
    cancel: bool = False
    worker: str = ""
    queued_at: datetime | None = None
    heartbeat: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one host of a live run has said so far.

    ``began`` is when the run turned to it, ``at`` when it gave its final answer (None: it is still
    out); ``said`` is that answer in the form of ``bot.rollout.outcome.Raw.as_dict``.
    """

    host: str
    began: datetime
    at: datetime | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A chat message that stands for one slot of an incident (``headline``, ``proposal.P-1``)."""

    channel: str
    ref: str
    content: str


class Transaction(Protocol):
    """One short transaction: nothing in it calls out."""

    def incidents(self) -> list[IncidentRow]:
        """Return all incidents, newest first."""

    def open(self, signature: str) -> str:
        """Create an incident with this signature key and return its id (``INC-1``)."""

    def close(self, incident: str, *, open: bool = False) -> None:  # noqa: A002 - the column's name
        """Mark the index row closed (or open again)."""

    def entries(self, incident: str) -> list[Entry]:
        """Return the incident's entries in order; raise ``NotFoundError`` if there is none."""

    def append(self, incident: str, *drafts: Draft) -> list[Entry]:
        """Append drafts; those whose key exists already are skipped. Return the new entries."""

    def number(self, name: str) -> int:
        """Return the next number of a counter, from 1 (``proposal``)."""

    def alert(self, key: str, incident: str | None) -> str | None:
        """Note an alert by its key. None: it is new; else the incident (may be '') it went to."""

    def wake(self, incident: str, due: datetime) -> None:
        """Ask for a look at the incident at ``due`` or earlier."""

    def queue(self, run: Run) -> bool:
        """Queue a run. False (and nothing changed) if its ident exists."""

    def finish(self, ident: str, state: str) -> bool:
        """Move a running (or queued) run to ``finished``, ``lost`` or ``cancelled``.

        False if it was not queued or running: somebody else ended it.
        """

    def cancel(self, ident: str) -> None:
        """Ask a run's supervisor to stop; a run that is still queued becomes ``cancelled``."""

    def forget_runs(self, idents: Sequence[str]) -> None:
        """Delete these runs; one that has not ended stays."""

    def drop_answers(self, run: str) -> None:
        """Forget what the hosts of a lost run have said."""

    def claim_knob(self, key: str, incident: str, proposal: str) -> None:
        """Note that a proposal would set, or take back, this key."""

    def knob_claims(self, key: str) -> list[tuple[str, str]]:
        """Return (incident, proposal) of every claim to a key."""

    def drop_knob(self, proposal: str) -> None:
        """Forget the claim of a proposal."""

    def runs(self, incident: str) -> list[Run]:
        """Return the incident's runs in the order in which they were queued."""


class Store(Protocol):
    """The database door."""

    def transaction(self, *locks: str) -> AbstractContextManager[Transaction]:
        """Begin a writing transaction that excludes others holding one of the same locks.

        A lock is an incident id or ``intake``. Commits on leaving, rolls back on an exception.
        On commit, sleepers in ``wait`` wake up.
        """

    def incidents(self) -> list[IncidentRow]:
        """Return all incidents, newest first."""

    def alert_keys(self, beginning: str, least: str = "") -> list[str]:
        """Return the keys of noted alerts that begin so and are not below ``least``, in order."""

    def heads(self) -> Mapping[str, int]:
        """Return open incident -> number of its last entry."""

    def entries(self, incident: str, after: int = 0) -> list[Entry]:
        """Return entries with ``seq > after``; raise ``NotFoundError`` for an unknown incident."""

    def payloads(self, incident: str) -> Mapping[str, str | None]:
        """Return payload hash -> body of an incident's entries (None: redacted)."""

    def redact(self, payload_hash: str) -> bool:
        """Forget one payload's body for ever. False if it was redacted already."""

    def wait(self, seconds: float) -> None:
        """Sleep until something was committed, at most ``seconds``."""

    def claim_work(self, owner: str, lease: float) -> str | None:
        """Claim the most overdue incident for ``lease`` seconds and return its id."""

    def release_work(self, incident: str, owner: str, due: datetime | None) -> None:
        """End the lease; look again at ``due`` (None: when woken). Wakes during it are kept."""

    def claim_run(self, ident: str, worker: str) -> Run | None:
        """Move a run from queued to running. None if it was not queued."""

    def beat(self, ident: str) -> bool:
        """Renew a running run's heartbeat. False: it was cancelled or taken away; stop."""

    def wanted(self, ident: str) -> bool:
        """Say what ``beat`` would, without writing anything."""

    def run(self, ident: str) -> Run:
        """Return one run; raise ``NotFoundError``."""

    def runs(self, incident: str) -> list[Run]:
        """Return the incident's runs in the order in which they were queued."""

    def note(self, run: str, said: Sequence[Answer]) -> bool:
        """Keep what hosts of a running run have said. False: it does not run any more.

        A later answer of a host replaces its earlier one. They are kept until the run has ended
        (``lost``: until ``drop_answers``).
        """

    def answers(self, run: str) -> list[Answer]:
        """Return what the hosts of a live or lost run have said so far, by name."""

    def tended(self) -> list[str]:
        """Return the incidents that somebody will look at, open or not, in order of their ids."""

    def unfinished_runs(self, incident: str = "") -> list[Run]:
        """Return every queued or running run, or those of one incident."""

    def lapsed_runs(self, seconds: float) -> list[Run]:
        """Return running runs whose heartbeat is older than ``seconds``."""

    def lock_hosts(self, run: str, hosts: Sequence[str], seconds: float) -> Mapping[str, str]:
        """Lock all hosts for a run, or none. Return {} or the hosts held by others -> their run.

        A lock that has outlived its time is free. The same run may lock again to renew.
        """

    def unlock_hosts(self, run: str) -> None:
        """Give a run's host locks back."""

    def add_token(self, digest: str, person: str) -> None:
        """Store a token's sha256 (hex) for a person."""

    def remove_tokens(self, person: str) -> int:
        """Forget all tokens of a person; return how many."""

    def token_person(self, digest: str) -> str | None:
        """Return whose token this is."""

    def posted(self, incident: str) -> Mapping[str, Posted]:
        """Return slot -> message of an incident."""

    def posted_in(self, channel: str) -> list[tuple[str, str, str]]:
        """Return (incident, slot, message's ref) of a channel, newest incident first."""

    def set_posted(self, incident: str, slot: str, posted: Posted) -> None:
        """Remember the message that stands for a slot."""

    def ping(self) -> None:
        """Raise ``UnavailableError`` if the database does not answer."""

    def close(self) -> None:
        """Close all connections."""


class Processes(Protocol):
    """The processes of runs on this machine."""

    def gone(self, run: Run) -> bool:
        """Say whether a running run's supervisor was a process of this machine and is gone."""

    def end(self, ident: str) -> None:
        """Kill whatever is alive of a run on this machine, before it is given up."""


class Sources(Protocol):
    """What a proposal is made from, on disk, and the private copies of it."""

    def library(self) -> Library:
        """Return the runbooks as they are now, site overrides applied."""

    def revision(self, runbook: str) -> str:
        """Return the sha256 of a runbook's file as it is now ('' if it is gone)."""

    def library_revision(self) -> str:
        """Return the git commit of a clean checkout of the runbooks, else the hash of them all."""

    def inventory(self, age: float = 0.0) -> Inventory:
        """Resolve the inventory, or return a reading that began at most ``age`` seconds ago.

        Raises the errors of ``bot.errors``.
        """

    def playbooks(self) -> frozenset[str]:
        """Return the names of the playbooks that there are now."""

    def other_strategies(self, names: Collection[str]) -> list[str]:
        """Name the plays of these playbooks (``file: strategy``) that are not linear."""

    def prompting(self, names: Collection[str]) -> list[str]:
        """Name what these playbooks ask a person (``file: variable``)."""

    def unsteady(self, hosts: Sequence[str]) -> str:
        """Name the variables that the inventory says anew at every reading; '' if there are none."""

    def changed(self, pinned: str, hosts: Sequence[str]) -> str:
        """Name the variables that changed since ``pin_hosts`` returned ``pinned``; '' if unknown."""

    def tree(self) -> str:
        """Return the hash of the playbooks as they are now."""

    def pin(self) -> str:
        """Keep a private copy of the playbooks and return its hash."""

    def pinned(self, tree: str, name: str) -> str:
        """Return the text of a playbook in a private copy; raise ``NotFoundError``."""

    def pin_hosts(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Keep keyed hashes of all that these hosts resolve to; return the hash over them."""

    def idle_plays(self, spec: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
        """Return the plays of a run (as in ``Run.spec``) whose ``hosts:`` fits none of ``hosts``.

        Each as ``play 'title' (hosts: pattern)``. Raises the errors of ``bot.errors``.
        """

    def hosts_hash(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Return the hash that ``pin_hosts`` would return, keeping nothing."""

    def approved(self, hosts: Sequence[str], pinned: str) -> Inventory:
        """Return what ``pin_hosts`` saw of these hosts; ``ConflictError`` if it is so no more."""

    def known(self, patience: float = 0.0) -> Inventory | None:
        """Return the last inventory that could be read, renewed in the background.

        ``patience`` (seconds) is how long the caller waits for the first one.
        """
