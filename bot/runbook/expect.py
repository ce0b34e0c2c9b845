"""``tests``: what a runbook says that it does, to be proved by ``holdfast runbook test``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from bot.runbook.clause import Word
from bot.runbook.part import Name, Part, Text, Title
from bot.runbook.variable import Value

Expect = Literal["match", "none"]


class CrashTest(Part):
    """A crash text, and whether this runbook should be the one for it."""

    __test__ = False  # not a class of tests

    title: Title | None = None
    """What is tested."""
    text: str | None = None
    """A crash text; either this or `file`."""
    file: str | None = None
    """A crash text in a file, by its path from the runbook's directory."""
    labels: Mapping[Word, Word] = Field(default_factory=dict)
    """Labels of the alert that brought it."""
    expect: Expect
    """`match`: this runbook comes before all others; `none`: it does not match."""

    @model_validator(mode="after")
    def _one(self) -> CrashTest:
        if (self.text is None) == (self.file is None):
            raise ValueError("a test has either text or file")
        return self


class HostFacts(Part):
    """What a host of a test would answer to the probe."""

    applicable: StrictBool | None = None
    """Whether it has the knob."""
    value: Text | None = None
    """The live value."""
    kernel: Word | None = None
    """Its kernel release."""
    unreachable: StrictBool = False
    """It does not answer at all."""
    crashed: StrictBool = False
    """It has crashed."""
    pool: Word | None = None
    """The pool that it belongs to."""


class TargetsTest(Part):
    """Facts about a fleet, and the hosts that the mitigation should be for."""

    __test__ = False

    title: Title | None = None
    """What is tested."""
    mitigation: Name | None = None
    """Which mitigation; without it the first."""
    hosts: Annotated[Mapping[Word, HostFacts], Field(min_length=1)]
    """Hosts by name, with what they would answer."""
    targets: tuple[Word, ...]
    """The hosts that should be written to."""


class VariablesTest(Part):
    """What the playbooks should get from a proposal."""

    __test__ = False

    title: Title | None = None
    """What is tested."""
    mitigation: Name | None = None
    """Which mitigation; without it the first."""
    variables: Mapping[Word, Value]
    """Every variable with its value."""


def _sort(data: Any) -> str:
    """Tell the three sorts apart; these names stand in error places and are no keys."""
    said = data if isinstance(data, dict) else {}
    if "hosts" in said or "targets" in said:
        return "of facts"
    return "of values" if "variables" in said else "of a crash"


Trial = Annotated[
    Annotated[CrashTest, Tag("of a crash")]
    | Annotated[TargetsTest, Tag("of facts")]
    | Annotated[VariablesTest, Tag("of values")],
    Discriminator(_sort),
]
