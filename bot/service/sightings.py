"""What one incident learns of a host, told to every other incident that tends it.

An answer, a crash or a boot is a fact about the host, whichever incident asked. A host that is
owed elsewhere is tried there at once; one that rebooted is read there again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.incident.fold import SETTLED
from bot.incident.state import Incident, Outcome
from bot.rollout.outcome import Raw
from bot.service.site import Site, refold
from bot.timeline.entry import Draft

ANSWERED = frozenset({"ok", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of a host: ``word`` is ``answered``, ``crashed``, ``down`` or ``back``.

    ``boot_id`` is the boot that answered, '' if it did not say. ``back``: an alert about it ended.
    ``known_to`` are the incidents that have it on record.
    """

    word: str
    boot_id: str = ""
    known_to: frozenset[str] = frozenset()


def sighted(incident: str, raws: Sequence[Raw]) -> dict[str, Sighting]:
    """Return the hosts that answered a run of the incident."""
    found = {}
    for raw in raws:
        boots = [str(fact["boot_id"]) for fact in raw.facts if fact.get("boot_id")]
        if boots or raw.status in ANSWERED:
            boot = boots[-1] if boots else ""
            found[raw.host] = Sighting(
                word="answered", boot_id=boot, known_to=frozenset({incident})
            )
    return found


def tell_others(site: Site, key: str, seen: Mapping[str, Sighting]) -> None:
    """Tell every incident that tends one of these hosts; ``key`` names the occasion.

    Each in a transaction of its own. If this process ends before all were told, they find out by
    themselves: their own retries and reads go on.
    """
    for name in site.store.tended() if seen else ():
        new = {h: s for h, s in seen.items() if name not in s.known_to}
        if not new:
            continue
        with site.store.transaction(name) as tx:
            incident = refold(tx, name)
            news = {h: s for h, s in new.items() if _concerns(incident, h, s)}
            if news:
                tx.append(name, _draft(key, news))
                tx.wake(name, site.clock.now())


def _concerns(incident: Incident, name: str, seen: Sighting) -> bool:
    """Say whether the incident tends the host and did not know this."""
    owner = incident.owner(name)
    if owner is None or owner.authority_ended:
        return False
    host = incident.host(name)
    if seen.word in {"crashed", "down"}:
        return seen.word == "crashed" or not host.down
    if host.outcome in SETTLED:
        return bool(seen.boot_id) and seen.boot_id != host.boot_id
    return host.outcome in {Outcome.OWED, Outcome.UNKNOWN} and (host.down or seen.word == "back")


def _draft(key: str, news: Mapping[str, Sighting]) -> Draft:
    sources = sorted({name for s in news.values() for name in s.known_to})
    shown = ", ".join(f"{host} {seen.word}" for host, seen in sorted(news.items())[:4])
    more = f" and {len(news) - 4} more" if len(news) > 4 else ""
    return Draft(
        key=f"sighted.{key}",
        kind="hosts.sighted",
        text=f"seen by {', '.join(sources) or 'an alert'}: {shown}{more}",
        data={
            "from": sources,
            "hosts": {h: {"word": s.word, "boot_id": s.boot_id} for h, s in news.items()},
        },
    )
