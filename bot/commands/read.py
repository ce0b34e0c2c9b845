"""``holdfast read``: what crashed in a console text."""

from __future__ import annotations

from typing import BinaryIO

import click

from bot import crash
from bot.chat.terminal import show_reports
from bot.commands.context import print_json, terminal
from bot.crash.show import as_dict


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def read(*, file: BinaryIO, as_json: bool) -> int:
    """Say what crashed in a console text. Exit status 1: no crash."""
    reports = crash.read_stream(file)
    if as_json:
        print_json([as_dict(report) for report in reports])
    elif reports:
        show_reports(terminal(), reports)
    else:
        click.echo("no crash found")
    return 0 if reports else 1
