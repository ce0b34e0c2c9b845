"""A site: its directory, its identities, its Slack app."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from bot.app import build
from bot.commands.context import configuration
from bot.layout import lay_out


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


@token.command("revoke")
@click.argument("user")
@click.pass_context
def revoke(ctx: click.Context, user: str) -> None:
    """Make all tokens of a person void, at once; whoever is still known may get a new one."""
    app = build(configuration(ctx))
    try:
        gone = app.identities.revoke_tokens(user)
        click.echo(f"revoked: {gone} token{'s' * (gone != 1)} of {user}")
    finally:
        app.close()


@click.group()
def slack() -> None:
    """Connect Slack."""


@slack.command("manifest")
@click.option("--url", default="", help="Where Slack reaches the bot; without it Socket Mode.")
def manifest(url: str) -> None:
    """Print the app manifest to paste into Slack."""
    made: str = importlib.import_module("bot.chat.slack_manifest").manifest(url)
    click.echo(made, nl=False)


@slack.command("check")
@click.pass_context
def check(ctx: click.Context) -> int:
    """Verify tokens, scopes, channels, user groups and people; say what to mend."""
    config = configuration(ctx)
    people = {key: part.slack for key, part in config.people.items() if part.slack}
    groups = [name for names in config.groups.values() for name in names]
    findings = importlib.import_module("bot.chat.slack_call").check(config.slack, people, groups)
    for one in findings:
        click.echo(f"{'ok  ' if one.ok else 'MEND'} {one.what}")
        if not one.ok:
            click.echo(f"     Next: {one.next}")
    return 0 if all(one.ok for one in findings) else 1
