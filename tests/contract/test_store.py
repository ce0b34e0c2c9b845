"""The store's contract: incidents, entries, numbers, alerts, runs, tokens, messages."""

import math
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import stamp
from bot.errors import BadInputError, NotFoundError
from bot.ports import IncidentRow, Posted, Run, Store, Transaction
from bot.store import SqlStore
from bot.timeline.chain import verify
from bot.timeline.entry import Actor, Draft
from tests.contract.conftest import NOON, SECRET, Place

ANNA = Actor(id="anna", name="Anna", via="slack")


def note(key: str, text: str = "seen", **data: object) -> Draft:
    return Draft(key=key, kind="note.added", text=text, actor=ANNA, data=data)


def opened(store: SqlStore, *drafts: Draft) -> str:
    with store.transaction("intake") as tx:
        incident = tx.open("oops/tcp_ack")
        tx.append(incident, *drafts)
    return incident


def test_the_store_fulfils_the_protocols(store: SqlStore) -> None:
    whole: Store = store
    with whole.transaction() as tx:
        part: Transaction = tx
        assert part.incidents() == []


def test_incidents_are_numbered_and_listed_newest_first(store: SqlStore) -> None:
    with store.transaction("intake") as tx:
        assert [tx.open("a"), tx.open("b")] == ["INC-1", "INC-2"]
        seen_inside = tx.incidents()
    rows = store.incidents()
    assert rows == seen_inside
    assert rows[1] == IncidentRow(id="INC-1", signature="a", opened_at=NOON, open=True)
    assert [row.id for row in rows] == ["INC-2", "INC-1"]


def test_incidents_are_listed_by_number_not_by_spelling(store: SqlStore) -> None:
    with store.transaction("intake") as tx:
        made = [tx.open("a") for _ in range(11)]
    assert [row.id for row in store.incidents()] == made[::-1]


def test_an_incident_is_closed_and_opened_again(store: SqlStore) -> None:
    incident = opened(store)
    with store.transaction(incident) as tx:
        tx.close(incident)
    assert not store.incidents()[0].open
    assert store.heads() == {}
    with store.transaction(incident) as tx:
        tx.close(incident, open=True)
        tx.append(incident, note("n.1", "again"), note("n.2", "and again"))
    assert store.incidents()[0].open
    assert store.heads() == {incident: 2}
    other = opened(store)
    assert store.heads() == {incident: 2, other: 0}


def test_an_entry_is_read_as_it_was_appended(store: SqlStore) -> None:
    incident = opened(store)
    with store.transaction(incident) as tx:
        made = tx.append(incident, note("n.1", "löst\nsich ✓ \x00", hosts=["a", "b"], n=1.5))
        assert tx.entries(incident) == made
    assert store.entries(incident) == made
    (entry,) = made
    assert (entry.id, entry.incident, entry.seq, entry.key) == ("INC-1.1", "INC-1", 1, "n.1")
    assert (entry.kind, entry.actor, entry.text) == ("note.added", ANNA, "löst\nsich ✓ \x00")
    assert entry.data == {"hosts": ["a", "b"], "n": 1.5}
    assert not entry.redacted


def test_times_are_cut_to_the_milliseconds_that_are_hashed(place: Place) -> None:
    store = place.open()
    place.clock.at = datetime(2026, 1, 1, 12, 0, 0, 123999, tzinfo=UTC)
    incident = opened(store, note("n"))
    (entry,) = store.entries(incident)
    assert stamp(entry.at) == "2026-01-01T12:00:00.123Z"
    assert entry.at.microsecond == 123000


def test_a_key_that_exists_is_skipped(store: SqlStore) -> None:
    incident = opened(store, note("a", "first"))
    with store.transaction(incident) as tx:
        again = tx.append(incident, note("a", "second"), note("b"), note("b", "twice"))
    assert [(e.key, e.seq, e.text) for e in again] == [("b", 2, "seen")]
    assert [e.text for e in store.entries(incident)] == ["first", "seen"]


