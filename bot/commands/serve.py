"""``holdfast serve``."""

from __future__ import annotations

import importlib
import socket
import threading
from collections.abc import Sequence

import click

from bot import logs
from bot.app import App, build
from bot.commands.context import configuration
from bot.runner.launch import Launcher
from bot.web.serve import ChatDoor, listen
from bot.web.serve import serve as run_server


@click.command()
@click.option("--listen", "address", default="127.0.0.1:8420", show_default=True)
@click.option("--fd", type=int, multiple=True, help="Serve on an inherited socket as well.")
@click.pass_context
def serve(ctx: click.Context, address: str, fd: Sequence[int]) -> None:
    """Run the bot: HTTP intake and pages, worker, Slack when configured."""
    logs.configure()
    sockets = [listen(address), *(socket.socket(fileno=number) for number in fd)]
    app = build(configuration(ctx))
    try:
        for problem in app.sources.library().problems:
            click.echo(f"left out: {problem}", err=True)
        click.echo(f"holdfast serves http://{address} (incidents, healthz, metrics)")
        launcher = Launcher(app.config.file, app.config.state_dir, app.sources.hand_over)
        launcher.tidy()
        try:
            run_server(app, sockets, _doors(app), launcher=launcher, stop=threading.Event())
        finally:
            launcher.close()
    finally:
        app.close()


def _doors(app: App) -> list[ChatDoor]:
    """Return the chat systems that are configured; Slack's library is loaded only then."""
    slack = app.config.slack
    if not (slack.bot_token or slack.app_token or slack.signing_secret):
        return []
    door = importlib.import_module("bot.chat.slack").SlackDoor
    known, url = app.sources.known, app.config.url
    made = door(app.site, app.identities, slack, known=known, page_url=url)
    app.roster.reader = getattr(made, "group_members", None)
    return [made]
