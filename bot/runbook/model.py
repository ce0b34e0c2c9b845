"""What a runbook says: the only definition of the format, and of a library of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from bot.runbook.clause import Clause
from bot.runbook.index import Index
from bot.runbook.variable import NAME, RESERVED, Variable

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(value: Any) -> float:
    """Read ``30s``, ``5m``, ``2h``, ``1d`` as seconds; raise ``ValueError`` otherwise."""
    if isinstance(value, float) and value >= 0:
        return value
    found = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a duration: write 30s, 5m, 2h or 1d")
    return float(found[1]) * SECONDS[found[2]]


def _share(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value
    if re.fullmatch(r"\d{1,3}%", value) is None or int(value[:-1]) > 100:
        raise ValueError(f"{value!r} is neither a number of hosts nor a percentage such as 25%")
    return value


def _playbook(name: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}\.yml", name) is None:
        raise ValueError(f"{name!r} is no playbook name, such as sysctl-set.yml")
    return name


Duration = Annotated[float, BeforeValidator(seconds)]
Share = Annotated[StrictInt | StrictStr, AfterValidator(_share)]
Playbook = Annotated[str, AfterValidator(_playbook)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Words = Annotated[str, Field(min_length=1, max_length=4000)]


class Part(BaseModel):
    """A part of a runbook: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Where a statement comes from."""

    title: Words
    url: Annotated[str, Field(pattern=r"^https?://[^\s<>|]+$")]


class CrashAfterApply(Part):
    """Crashes on hosts that have the value: ``limit`` of them, once ``settle`` has passed."""

    limit: Annotated[int, Field(ge=0)] = 0
    settle: Duration = 0.0


class Prometheus(Part):
    """An instant query whose every sample must be at most ``max`` and at least ``min``."""

    query: Words
    max: float | None = None
    min: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Prometheus:
        if self.max is None and self.min is None:
            raise ValueError("a query needs a bound: give max or min")
        if self.max is not None and self.min is not None and self.max < self.min:
            raise ValueError(f"max {self.max:g} is below min {self.min:g}: nothing would pass")
        return self


class Check(Part):
    """One question that is asked after every wave: a read-only playbook or a Prometheus query.

    ``where`` says on which hosts the playbook runs: once on the bot's own machine, or on the
    hosts of the wave that have the value.
    """

    title: Words
    playbook: Playbook | None = None
    where: Literal["localhost", "wave"] = "wave"
    prometheus: Prometheus | None = None

    @model_validator(mode="after")
    def _one(self) -> Check:
        if (self.playbook is None) == (self.prometheus is None):
            raise ValueError("a check has either a playbook or prometheus")
        return self


class Gate(Part):
    """What a wave may cost: counts, or percentages of its hosts.

    ``soak`` is how long the canary is watched before its gate; ``checks`` are asked in their
    order after every wave that kept its limits.
    """

    max_failed: Share = 0
    max_lost: Share = "10%"
    crash_after_apply: CrashAfterApply = CrashAfterApply()
    soak: Duration = 0.0
    checks: tuple[Check, ...] = ()


class Rollout(Part):
    """How waves choose their hosts, and how many may be touched at the same time.

    ``order`` looks at the host variable ``loaded``, ``spread`` names the host variable that holds
    a host's failure domain. ``min_survivors`` (of each pool) are live hosts that no write has
    touched, or that are verified; ``max_parallel`` counts over all runs of the rollout.
    """

    order: Literal["loaded-last", "loaded-first"] | None = None
    spread: str | None = None
    min_survivors: Share = 0
    max_parallel: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Rollout:
        name = self.spread
        if name is not None and (NAME.fullmatch(name) is None or name.startswith("ansible_")):
            raise ValueError(f"spread names a host variable such as rack, not {name!r}")
        if self.min_survivors == "100%":
            raise ValueError("min_survivors of 100% lets no host be touched")
        return self


class Mitigation(Part):
    """One thing that can be done about it.

    ``waves`` are sizes per wave (not cumulative), each a number of hosts or a percentage of all
    planned hosts; the last takes what is left. ``rollout`` says which hosts a wave takes first and
    how many at once. ``residual`` says what stays dangerous.
    ``verify`` reads back; ``rollback`` takes it back.
    """

    id: Name
    title: Words
    playbook: Playbook
    variables: Mapping[str, Variable] = Field(default_factory=dict)
    targets: Literal["crashed", "exposed", "pool", "fleet"] = "exposed"
    waves: Annotated[tuple[Share, ...], Field(min_length=1)] = (1, "100%")
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
    approvals: Annotated[int, Field(ge=1)] = 1
    risk: Literal["low", "medium", "high"]
    residual: Words
    reversible: bool
    rollback: Playbook | None = None
    verify: Playbook

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
        for name in self.variables:
            if NAME.fullmatch(name) is None or name.startswith("ansible_") or name in RESERVED:
                raise ValueError(f"a variable cannot be named {name!r}")
        return self


class AppliesIf(Part):
    """How a host is asked whether this is about it: a read-only playbook."""

    probe: Playbook


class Hold(Part):
    """Keeping the value after the rollout.

    ``watch: value`` is what ``verify`` reads. ``exit`` says in words when it is over,
    ``config_management`` what to tell the people who run it.
    """

    watch: Literal["value"] = "value"
    interval: Duration = 30.0
    action: Literal["restore", "alert"]
    exit: Words
    config_management: Words | None = None


class Knob(Part):
    """Facts about the setting. A one-way knob cannot be set back until the next boot."""

    name: Words
    safe: Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)]
    default: Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)] | None = (
        None
    )
    scope: Literal["live", "boot", "both"]
    order: Words | None = None
    one_way: bool = False


class NoKnob(Part):
    """The honest answer: nothing documented turns this off."""

    reason: Words


class Trial(Part):
    """A runbook's own test: a crash text, and whether this runbook should be the one for it."""

    text: str | None = None
    file: str | None = None
    expect: Literal["match", "none"]

    @model_validator(mode="after")
    def _one(self) -> Trial:
        if (self.text is None) == (self.file is None):
            raise ValueError("a test has either text or file")
        return self


