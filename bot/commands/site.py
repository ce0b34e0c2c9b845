"""A site: its directory, its identities, its Slack app."""

from __future__ import annotations

from pathlib import Path

import click

from bot.app import build
from bot.commands.context import configuration
from bot.layout import lay_out

MANIFEST = Path(__file__).resolve().parent.parent / "chat" / "slack_manifest.yml"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Lay out a working site directory: config, inventory, runbooks, playbooks."""
    for path in lay_out(directory):
        click.echo(f"wrote {path}")
    click.echo(f"Next: edit {directory}/inventory.yml, then: cd {directory} && holdfast serve")


@click.group()
def token() -> None:
    """Identities for the command line and the console."""


@token.command("create")
@click.argument("user")
@click.pass_context
def create(ctx: click.Context, user: str) -> None:
    """Print a new token for a person of the configuration, once."""
    app = build(configuration(ctx))
    try:
        click.echo(app.identities.create_token(user))
    finally:
        app.close()


@click.group()
def slack() -> None:
    """Connect Slack."""


@slack.command("manifest")
def manifest() -> None:
    """Print the app manifest to paste into Slack."""
    click.echo(MANIFEST.read_text(), nl=False)
