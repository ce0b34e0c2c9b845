"""The store's contract: the timeline only grows, and what is done to it from outside shows."""

from itertools import pairwise

import pytest

from bot.errors import ConflictError, NotFoundError
from bot.store import SqlStore
from bot.timeline.chain import GENESIS, Verdict, verify
from tests.contract.conftest import REFUSED, SECRET, Place
from tests.contract.test_store import note, opened


def verdict(store: SqlStore, incident: str, head: str = "", secret: bytes = SECRET) -> Verdict:
    return verify(secret, store.entries(incident), store.payloads(incident), head)


def filled(store: SqlStore) -> str:
    return opened(store, *(note(f"n.{n}", f"text {n}") for n in range(1, 5)))


def test_a_chain_begins_at_genesis_and_holds(store: SqlStore) -> None:
    filled(store)
    incident = filled(store)
    entries = store.entries(incident)
    assert entries[0].prev == GENESIS
    assert all(after.prev == before.hash for before, after in pairwise(entries))
    found = verdict(store, incident)
    assert (found.intact, found.entries, found.redacted) == (True, 4, 0)
    assert found.head == f"4:{entries[-1].hash}"


def test_equal_content_has_different_hashes(store: SqlStore) -> None:
    incident = opened(store, note("a"), note("b"))
    first, second = store.entries(incident)
    assert first.payload_hash != second.payload_hash


def test_the_timeline_refuses_update_and_delete(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    statements = [
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events WHERE seq = 4",
        "UPDATE payloads SET body = '{}'",
        "UPDATE payloads SET hash = 'x', body = NULL",
        "DELETE FROM payloads",
    ]
    if place.kind == "sqlite":
        statements += [
            "INSERT OR REPLACE INTO events SELECT incident, seq, at, 'x', key, payload_hash, prev,"
            " hash FROM events WHERE seq = 4",
            "REPLACE INTO events SELECT incident, 9, at, kind, key, payload_hash, prev, hash"
            " FROM events WHERE seq = 4",
            "REPLACE INTO payloads SELECT hash, '{}' FROM payloads",
        ]
    else:
        replica = "SET session_replication_role = replica;"
        statements += ["TRUNCATE events", "TRUNCATE payloads CASCADE"]
        statements += [f"{replica} DELETE FROM events", f"{replica} DELETE FROM payloads"]
    for statement in statements:
        with pytest.raises(REFUSED, match="never changed"):
            place.attack(statement)
    assert verdict(store, incident).intact
    assert len(store.entries(incident)) == 4


def test_a_redaction_takes_the_content_and_leaves_the_chain(place: Place) -> None:
    store = place.open()
    incident = opened(store, note("a"), note("b", "hunter2 " * 50, host="h"), note("c"))
    secret = store.entries(incident)[1]
    assert store.redact(secret.payload_hash)
    assert not store.redact(secret.payload_hash)
    entry = store.entries(incident)[1]
    assert entry.redacted
    assert (entry.actor.id, entry.text, entry.data) == ("", "[redacted]", {})
    assert (entry.id, entry.key, entry.hash) == (secret.id, "b", secret.hash)
    assert store.payloads(incident)[secret.payload_hash] is None
    found = verdict(store, incident)
    assert (found.intact, found.redacted) == (True, 1)
    if place.file is not None:
        assert not any(b"hunter2" in f.read_bytes() for f in place.file.parent.iterdir())
    with pytest.raises(NotFoundError):
        store.redact("0" * 64)


def test_appending_goes_on_after_a_redaction(store: SqlStore) -> None:
    incident = filled(store)
    store.redact(store.entries(incident)[-1].payload_hash)
    with store.transaction(incident) as tx:
        tx.append(incident, note("n.5"))
    assert verdict(store, incident).intact


def test_a_changed_content_shows(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    place.attack("UPDATE payloads SET body = replace(body, 'text 2', 'text 9')")
    assert "content of entry 2" in verdict(store, incident).sentence


def test_an_unreadable_content_shows_and_the_rest_is_still_read(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    place.attack("UPDATE payloads SET body = '[]' WHERE body LIKE '%text 2%'")
    texts = [entry.text for entry in store.entries(incident)]
    assert texts == ["text 1", "[unreadable: the stored content was changed]", "text 3", "text 4"]
    assert "content of entry 2" in verdict(store, incident).sentence


def test_a_content_that_is_gone_without_a_redaction_shows(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    if place.kind == "postgresql":
        place.attack("ALTER TABLE events DROP CONSTRAINT events_payload_hash_fk")
    place.attack("DELETE FROM payloads WHERE body LIKE '%text 3%'")
    assert "entry 3" in verdict(store, incident).sentence
    assert "gone without a redaction" in verdict(store, incident).sentence


ATTACKS = (
    ("DELETE FROM events WHERE seq = 2", "entry 2 is missing"),
    ("UPDATE events SET kind = 'alert.received' WHERE seq = 3", "entry 3"),
    ("UPDATE events SET at = '2026-01-01T11:00:00.000Z' WHERE seq = 3", "entry 3"),
    ("UPDATE events SET key = 'other' WHERE seq = 4", "entry 4"),
)


def test_a_deleted_or_changed_entry_shows(place: Place) -> None:
    store = place.open()
    place.disarm()
    for statement, sentence in ATTACKS:
        incident = filled(store)
        place.attack(f"{statement} AND incident = '{incident}'")
        assert sentence in verdict(store, incident).sentence


def test_a_deleted_entry_shows_even_if_the_others_are_renumbered(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    place.attack(
        "DELETE FROM events WHERE seq = 2",
        "UPDATE events SET seq = 2 WHERE seq = 3",
        "UPDATE events SET seq = 3 WHERE seq = 4",
    )
    assert "entry 2" in verdict(store, incident).sentence


def test_swapped_entries_show(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    place.attack(
        "UPDATE events SET seq = 99 WHERE seq = 2",
        "UPDATE events SET seq = 2 WHERE seq = 3",
        "UPDATE events SET seq = 3 WHERE seq = 99",
    )
    assert "entry 2" in verdict(store, incident).sentence


def test_a_cut_tail_shows_by_a_noted_head_only(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    noted = verdict(store, incident).head
    assert verdict(store, incident, noted).intact
    place.disarm()
    place.attack("DELETE FROM events WHERE seq = 4")
    assert verdict(store, incident).intact
    assert "tail was cut" in verdict(store, incident, noted).sentence


def test_another_key_does_not_fit(store: SqlStore) -> None:
    assert not verdict(store, filled(store), secret=b"another").intact


def test_an_entry_of_another_incident_does_not_fit(place: Place) -> None:
    store = place.open()
    first, second = filled(store), filled(store)
    place.disarm()
    place.attack(f"DELETE FROM events WHERE incident = '{second}'")
    place.attack(f"UPDATE events SET incident = '{second}' WHERE incident = '{first}'")
    assert not verdict(store, second).intact


def test_a_time_that_is_none_is_said(place: Place) -> None:
    store = place.open()
    incident = filled(store)
    place.disarm()
    place.attack("UPDATE events SET at = 'noon' WHERE seq = 3")
    with pytest.raises(ConflictError, match=r"INC-1\.3"):
        store.entries(incident)
