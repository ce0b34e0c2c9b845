"""The store's contract: work leases, runs with heartbeats, host locks."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.errors import NotFoundError
from bot.ports import Run
from bot.store import SqlStore
from tests.contract.conftest import NOON, Place
from tests.contract.test_store import opened

LEASE = 0.25
LATER = LEASE + 0.1
LONG = 600.0


def wake(store: SqlStore, incident: str, seconds: float = 0) -> None:
    with store.transaction(incident) as tx:
        tx.wake(incident, NOON + timedelta(seconds=seconds))


def queued(store: SqlStore, ident: str = "r.1", **more: object) -> str:
    incident = opened(store)
    with store.transaction(incident) as tx:
        assert tx.queue(Run(ident=ident, incident=incident, kind="wave", hosts=("a", "b")))
    return incident


def finish(store: SqlStore, ident: str, state: str) -> bool:
    with store.transaction() as tx:
        return tx.finish(ident, state)


def test_work_is_claimed_once_when_it_is_due(store: SqlStore) -> None:
    incident = opened(store)
    assert store.claim_work("w", LONG) is None
    wake(store, incident, -1)
    assert store.claim_work("w", LONG) == incident
    assert store.claim_work("x", LONG) is None
    store.release_work(incident, "w", None)
    assert store.claim_work("w", LONG) is None


def test_the_most_overdue_work_comes_first(store: SqlStore) -> None:
    incidents = [opened(store) for _ in range(3)]
    for incident, due in zip(incidents, (-5, -9, -7), strict=True):
        wake(store, incident, due)
    order = [store.claim_work("w", LONG) for _ in range(4)]
    assert order == [incidents[1], incidents[2], incidents[0], None]


def test_the_earliest_of_several_wakes_counts(place: Place) -> None:
    store = place.open()
    incident = opened(store)
    for due in (60, 10, 30):
        wake(store, incident, due)
    assert store.claim_work("w", LONG) is None
    place.clock.sleep(10)
    assert store.claim_work("w", LONG) == incident


def test_work_is_due_again_when_its_owner_says(place: Place) -> None:
    store = place.open()
    incident = opened(store)
    wake(store, incident)
    assert store.claim_work("w", LONG) == incident
    store.release_work(incident, "w", NOON + timedelta(seconds=5))
    assert store.claim_work("w", LONG) is None
    place.clock.sleep(5)
    assert store.claim_work("w", LONG) == incident


@pytest.mark.parametrize("due", [None, NOON + timedelta(hours=1)])
def test_a_wake_during_a_lease_is_kept(store: SqlStore, due: object) -> None:
    incident = opened(store)
    wake(store, incident)
    assert store.claim_work("w", LONG) == incident
    wake(store, incident)
    assert store.claim_work("x", LONG) is None
    store.release_work(incident, "w", due)  # type: ignore[arg-type]
    assert store.claim_work("x", LONG) == incident


def test_the_work_of_a_killed_owner_is_picked_up_after_its_lease(place: Place) -> None:
    store = place.open()
    incident = opened(store)
    wake(store, incident)
    assert store.claim_work("killed", LEASE) == incident
    assert store.claim_work("heir", LONG) is None
    place.pass_time(LATER)
    assert store.claim_work("heir", LONG) == incident
    store.release_work(incident, "killed", NOON)
    assert store.claim_work("third", LONG) is None


def test_a_later_wake_outlives_a_killed_owner_and_its_heir(place: Place) -> None:
    store = place.open()
    incident = opened(store)
    wake(store, incident)
    assert store.claim_work("killed", LEASE) == incident
    wake(store, incident, 3600)
    place.pass_time(LATER)
    assert store.claim_work("heir", LONG) == incident
    store.release_work(incident, "heir", None)
    assert store.claim_work("w", LONG) is None
    place.clock.sleep(3600)
    assert store.claim_work("w", LONG) == incident


def test_releasing_what_is_another_s_changes_nothing(store: SqlStore) -> None:
    incident = opened(store)
    wake(store, incident)
    store.release_work(incident, "w", NOON + timedelta(hours=1))
    assert store.claim_work("w", LONG) == incident
    store.release_work(incident, "x", NOON)
    assert store.claim_work("x", LONG) is None


def test_threads_never_claim_the_same_work(store: SqlStore) -> None:
    incidents = [opened(store) for _ in range(12)]
    for incident in incidents:
        wake(store, incident, -1)
    claimed: list[str] = []

    def work(owner: str) -> None:
        while incident := store.claim_work(owner, LONG):
            claimed.append(incident)

    together(*(lambda name=name: work(name) for name in "abcd"))
    # A worker may find nothing while another one is still taking the last.
    work("last")
    assert sorted(claimed) == sorted(incidents)


def test_a_run_is_queued_once(store: SqlStore) -> None:
    incident = queued(store)
    with store.transaction(incident) as tx:
        other = Run(ident="r.1", incident=incident, kind="probe", hosts=(), spec={"n": 1})
        assert not tx.queue(other)
        assert tx.queue(Run(ident="r.0", incident=incident, kind="probe", hosts=(), spec={"n": 1}))
        assert [run.ident for run in tx.runs(incident)] == ["r.1", "r.0"]
    first, second = store.runs(incident)
    assert (first.kind, first.hosts, first.spec, first.state) == ("wave", ("a", "b"), {}, "queued")
    assert (second.ident, second.spec, second.cancel) == ("r.0", {"n": 1}, False)
    assert first.queued_at is not None
    assert first.heartbeat is None


def test_a_run_is_claimed_once_and_ended_once(store: SqlStore) -> None:
    incident = queued(store)
    run = store.claim_run("r.1", "host.1")
    assert run is not None
    assert (run.state, run.worker, run.ident) == ("running", "host.1", "r.1")
    assert run.heartbeat is not None
    assert store.claim_run("r.1", "host.2") is None
    assert store.unfinished_runs() == store.unfinished_runs(incident) == [run]
    assert store.unfinished_runs("INC-9") == []
    assert finish(store, "r.1", "finished")
    assert not finish(store, "r.1", "lost")
    ended = store.run("r.1")
    assert ended.state == "finished"
    assert ended.finished_at is not None
    assert store.runs(incident) == [ended]
    assert store.unfinished_runs() == []
    assert store.claim_run("r.1", "host.2") is None


def test_only_one_of_many_threads_gets_a_run(store: SqlStore) -> None:
    queued(store)
    won: list[Run | None] = []
    together(*(lambda n=n: won.append(store.claim_run("r.1", f"w.{n}")) for n in range(6)))
    assert sum(run is not None for run in won) == 1


def test_a_run_beats_until_it_is_ended(store: SqlStore) -> None:
    for ask in (store.beat, store.wanted):
        ident = f"r.{ask.__name__}"
        queued(store, ident)
        assert not ask(ident)
        store.claim_run(ident, "w")
        assert ask(ident)
        finish(store, ident, "lost")
        assert not ask(ident)
        assert not ask("unknown")


def test_a_silent_run_lapses_and_a_beat_renews_it(place: Place) -> None:
    store = place.open()
    queued(store)
    store.claim_run("r.1", "w")
    assert store.lapsed_runs(LEASE) == []
    place.pass_time(LATER)
    assert [run.ident for run in store.lapsed_runs(LEASE)] == ["r.1"]
    before = store.run("r.1").heartbeat
    assert store.beat("r.1")
    assert store.lapsed_runs(LEASE) == []
    after = store.run("r.1").heartbeat
    assert before is not None
    assert after is not None
    assert after - before >= timedelta(seconds=LEASE)
    finish(store, "r.1", "finished")
    assert store.lapsed_runs(-1) == []


def test_cancelling_ends_a_queued_run_at_once(store: SqlStore) -> None:
    queued(store)
    with store.transaction() as tx:
        tx.cancel("r.1")
    run = store.run("r.1")
    assert (run.state, run.cancel) == ("cancelled", True)
    assert run.finished_at is not None
    assert store.claim_run("r.1", "w") is None


def test_cancelling_asks_a_running_run_to_stop(place: Place) -> None:
    store = place.open()
    queued(store)
    store.claim_run("r.1", "w")
    with store.transaction() as tx:
        tx.cancel("r.1")
    assert (store.run("r.1").state, store.run("r.1").cancel) == ("running", True)
    place.pass_time(LATER)
    assert not store.wanted("r.1")
    assert not store.beat("r.1")
    assert store.lapsed_runs(LEASE) == [], "while it stops it still shows that it lives"
    assert finish(store, "r.1", "finished")
    with store.transaction() as tx:
        tx.cancel("r.1")
        tx.cancel("unknown")
    assert store.run("r.1").state == "finished"


def test_a_run_ends_only_in_a_state_that_is_an_end(store: SqlStore) -> None:
    queued(store)
    with pytest.raises(ValueError, match="running"):
        finish(store, "r.1", "running")
    with pytest.raises(NotFoundError, match=r"r\.2"):
        store.run("r.2")


def test_hosts_are_locked_all_or_none(store: SqlStore) -> None:
    assert store.lock_hosts("r.1", ["b", "a", "b"], LONG) == {}
    assert store.lock_hosts("r.2", ["b", "c"], LONG) == {"b": "r.1"}
    assert store.lock_hosts("r.3", ["c", "d"], LONG) == {}
    assert store.lock_hosts("r.1", ["a", "c", "d"], LONG) == {"c": "r.3", "d": "r.3"}
    assert store.lock_hosts("r.1", ["a", "b"], LONG) == {}
    store.unlock_hosts("r.1")
    assert store.lock_hosts("r.2", ["a", "b"], LONG) == {}
    assert store.lock_hosts("r.2", [], LONG) == {}


def test_a_lock_that_has_outlived_its_time_is_free(place: Place) -> None:
    store = place.open()
    assert store.lock_hosts("r.1", ["a", "b"], LEASE) == {}
    assert store.lock_hosts("r.2", ["a"], LONG) == {"a": "r.1"}
    assert store.lock_hosts("r.1", ["b"], LONG) == {}
    place.pass_time(LATER)
    assert store.lock_hosts("r.2", ["a"], LONG) == {}
    assert store.lock_hosts("r.2", ["a", "b"], LONG) == {"b": "r.1"}


def test_thousands_of_hosts_are_locked_at_once(store: SqlStore) -> None:
    hosts = [f"host{n}" for n in range(2500)]
    assert store.lock_hosts("r.1", hosts, LONG) == {}
    assert store.lock_hosts("r.2", [*hosts, "other"], LONG) == dict.fromkeys(hosts, "r.1")
    assert store.lock_hosts("r.3", ["other"], LONG) == {}


def test_threads_that_lock_overlapping_hosts_never_share_one(store: SqlStore) -> None:
    hosts = [f"host{n}" for n in range(8)]
    got: list[int] = []

    def grab(n: int) -> None:
        turned = hosts[n:] + hosts[:n]
        if not store.lock_hosts(f"r.{n}", turned[:5], LONG):
            got.append(n)

    together(*(lambda n=n: grab(n) for n in range(6)))
    assert len(got) == 1


def together(*acts: Callable[[], object]) -> None:
    """Run all acts at the same moment, each in a thread; raise the first trouble."""
    barrier, troubles = threading.Barrier(len(acts)), []

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            troubles.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if troubles:
        raise troubles[0]


def test_the_incidents_that_somebody_will_look_at_are_told(store: SqlStore) -> None:
    first, second, _ = (opened(store) for _ in range(3))
    wake(store, first, 86_400)
    wake(store, second, -1)
    assert store.tended() == [first, second]
    assert store.claim_work("w", LONG) == second
    assert store.tended() == [first, second], "it is looked at now"
    store.release_work(second, "w", None)
    assert store.tended() == [first]
