"""Crash reports on a terminal: colours where there are any, narrow lines, nothing that steers."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from bot.chat.terminal import show_reports
from bot.crash import CrashReport, Frame, Kind, Line, Skipped, read
from tests.unit.crash import golden

REPORTS = [read(golden.split(path)[1]) for path in golden.files()]
ESCAPE = "\x1b["


def printed(reports: list[CrashReport], *, width: int = 80, terminal: bool = True) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        legacy_windows=False,
    )
    show_reports(console, reports)
    return file.getvalue()


def plain(text: str) -> list[str]:
    for code in ("1;31", "1;33", "1", "2", "36", "0"):
        text = text.replace(f"{ESCAPE}{code}m", "")
    return text.split("\n")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize("width", [40, 80, 132])
def test_no_line_is_wider_than_the_terminal(width):
    for reports in REPORTS:
        lines = plain(printed(reports, width=width))
        assert max(cell_len(line) for line in lines) <= width


def test_wrapped_texts_stay_beside_their_label():
    line = Line(number=1, text=" ".join(["unable"] * 30), role="headline")
    lines = plain(printed([CrashReport(title="GPF in a", kind=Kind.GPF, evidence=(line,))]))
    first = next(n for n, text in enumerate(lines) if text.startswith("  headline   line 1: "))
    assert lines[first + 1].startswith(" " * 13 + "unable")


def test_the_headline_is_red_the_guilty_frame_yellow_and_the_skipped_ones_dim():
    one = CrashReport(
        title="GPF in a",
        kind=Kind.GPF,
        function="a",
        trace=(Frame(function="b", raw="b"), Frame(function="a", raw="a")),
        skipped=(Skipped(function="b", rule="prints"),),
    )
    lines = printed([one]).split("\n")
    assert lines[0] == f"{ESCAPE}1;31mGPF in a{ESCAPE}0m"
    assert f"{ESCAPE}2m  skipped    b (prints){ESCAPE}0m" in lines
    assert f"{ESCAPE}1;33m  > guilty   a{ESCAPE}0m" in lines


def test_without_colour_there_are_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(REPORTS[0])
    assert f"{ESCAPE}1;31m" not in text
    assert plain(text)[0] == REPORTS[0][0].title


def test_in_a_pipe_every_line_stays_whole_and_bare():
    line = Line(number=1, text="unable " * 20, role="headline")
    one = CrashReport(title="GPF in a", kind=Kind.GPF, evidence=(line,))
    text = printed([one], width=40, terminal=False)
    assert ESCAPE not in text
    assert f"line 1: {('unable ' * 20).strip()}\n" in text


def test_reports_are_apart_by_an_empty_line():
    one = CrashReport(title="GPF in a", kind=Kind.GPF)
    assert plain(printed([one, one])).count("") == 2  # between them, and after the last line


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_cannot_steer_the_terminal(terminal):
    evil = "\x1b]0;owned\x07 \x1b[2J \r\n \u202e [bold]x[/bold]"
    one = CrashReport(
        title=evil,
        kind=Kind.GPF,
        comm=evil,
        details={evil: evil},
        trace=(Frame(function="a", raw=evil),),
    )
    text = "\n".join(plain(printed([one], terminal=terminal)))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "[bold]x[/bold]" in text
