"""The keyed hash chain over an incident's entries."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.clock import stamp
from bot.timeline.entry import Actor, Draft, Entry

GENESIS = "0" * 64


def canonical(value: Any) -> str:
    """Write JSON in one way only: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def body(draft: Draft, salt: str) -> str:
    """Return the payload text of ``draft``.

    The salt keeps a redacted payload from being guessed back out of its hash.
    """
    actor = {"id": draft.actor.id, "name": draft.actor.name, "via": draft.actor.via}
    return canonical({"actor": actor, "data": draft.data, "salt": salt, "text": draft.text})


def unpack(payload: str) -> tuple[Actor, str, Mapping[str, Any]]:
    """Read what ``body`` wrote."""
    value = json.loads(payload)
    return Actor(**value["actor"]), value["text"], value["data"]


def payload_hash(payload: str) -> str:
    """Return the hex sha256 of a payload text."""
    return hashlib.sha256(payload.encode()).hexdigest()


def link(secret: bytes, prev: str, entry: tuple[str, int, str, str, str, str]) -> str:
    """Return the hex HMAC-SHA256 of (prev, incident, seq, key, kind, at, payload hash)."""
    return hmac.new(secret, canonical([prev, *entry]).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a chain holds; ``sentence`` says where it breaks, ``head`` is ``seq:hash``."""

    intact: bool
    entries: int
    redacted: int
    head: str
    sentence: str


def verify(
    secret: bytes, entries: Iterable[Entry], payloads: Mapping[str, str | None], head: str = ""
) -> Verdict:
    """Check every link and every payload of one incident.

    ``payloads`` maps payload hash to body (None: redacted). ``head`` is a ``seq:hash`` noted
    elsewhere earlier: with it a cut tail shows, which no chain can show by itself.
    """
    prev, count, redacted, seen = GENESIS, 0, 0, {}
    fault = ""
    for entry in entries:
        count += 1
        row = (
            entry.incident, entry.seq, entry.key, entry.kind, stamp(entry.at), entry.payload_hash,
        )  # fmt: skip
        text = payloads.get(entry.payload_hash)
        redacted += text is None
        if entry.seq != count:
            fault = f"entry {count} is missing"
        elif entry.prev != prev or entry.hash != link(secret, prev, row):
            fault = f"entry {entry.seq} ({entry.kind}) was changed or its key is another"
        elif text is not None and payload_hash(text) != entry.payload_hash:
            fault = f"the content of entry {entry.seq} ({entry.kind}) was changed"
        elif entry.payload_hash not in payloads:
            fault = f"the content of entry {entry.seq} ({entry.kind}) is gone without a redaction"
        if fault:
            break
        prev = entry.hash
        seen[entry.seq] = entry.hash
    if not fault and head:
        number, _, value = head.partition(":")
        if not number.isdigit() or seen.get(int(number), "")[: len(value)] != value or not value:
            fault = f"the noted head {head} is not in this chain: its tail was cut or rewritten"
    now = f"{count}:{prev}"
    note = f", {redacted} redacted" if redacted else ""
    sentence = f"BROKEN: {fault}" if fault else f"{count} entries, chain intact{note}"
    return Verdict(intact=not fault, entries=count, redacted=redacted, head=now, sentence=sentence)
