"""A mitigation: what is done, where, how far at once, and what must hold in between."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from bot.runbook.part import Duration, Name, Part, Playbook, Share, Title, Words
from bot.runbook.variable import NAME, Variables

Targets = Literal["crashed", "exposed", "pool", "fleet"]


class CrashAfterApply(Part):
    """Crashes on hosts that have the value: ``limit`` of them, once ``settle`` has passed."""

    limit: Annotated[int, Field(ge=0)] = 0
    """More crashes of hosts that already had the value halt the rollout."""
    settle: Duration = 0.0
    """Crashes this soon after the write are compared with untreated hosts instead."""


class Prometheus(Part):
    """An instant query whose every sample must be at most ``max`` and at least ``min``."""

    query: Words
    """An instant query, asked of the site's `gate.prometheus_url`."""
    max: float | None = None
    """Upper bound of every sample; at least one of the two."""
    min: float | None = None
    """Lower bound of every sample."""

    @model_validator(mode="after")
    def _bounded(self) -> Prometheus:
        if self.max is None and self.min is None:
            raise ValueError("a query needs a bound: give max or min")
        if self.max is not None and self.min is not None and self.max < self.min:
            raise ValueError(f"max {self.max:g} is below min {self.min:g}: nothing would pass")
        return self


class Check(Part):
    """One question that is asked after every wave: a read-only playbook or a Prometheus query."""

    title: Title
    """What the check asks."""
    playbook: Playbook | None = None
    """Read-only playbook that prints its answer; either this or `prometheus`."""
    where: Literal["localhost", "wave"] = "wave"
    """Once on the bot's own machine, or on the hosts of the wave that have the value."""
    prometheus: Prometheus | None = None
    """A query with bounds."""

    @model_validator(mode="after")
    def _one(self) -> Check:
        if (self.playbook is None) == (self.prometheus is None):
            raise ValueError("a check has either a playbook or prometheus")
        return self


class Gate(Part):
    """What a wave may cost: counts, or percentages of its hosts."""

    max_failed: Share = 0
    """More failed or unpersisted hosts in a wave halt the rollout."""
    max_lost: Share = "10%"
    """More hosts that vanish during their wave halt the rollout."""
    crash_after_apply: CrashAfterApply = CrashAfterApply()
    """Crashes on hosts that have the value."""
    soak: Duration = 0.0
    """How long the canary is watched before its gate."""
    checks: tuple[Check, ...] = ()
    """Asked in their order after every wave that kept its limits."""


class Rollout(Part):
    """How waves choose their hosts, and how many may be touched at the same time."""

    order: Literal["loaded-last", "loaded-first"] | None = None
    """Which hosts come first, by the host variable `loaded`."""
    spread: str | None = None
    """Host variable that holds a failure domain, such as `rack`: a wave takes hosts in turn."""
    min_survivors: Share = 0
    """Of each pool, so many hosts always stay live and untouched, or are verified."""
    max_parallel: Annotated[int, Field(ge=1)] | None = None
    """Hosts that are written to at the same time, over all runs of the rollout."""

    @model_validator(mode="after")
    def _consistent(self) -> Rollout:
        name = self.spread
        if name is not None and (NAME.fullmatch(name) is None or name.startswith("ansible_")):
            raise ValueError(f"spread names a host variable such as rack, not {name!r}")
        if self.min_survivors == "100%":
            raise ValueError("min_survivors of 100% lets no host be touched")
        return self


class Mitigation(Part):
    """One thing that can be done about it."""

    id: Name
    """Name within the runbook; the first mitigation is the one that the bot proposes."""
    title: Title
    """What it does."""
    playbook: Playbook
    """Playbook that writes."""
    variables: Variables = Field(default_factory=dict)
    """What the playbooks get."""
    targets: Targets = "exposed"
    """Which hosts are asked: those that crashed, all (the exposed are written to), pools with a crashed host, all."""
    waves: Annotated[tuple[Share, ...], Field(min_length=1)] = (1, "100%")
    """Hosts per wave, not cumulative; the last takes what is left."""
    gate: Gate = Gate()
    """What a wave may cost."""
    rollout: Rollout = Rollout()
    """Which hosts a wave takes first, and how many at once."""
    approvals: Annotated[int, Field(ge=1)] = 1
    """People who must say yes; the site's floor holds too."""
    risk: Literal["low", "medium", "high"]
    """How dangerous it is to do."""
    residual: Words
    """What stays dangerous afterwards."""
    reversible: StrictBool
    """Whether it can be taken back; then name `rollback`."""
    rollback: Playbook | None = None
    """Playbook that takes it back."""
    verify: Playbook
    """Playbook that reads back."""

    @model_validator(mode="after")
    def _consistent(self) -> Mitigation:
        if self.reversible and self.rollback is None:
            raise ValueError("it is reversible, so name the rollback playbook")
        if not self.reversible and self.rollback is not None:
            raise ValueError("it has a rollback playbook, yet reversible is false")
        if any(wave in (0, "0%") for wave in self.waves):
            raise ValueError("a wave of 0 hosts does nothing: leave it out")
        if self.gate.soak and len(self.waves) < 2:
            raise ValueError("soak watches the canary: with one wave there is none")
        return self
