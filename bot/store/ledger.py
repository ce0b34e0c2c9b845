"""The timeline in the database: reads entries, appends drafts, keeps the chain."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, func, insert, select, update

from bot.clock import parse, stamp
from bot.errors import ConflictError, NotFoundError
from bot.store.plain import check_json, check_text
from bot.store.schema import events, incidents, payloads
from bot.timeline.chain import GENESIS, body, link, payload_hash, unpack
from bot.timeline.entry import Actor, Draft, Entry

NOBODY = Actor(id="", name="", via="")
BATCH = 500

# Made once: to build a statement costs more than to run it.
INCIDENT: BindParameter[str] = bindparam("incident")
EXISTS = select(incidents.c.id).where(incidents.c.id == INCIDENT)
LAST = select(func.max(events.c.seq)).where(events.c.incident == INCIDENT).scalar_subquery()
HEAD = (
    select(incidents.c.id, events.c.seq, events.c.hash)
    .join(events, and_(events.c.incident == INCIDENT, events.c.seq == LAST), isouter=True)
    .where(incidents.c.id == INCIDENT)
)
FOUND = select(events.c.key).where(
    events.c.incident == INCIDENT, events.c.key.in_(bindparam("keys", expanding=True))
)
ENTRIES = (
    select(events, payloads.c.body)
    .join(payloads, payloads.c.hash == events.c.payload_hash, isouter=True)
    .where(events.c.incident == INCIDENT, events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
)
ADD_PAYLOADS, ADD_EVENTS = insert(payloads), insert(events)


def missing(incident: str) -> NotFoundError:
    """Return the error for an incident that does not exist."""
    return NotFoundError(f"there is no incident {incident}", next="see 'holdfast incidents'")


def require(connection: Connection, incident: str) -> None:
    """Raise ``NotFoundError`` for an incident that does not exist."""
    if connection.scalar(EXISTS, {"incident": incident}) is None:
        raise missing(incident)


def read(connection: Connection, incident: str, after: int = 0) -> list[Entry]:
    """Return entries with ``seq > after`` in order; raise ``NotFoundError`` if there can be none.

    An entry whose stored content is missing or redacted comes as redacted.
    """
    rows = connection.execute(ENTRIES, {"incident": incident, "after": after}).all()
    if not rows:
        require(connection, incident)
    return [_entry(row) for row in rows]


def heads(connection: Connection) -> dict[str, int]:
    """Return open incident -> number of its last entry (0: none). One index seek each."""
    last = select(func.max(events.c.seq)).where(events.c.incident == incidents.c.id)
    found = select(incidents.c.id, func.coalesce(last.scalar_subquery(), 0).label("seq"))
    return {row.id: row.seq for row in connection.execute(found.where(incidents.c.open))}


def bodies(connection: Connection, incident: str) -> dict[str, str | None]:
    """Return payload hash -> body of the incident's entries. What is not there has no key."""
    rows = connection.execute(
        select(payloads.c.hash, payloads.c.body)
        .join(events, events.c.payload_hash == payloads.c.hash)
        .where(events.c.incident == incident)
    )
    return {row.hash: row.body for row in rows}


def redact(connection: Connection, payload: str) -> bool:
    """Set one body to NULL. False if it was so already; ``NotFoundError`` if there is none."""
    change = update(payloads).where(payloads.c.hash == payload, payloads.c.body.is_not(None))
    if connection.execute(change.values(body=None)).rowcount == 1:
        return True
    if connection.scalar(select(payloads.c.hash).where(payloads.c.hash == payload)) is None:
        raise NotFoundError(f"there is no payload {payload}", next="take it from 'timeline --json'")
    return False


def append(
    connection: Connection, secret: bytes, at: datetime, incident: str, drafts: Iterable[Draft]
) -> list[Entry]:
    """Append the drafts whose key is new, all at ``at``, and return their entries.

    The caller's transaction must exclude other writers of the incident.
    """
    last, prev = _head(connection, incident)
    wanted: dict[str, Draft] = {}
    for draft in drafts:
        check_text("the key", draft.key)
        check_text("the kind", draft.kind)
        check_json(f"the content of {draft.key}", [draft.text, draft.data])
        wanted.setdefault(draft.key, draft)
    fresh = _fresh(connection, incident, wanted)
    if not fresh:
        return []
    when = stamp(at)
    rows: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    for seq, draft in enumerate(fresh, last + 1):
        text = body(draft, secrets.token_hex(16))
        digest = payload_hash(text)
        mark = link(secret, prev, (incident, seq, draft.key, draft.kind, when, digest))
        row = {"incident": incident, "seq": seq, "at": when, "kind": draft.kind, "key": draft.key}
        rows.append({**row, "payload_hash": digest, "prev": prev, "hash": mark})
        texts.append({"hash": digest, "body": text})
        prev = mark
    # One row as a list of one would take the drivers' slower way for many.
    connection.execute(ADD_PAYLOADS, texts if len(texts) > 1 else texts[0])
    connection.execute(ADD_EVENTS, rows if len(rows) > 1 else rows[0])
    return [_made(row, text["body"]) for row, text in zip(rows, texts, strict=True)]


def _fresh(connection: Connection, incident: str, wanted: dict[str, Draft]) -> list[Draft]:
    """Return the drafts whose key the incident does not have."""
    keys = list(wanted)
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        for key in connection.scalars(FOUND, {"incident": incident, "keys": some}).all():
            del wanted[key]
    return list(wanted.values())


def _head(connection: Connection, incident: str) -> tuple[int, str]:
    """Return the last entry's number and hash; raise ``NotFoundError``."""
    last = connection.execute(HEAD, {"incident": incident}).first()
    if last is None:
        raise missing(incident)
    return (0, GENESIS) if last.seq is None else (last.seq, last.hash)


def _entry(row: Row[Any]) -> Entry:
    values = dict(row._mapping)  # noqa: SLF001 - the documented name of a row's mapping
    return _made(values, values.pop("body"))


def _made(row: Mapping[str, Any], text: str | None) -> Entry:
    name = f"{row['incident']}.{row['seq']}"
    actor, line, data = _content(text)
    try:
        at = parse(row["at"])
    except ValueError as error:
        raise ConflictError(
            f"the time of entry {name} was changed: {row['at']!r}",
            next="restore the database from a backup",
        ) from error
    return Entry(
        id=name,
        incident=row["incident"],
        seq=row["seq"],
        at=at,
        kind=row["kind"],
        key=row["key"],
        actor=actor,
        text=line,
        data=data,
        payload_hash=row["payload_hash"],
        prev=row["prev"],
        hash=row["hash"],
        redacted=text is None,
    )


def _content(text: str | None) -> tuple[Actor, str, Mapping[str, Any]]:
    """Unpack a payload; one that somebody changed must not keep the rest from being read."""
    if text is None:
        return NOBODY, "[redacted]", {}
    try:
        return unpack(text)
    except (ValueError, LookupError, TypeError):
        return NOBODY, "[unreadable: the stored content was changed]", {}
