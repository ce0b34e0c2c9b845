"""What is being taken in, and the slash commands that wait: changes before questions."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

log = logging.getLogger(__name__)

BEGUN = 10.0
"""Seconds that the end waits for what is being taken in: Slack itself may be slow to tell of it."""
AT_WORK = 2
"""So many are at work at once. More would not be done sooner: they would only keep the interpreter
from the threads that acknowledge."""


class Intake:
    """Counts the requests that are being taken in: what was begun is not cut off by the end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy, self._open = 0, True

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Take one in; False: nothing is taken in any more."""
        with self._changed:
            taken = self._open
            self._busy += taken
        try:
            yield taken
        finally:
            with self._changed:
                self._busy -= taken
                self._changed.notify_all()

    def close(self) -> None:
        """Take nothing more in, and return when nothing is being taken in, or after a while."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: not self._busy, BEGUN)


class Lines:
    """Carries lines out, each kind in its order.

    A question waits acknowledged. A change is acknowledged when it is durable, so it does not wait
    behind questions.
    """

    def __init__(self) -> None:
        self._changes: deque[Callable[[], None]] = deque()
        self._questions: deque[Callable[[], None]] = deque()
        self._pool = ThreadPoolExecutor(AT_WORK, thread_name_prefix="slack.command")

    def put(self, run: Callable[[], None], *, writes: bool) -> None:
        """Carry something out when its turn comes; ``RuntimeError`` after ``close``."""
        (self._changes if writes else self._questions).append(run)
        self._pool.submit(self._next)

    def close(self) -> None:
        """Take nothing more, and return when all is done."""
        self._pool.shutdown(wait=True)

    def _next(self) -> None:
        try:
            run = self._changes.popleft()
        except IndexError:
            run = self._questions.popleft()  # as many as were put are taken
        try:
            run()
        except Exception:  # the top of this thread: nobody asks for its result
            log.exception("a command failed")
