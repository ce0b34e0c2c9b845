"""Cards in a terminal: colours where there are any, plain text in a pipe."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot.chat.card import Card, plain
from bot.crash.report import CrashReport
from bot.crash.show import INDENT, lines

TONES = {"info": "bold cyan", "good": "bold green", "warn": "bold yellow", "bad": "bold red"}

LOOKS = {
    "headline": "bold red",
    "warning": "bold yellow",
    "guilty": "bold yellow",
    "maybe": "cyan",
    "dim": "dim",
}


def clean(text: str) -> str:
    """Take control characters out of text from outside; a log must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text.expandtabs())


def show(console: Console, card: Card) -> None:
    """Print a card."""
    if not console.is_terminal:
        console.print(clean(plain(card)), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(Text(clean(card.title), style=TONES.get(card.tone, "bold")))
    if card.fields:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in card.fields:
            table.add_row(Text(clean(name)), Text(clean(value)))
        console.print(Padding(table, (0, 0, 0, 2)))
    for line in card.lines:
        console.print(Padding(Text(clean(line)), (0, 0, 0, 2)))
    if card.code:
        console.print(Padding(Text(clean(card.code), style="none"), (0, 0, 0, 4)), soft_wrap=False)
    for button in card.buttons:
        console.print(f"  [dim]→[/dim] [bold]{escape(clean(button.line))}[/bold]", highlight=False)
    if card.foot:
        console.print(Text(f"  {clean(card.foot)}", style="dim"))


def show_reports(console: Console, reports: list[CrashReport]) -> None:
    """Print crash reports for people: the first is the cause.

    On a terminal texts are wrapped beside their labels; in a pipe every line stays whole.
    """
    for number, report in enumerate(reports):
        if number:
            console.print()
        for style, text in lines(report):
            _print(console, clean(text).replace("\n", " "), style)


def _print(console: Console, line: str, style: str) -> None:
    look = LOOKS.get(style, "none")
    if not console.is_terminal:
        console.print(Text(line.rstrip()), highlight=False, soft_wrap=True)
        return
    indent = 0 if style == "headline" else INDENT
    room = max(20, console.width - indent)
    label = line[:indent]
    for part in Text(line[indent:]).wrap(console, room, overflow="fold"):
        text = f"{label:<{indent}}{part.plain}".rstrip()
        console.print(Text(text, style=look), highlight=False, soft_wrap=True)
        label = ""
