"""The queue: who waits goes first, edits coalesce, a channel keeps its pace."""

from __future__ import annotations

from collections.abc import Callable

from bot.chat.slack_queue import Job, Queue, Urgency


def _nothing() -> None:
    pass


def job(
    name: str,
    urgency: Urgency = Urgency.NEWS,
    channel: str = "C1",
    run: Callable[[], None] = _nothing,
) -> Job:
    return Job(key=("INC-1", name), channel=channel, urgency=urgency, run=run)


def test_an_approval_overtakes_progress_that_waited_longer() -> None:
    queue = Queue(pace=1.0)
    for number in range(20):
        queue.put(job(f"progress.{number}", Urgency.PROGRESS), now=0.0)
    queue.put(job("proposal.P-1", Urgency.APPROVAL), now=5.0)
    first = queue.take(5.0)
    assert first is not None
    assert first.key[1] == "proposal.P-1"


def test_a_channel_gets_one_message_a_second_and_others_do_not_wait_for_it() -> None:
    queue = Queue(pace=1.0)
    for name in ("a", "b"):
        queue.put(job(name), now=0.0)
    queue.put(job("c", channel="C2"), now=0.0)
    taken = [queue.take(0.0), queue.take(0.0), queue.take(0.0)]
    assert [one.key[1] for one in taken if one] == ["a", "c"]
    assert queue.next() == 1.0
    assert queue.take(0.99) is None
    assert queue.take(1.0) is not None


def test_edits_of_one_message_coalesce_and_keep_their_place() -> None:
    queue, sent = Queue(pace=1.0), []
    queue.put(job("headline", run=lambda: sent.append("old")), now=0.0)
    queue.put(job("other"), now=1.0)
    queue.put(job("headline", run=lambda: sent.append("new")), now=2.0)
    assert len(queue) == 2
    first = queue.take(2.0)
    assert first is not None
    first.run()
    assert sent == ["new"]


def test_slack_s_retry_after_holds_one_channel_and_loses_nothing() -> None:
    queue = Queue(pace=1.0)
    queue.put(job("a"), now=0.0)
    queue.put(job("b", channel="C2"), now=0.0)
    first = queue.take(0.0)
    assert first is not None
    queue.throttled(first, 30.0, now=0.0)
    assert [one.key[1] for one in (queue.take(0.0),) if one] == ["b"]
    assert queue.take(29.0) is None
    assert queue.take(30.0) is not None


def test_after_failures_a_message_waits_longer_until_slack_is_back() -> None:
    queue, now, waits = Queue(pace=0.0), 0.0, []
    queue.put(job("a"), now=now)
    for _ in range(8):
        taken = queue.take(now)
        assert taken is not None
        queue.failed(taken, now)
        due = queue.next()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    taken = queue.take(now)
    assert taken is not None
    queue.failed(taken, now)
    queue.retry()
    assert queue.take(now) is not None


def test_what_failed_does_not_replace_what_was_put_since() -> None:
    queue = Queue(pace=0.0)
    queue.put(job("a"), now=0.0)
    old = queue.take(0.0)
    assert old is not None
    new = job("a")
    queue.put(new, now=1.0)
    queue.failed(old, 1.0)
    assert queue.take(1.5) is None
    assert queue.take(2.0) is new
