"""Slash commands that wait: changes go before questions, each kind in its order, none is lost."""

from __future__ import annotations

import threading

import pytest

from bot.chat.slack_lines import AT_WORK, Lines


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
