"""What is to be sent, in its order: one queue, a pace for every channel, no clock of its own.

Times are seconds of a clock that never goes back. A job that is put again replaces its older self
and keeps its place: edits coalesce. A job is taken only when its channel may be written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

FIRST_RETRY, LAST_RETRY = 1.0, 60.0


class Urgency(IntEnum):
    """What goes first: somebody waits for the first, nobody misses the last."""

    APPROVAL = 0
    NEWS = 1
    PRIVATE = 2
    PROGRESS = 3


@dataclass(slots=True, kw_only=True)
class Job:
    """One message as it should be. ``run`` sends it, and raises when that failed."""

    key: tuple[str, str]
    channel: str
    urgency: Urgency
    run: Callable[[], None]
    since: float = 0.0
    after: float = 0.0
    delay: float = 0.0


@dataclass(slots=True, kw_only=True)
class Queue:
    """The jobs. ``pace`` is seconds between two messages to one channel."""

    pace: float = 1.0
    _jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    _free: dict[str, float] = field(default_factory=dict)
    _all_free: float = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job, now: float) -> None:
        """Add a job, or bring the one of the same key up to date."""
        old = self._jobs.get(job.key)
        job.since = old.since if old else now
        if old is not None:
            job.after, job.delay = old.after, old.delay
        self._jobs[job.key] = job

    def drop(self, key: tuple[str, str]) -> None:
        """Forget a job: what it would send is shown already."""
        self._jobs.pop(key, None)

    def forget(self, name: str) -> None:
        """Forget every job of an incident."""
        for key in [key for key in self._jobs if key[0] == name]:
            del self._jobs[key]

    def take(self, now: float) -> Job | None:
        """Return the most urgent job that may be sent now, oldest first; it leaves the queue."""
        free = [job for job in self._jobs.values() if self._when(job) <= now]
        if not free:
            return None
        job = min(free, key=lambda one: (one.urgency, one.since))
        del self._jobs[job.key]
        self._free[job.channel] = now + self.pace
        return job

    def next(self) -> float | None:
        """Return when the next job may be sent; None if there is none."""
        return min((self._when(job) for job in self._jobs.values()), default=None)

    def _when(self, job: Job) -> float:
        return max(job.after, self._free.get(job.channel, 0.0), self._all_free)

    def failed(self, job: Job, now: float) -> None:
        """Put a job back after a failure; it waits longer each time. A newer one stays as it is."""
        job.delay = min(max(job.delay * 2, FIRST_RETRY), LAST_RETRY)
        job.after = now + job.delay
        newer = self._jobs.get(job.key)
        if newer is None:
            self._jobs[job.key] = job
        else:
            newer.after, newer.delay = job.after, job.delay

    def throttled(self, job: Job, seconds: float, now: float) -> None:
        """Put a job back and leave its channel alone for as long as Slack asks."""
        self._free[job.channel] = now + seconds
        self._jobs.setdefault(job.key, job)

    def retry(self) -> None:
        """Let everything be tried at once: what was away is back."""
        for job in self._jobs.values():
            job.after = job.delay = 0.0
