"""What a runbook says: the only definition of the format, and of a library of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from bot.runbook.clause import Clause
from bot.runbook.expect import CrashTest, Trial
from bot.runbook.exposure import AppliesIf
from bot.runbook.index import Index
from bot.runbook.mitigation import (
    Check,
    CrashAfterApply,
    Gate,
    Mitigation,
    Prometheus,
    Rollout,
)
from bot.runbook.part import Duration, Name, Part, Playbook, Several, Text, Title, Words
from bot.runbook.variable import Plain, Variables
from bot.runbook.variable import resolved as values

__all__ = [
    "Advice",
    "AppliesIf",
    "Check",
    "CrashAfterApply",
    "CrashTest",
    "Diagnosis",
    "Gate",
    "Hold",
    "Knob",
    "Library",
    "Mitigation",
    "NoKnob",
    "Problem",
    "Prometheus",
    "Rollout",
    "Runbook",
    "Source",
    "resolved",
]


class Source(Part):
    """Where a statement comes from."""

    title: Words
    """What the source is."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s<>|]+$")]
    """Where it is."""


class Diagnosis(Part):
    """A look that changes nothing: it is run without an approval, in check mode, and noted."""

    title: Title
    """What is looked at."""
    playbook: Playbook
    """Read-only playbook that prints what it found."""
    variables: Variables = Field(default_factory=dict)
    """What the playbook gets."""
    targets: Literal["crashed", "pool", "fleet"] = "crashed"
    """Which hosts are asked: those that crashed, pools with a crashed host, all."""


class Advice(Part):
    """Something that a person may do. It is shown, and never carried out by the bot."""

    title: Title
    """What it is."""
    how: Words
    """How it is done."""
    risk: Words
    """What it costs, hides or puts at risk."""


class Hold(Part):
    """Keeping the value after the rollout."""

    watch: Literal["value"] = "value"
    """What is watched: what `verify` reads."""
    interval: Duration = 30.0
    """Pause between two checks."""
    action: Literal["restore", "alert"]
    """On drift: write again under the approval, or only say so."""
    exit: Words
    """In words, when it is over; a person decides and says `release`."""
    config_management: Words | None = None
    """In words, what to tell the people who run it."""


class Knob(Part):
    """Facts about the setting."""

    name: Words
    """The setting."""
    safe: Text
    """Its safe value."""
    default: Text | None = None
    """Its default."""
    scope: Literal["live", "boot", "both"]
    """When it acts."""
    order: Words | None = None
    """What must come first."""
    one_way: StrictBool = False
    """It cannot be set back until the next boot; then no mitigation is reversible."""


class NoKnob(Part):
    """The honest answer: nothing documented turns this off."""

    reason: Words
    """Why, and what to do instead: drain, patch, do not try …"""


class Runbook(Part):
    """One runbook: what it matches, and what to do or that nothing can be done."""

    id: Name
    """Stable name: lower case letters, digits and dashes."""
    title: Title
    """What it is about, on one line."""
    summary: Words
    """What happens, for somebody who was just woken."""
    owners: tuple[Words, ...] = ()
    """Whom to ask."""
    sources: tuple[Source, ...] = ()
    """Where the statements come from."""
    match: Clause
    """What the crash looks like."""
    applies_if: AppliesIf | None = None
    """How a host is asked whether this is about it."""
    diagnose: tuple[Diagnosis, ...] = ()
    """Looks that change nothing, run once the runbook has matched, without an approval."""
    mitigations: tuple[Mitigation, ...] = ()
    """What can be done; the bot proposes the first."""
    advice: tuple[Advice, ...] = ()
    """What a person may do, and the bot never does."""
    hold: Hold | None = None
    """Keeping the value after the rollout."""
    knob: Several[Knob] = ()
    """Facts about the setting, or about several in the order in which they are written."""
    no_knob: NoKnob | None = None
    """Instead of mitigations: nothing documented turns this off."""
    followups: tuple[Words, ...] = ()
    """What is left to do afterwards; it ends up in the postmortem."""
    tests: tuple[Trial, ...] = ()
    """The runbook's own tests; crash texts may also lie in files."""

    @model_validator(mode="after")
    def _consistent(self) -> Runbook:
        if self.no_knob is not None and (self.mitigations or self.knob or self.hold):
            raise ValueError(
                "no_knob says that nothing turns it off: take mitigations, knob, hold out"
            )
        if not (self.no_knob or self.mitigations or self.advice):
            raise ValueError("give mitigations or advice, or say no_knob with a reason")
        names = [m.id for m in self.mitigations]
        if len(set(names)) < len(names):
            raise ValueError(f"two mitigations have the same id: {', '.join(sorted(names))}")
        one_way = any(knob.one_way for knob in self.knob)
        if one_way and any(m.reversible for m in self.mitigations):
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

    ``rule`` is the name of the sort of problem. A ``warning`` is worth knowing and stops nothing.
    """

    file: str
    line: int
    what: str
    hint: str = ""
    warning: bool = False
    rule: str = "format"

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


def resolved(mitigation: Mitigation) -> dict[str, Plain]:
    """Return the variables as a playbook gets them: plain values of their types."""
    return values(mitigation.variables)
