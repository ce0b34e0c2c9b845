"""The site's approval policy as data: how many yes, of whom, when not, and the emergency door.

``terms`` is evaluated when a proposal is made, and is a part of what the digest covers. If the
policy, or a fact that it looks at, would later say something else, the proposal is superseded.
Only freezes are about the moment, so they are asked at the click and at the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from bot.approval.roles import APPROVER, COMMANDER

DECIDERS = (APPROVER, COMMANDER)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 24 * 60
_SPOT = rf"({'|'.join(DAYS)})\s+([01]?\d|2[0-4]):([0-5]\d)"
_SPAN = re.compile(rf"{_SPOT}\s*(?:-|\u2013|to)\s*{_SPOT}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule may look at. ``hosts`` counts those that would be written to."""

    risk: str
    hosts: int
    severity: str = "unset"
    purpose: str = "mitigate"
    one_way: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """So many different people with one of the roles or, if ``people`` names some, out of these.

    ``why`` is the rule's own reason: ``risk is high (rule 'careful')``.
    """

    required: int
    roles: tuple[str, ...] = DECIDERS
    people: tuple[str, ...] = ()
    why: str = ""

    @property
    def who(self) -> str:
        """Return of whom: ``approver or commander``, or the names."""
        if self.people:
            return " or ".join(self.people)
        return " or ".join(self.roles)

    def as_dict(self) -> dict[str, Any]:
        """Return the form in which a proposal's content holds it."""
        return {
            "required": self.required,
            "roles": list(self.roles),
            "people": list(self.people),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Asks for a ``Need`` of its own wherever it applies. What it does not name applies always."""

    name: str
    required: int
    roles: tuple[str, ...] = DECIDERS
    people: tuple[str, ...] = ()
    risks: frozenset[str] = frozenset()
    severities: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    more_than: int | None = None
    one_way: bool = False

    def reason(self, facts: Facts) -> str:
        """Return why the rule applies to these facts; '' if it does not."""
        said = [
            (self.risks, facts.risk in self.risks, f"risk is {facts.risk}"),
            (self.severities, facts.severity in self.severities, f"severity is {facts.severity}"),
            (self.purposes, facts.purpose in self.purposes, f"it is a {facts.purpose}"),
            (
                self.more_than is not None,
                self.more_than is not None and facts.hosts > self.more_than,
                f"{facts.hosts} hosts are more than {self.more_than}",
            ),
            (self.one_way, facts.one_way, "it cannot be undone"),
        ]
        asked = [(holds, words) for wanted, holds, words in said if wanted]
        if not all(holds for holds, _ in asked):
            return ""
        words = " and ".join(words for _, words in asked) or "always"
        return f"{words} (rule '{self.name}')"

    @property
    def sentence(self) -> str:
        """Return the rule in words: ``2 of approver or commander if risk is high ('careful')``."""
        said = [
            f"{word} is {' or '.join(sorted(values))}"
            for word, values in (
                ("risk", self.risks),
                ("severity", self.severities),
                ("purpose", self.purposes),
            )
            if values
        ]
        if self.more_than is not None:
            said.append(f"there are more than {self.more_than} hosts")
        if self.one_way:
            said.append("it cannot be undone")
        need = Need(required=self.required, roles=self.roles, people=self.people)
        when = f"if {' and '.join(said)}" if said else "always"
        return f"{need.required} of {need.who} {when} ('{self.name}')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A time in which nothing is approved or started: one span, or one of every week.

    ``weekly`` is a pair of minutes since Monday 00:00 in ``zone``. Severities in ``excepted`` go
    through; so do purposes that are not in ``purposes``.
    """

    name: str
    begins: datetime | None = None
    ends: datetime | None = None
    weekly: tuple[int, int] | None = None
    zone: tzinfo = UTC
    excepted: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset({"mitigate"})

    def covers(self, now: datetime) -> bool:
        """Say whether ``now`` (aware) is in the window; its end is not."""
        if self.weekly is not None:
            local = now.astimezone(self.zone)
            minute = local.weekday() * 1440 + local.hour * 60 + local.minute
            begins, ends = self.weekly
            return (minute - begins) % WEEK < (ends - begins) % WEEK
        return (self.begins is None or now >= self.begins) and (
            self.ends is None or now < self.ends
        )

    @property
    def start(self) -> str:
        """Return the beginning in words."""
        if self.weekly is not None:
            return f"every {_spot(self.weekly[0])}"
        return "" if self.begins is None else f"on {self.begins:%Y-%m-%d %H:%M %Z}"

    @property
    def until(self) -> str:
        """Return the end in words."""
        if self.weekly is not None:
            return f"{_spot(self.weekly[1])} ({self.zone})"
        return "somebody takes it out" if self.ends is None else f"{self.ends:%Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """The emergency door: ``people`` at once, or one person after ``delay`` seconds in the open."""

    people: int = 2
    delay: float = 900.0
    roles: tuple[str, ...] = DECIDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that a site says about approvals. ``glass`` None: there is no emergency door."""

    required: int = 1
    rules: tuple[Rule, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    glass: BreakGlass | None = BreakGlass()

    def sentences(self, now: datetime) -> list[str]:
        """Return the policy in words, what holds at ``now`` among them."""
        many = f"{self.required} approval{'s' * (self.required != 1)}"
        said = [f"every proposal needs {many}, never of the one who asked for it"]
        said += [f"and {rule.sentence}" for rule in self.rules]
        for freeze in self.freezes:
            if freeze.ends is not None and now >= freeze.ends:
                continue
            state = "frozen NOW" if freeze.covers(now) else f"a freeze comes {freeze.start}"
            but = f", not for {' or '.join(sorted(freeze.excepted))}" if freeze.excepted else ""
            said.append(f"{state}: '{freeze.name}' until {freeze.until}{but}")
        if self.glass is None:
            return [*said, "there is no break-glass"]
        alone = f"one after {self.glass.delay / 60:g} min"
        return [*said, f"break-glass: {self.glass.people} people at once, or {alone}"]


def terms(policy: Policy, facts: Facts, floor: int = 1) -> dict[str, Any]:
    """Return what a proposal needs, as its content holds it; a rule can only ask for more.

    ``floor`` is the runbook's own number. ``required`` is the most that any one need asks for.
    """
    needs = [Need(required=max(1, policy.required, floor))]
    for rule in policy.rules:
        if reason := rule.reason(facts):
            need = Need(required=rule.required, roles=rule.roles, people=rule.people, why=reason)
            needs = [*(n for n in needs if not _covers(need, n)), need]
    glass = policy.glass
    return {
        "needs": [need.as_dict() for need in needs],
        "break_glass": glass
        and {"people": glass.people, "delay_seconds": glass.delay, "roles": list(glass.roles)},
    }


def _covers(strict: Need, loose: Need) -> bool:
    """Say whether whoever meets ``strict`` meets ``loose`` too."""
    if strict.required < loose.required or loose.people:
        return False
    return not strict.people and set(strict.roles) <= set(loose.roles)


def needs_of(content: Mapping[str, Any]) -> tuple[Need, ...]:
    """Read the needs out of a proposal's content; an old one has a number only."""
    said: Sequence[Mapping[str, Any]] = (content.get("approval") or {}).get("needs") or ()
    if not said:
        return (Need(required=max(1, int(content["approvals"]))),)
    return tuple(
        Need(
            required=max(1, int(one["required"])),
            roles=tuple(one["roles"]),
            people=tuple(one["people"]),
            why=str(one["why"]),
        )
        for one in said
    )


def glass_of(content: Mapping[str, Any]) -> BreakGlass | None:
    """Read the emergency door out of a proposal's content; None if it has none."""
    said = (content.get("approval") or {}).get("break_glass")
    if not said:
        return None
    return BreakGlass(
        people=max(1, int(said["people"])),
        delay=float(said["delay_seconds"]),
        roles=tuple(said["roles"]),
    )


def facts_of(content: Mapping[str, Any], severity: str) -> Facts:
    """Return what the rules may look at in a proposal of an incident of this severity."""
    hosts = content["hosts"].values()
    return Facts(
        risk=str(content["mitigation"]["risk"]),
        hosts=sum(1 for host in hosts if host["exposure"] != "not_applicable"),
        severity=severity,
        purpose=str(content.get("purpose", "mitigate")),
        one_way=content.get("rollback") is None and content.get("purpose") != "rollback",
    )


def frozen(policy: Policy, facts: Facts, now: datetime) -> str:
    """Return why nothing may be approved or started now; '' if something may."""
    for freeze in policy.freezes:
        if facts.purpose not in freeze.purposes or facts.severity in freeze.excepted:
            continue
        if freeze.covers(now):
            return f"changes are frozen ('{freeze.name}') until {freeze.until}"
    return ""


def weekly(text: str) -> tuple[int, int]:
    """Read ``fri 16:00 - mon 08:00`` into minutes since Monday; raise ``ValueError``."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no window of a week; write: fri 16:00 - mon 08:00")
    begins, ends = (_minute(match.group(n, n + 1, n + 2)) for n in (1, 4))
    if (ends - begins) % WEEK == 0:
        raise ValueError(f"{text!r} has no length")
    return begins, ends


def _spot(minute: int) -> str:
    day, rest = divmod(minute % WEEK, 1440)
    return f"{DAYS[day]} {rest // 60:02d}:{rest % 60:02d}"


def _minute(spot: Sequence[str | Any]) -> int:
    day, hour, minute = spot
    if int(hour) == 24 and int(minute):
        raise ValueError(f"{hour}:{minute} is no time of a day")
    return (DAYS.index(day.lower()) * 1440 + int(hour) * 60 + int(minute)) % WEEK