def test_the_same_key_may_stand_in_two_incidents(store: SqlStore) -> None:
    first, second = opened(store, note("a")), opened(store, note("a"))
    assert [e.seq for i in (first, second) for e in store.entries(i)] == [1, 1]


def test_entries_after_a_sequence_number(store: SqlStore) -> None:
    incident = opened(store, *(note(f"n.{n}") for n in range(5)))
    assert [e.seq for e in store.entries(incident, after=3)] == [4, 5]
    assert store.entries(incident, after=5) == []


def test_more_drafts_than_one_statement_can_look_up(store: SqlStore) -> None:
    incident = opened(store, note("n.700"))
    with store.transaction(incident) as tx:
        assert len(tx.append(incident, *(note(f"n.{n}") for n in range(1200)))) == 1199
    assert [e.seq for e in store.entries(incident)] == list(range(1, 1201))


def test_an_unknown_incident_is_not_found(store: SqlStore) -> None:
    with pytest.raises(NotFoundError):
        store.entries("INC-9")
    with store.transaction("INC-9") as tx:
        for attempt in (
            lambda: tx.entries("INC-9"),
            lambda: tx.append("INC-9", note("a")),
            lambda: tx.close("INC-9"),
            lambda: tx.wake("INC-9", NOON),
            lambda: tx.queue(Run(ident="r", incident="INC-9", kind="probe", hosts=())),
        ):
            with pytest.raises(NotFoundError, match="INC-9"):
                attempt()


def test_data_that_is_not_json_is_refused(store: SqlStore) -> None:
    incident = opened(store)
    for value in (
        NOON,
        {1: "a"},
        math.nan,
        [math.inf],
        b"x",
        {"a": {"b"}},
        "\ud800",
        {"\ud800": 1},
    ):
        with (
            pytest.raises(BadInputError, match="content of bad is not JSON"),
            store.transaction(incident) as tx,
        ):
            tx.append(incident, note("good"), note("bad", value=value))
        run = Run(ident="r", incident=incident, kind="probe", hosts=(), spec={"value": value})
        with pytest.raises(BadInputError, match="run r is not JSON"), store.transaction() as tx:
            tx.queue(run)
    assert store.entries(incident) == []


def test_endless_nesting_is_refused(store: SqlStore) -> None:
    incident = opened(store)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(BadInputError, match="deeper"), store.transaction(incident) as tx:
        tx.append(incident, note("bad", loop=loop))


def test_keys_that_a_database_cannot_hold_are_refused_by_both(store: SqlStore) -> None:
    incident = opened(store)
    with store.transaction(incident) as tx:
        for attempt in (
            lambda: tx.append(incident, note("a\0b")),
            lambda: tx.append(incident, note("\udfff")),
            lambda: tx.open("a\0b"),
            lambda: tx.open("\udfff"),
            lambda: tx.alert("a\0b", None),
            lambda: tx.alert("\udfff", None),
        ):
            with pytest.raises(BadInputError, match="cannot be kept"):
                attempt()


def test_an_exception_leaves_nothing_behind(store: SqlStore) -> None:
    incident = opened(store)
    with pytest.raises(ZeroDivisionError), store.transaction(incident) as tx:
        tx.append(incident, note("a"))
        tx.open("other")
        tx.alert("k", incident)
        tx.wake(incident, NOON)
        tx.queue(Run(ident="r", incident=incident, kind="probe", hosts=("a",)))
        raise ZeroDivisionError
    assert store.entries(incident) == []
    assert len(store.incidents()) == 1
    assert store.claim_work("w", 1) is None
    assert store.runs(incident) == []
    with store.transaction() as tx:
        assert tx.alert("k", None) is None


def test_a_transaction_in_a_transaction_is_refused_at_once(store: SqlStore) -> None:
    incident = opened(store)
    with store.transaction(incident) as tx:
        with pytest.raises(RuntimeError, match="inside a transaction"), store.transaction():
            pass
        with pytest.raises(RuntimeError, match="inside a transaction"):
            store.unlock_hosts("r")
        assert store.entries(incident) == []
        tx.append(incident, note("a"))
    assert len(store.entries(incident)) == 1


