"""The slash commands that wait to be carried out: changes before questions."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)

AT_WORK = 2
"""So many are at work at once. More would not be done sooner: they would only keep the interpreter
from the threads that acknowledge."""


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
