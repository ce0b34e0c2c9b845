"""``holdfast read``: what crashed in a console text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from bot import crash
from bot.chat.terminal import clean, show_reports
from bot.commands.context import print_json, terminal
from bot.crash.report import NOTICES
from bot.crash.show import as_dict
from bot.errors import BadInputError

HINT = "reading from the terminal: paste the text, then press Enter and Ctrl-D"


@click.command()
@click.argument("file", default="-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of reports.")
def read(*, file: str, as_json: bool) -> int:
    """Say what crashed in a console text: FILE, or standard input for - or nothing.

    Exit status 0: something crashed. 1: nothing did. 2: the text cannot be read.
    """
    with opened(file) as stream:
        reports = crash.read_stream(stream, crash.ALL)
    if as_json:
        print_json([as_dict(report) for report in reports])
    elif reports:
        show_reports(terminal(), reports)
    else:
        click.echo("no crash found")
    return 0 if any(report.kind not in NOTICES for report in reports) else 1


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Open ``file`` for the body; whatever hinders its reading is one error for a person."""
    name = clean(click.format_filename(file))
    try:
        if file == "-":
            yield _standard_input()
            return
        with Path(file).open("rb") as stream:
            yield stream
    except IsADirectoryError as error:
        raise BadInputError("is a directory", where=name, next="name a file in it") from error
    except FileNotFoundError as error:
        raise BadInputError(
            "no such file", where=name, next="check the path, or pipe the text in"
        ) from error
    except PermissionError as error:
        raise BadInputError(
            "you may not read it", where=name, next="read it as somebody who may, or pipe it in"
        ) from error
    except OSError as error:
        raise BadInputError(
            f"cannot be read: {error.strerror or error}", where=name, next="copy it, read the copy"
        ) from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed:
        raise BadInputError("standard input is closed", next="name a file, or pipe the text in")
    if sys.stdin.isatty():
        click.echo(HINT, err=True)
    return sys.stdin.buffer
