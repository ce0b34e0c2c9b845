"""Durable appends per second: ``python bench/store.py [SECONDS]``.

Each append is a transaction of its own, in the chain, synced to the disk. SQLite in a temporary
directory of the current one (a tmpfs would measure nothing); PostgreSQL, in a schema of its own,
if ``HOLDFAST_DATABASE_URL`` names one.
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.clock import SystemClock
from bot.store import SqlStore, open_store
from bot.timeline.entry import Draft
from tests.postgres import fresh

ROUNDS = 5
DATA = {"host": "node17", "hosts": [f"node{n}" for n in range(20)]}
Measure = Callable[[SqlStore, float], float]


def drafts(name: str, count: int) -> list[Draft]:
    return [
        Draft(key=f"{name}.{n}", kind="note.added", text="a note of common length", data=DATA)
        for n in range(count)
    ]


def opened(store: SqlStore) -> str:
    with store.transaction("intake") as tx:
        return tx.open("bench")


def appending(store: SqlStore, incident: str, seconds: float, batch: int = 1) -> int:
    count, end = 0, time.perf_counter() + seconds
    name = threading.get_ident()
    while time.perf_counter() < end:
        with store.transaction(incident) as tx:
            count += len(tx.append(incident, *drafts(f"{name}.{count}", batch)))
    return count


def one(store: SqlStore, seconds: float) -> float:
    return appending(store, opened(store), seconds) / seconds


def four(store: SqlStore, seconds: float) -> float:
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(appending(store, opened(store), seconds)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def batches(store: SqlStore, seconds: float) -> float:
    return appending(store, opened(store), seconds, batch=50) / seconds


def reading(store: SqlStore, seconds: float) -> float:
    incident = opened(store)
    with store.transaction(incident) as tx:
        tx.append(incident, *drafts("r", 1000))
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        count += len(store.entries(incident))
    return count / (time.perf_counter() - start)


def renewing(store: SqlStore, seconds: float) -> float:
    hosts = [f"node{n}" for n in range(10_000)]
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        store.lock_hosts("r.1", hosts, 60)
        count += len(hosts)
    return count / (time.perf_counter() - start)


MEASURES: dict[str, Measure] = {
    "appends/s, 1 thread": one,
    "appends/s, 4 threads, 4 incidents": four,
    "appends/s, 50 a transaction": batches,
    "entries read/s, of 1000": reading,
    "host locks renewed/s, of 10000": renewing,
}


def bench(kind: str, url: str, seconds: float) -> None:
    with closing(open_store(url, secret=b"bench", clock=SystemClock())) as store:
        for name, measure in MEASURES.items():
            rates = [measure(store, seconds) for _ in range(ROUNDS)]
            print(f"{kind:11} {name:36} {statistics.median(rates):9,.0f}", flush=True)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as place:
        bench("SQLite", f"sqlite:///{place}/bench.db", seconds)
    server = os.environ.get("HOLDFAST_DATABASE_URL", "")
    if server.startswith("postgres"):
        with fresh(server) as url:
            bench("PostgreSQL", url, seconds)


if __name__ == "__main__":
    main()
