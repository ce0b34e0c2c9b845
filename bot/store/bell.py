"""Wakes the threads of this process that sleep until something is committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Bell:
    """A counter of commits that threads can sleep on.

    A commit between two waits of a thread ends its second wait at once, so that nothing that
    happened while the thread was looking elsewhere is slept over.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._seen = threading.local()
        self._closed = False

    def ring(self) -> None:
        """Wake everybody."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wake everybody, and let nobody sleep again."""
        self._closed = True
        self.ring()

    def wait(
        self, seconds: float, poll: Callable[[], None] | None = None, every: float = 1
    ) -> None:
        """Sleep until a ring, at most ``seconds``; meanwhile call ``poll``, which may ring."""
        end = time.monotonic() + seconds
        seen = getattr(self._seen, "count", self._count)
        with self._changed:
            while self._count == seen and not self._closed:
                left = end - time.monotonic()
                if left <= 0:
                    break
                if poll is None:
                    self._changed.wait(left)
                    continue
                self._changed.wait(min(left, every))
                poll()
            self._seen.count = self._count
