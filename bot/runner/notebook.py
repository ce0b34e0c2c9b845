"""Writes down what the hosts of a run say while it goes on.

So people see how far it is, and a supervisor that is killed has told what it knew.
"""

from __future__ import annotations

import logging
import threading
from typing import Self

from bot.clock import parse
from bot.errors import UnavailableError
from bot.ports import Answer, Run, Store
from bot.runner.ansible import Results

log = logging.getLogger(__name__)

GATHER = 0.1
"""Seconds between two writes: answers that come meanwhile are written together. A write costs more
than what it writes, and a quarter of a second is soon enough for people."""


class Notebook:
    """Keeps the store's answers of one run up to date, in a thread of its own."""

    def __init__(self, store: Store, run: Run, results: Results) -> None:
        self._store, self._run, self._results = store, run, results
        self._hosts = frozenset(run.hosts)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._results.stirred.set()
        self._thread.join(timeout=30)

    def _keep(self) -> None:
        while not self._done.is_set():
            self._results.stirred.wait()
            self._results.stirred.clear()
            # A play may speak of localhost as well.
            hosts = [host for host in self._results.fresh() if host in self._hosts]
            try:
                if not self._store.note(self._run.ident, [self._answer(host) for host in hosts]):
                    return
            except UnavailableError as error:
                log.warning("progress is not written", extra={"error": str(error)})
                self._results.news.extend(hosts)
                self._done.wait(1)
                self._results.stirred.set()
            self._done.wait(GATHER)

    def _answer(self, host: str) -> Answer:
        final = self._results.final.get(host)
        (raw,) = self._results.raws([host])
        return Answer(
            host=host,
            began=parse(self._results.began[host]),
            at=parse(final) if final else None,
            said=raw.as_dict() if final else {},
        )
