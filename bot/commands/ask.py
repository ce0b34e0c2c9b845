"""Commands that speak to a running bot: the grammar's verbs, the console, pasted text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click

from bot.chat.client import Client
from bot.chat.console import chat as console_chat
from bot.chat.grammar import Verb
from bot.chat.terminal import show
from bot.chat.wire import read_card
from bot.commands.context import configuration, print_json, terminal
from bot.errors import BadInputError

DEFAULT_URL = "http://127.0.0.1:8420"


def _client(via: str = "cli") -> Client:
    url = os.environ.get("HOLDFAST_URL") or DEFAULT_URL
    return Client(url, os.environ.get("HOLDFAST_TOKEN", ""), via=via)


def verb(row: Verb) -> click.Command:
    """Make a one-shot command of a row of the grammar."""

    def callback(*, words: Sequence[str], as_json: bool) -> int:
        return say([row.name, *words], as_json=as_json)

    return click.Command(
        row.name,
        callback=callback,
        help=f"{row.help[0].upper()}{row.help[1:]}.\n\n\b\nusage: {row.usage} [--json]",
        short_help=row.help,
        options_metavar="",
        context_settings={"ignore_unknown_options": True},
        params=[
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
            click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar=""),
        ],
    )


def say(words: list[str], *, as_json: bool) -> int:
    """Speak to the running bot and show its answer; returns the exit status."""
    with _client() as client:
        answer = client.say(words)
    if as_json and words[0] == "timeline":
        for entry in answer.data:
            print_json(entry)
    elif as_json:
        print_json(answer.data)
    elif words[0] == "postmortem":
        click.echo(answer.data["markdown"], nl=False)
    else:
        show(terminal(), read_card(answer.card))
    return answer.exit_code


@click.command()
@click.argument("incident", default="")
def chat(incident: str) -> int:
    """Talk to the running bot in a terminal."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    with _client("console") as client:
        return console_chat(client, terminal(), incident, Path(home) / "holdfast" / "history")


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--host", default="", help="The host whose console this is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def intake(*, file: BinaryIO, host: str, as_json: bool) -> int:
    """Send console text to the running bot as an alert."""
    with _client() as client:
        receipt = client.text(file.read(), host)
    if as_json:
        print_json(receipt)
    else:
        where = ", ".join(receipt["incidents"]) or "no incident: no crash was found in it"
        click.echo(f"{receipt['accepted']} accepted, {receipt['duplicate']} duplicate: {where}")
    return 0 if receipt["incidents"] else 1


@click.command(context_settings={"ignore_unknown_options": True}, options_metavar="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one entry a line.")
@click.option("--head", default="", metavar="SEQ:HASH", help="A head noted earlier (verify).")
@click.argument("words", nargs=-1, metavar="[verify] [INC-1]")
@click.pass_context
def timeline(ctx: click.Context, *, words: Sequence[str], head: str, as_json: bool) -> int:
    """Show what happened, in order; 'timeline verify INC-1' proves that nothing was changed."""
    if not words or words[0] != "verify":
        return say(["timeline", *words], as_json=as_json)
    if len(words) != 2:
        raise BadInputError("verify needs an incident", next="timeline verify INC-1")
    from bot.commands.verify import verify  # noqa: PLC0415 - only this verb needs the database

    return verify(configuration(ctx), words[1].upper(), head, as_json=as_json)
