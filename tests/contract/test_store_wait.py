"""The store's contract: sleepers wake on commits, and only on commits."""

import threading
import time
from collections.abc import Callable

import pytest

from bot.store import SqlStore
from tests.contract.conftest import Place
from tests.contract.test_store import note, opened

LONG, SOON = 60, 20
"""Seconds of a sleep that nothing ends, and of one that was ended, however busy the machine is."""


def test_a_commit_wakes_a_sleeper_of_the_same_store(store: SqlStore) -> None:
    assert slept(lambda: wait_for(store, lambda: opened(store, note("a")))) < SOON


def test_a_commit_wakes_a_sleeper_of_another_store(place: Place) -> None:
    sleeper, other = place.open(), place.open()
    assert slept(lambda: wait_for(sleeper, lambda: opened(other, note("a")))) < SOON


def test_a_commit_between_two_waits_is_not_slept_over(store: SqlStore) -> None:
    settle(store)
    opened(store)
    assert slept(lambda: store.wait(LONG)) < SOON


def test_without_a_commit_a_wait_lasts_as_long_as_it_was_told(store: SqlStore) -> None:
    settle(store)
    assert 0.29 < slept(lambda: store.wait(0.3)) < SOON
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx.open("a")
        raise ZeroDivisionError
    assert 0.29 < slept(lambda: store.wait(0.3)) < SOON


def test_closing_wakes_sleepers(place: Place) -> None:
    store = place.open()
    settle(store)
    assert slept(lambda: wait_for(store, store.close)) < SOON


def settle(store: SqlStore) -> None:
    """Wait until nothing is pending: the listener is up and has said so."""
    end = time.monotonic() + 5
    while slept(lambda: store.wait(0.1)) < 0.09 and time.monotonic() < end:
        pass


def wait_for(store: SqlStore, act: Callable[[], object]) -> None:
    """Sleep for long in one thread while another one acts."""
    settle(store)
    timer = threading.Timer(0.1, act)
    timer.start()
    store.wait(LONG)
    timer.join()


def slept(act: Callable[[], object]) -> float:
    start = time.monotonic()
    act()
    return time.monotonic() - start
