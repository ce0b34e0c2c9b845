"""What is taken in, and commands that wait: changes before questions, in order, none is lost."""

from __future__ import annotations

import threading

import pytest

from bot.chat.slack_lines import AT_WORK, Intake, Lines


def test_changes_go_before_questions_and_nothing_is_left_when_it_closes() -> None:
    lines, done = Lines(), list[str]()
    gates = [threading.Event() for _ in range(AT_WORK)]
    started = threading.Barrier(AT_WORK + 1)

    def occupied(gate: threading.Event) -> None:
        started.wait(10)
        gate.wait(10)

    for gate in gates:
        lines.put(lambda gate=gate: occupied(gate), writes=False)  # type: ignore[misc]
    started.wait(10)
    for name in ("q1", "c1", "q2", "c2"):
        run = lambda name=name: done.append(name)  # noqa: E731
        lines.put(run, writes=name.startswith("c"))
    whole = threading.Event()
    lines.put(whole.set, writes=False)
    gates[0].set()  # one works, in order; the others are still busy
    assert whole.wait(10)
    assert done == ["c1", "c2", "q1", "q2"]
    for gate in gates:
        gate.set()
    lines.close()
    with pytest.raises(RuntimeError):
        lines.put(lambda: None, writes=True)


def test_what_failed_does_not_stop_the_others() -> None:
    lines, done = Lines(), list[str]()

    def fails() -> None:
        raise ValueError

    lines.put(fails, writes=True)
    lines.put(lambda: done.append("q"), writes=False)
    lines.close()
    assert done == ["q"]


def test_what_is_being_taken_in_is_waited_for_and_later_nothing_is_taken() -> None:
    intake, began, end = Intake(), threading.Event(), threading.Event()

    def request() -> None:
        with intake.one() as taken:
            assert taken
            began.set()
            end.wait(10)

    busy, closing = threading.Thread(target=request), threading.Thread(target=intake.close)
    busy.start()
    began.wait(10)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    with intake.one() as taken:
        late = taken
    end.set()
    closing.join(5)
    assert not closing.is_alive()
    busy.join()
    assert not late