class Runbook(Part):
    """One runbook: what it matches, and what to do or that nothing can be done."""

    id: Name
    title: Words
    summary: Words
    owners: tuple[Words, ...] = ()
    sources: tuple[Source, ...] = ()
    match: Clause
    applies_if: AppliesIf | None = None
    mitigations: tuple[Mitigation, ...] = ()
    hold: Hold | None = None
    knob: Knob | None = None
    no_knob: NoKnob | None = None
    followups: tuple[Words, ...] = ()
    tests: tuple[Trial, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Runbook:
        if self.no_knob is not None and (self.mitigations or self.knob or self.hold):
            raise ValueError(
                "no_knob says that nothing turns it off: take mitigations, knob, hold out"
            )
        if self.no_knob is None and not self.mitigations:
            raise ValueError("give mitigations, or say no_knob with a reason")
        names = [m.id for m in self.mitigations]
        if len(set(names)) < len(names):
            raise ValueError(f"two mitigations have the same id: {', '.join(sorted(names))}")
        if self.knob and self.knob.one_way and any(m.reversible for m in self.mitigations):
            raise ValueError("the knob is one_way, so no mitigation is reversible")
        if not self.match.positive():
            raise ValueError(
                "match does not say what the crash is: "
                "give a kind, function, module, title or message"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong in a file; ``line`` counts from 1, ``hint`` may be empty.

    A ``warning`` is worth knowing and stops nothing.
    """

    file: str
    line: int
    what: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        what = f"warning: {self.what}" if self.warning else self.what
        return f"{self.file}:{self.line}: {what}" + (f", {self.hint}" if self.hint else "")


@dataclass(frozen=True, kw_only=True)
class Library:
    """The runbooks that can be used, in the order of their ids, and what is wrong with the rest.

    ``sources`` holds id -> (file, text), ``fixtures`` the other files by path, ``lines`` id ->
    the line of each part, ``left_out`` the ids of files that were refused.
    """

    runbooks: tuple[Runbook, ...] = ()
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    fixtures: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, Mapping[tuple[str | int, ...], int]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    @cached_property
    def index(self) -> Index:
        """What finds the runbooks of a crash without trying each; made at the first match."""
        return Index([runbook.match for runbook in self.runbooks])


def resolved(mitigation: Mitigation) -> dict[str, str | int | bool]:
    """Return the variables as a playbook gets them: plain values of their types."""
    return {name: variable.resolved() for name, variable in mitigation.variables.items()}
