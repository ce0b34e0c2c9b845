"""``holdfast chat``: the same commands in a terminal, against the running bot."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console

from bot.chat.client import Client
from bot.chat.grammar import VERBS
from bot.chat.terminal import show
from bot.chat.wire import read_card
from bot.errors import HoldfastError

POLL = 2.0


def chat(client: Client, console: Console, context: str = "") -> int:
    """Talk until the end of input; return the worst exit code of what was said.

    Without a terminal it reads commands, one a line.
    """
    if not sys.stdin.isatty():
        return _lines(client, console, (line.strip() for line in sys.stdin), context)
    session: PromptSession[str] = PromptSession(
        "holdfast> ", completer=WordCompleter(sorted(VERBS), ignore_case=True)
    )
    stop = threading.Event()
    news = threading.Thread(target=_follow, args=(client, console, stop), daemon=True)
    console.print("[dim]help says what can be said; Ctrl-D leaves[/dim]")
    with patch_stdout(raw=True):
        news.start()
        try:
            _lines(client, console, _prompts(session.prompt), context)
        finally:
            stop.set()
    return 0


def _prompts(ask: Callable[[], str]) -> Iterable[str]:
    while True:
        try:
            yield ask().strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue


def _lines(client: Client, console: Console, lines: Iterable[str], context: str) -> int:
    worst = 0
    for line in lines:
        if line in {"quit", "exit"}:
            break
        if not line:
            continue
        try:
            answer = client.line(line, context)
            show(console, read_card(answer.card))
            worst = max(worst, answer.exit_code)
        except HoldfastError as error:
            console.print(f"✗ {error}", style="red", markup=False, highlight=False)
            worst = max(worst, error.exit_code)
    return worst


def _follow(client: Client, console: Console, stop: threading.Event) -> None:
    """Print what happens while the person thinks: one line an entry."""
    seen: dict[str, int] = {}
    first = True
    while not stop.is_set():
        try:
            for row in client.line("incidents").data:
                entries = client.say(["timeline", row["id"]]).data
                for entry in entries[seen.get(row["id"], 0) :] if not first else []:
                    line = f"· {entry['incident']} {entry['text']}"
                    console.print(line, style="dim", markup=False, highlight=False)
                seen[row["id"]] = len(entries)
            first = False
        except HoldfastError:
            pass
        stop.wait(POLL)
