"""What an incident is at one moment: plain data that only the fold fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

QUIET = timedelta(seconds=5)
"""How long a write may go on on a host after its connection was cut. Whoever reads the host
earlier and does not find the value knows nothing."""


class Exposure(StrEnum):
    """Whether the knob exists on a host."""

    EXPOSED = "exposed"
    NOT_APPLICABLE = "not_applicable"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What became of one host in a rollout."""

    OWED = "owed"
    APPLIED = "applied"
    VERIFIED = "verified"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


class ProposalState(StrEnum):
    """The ten states of a proposal."""

    OPEN = "open"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    ABORTED = "aborted"
    DONE = "done"
    EXPIRED = "expired"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


BUSY = frozenset(
    {
        ProposalState.APPROVED,
        ProposalState.RUNNING,
        ProposalState.PAUSED,
        ProposalState.HALTED,
    }
)
"""States in which a proposal stands in the way of another one."""

MOVES: Mapping[ProposalState, frozenset[ProposalState]] = {
    ProposalState.OPEN: frozenset(
        {
            ProposalState.APPROVED,
            ProposalState.EXPIRED,
            ProposalState.REJECTED,
            ProposalState.SUPERSEDED,
        }
    ),
    ProposalState.APPROVED: frozenset(
        {
            ProposalState.RUNNING,
            ProposalState.ABORTED,
            ProposalState.EXPIRED,
            ProposalState.REJECTED,
            ProposalState.SUPERSEDED,
        }
    ),
    ProposalState.RUNNING: frozenset(
        {ProposalState.PAUSED, ProposalState.HALTED, ProposalState.ABORTED, ProposalState.DONE}
    ),
    ProposalState.PAUSED: frozenset({ProposalState.RUNNING, ProposalState.ABORTED}),
    ProposalState.HALTED: frozenset({ProposalState.RUNNING, ProposalState.ABORTED}),
    ProposalState.DONE: frozenset({ProposalState.ABORTED}),
    ProposalState.ABORTED: frozenset(),
    ProposalState.EXPIRED: frozenset(),
    ProposalState.REJECTED: frozenset(),
    ProposalState.SUPERSEDED: frozenset(),
}
"""The legal moves; everything else is refused. Done can still be aborted: it ends the authority
to write to owed hosts."""


def may_move(old: ProposalState, new: ProposalState) -> bool:
    """Say whether the table allows the move."""
    return new in MOVES[old]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The stable key of a crash."""

    kind: str
    function: str | None = None
    module: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One crash of one host. ``known`` is false for a host that is not in the inventory.

    ``applied_at`` is when the host, if it had the value already, was last known to have it.
    """

    host: str
    at: datetime
    title: str
    known: bool
    applied_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Host:
    """What is known of one host. ``outcome`` is None before a rollout covers it.

    ``crashed_at`` and ``seen_at`` are the last crash and the last proof of life, ``hint_at`` the
    last word of somebody that it may be back; ``applied_at``
    is when the value was last known to be in force; ``decided`` says which run decided, ``lane``
    how it reached the host: ``bulk`` or ``ordinary`` with the reason. ``doubt`` is since when a
    write may have been done, or may be going on there, without our having read it: nothing is
    written to the host until it was read.
    """

    name: str
    exposure: Exposure | None = None
    outcome: Outcome | None = None
    reason: str = ""
    value: str | None = None
    boot_id: str | None = None
    kernel: str | None = None
    at: datetime | None = None
    decided: str = ""
    lane: str = ""
    crashed_at: datetime | None = None
    seen_at: datetime | None = None
    hint_at: datetime | None = None
    applied_at: datetime | None = None
    doubt: datetime | None = None
    unreachable: bool = False
    drifted: bool = False
    partly: bool = False
    """A task failed after the host was changed; what it has now is not known yet."""
    crashes: int = 0

    @property
    def down(self) -> bool:
        """True when it crashed, or could not be reached, and was not seen since."""
        crashed = self.crashed_at is not None and (
            self.seen_at is None or self.seen_at < self.crashed_at
        )
        return crashed or self.unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to one digest. ``reason`` is why the glass was broken, or a try refused."""

    person: str
    name: str
    via: str
    digest: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one check of a gate said."""

    ok: bool
    sentence: str


@dataclass(slots=True, kw_only=True)
class Wave:
    """One run of a wave: ``hosts`` were touched by ``run``; ``owed`` were down before it began.

    A wave has several runs when it is large, when hosts may only be touched a few at a time, and
    when a run was lost: they share ``number`` and ``attempt``. ``planned`` are all hosts that the
    attempt set out to touch. Another attempt takes other hosts, since all of the first vanished.
    """

    number: int
    run: str
    hosts: tuple[str, ...]
    owed: tuple[str, ...] = ()
    attempt: int = 1
    planned: tuple[str, ...] = ()
    started_at: datetime
    finished_at: datetime | None = None
    lost: bool = False
    passed: bool = False
    results: Mapping[str, str] = field(default_factory=dict)
    soaks_until: datetime | None = None
    checks: Mapping[int, Answer] = field(default_factory=dict)
    """What the gate's checks of this attempt said, by their place in the list."""


