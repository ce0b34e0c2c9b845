"""Count people's yes to one digest, and say in a tree who counts for what, and who does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.approval.roles import Person, lacks, may
from bot.approval.rules import Need, glass_of, needs_of
from bot.incident.state import Approval, Proposal

WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """An approval that does not count, and why."""

    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One need of a proposal and the people (ids) that count for it."""

    need: Need
    counted: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many more people it takes."""
        return max(0, self.need.required - len(self.counted))

    @property
    def sentence(self) -> str:
        """``1 of 2, approver or commander, because risk is high (rule 'careful')``."""
        because = f", because {self.need.why}" if self.need.why else ""
        return f"{len(self.counted)} of {self.need.required}, {self.need.who}{because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far the approvals of a proposal have come. ``names`` are shown for ids."""

    parts: tuple[Part, ...]
    counted: tuple[str, ...]
    not_counted: tuple[Uncounted, ...]
    names: Mapping[str, str]

    @property
    def required(self) -> int:
        """How many people the largest need asks for."""
        return max(part.need.required for part in self.parts)

    @property
    def missing(self) -> int:
        """How many more people it takes at least."""
        return max(part.missing for part in self.parts)

    @property
    def complete(self) -> bool:
        """True when enough people said yes for every need."""
        return not self.missing

    @property
    def sentence(self) -> str:
        """``1 of 2: one counted; one not counted, because the requester cannot approve``."""
        text = f"{len(self.counted)} of {self.required}: {spelled(len(self.counted))} counted"
        for why in dict.fromkeys(one.why for one in self.not_counted):
            number = sum(1 for one in self.not_counted if one.why == why)
            text += f"; {spelled(number)} not counted, because {why}"
        if len(self.counted) >= self.required and self.missing:
            open_parts = [part for part in self.parts if part.missing]
            text += "".join(f"; still needed: {part.sentence}" for part in open_parts)
        return text

    @property
    def lines(self) -> tuple[str, ...]:
        """The tree, a line a node: each need with those who count for it, then who does not."""
        rows = []
        for part in self.parts:
            rows.append(f"{'✗' if part.missing else '✓'} {part.sentence}")
            rows += [f"  ✓ {self.names.get(who, who)}" for who in part.counted]
        return (*rows, *(f"  ✗ {one.who}: {one.why}" for one in self.not_counted))


def spelled(number: int) -> str:
    """Write a small number as a word."""
    return WORDS[number] if number < len(WORDS) else str(number)


def tally(proposal: Proposal, approvals: Sequence[Approval], people: Mapping[str, Person]) -> Tally:
    """Count distinct people who may approve, never the requester, only for this digest.

    Tries that were refused at the click, because that person does not count, are told too.
    """
    needs = needs_of(proposal.content)
    able: dict[str, Approval] = {}
    refused: dict[str, Uncounted] = {
        one.person: Uncounted(who=one.name, why=one.reason) for one in proposal.refused
    }
    for approval in approvals:
        why = why_not(proposal, approval, people) or _fits_no_need(approval, needs, people)
        if why:
            refused[approval.person] = Uncounted(who=approval.name, why=why)
        else:
            able.setdefault(approval.person, approval)
    return Tally(
        parts=tuple(
            Part(need=n, counted=tuple(p for p in able if fits(n, people[p]))) for n in needs
        ),
        counted=tuple(able),
        not_counted=tuple(one for person, one in refused.items() if person not in able),
        names={a.person: a.name for a in approvals},
    )


def fits(need: Need, person: Person) -> bool:
    """Say whether a person is one of those that a need asks for."""
    if need.people:
        return person.id in need.people
    return bool(person.roles & set(need.roles))


def _fits_no_need(approval: Approval, needs: Iterable[Need], people: Mapping[str, Person]) -> str:
    if any(fits(need, people[approval.person]) for need in needs):
        return ""
    return f"{approval.name} is not {' or '.join(dict.fromkeys(n.who for n in needs))}"


def why_not(proposal: Proposal, approval: Approval, people: Mapping[str, Person]) -> str:
    """Return why this approval counts for nothing; '' if it may count."""
    person = people.get(approval.person)
    if approval.digest != proposal.digest:
        return "it was given for other content"
    if approval.person == proposal.requester:
        return "the requester cannot approve"
    if person is None:
        return "unknown person"
    return "" if may(person, "approve").ok else may(person, "approve").sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """How far a break-glass has come: ``due`` is when one person alone is enough."""

    required: int
    counted: tuple[str, ...]
    not_counted: tuple[Uncounted, ...]
    due: datetime | None
    said: str

    def opens(self, now: datetime) -> str:
        """Return why the door opens now; '' if it stays shut."""
        if len(self.counted) >= self.required:
            return f"{spelled(len(self.counted))} people broke the glass"
        if self.due is not None and now >= self.due:
            return "one person broke the glass, and the delay is over"
        return ""


def broken(proposal: Proposal, people: Mapping[str, Person]) -> Glass | None:
    """Count who broke the glass of a proposal; None if nobody did, or there is none to break.

    The requester counts here: that is what the door is for, and everybody sees it.
    """
    rule = glass_of(proposal.content)
    if rule is None or not proposal.glass:
        return None
    able: dict[str, Approval] = {}
    refused: list[Uncounted] = []
    for word in proposal.glass:
        if why := glass_why_not(proposal, word, people):
            refused.append(Uncounted(who=word.name, why=why))
        else:
            able.setdefault(word.person, word)
    first = next(iter(able.values()), None)
    return Glass(
        required=rule.people,
        counted=tuple(able),
        not_counted=tuple(refused),
        due=first.at + timedelta(seconds=rule.delay) if first else None,
        said="; ".join(f"{one.name}: {one.reason}" for one in able.values()),
    )


def glass_why_not(proposal: Proposal, word: Approval, people: Mapping[str, Person]) -> str:
    """Return why this person cannot break the glass of the proposal; '' if they can."""
    rule, person = glass_of(proposal.content), people.get(word.person)
    if rule is None:
        return "this site has no break-glass"
    if word.digest != proposal.digest:
        return "it was given for other content"
    if person is None:
        return "unknown person"
    return "" if person.roles & set(rule.roles) else lacks(person, "break-glass", rule.roles)