def test_numbers_count_from_one_a_name_and_never_repeat(store: SqlStore) -> None:
    with store.transaction() as tx:
        assert [tx.number("proposal") for _ in range(3)] == [1, 2, 3]
        assert tx.number("other") == 1
    with store.transaction() as tx:
        assert tx.number("proposal") == 4


def test_an_alert_is_new_once_and_then_known_by_its_incident(store: SqlStore) -> None:
    with store.transaction("intake") as tx:
        assert tx.alert("k", None) is None
        assert tx.alert("k", None) == ""
        assert tx.alert("k", "INC-1") == "INC-1"
        assert tx.alert("k", "INC-2") == "INC-1"
    with store.transaction("intake") as tx:
        assert tx.alert("k", None) == "INC-1"
        assert tx.alert("other", "INC-2") is None
        assert tx.alert("other", None) == "INC-2"


def test_tokens_are_known_by_their_digest(store: SqlStore) -> None:
    store.add_token("ab" * 32, "anna")
    store.add_token("ab" * 32, "mallory")
    assert store.token_person("ab" * 32) == "anna"
    assert store.token_person("cd" * 32) is None
    store.add_token("ef" * 32, "anna")
    store.add_token("cd" * 32, "mallory")
    assert store.remove_tokens("anna") == 2
    assert store.remove_tokens("anna") == 0
    assert store.token_person("ab" * 32) is None
    assert store.token_person("cd" * 32) == "mallory"


def test_messages_are_remembered_a_slot(store: SqlStore) -> None:
    incident = opened(store)
    assert store.posted(incident) == {}
    for content in ("1", "2"):
        posted = Posted(channel="C1", ref="17.2", content=content)
        store.set_posted(incident, "headline", posted)
    store.set_posted(incident, "proposal.P-1", Posted(channel="C1", ref="17.3", content="x"))
    assert store.posted(incident)["headline"].content == "2"
    assert sorted(store.posted(incident)) == ["headline", "proposal.P-1"]
    second = opened(store)
    store.set_posted(second, "headline", Posted(channel="C1", ref="17.5", content="x"))
    store.set_posted(second, "channel", Posted(channel="C2", ref="own", content="x"))
    assert sorted(store.posted_in("C1")) == [
        (incident, "headline", "17.2"),
        (incident, "proposal.P-1", "17.3"),
        (second, "headline", "17.5"),
    ]
    assert store.posted_in("C1")[0][0] == second  # the newest incident first
    assert store.posted_in("C2") == [(second, "channel", "own")]
    assert store.posted_in("C3") == []
    with pytest.raises(NotFoundError):
        store.set_posted("INC-9", "headline", Posted(channel="C1", ref="17.4", content="x"))


def test_a_living_database_answers_a_ping(store: SqlStore) -> None:
    store.ping()


def test_the_file_is_private_and_its_directories_are_made(file_place: Place) -> None:
    file_place.open()
    assert file_place.file is not None
    for file in file_place.file.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), JSON), max_size=4), max_size=5)
)
def test_however_often_drafts_come_each_key_stands_once(
    store: SqlStore, batches: list[list[tuple[str, object]]]
) -> None:
    incident = opened(store)
    expected: dict[str, object] = {}
    for batch in batches:
        fresh = {key: value for key, value in reversed(batch) if key not in expected}
        with store.transaction(incident) as tx:
            made = tx.append(incident, *(note(key, value=value) for key, value in batch))
        assert {e.key: e.data["value"] for e in made} == fresh
        for key, value in batch:
            expected.setdefault(key, value)
    entries = store.entries(incident)
    assert [(e.key, e.data["value"]) for e in entries] == list(expected.items())
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert verify(SECRET, entries, store.payloads(incident)).intact


def test_time_may_go_backwards(place: Place) -> None:
    store = place.open()
    incident = opened(store, note("a"))
    place.clock.at -= timedelta(hours=1)
    with store.transaction(incident) as tx:
        tx.append(incident, note("b"))
    assert verify(SECRET, store.entries(incident), store.payloads(incident)).intact
