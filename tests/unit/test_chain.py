"""The keyed chain: what it is made of, and what it shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.clock import stamp
from bot.timeline.chain import (
    GENESIS,
    body,
    canonical,
    link,
    payload_hash,
    unpack,
    verify,
)
from bot.timeline.entry import Actor, Draft, Entry

KEY = b"key"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ANNA = Actor(id="anna", name="Anna", via="slack")

Chain = tuple[list[Entry], dict[str, str | None]]


def made(count: int, key: bytes = KEY) -> Chain:
    """Return a chain of ``count`` entries and its payloads."""
    entries: list[Entry] = []
    payloads: dict[str, str | None] = {}
    prev = GENESIS
    for seq in range(1, count + 1):
        draft = Draft(key=f"n.{seq}", kind="note.added", text=f"text {seq}", actor=ANNA)
        text = body(draft, f"salt {seq}")
        digest, at = payload_hash(text), NOON + timedelta(seconds=seq)
        mark = link(key, prev, ("INC-1", seq, draft.key, draft.kind, stamp(at), digest))
        payloads[digest] = text
        entries.append(
            Entry(
                id=f"INC-1.{seq}", incident="INC-1", seq=seq, at=at, kind=draft.kind,
                key=draft.key, actor=ANNA, text=draft.text, data={}, payload_hash=digest,
                prev=prev, hash=mark,
            )
        )  # fmt: skip
        prev = mark
    return entries, payloads


@pytest.fixture
def chain() -> Chain:
    return made(4)


def sentence(entries: list[Entry], payloads: dict[str, str | None], head: str = "") -> str:
    found = verify(KEY, entries, payloads, head)
    assert found.intact is not found.sentence.startswith("BROKEN")
    return found.sentence


def test_json_is_written_in_one_way() -> None:
    assert canonical({"b": [1, None], "a": "ü"}) == '{"a":"ü","b":[1,null]}'


@given(text=TEXT, data=st.dictionaries(TEXT, TEXT | st.integers()))
def test_a_body_is_unpacked_as_it_was_written(text: str, data: dict[str, Any]) -> None:
    draft = Draft(key="k", kind="note.added", text=text, actor=ANNA, data=data)
    assert unpack(body(draft, "salt")) == (ANNA, text, data)


def test_the_salt_keeps_equal_contents_apart() -> None:
    draft = Draft(key="k", kind="note.added", text="yes")
    assert payload_hash(body(draft, "1")) != payload_hash(body(draft, "2"))


def test_a_link_covers_each_of_its_parts() -> None:
    row = ("INC-1", 1, "key", "kind", "2026-01-01T12:00:00.000Z", "hash")
    others = {
        link(KEY, GENESIS, row),
        link(b"other", GENESIS, row),
        link(KEY, "1" * 64, row),
        link(KEY, GENESIS, ("INC-2", *row[1:])),
        link(KEY, GENESIS, (row[0], 2, *row[2:])),
        link(KEY, GENESIS, (*row[:2], "other", *row[3:])),
        link(KEY, GENESIS, (*row[:3], "other", *row[4:])),
        link(KEY, GENESIS, (*row[:4], "2026-01-01T12:00:00.001Z", row[5])),
        link(KEY, GENESIS, (*row[:5], "other")),
    }
    assert len(others) == 9


def test_parts_cannot_be_moved_from_one_field_to_the_next() -> None:
    one = link(KEY, GENESIS, ("INC-1", 1, "a", "bc", "at", "hash"))
    assert one != link(KEY, GENESIS, ("INC-1", 1, "ab", "c", "at", "hash"))


def test_a_link_is_the_same_in_every_version() -> None:
    row = ("INC-1", 1, "opened", "incident.opened", "2026-01-01T12:00:00.000Z", "ab" * 32)
    assert link(b"secret", GENESIS, row) == (
        "091ff79e6cce565d4809fe04c0f6d06338821177fd0c5a1279afa5a5bf41a50a"
    )


def test_a_whole_chain_is_intact(chain: Chain) -> None:
    entries, payloads = chain
    found = verify(KEY, entries, payloads)
    assert found.intact
    assert (found.entries, found.redacted) == (4, 0)
    assert found.head == f"4:{entries[-1].hash}"
    assert found.sentence == "4 entries, chain intact"


def test_an_empty_chain_is_intact() -> None:
    assert verify(KEY, [], {}).head == f"0:{GENESIS}"


def test_another_key_does_not_fit(chain: Chain) -> None:
    assert not verify(b"another", *chain).intact


def test_a_redacted_content_is_counted_and_breaks_nothing(chain: Chain) -> None:
    entries, payloads = chain
    payloads[entries[1].payload_hash] = None
    assert sentence(entries, payloads) == "4 entries, chain intact, 1 redacted"


def test_a_changed_content_shows(chain: Chain) -> None:
    entries, payloads = chain
    payloads[entries[1].payload_hash] = str(payloads[entries[1].payload_hash]) + " "
    assert "the content of entry 2 (note.added) was changed" in sentence(entries, payloads)


def test_a_missing_content_shows(chain: Chain) -> None:
    entries, payloads = chain
    del payloads[entries[2].payload_hash]
    assert "entry 3 (note.added) is gone without a redaction" in sentence(entries, payloads)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_entry_shows(chain: Chain, gone: int) -> None:
    entries, payloads = chain
    del entries[gone]
    assert f"entry {gone + 1} is missing" in sentence(entries, payloads)


def test_swapped_entries_show(chain: Chain) -> None:
    entries, payloads = chain
    entries[1], entries[2] = replace(entries[2], seq=2), replace(entries[1], seq=3)
    assert "entry 2" in sentence(entries, payloads)


def test_a_cut_tail_shows_by_a_noted_head_only(chain: Chain) -> None:
    entries, payloads = chain
    head = verify(KEY, entries, payloads).head
    assert "intact" in sentence(entries[:3], payloads)
    assert "its tail was cut or rewritten" in sentence(entries[:3], payloads, head)


def test_a_head_that_was_noted_earlier_still_fits(chain: Chain) -> None:
    entries, payloads = chain
    earlier = verify(KEY, entries[:2], payloads).head
    assert "intact" in sentence(entries, payloads, earlier)
    assert "intact" in sentence(entries, payloads, earlier[:14])


@pytest.mark.parametrize("head", ["2", "2:", "x:00", ":", "9:" + "0" * 64, "3:" + "0" * 64])
def test_a_head_that_is_none_does_not_fit(chain: Chain, head: str) -> None:
    assert "is not in this chain" in sentence(*chain, head)


def test_a_chain_that_was_made_anew_without_the_key_shows() -> None:
    assert not verify(KEY, *made(4, b"guessed")).intact
