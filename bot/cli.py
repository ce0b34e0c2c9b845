"""The ``holdfast`` command."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bot import crash, logs
from bot.app import App, build
from bot.chat.client import Client
from bot.chat.console import chat as console_chat
from bot.chat.dispatch import verify
from bot.chat.grammar import VERBS, Verb
from bot.chat.terminal import show, show_reports
from bot.chat.wire import read_card
from bot.config import Config, find, load
from bot.crash.show import as_dict
from bot.errors import BadInputError, HoldfastError
from bot.layout import lay_out
from bot.runner.launch import Launcher
from bot.runner.supervise import supervise
from bot.web.serve import ChatDoor, listen, serve

DEFAULT_URL = "http://127.0.0.1:8420"


def main() -> None:
    """Run the command and turn errors into one clear text and an exit code."""
    try:
        code = holdfast.main(standalone_mode=False)
    except HoldfastError as error:
        click.echo(f"holdfast: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "file", metavar="FILE", help="holdfast.yml (or HOLDFAST_CONFIG).")
@click.version_option(package_name="holdfast")
@click.pass_context
def holdfast(ctx: click.Context, file: str | None) -> None:
    """From a crash signature to an approved, verified fleet mitigation."""
    ctx.obj = file


def _config(ctx: click.Context) -> Config:
    return load(find(ctx.find_root().obj))


def _app(ctx: click.Context) -> App:
    return build(_config(ctx))


def _client(via: str = "cli") -> Client:
    url = os.environ.get("HOLDFAST_URL") or DEFAULT_URL
    return Client(url, os.environ.get("HOLDFAST_TOKEN", ""), via=via)


def _json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


@holdfast.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Lay out a working site directory: config, inventory, runbooks, playbooks."""
    for path in lay_out(directory):
        click.echo(f"wrote {path}")
    click.echo(f"Next: edit {directory}/inventory.yml, then: cd {directory} && holdfast serve")


@holdfast.command("serve")
@click.option("--listen", "address", default="127.0.0.1:8420", show_default=True)
@click.option("--fd", type=int, multiple=True, help="Serve on an inherited socket as well.")
@click.pass_context
def serve_command(ctx: click.Context, address: str, fd: Sequence[int]) -> None:
    """Run the bot: HTTP intake and pages, worker, Slack when configured."""
    logs.configure()
    sockets = [listen(address), *(socket.socket(fileno=number) for number in fd)]
    app = _app(ctx)
    try:
        for problem in app.sources.library().problems:
            click.echo(f"left out: {problem}", err=True)
        click.echo(f"holdfast serves http://{address} (incidents, healthz, metrics)")
        launcher = Launcher(app.config.file, app.config.state_dir / "log")
        serve(app, sockets, _doors(app), launcher=launcher, stop=threading.Event())
    finally:
        app.close()


def _doors(app: App) -> list[ChatDoor]:
    slack = app.config.slack
    if not slack.bot_token and not slack.app_token:
        return []
    from bot.chat.slack import SlackDoor  # noqa: PLC0415 - loaded only where Slack is configured

    return [
        SlackDoor(app.site, app.identities, slack, known=app.sources.known, page_url=app.config.url)
    ]


@holdfast.command()
@click.argument("ident")
@click.pass_context
def run(ctx: click.Context, ident: str) -> int:
    """Supervise one queued run. The worker starts this; people need not."""
    logs.configure()
    app = _app(ctx)
    try:
        name = f"{socket.gethostname()}.{os.getpid()}"
        done = supervise(app.site, app.config.fleet, app.config.state_dir, ident, name)
    finally:
        app.close()
    return 0 if done else 1


@holdfast.group()
def token() -> None:
    """Identities for the command line and the console."""


@token.command("create")
@click.argument("user")
@click.pass_context
def token_create(ctx: click.Context, user: str) -> None:
    """Print a new token for a person of the configuration, once."""
    app = _app(ctx)
    try:
        click.echo(app.identities.create_token(user))
    finally:
        app.close()


@holdfast.command("chat")
@click.argument("incident", default="")
def chat_command(incident: str) -> None:
    """Talk to the running bot in a terminal."""
    with _client("console") as client:
        console_chat(client, _console(), incident)


