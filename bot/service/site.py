"""What every service is handed: the doors, the people and the site's rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bot.approval.policy import VERBS, Decision, Person, Policy, may
from bot.decide import Tempo
from bot.errors import NotFoundError, RefusedError
from bot.incident.fold import fold
from bot.incident.state import Incident
from bot.ports import Clock, Sources, Store, Transaction
from bot.service.roster import Roster
from bot.timeline.entry import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The composition that services work on.

    ``hold_interval`` (seconds) overrides the runbooks'; ``expiry`` is how long a proposal waits;
    gates ask ``prometheus_url``.
    """

    store: Store
    clock: Clock
    sources: Sources
    people: Mapping[str, Person]
    tempo: Tempo = field(default_factory=Tempo)
    policy: Policy = field(default_factory=Policy)
    expiry: float = 1800.0
    hold_interval: float | None = None
    prometheus_url: str | None = None
    heartbeat: float = 15.0
    host_labels: Sequence[str] = ()


def load(site: Site, incident: str) -> Incident:
    """Fold an incident outside a transaction."""
    return fold(site.store.entries(incident))


def refold(tx: Transaction, incident: str) -> Incident:
    """Fold an incident inside a transaction: nobody else changes it meanwhile."""
    return fold(tx.entries(incident))


def person(site: Site, actor: Actor) -> Person:
    """Return the person behind an authenticated actor; a stranger has no roles."""
    return site.people.get(actor.id) or Person(id=actor.id, name=actor.name)


def allow(site: Site, actor: Actor, verb: str) -> Decision:
    """Return the yes to ``verb``, or raise ``RefusedError`` with the reason."""
    reread(site, [actor.id], VERBS.get(verb, ()))
    decision = may(person(site, actor), verb)
    if not decision.ok:
        doubt = site.people.doubt(VERBS.get(verb, ())) if isinstance(site.people, Roster) else ""
        raise RefusedError(
            f"{decision.sentence}; {doubt}" if doubt else decision.sentence,
            next="ask somebody with that role; nothing was changed",
        )
    return decision


def reread(site: Site, who: Collection[str], roles: Collection[str]) -> None:
    """See whether people still have a role that user groups give. Calls out: in no transaction."""
    if isinstance(site.people, Roster):
        site.people.reread(who, roles)


def locate(site: Site, name: str) -> str:
    """Return the incident that holds a proposal id (``P-17``); raise ``NotFoundError``."""
    for row in site.store.incidents():
        if name in load(site, row.id).proposals:
            return row.id
    raise NotFoundError(f"there is no proposal {name}", next="see 'status' for the open ones")
