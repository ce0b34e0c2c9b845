"""The store's contract: answers of live runs, runs that are forgotten, claims to knobs."""

import threading
from datetime import timedelta

import pytest

from bot.ports import Answer, Run
from bot.store import SqlStore
from tests.contract.conftest import NOON
from tests.contract.test_store import opened


def running(store: SqlStore, ident: str = "r.1") -> str:
    incident = opened(store)
    with store.transaction(incident) as tx:
        tx.queue(Run(ident=ident, incident=incident, kind="wave", hosts=("a", "b")))
    assert store.claim_run(ident, "w")
    return incident


def out(host: str) -> Answer:
    return Answer(host=host, began=NOON)


def done(host: str, status: str = "ok") -> Answer:
    said = {"host": host, "status": status, "facts": [{"value": "ü\u2028"}]}
    return Answer(host=host, began=NOON, at=NOON + timedelta(seconds=1.25), said=said)


def test_answers_of_a_running_run_are_kept_and_replaced(store: SqlStore) -> None:
    running(store)
    assert store.answers("r.1") == []
    assert store.note("r.1", [out("b"), out("a")])
    assert store.note("r.1", [done("a")])
    assert store.answers("r.1") == [done("a"), out("b")]
    assert store.note("r.1", [])
    assert store.answers("another") == []


def test_thousands_of_answers_are_kept_at_once(store: SqlStore) -> None:
    running(store)
    assert store.note("r.1", [done(f"h-{n:05d}") for n in range(5000)])
    assert len(store.answers("r.1")) == 5000


@pytest.mark.parametrize("state", ["finished", "cancelled"])
def test_the_end_of_a_run_takes_its_answers_along(store: SqlStore, state: str) -> None:
    incident = running(store)
    store.note("r.1", [done("a")])
    with store.transaction(incident) as tx:
        assert tx.finish("r.1", state)
    assert store.answers("r.1") == []
    assert not store.note("r.1", [done("b")])
    assert store.answers("r.1") == []


def test_the_answers_of_a_lost_run_stay_until_they_are_dropped(store: SqlStore) -> None:
    incident = running(store)
    store.note("r.1", [done("a")])
    with store.transaction(incident) as tx:
        assert tx.finish("r.1", "lost")
    assert not store.note("r.1", [done("b")])
    assert store.answers("r.1") == [done("a")]
    with store.transaction(incident) as tx:
        tx.drop_answers("r.1")
    assert store.answers("r.1") == []


def test_a_run_that_is_queued_or_unknown_takes_no_answers(store: SqlStore) -> None:
    incident = opened(store)
    with store.transaction(incident) as tx:
        tx.queue(Run(ident="q.1", incident=incident, kind="wave", hosts=("a",)))
    assert not store.note("q.1", [done("a")])
    assert not store.note("none", [done("a")])
    assert store.answers("q.1") == store.answers("none") == []


def test_runs_that_have_ended_are_forgotten_and_others_stay(store: SqlStore) -> None:
    incident = running(store)
    with store.transaction(incident) as tx:
        for n in (2, 3):
            tx.queue(Run(ident=f"r.{n}", incident=incident, kind="check", hosts=("a",)))
        tx.finish("r.2", "finished")
        tx.forget_runs(["r.1", "r.2", "none"])
        assert [r.ident for r in tx.runs(incident)] == ["r.1", "r.3"]
        tx.forget_runs([])
    assert [r.ident for r in store.runs(incident)] == ["r.1", "r.3"]


def test_claims_to_a_knob_are_listed_by_key_until_they_are_dropped(store: SqlStore) -> None:
    first, second = opened(store), opened(store)
    with store.transaction(first, "knobs") as tx:
        tx.claim_knob("net.x", first, "P-1")
        tx.claim_knob("net.x", first, "P-1")
        tx.claim_knob("net.y", second, "P-2")
        tx.claim_knob("net.x", second, "P-3")
    with store.transaction(first, "knobs") as tx:
        assert sorted(tx.knob_claims("net.x")) == [(first, "P-1"), (second, "P-3")]
        tx.drop_knob("P-1")
        assert tx.knob_claims("net.x") == [(second, "P-3")]
        assert tx.knob_claims("net.z") == []


def test_of_two_that_claim_a_knob_at_once_one_sees_the_other(store: SqlStore) -> None:
    names = [opened(store) for _ in range(8)]
    seen: list[int] = []
    gate = threading.Barrier(len(names))

    def claim(incident: str) -> None:
        gate.wait()
        with store.transaction(incident, "knobs") as tx:
            seen.append(len(tx.knob_claims("net.x")))
            tx.claim_knob("net.x", incident, f"P-{incident}")

    threads = [threading.Thread(target=claim, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(8))
