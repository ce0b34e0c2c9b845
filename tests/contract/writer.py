"""A process of its own that writes to a store: ``python -m tests.contract.writer URL HOW ...``.

It says every commit on its standard output, once it is durable.
"""

import sys
import time
from collections.abc import Callable

from bot.clock import SystemClock
from bot.ports import Run
from bot.store import SqlStore, open_store
from bot.timeline.entry import Draft

SECRET = b"the secret of the tests"


def note(key: str, text: str = "seen") -> Draft:
    return Draft(key=key, kind="note.added", text=text)


def many(store: SqlStore, name: str, count: str) -> None:
    """Append ``count`` entries, each in a transaction of its own."""
    for n in range(int(count)):
        with store.transaction("INC-1") as tx:
            tx.append("INC-1", note(f"{name}.{n}"))


def pairs(store: SqlStore, name: str) -> None:
    """Append pairs of entries without end, until killed."""
    n = 0
    while True:
        with store.transaction("INC-1") as tx:
            tx.append("INC-1", note(f"{name}.{n}.a"))
            tx.append("INC-1", note(f"{name}.{n}.b", "x" * 5000))
        say(f"{name}.{n}")
        n += 1


def hang(store: SqlStore, name: str) -> None:
    """Stay in the middle of a transaction that has done a bit of everything."""
    with store.transaction("INC-1", "intake") as tx:
        tx.append("INC-1", note(f"{name}.a"), note(f"{name}.b"))
        tx.open("other")
        tx.alert(name, "INC-1")
        tx.wake("INC-1", SystemClock().now())
        tx.queue(Run(ident=name, incident="INC-1", kind="probe", hosts=()))
        say("inside")
        time.sleep(60)


def say(word: str) -> None:
    print(word, flush=True)


def main() -> None:
    url, how, *rest = sys.argv[1:]
    store = open_store(url, secret=SECRET, clock=SystemClock())
    say("ready")
    sys.stdin.readline()
    ways: dict[str, Callable[..., None]] = {"many": many, "pairs": pairs, "hang": hang}
    ways[how](store, *rest)
    store.close()


if __name__ == "__main__":
    main()
