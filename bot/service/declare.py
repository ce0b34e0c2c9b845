"""Open an incident by hand: nothing has crashed, or nobody has sent the text yet."""

from __future__ import annotations

from bot.errors import BadInputError
from bot.service.people import severity_of
from bot.service.site import Site, allow
from bot.timeline.entry import Actor, Draft

LONGEST = 200


def declare(site: Site, title: str, actor: Actor, severity: str = "") -> str:
    """Open an incident with a title and, if one is given, a severity; return its id.

    It has no signature, so no crash is filed under it and no runbook is matched by itself: a
    person names one with ``propose``.
    """
    allow(site, actor, "declare")
    words = " ".join(title.split())
    if not words:
        raise BadInputError("an incident needs a title", next="declare WHAT HAPPENS")
    if len(words) > LONGEST:
        raise BadInputError(
            f"the title is longer than {LONGEST} characters", next="put the rest into a note"
        )
    level = severity_of(severity) if severity else ""
    with site.store.transaction("intake") as tx:
        name = tx.open("declared")
        tx.append(
            name,
            Draft(
                key="opened",
                kind="incident.opened",
                text=f"{actor.name} declared{f' a {level}' if level else ''}: {words}",
                actor=actor,
                data={
                    "title": words,
                    "signature": None,
                    "report": None,
                    "severity": level or None,
                    "declared": True,
                },
            ),
        )
        tx.wake(name, site.clock.now())
    return name