@holdfast.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def read(file: Any, as_json: bool) -> int:  # noqa: FBT001 - click hands flags over so
    """Say what crashed in a console text. Exit status 1: no crash."""
    reports = crash.read(file.read())
    if as_json:
        _json([as_dict(report) for report in reports])
    elif reports:
        show_reports(_console(), reports)
    else:
        click.echo("no crash found")
    return 0 if reports else 1


@holdfast.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--host", default="", help="The host whose console this is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def intake(file: Any, host: str, as_json: bool) -> int:  # noqa: FBT001 - click hands flags over so
    """Send console text to the running bot as an alert."""
    with _client() as client:
        receipt = client.text(file.read(), host)
    if as_json:
        _json(receipt)
    else:
        where = ", ".join(receipt["incidents"]) or "no incident: no crash was found in it"
        click.echo(f"{receipt['accepted']} accepted, {receipt['duplicate']} duplicate: {where}")
    return 0 if receipt["incidents"] else 1


@holdfast.group()
def runbook() -> None:
    """Look at runbooks without a running bot."""


@holdfast.group()
def slack() -> None:
    """Connect Slack."""


@slack.command("manifest")
def slack_manifest() -> None:
    """Print the app manifest to paste into Slack."""
    click.echo((Path(__file__).parent / "chat" / "slack_manifest.yml").read_text(), nl=False)


@holdfast.command()
@click.option("--auto", is_flag=True, help="Play through without asking.")
@click.option("--out", default="demo-out", show_default=True, type=click.Path(path_type=Path))
def demo(auto: bool, out: Path) -> int:  # noqa: FBT001 - click hands flags over so
    """Replay the night on a real local fleet."""
    from bot.demo.stage import play  # noqa: PLC0415 - the demo is not loaded by the bot

    return play(out, auto=auto)


def _verb(verb: Verb) -> click.Command:
    """Make a one-shot command of a row of the grammar."""

    def callback(words: Sequence[str], as_json: bool) -> int:  # noqa: FBT001 - click hands flags over so
        return _say([verb.name, *words], as_json=as_json)

    return click.Command(
        verb.name,
        callback=callback,
        help=f"{verb.help[0].upper()}{verb.help[1:]}.\n\n\b\nusage: {verb.usage} [--json]",
        short_help=verb.help,
        options_metavar="",
        context_settings={"ignore_unknown_options": True},
        params=[
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
            click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar=""),
        ],
    )


def _say(words: list[str], *, as_json: bool) -> int:
    with _client() as client:
        answer = client.say(words)
    if as_json and words[0] == "timeline":
        for entry in answer.data:
            _json(entry)
    elif as_json:
        _json(answer.data)
    elif words[0] == "postmortem":
        click.echo(answer.data["markdown"], nl=False)
    else:
        show(_console(), read_card(answer.card))
    return answer.exit_code


for _row in VERBS.values():
    if _row.name not in {"help", "timeline"}:
        holdfast.add_command(_verb(_row))


@holdfast.command(context_settings={"ignore_unknown_options": True}, options_metavar="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one entry a line.")
@click.option("--head", default="", metavar="SEQ:HASH", help="A head noted earlier (verify).")
@click.argument("words", nargs=-1, metavar="[verify] [INC-1]")
@click.pass_context
def timeline(ctx: click.Context, words: Sequence[str], head: str, as_json: bool) -> int:  # noqa: FBT001 - click hands flags over so
    """Show what happened, in order; 'timeline verify INC-1' proves that nothing was changed."""
    if not words or words[0] != "verify":
        return _say(["timeline", *words], as_json=as_json)
    if len(words) != 2:
        raise BadInputError("verify needs an incident", next="timeline verify INC-1")
    app = _app(ctx)
    try:
        verdict = verify(app.site, app.key, words[1].upper(), head)
    finally:
        app.close()
    if as_json:
        _json(
            {
                "incident": words[1].upper(),
                "intact": verdict.intact,
                "entries": verdict.entries,
                "redacted": verdict.redacted,
                "head": verdict.head,
                "text": verdict.sentence,
            }
        )
    else:
        click.echo(f"{words[1].upper()}: {verdict.sentence}")
        click.echo(f"head {verdict.head} (note it elsewhere: --head shows a cut tail)")
    return 0 if verdict.intact else 1
