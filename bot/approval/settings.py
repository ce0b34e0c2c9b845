"""How ``holdfast.yml`` says who approves what: ``roles`` and ``approvals``, read strictly."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bot.approval.rules import BreakGlass, Freeze, Policy, Rule, weekly
from bot.duration import Duration

Role = Literal["responder", "approver", "commander"]
Decider = Literal["approver", "commander"]
Risk = Literal["low", "medium", "high"]
Severity = Literal["sev1", "sev2", "sev3", "sev4", "unset"]
Purpose = Literal["mitigate", "rollback"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/Berlin") from None
    return name


def _window(text: str) -> str:
    weekly(text)
    return text


def _moment(value: Any) -> Any:
    """Take a day for its first moment; YAML reads it as a date."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class RolePart(_Part):
    """Who has a role beside those of ``people``: named people, members of Slack user groups."""

    people: list[str] = Field(default_factory=list)
    slack_groups: list[str] = Field(default_factory=list)


class RolesPart(_Part):
    """The three roles."""

    responder: RolePart = RolePart()
    approver: RolePart = RolePart()
    commander: RolePart = RolePart()


class WhenPart(_Part):
    """When a rule applies: all that is said has to hold, and of a list one."""

    risk: list[Risk] = Field(default_factory=list)
    severity: list[Severity] = Field(default_factory=list)
    purpose: list[Purpose] = Field(default_factory=list)
    hosts_above: int | None = Field(default=None, ge=0)
    one_way: bool = False


class RulePart(_Part):
    """One rule: whom it asks for, and when."""

    name: Name
    when: WhenPart = WhenPart()
    required: int = Field(ge=1)
    roles: list[Decider] = Field(default=["approver", "commander"], min_length=1)
    people: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.people and len(set(self.people)) < self.required:
            raise ValueError(f"asks for {self.required} of {len(set(self.people))} people")
        return self

    @property
    def rule(self) -> Rule:
        """Return the rule as the policy has it."""
        return Rule(
            name=self.name,
            required=self.required,
            roles=tuple(self.roles),
            people=tuple(dict.fromkeys(self.people)),
            risks=frozenset(self.when.risk),
            severities=frozenset(self.when.severity),
            purposes=frozenset(self.when.purpose),
            more_than=self.when.hosts_above,
            one_way=self.when.one_way,
        )


class FreezePart(_Part):
    """A window in which nothing is approved or started: ``begins`` to ``ends``, or ``weekly``."""

    name: Name
    begins: Moment | None = None
    ends: Moment | None = None
    weekly: Annotated[str, AfterValidator(_window)] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    excepted: list[Severity] = Field(default_factory=list, alias="except")
    purposes: list[Purpose] = Field(default=["mitigate"], min_length=1)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        spans = self.begins is not None or self.ends is not None
        if spans == (self.weekly is not None):
            raise ValueError("say either begins and ends, or weekly")
        window = self.freeze
        if window.begins and window.ends and window.begins >= window.ends:
            raise ValueError("ends before it begins")
        return self

    @property
    def freeze(self) -> Freeze:
        """Return the window as the policy has it; a time without a zone is in ``timezone``."""
        zone: tzinfo = UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
        begins, ends = (
            at if at is None or at.tzinfo else at.replace(tzinfo=zone)
            for at in (self.begins, self.ends)
        )
        return Freeze(
            name=self.name,
            begins=begins,
            ends=ends,
            weekly=weekly(self.weekly) if self.weekly else None,
            zone=zone,
            excepted=frozenset(self.excepted),
            purposes=frozenset(self.purposes),
        )


class BreakGlassPart(_Part):
    """The emergency door: so many people at once, or one after a delay that everybody sees."""

    allowed: bool = True
    people: int = Field(default=2, ge=2)
    delay: Duration = 900.0
    roles: list[Role] = Field(default=["approver", "commander"], min_length=1)


class ApprovalPart(_Part):
    """Site-wide floor for approvals, how long a proposal waits for them, and further rules."""

    required: int = Field(default=1, ge=1)
    expiry: Duration = 1800.0
    rules: list[RulePart] = Field(default_factory=list)
    freeze: list[FreezePart] = Field(default_factory=list)
    break_glass: BreakGlassPart = BreakGlassPart()

    @property
    def policy(self) -> Policy:
        """Return what is decided by."""
        glass = self.break_glass
        door = BreakGlass(people=glass.people, delay=glass.delay, roles=tuple(glass.roles))
        return Policy(
            required=self.required,
            rules=tuple(part.rule for part in self.rules),
            freezes=tuple(part.freeze for part in self.freeze),
            glass=door if glass.allowed else None,
        )