@dataclass(slots=True, kw_only=True)
class Proposal:
    """One exact planned action. ``content`` is what the digest covers."""

    id: str
    digest: str
    content: Mapping[str, Any]
    requester: str
    made_at: datetime
    expires_at: datetime
    state: ProposalState = ProposalState.OPEN
    why: str = ""
    approvals: list[Approval] = field(default_factory=list)
    refused: list[Approval] = field(default_factory=list)
    """Tries of people who do not count: told, and never a ground for anything."""
    glass: list[Approval] = field(default_factory=list)
    """The people who broke the glass, each with a reason."""
    glass_opened: str = ""
    """Why that was enough, once it was."""
    waves: list[Wave] = field(default_factory=list)
    started_at: datetime | None = None
    resumed_at: datetime | None = None
    approved_by: tuple[str, ...] = ()
    """The people whose approvals counted when the rollout was started."""
    authority_ended: str = ""
    """Why this approval lets nobody write any more: abort, rollback or release."""
    crashed_after: list[Crash] = field(default_factory=list)
    """Crashes of hosts that had the value already."""
    ended_at: datetime | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The approved hosts, in order."""
        return tuple(self.content["hosts"])

    @property
    def purpose(self) -> str:
        """``mitigate`` or ``rollback``."""
        return str(self.content.get("purpose", "mitigate"))

    @property
    def open_wave(self) -> tuple[Wave, ...]:
        """The runs of the newest attempt of the newest wave that have not passed their gate."""
        if not self.waves:
            return ()
        newest = (self.waves[-1].number, self.waves[-1].attempt)
        return tuple(w for w in self.waves if (w.number, w.attempt) == newest and not w.passed)


@dataclass(slots=True, kw_only=True)
class Request:
    """A wish for a proposal, and how far it has come."""

    number: int
    runbook: str
    mitigation: str
    purpose: str
    requester: str
    rollback_of: str | None = None
    hosts: tuple[str, ...] = ()
    """If not empty, the proposal is for these hosts only: they became targets later."""
    probed: str | None = None
    previewed: str | None = None
    failures: int = 0
    settled: bool = False
    why: str = ""
    waiting: str = ""
    """What the last probe found, when it reached nobody who has the knob."""
    dry_run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Hold:
    """The watch over a value. ``state`` is ``none active released``.

    ``proposals`` are those whose hosts are watched now; ``proposal`` is the last one that was.
    """

    state: str = "none"
    proposal: str | None = None
    proposals: list[str] = field(default_factory=list)
    since: datetime | None = None
    drifts: int = 0
    restores: int = 0


@dataclass(slots=True, kw_only=True)
class Incident:
    """One cause, many alerts. Filled by the fold alone; everybody else only reads it."""

    id: str
    state: str = "open"
    severity: str = "unset"
    title: str = ""
    signature: Signature | None = None
    opened_at: datetime | None = None
    resolved_at: datetime | None = None
    commander: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    alerts: int = 0
    cut: int = 0
    """The most alerts that a sender left out of one message."""
    crashes: list[Crash] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    pools: dict[str, tuple[str, ...]] = field(default_factory=dict)
    match: Mapping[str, Any] | None = None
    requests: list[Request] = field(default_factory=list)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    failed_runs: dict[str, str] = field(default_factory=dict)
    diagnosed: dict[int, frozenset[str]] = field(default_factory=dict)
    """The hosts that answered each look of the runbook; ``*`` if it cannot be taken at all."""
    hold: Hold = field(default_factory=Hold)
    seq: int = 0

    @property
    def current(self) -> Proposal | None:
        """The proposal that matters now: the newest."""
        return next(reversed(self.proposals.values()), None)

    @property
    def rollout(self) -> Proposal | None:
        """The newest proposal that was started, if any."""
        started = [p for p in self.proposals.values() if p.started_at is not None]
        return started[-1] if started else None

    @property
    def rollouts(self) -> list[Proposal]:
        """The started proposals that have hosts of their own, oldest first."""
        found: list[Proposal] = []
        taken: set[str] = set()
        for proposal in reversed(self.proposals.values()):
            if proposal.started_at is not None and not taken.issuperset(proposal.content["hosts"]):
                found.insert(0, proposal)
                taken.update(proposal.content["hosts"])
        return found

    def owner(self, host: str) -> Proposal | None:
        """Return the newest started proposal that lists a host: it decides what becomes of it."""
        for proposal in reversed(self.proposals.values()):
            if proposal.started_at is not None and host in proposal.content["hosts"]:
                return proposal
        return None

    def host(self, name: str) -> Host:
        """Return the state of a host, making it known if it is new."""
        return self.hosts.setdefault(name, Host(name=name))
