"""The store's contract among threads and processes, some of which are killed."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.store import SqlStore, open_store
from bot.timeline.chain import verify
from tests.contract.conftest import SECRET, Place
from tests.contract.test_store import note, opened
from tests.contract.test_store_leases import together
from tests.contract.test_store_wait import LONG, SOON

ROOT = Path(__file__).parents[2]


@contextmanager
def writer(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a writing process that is ready, and waits for a line; end it by SIGKILL."""
    command = [sys.executable, "-m", "tests.contract.writer", place.url, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def check(store: SqlStore, count: int) -> list[str]:
    entries = store.entries("INC-1")
    assert [entry.seq for entry in entries] == list(range(1, count + 1))
    assert verify(SECRET, entries, store.payloads("INC-1")).intact
    return [entry.key for entry in entries]


def test_threads_append_to_one_incident_without_a_gap(store: SqlStore) -> None:
    opened(store)

    def append(name: str, *locks: str) -> None:
        for n in range(15):
            with store.transaction(*locks) as tx:
                tx.append("INC-1", note(f"{name}.{n}"), note(f"shared.{n}"))

    # Whoever names no lock, or another one, is kept in order all the same.
    together(
        lambda: append("a", "INC-1"),
        lambda: append("b", "INC-1", "intake"),
        lambda: append("c", "intake"),
        lambda: append("d"),
    )
    check(store, 15 * 5)


def test_two_processes_open_an_empty_database_and_append_without_a_gap(place: Place) -> None:
    with writer(place, "many", "a", "40") as one, writer(place, "many", "b", "40") as two:
        assert [heard(one), heard(two)] == ["ready", "ready"]
        store = place.open()
        opened(store)
        go(one)
        go(two)
        assert [one.wait(20), two.wait(20)] == [0, 0]
    keys = check(store, 80)
    assert sorted(keys) == sorted(f"{name}.{n}" for name in "ab" for n in range(40))


def test_threads_open_an_empty_database_at_the_same_moment(place: Place) -> None:
    def use() -> None:
        store = open_store(place.url, secret=SECRET, clock=place.clock)
        opened(store, note("a"))
        store.close()

    together(*[use] * 4)
    assert len(place.open().incidents()) == 4


def test_a_process_killed_in_a_transaction_leaves_no_half_of_it(place: Place) -> None:
    store = place.open()
    opened(store, note("before"))
    with writer(place, "hang", "half") as process:
        assert heard(process) == "ready"
        go(process)
        assert heard(process) == "inside"
        process.kill()
        process.wait()
        with store.transaction("INC-1", "intake") as tx:
            assert tx.alert("half", None) is None
            assert tx.runs("INC-1") == []
            tx.append("INC-1", note("after"))
    assert check(store, 2) == ["before", "after"]
    assert len(store.incidents()) == 1
    assert store.claim_work("w", 1) is None


def test_a_process_killed_at_any_moment_loses_nothing_that_it_said(place: Place) -> None:
    store = place.open()
    opened(store)
    said: list[str] = []
    for number, pause in enumerate((0.01, 0.05)):
        with writer(place, "pairs", f"p{number}") as process:
            assert heard(process) == "ready"
            go(process)
            said.append(heard(process))
            time.sleep(pause)
            process.kill()
            assert process.stdout is not None
            said += [line.strip() for line in process.stdout if line.endswith("\n")]
    keys = [entry.key for entry in store.entries("INC-1")]
    check(store, len(keys))
    assert {f"{word}.{half}" for word in said for half in "ab"} <= set(keys)
    assert {key[:-2] + ".b" for key in keys} == {key for key in keys if key.endswith(".b")}
    assert {key[:-2] + ".a" for key in keys} == {key for key in keys if key.endswith(".a")}


def test_a_sleeper_hears_of_another_process(place: Place) -> None:
    store = place.open()
    opened(store)
    with writer(place, "many", "a", "1") as process:
        assert heard(process) == "ready"
        store.wait(0.05)
        store.wait(0.05)
        threading.Timer(0.1, go, [process]).start()
        start = time.monotonic()
        while not store.entries("INC-1") and time.monotonic() < start + 2 * LONG:
            store.wait(LONG)
        assert time.monotonic() - start < SOON
        process.wait(LONG)
    check(store, 1)


def test_numbers_never_repeat_among_threads(store: SqlStore) -> None:
    got: list[int] = []

    def draw() -> None:
        for _ in range(10):
            with store.transaction() as tx:
                got.append(tx.number("proposal"))

    together(*[draw] * 4)
    assert sorted(got) == list(range(1, 41))
