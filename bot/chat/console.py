"""``holdfast chat``: the same commands in a terminal, against the running bot."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console

from bot.chat.client import Client
from bot.chat.complete import Words
from bot.chat.news import News
from bot.chat.terminal import clean, show
from bot.chat.wire import read_card
from bot.errors import HoldfastError

POLL = 2.0
REDRAW = 0.5
"""Seconds after which the line at the bottom is drawn anew."""
LOCAL = {"focus": "have an incident in focus: focus INC-1; alone: in none", "quit": "leave"}


def chat(client: Client, console: Console, context: str = "", history: Path | None = None) -> int:
    """Talk until the end of input; return the worst exit code of what was said.

    Without a terminal it reads commands, one a line. ``history`` is a file that keeps what was typed.
    """
    talk = Talk(client, console, context)
    if not sys.stdin.isatty():
        return talk.all(line.strip() for line in sys.stdin)
    news = News(client)
    session: PromptSession[str] = PromptSession(
        lambda: f"{talk.focus or 'holdfast'}> ",
        completer=Words(news, LOCAL),
        complete_while_typing=False,
        history=_history(history),
        bottom_toolbar=lambda: clean(news.line(talk.focus, console.width)),
        refresh_interval=REDRAW,
    )
    stop = threading.Event()
    follow = threading.Thread(target=_follow, args=(news, talk, stop), daemon=True)
    console.print("[dim]help says what can be said; Tab completes; Ctrl-D leaves[/dim]")
    with patch_stdout(raw=True):
        follow.start()
        try:
            talk.all(_prompts(session.prompt))
        finally:
            stop.set()
    return 0


def _history(file: Path | None) -> History:
    """Keep what was typed in a file of the user's own; without one, until the end."""
    if file is None:
        return InMemoryHistory()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


def _prompts(ask: Callable[[], str]) -> Iterable[str]:
    while True:
        try:
            yield ask().strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue


class Talk:
    """What was said so far: the incident in focus, and the choices of an unclear question."""

    def __init__(self, client: Client, console: Console, focus: str = "") -> None:
        self.focus = focus.upper()
        self._client = client
        self._console = console
        self._choices: tuple[str, ...] = ()

    def all(self, lines: Iterable[str]) -> int:
        """Carry out every line; return the worst exit code."""
        worst = 0
        for line in lines:
            if line in {"quit", "exit"}:
                break
            if line:
                worst = max(worst, self._one(line))
        return worst

    def _one(self, line: str) -> int:
        first, *rest = line.split()
        if first == "focus":
            self.focus = rest[0].upper() if rest else ""
            return 0
        if line.isdigit() and 0 < int(line) <= len(self._choices):
            line = self._choices[int(line) - 1]
            self._console.print(f"> {line}", style="dim", markup=False, highlight=False)
        self._choices = ()
        try:
            answer = self._client.line(line, self.focus)
        except HoldfastError as error:
            self._sorry(error)
            return error.exit_code
        show(self._console, read_card(answer.card))
        if first == "declare":
            self.focus = str(answer.data["incident"])
        return answer.exit_code

    def _sorry(self, error: HoldfastError) -> None:
        """Say what went wrong; of an unclear question, number what it could have been."""
        choices = tuple(getattr(error, "choices", ()))
        text = error.what if choices else str(error)
        self._console.print(f"✗ {clean(text)}", style="red", markup=False, highlight=False)
        for number, choice in enumerate(choices, 1):
            self._console.print(f"  {number}  {choice}", markup=False, highlight=False)
        self._choices = choices

    def tell(self, entry: dict[str, Any]) -> None:
        """Print what happened while the person thinks: one line an entry."""
        line = clean(f"· {entry['incident']} {' '.join(entry['text'].split())}")
        self._console.print(line, style="dim", markup=False, highlight=False)


def _follow(news: News, talk: Talk, stop: threading.Event) -> None:
    while not stop.is_set():
        for entry in news.fetch():
            talk.tell(entry)
        stop.wait(POLL)
