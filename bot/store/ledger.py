"""The timeline in the database: reads entries, appends drafts, keeps the chain."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bot.clock import parse, stamp
from bot.errors import ConflictError, NotFoundError
from bot.store.plain import check_json, check_text
from bot.store.schema import events, incidents, payloads
from bot.timeline.chain import GENESIS, body, link, payload_hash, unpack
from bot.timeline.entry import Actor, Draft, Entry

NOBODY = Actor(id="", name="", via="")
BATCH = 500


def require(connection: Connection, incident: str) -> None:
    """Raise ``NotFoundError`` for an incident that does not exist."""
    if connection.scalar(select(incidents.c.id).where(incidents.c.id == incident)) is None:
        raise NotFoundError(f"there is no incident {incident}", next="see 'holdfast incidents'")


def read(connection: Connection, incident: str, after: int = 0) -> list[Entry]:
    """Return entries with ``seq > after`` in order; raise ``NotFoundError`` if there can be none.

    An entry whose stored content is missing or redacted comes as redacted.
    """
    rows = connection.execute(
        select(events, payloads.c.body)
        .join(payloads, payloads.c.hash == events.c.payload_hash, isouter=True)
        .where(events.c.incident == incident, events.c.seq > after)
        .order_by(events.c.seq)
    ).all()
    if not rows:
        require(connection, incident)
    return [_entry(row) for row in rows]


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
    require(connection, incident)
    wanted: dict[str, Draft] = {}
    for draft in drafts:
        check_text("the key", draft.key)
        check_text("the kind", draft.kind)
        check_json(f"the content of {draft.key}", [draft.text, draft.data])
        wanted.setdefault(draft.key, draft)
    fresh = _fresh(connection, incident, wanted)
    if not fresh:
        return []
    last, prev = _head(connection, incident)
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
    connection.execute(insert(payloads), texts)
    connection.execute(insert(events), rows)
    return [_made(row, text["body"]) for row, text in zip(rows, texts, strict=True)]


def _fresh(connection: Connection, incident: str, wanted: dict[str, Draft]) -> list[Draft]:
    """Return the drafts whose key the incident does not have."""
    keys = list(wanted)
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        found = select(events.c.key).where(events.c.incident == incident, events.c.key.in_(some))
        for key in connection.scalars(found).all():
            del wanted[key]
    return list(wanted.values())


def _head(connection: Connection, incident: str) -> tuple[int, str]:
    last = connection.execute(
        select(events.c.seq, events.c.hash)
        .where(events.c.incident == incident)
        .order_by(events.c.seq.desc())
        .limit(1)
    ).first()
    return (last.seq, last.hash) if last else (0, GENESIS)


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
