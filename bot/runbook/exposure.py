"""``applies_if``: how a host's answer to the probe tells whether this is about it."""

from __future__ import annotations

from pydantic import model_validator

from bot.runbook.clause import Range
from bot.runbook.judge import Rule
from bot.runbook.part import Part, Playbook, Several, Text
from bot.runbook.variable import Variables


class Answer(Part):
    """What a host answers. Everything that is said must hold; of a list, one."""

    applicable: bool | None = None
    """Whether it has the knob."""
    value: Several[Text] | None = None
    """The live value, or globs of it."""
    kernel: Several[Range] | None = None
    """Ranges of its kernel release, such as `< 5.2`."""

    @model_validator(mode="after")
    def _says_something(self) -> Answer:
        if self.applicable is None and self.value is None and self.kernel is None:
            raise ValueError("it fits every answer: give applicable, value or kernel")
        return self


class AppliesIf(Part):
    """How a host is asked whether this is about it: a read-only playbook, and what its answer means.

    ``not_applicable`` is looked at first, then ``exposed``; what fits neither is unknown.
    """

    probe: Playbook
    """Read-only playbook that asks a host; without `applies_if` it is the mitigation's `verify`."""
    variables: Variables | None = None
    """What the probe gets; without it, the variables of the mitigation."""
    exposed: Answer = Answer(applicable=True)
    """The answers of a host that this is about."""
    not_applicable: Answer = Answer(applicable=False)
    """The answers of a host that this is not about; looked at first."""

    @property
    def rule(self) -> Rule:
        """The JSON form in which ``bot.runbook.judge`` takes it."""
        said = self.model_dump(mode="json", exclude_none=True)
        return {"not_applicable": said["not_applicable"], "exposed": said["exposed"]}
