"""``holdfast run IDENT``: the supervisor of one run."""

from __future__ import annotations

import click

from bot import logs
from bot.app import build
from bot.commands.context import configuration
from bot.runner import trace
from bot.runner.supervise import supervise


@click.command()
@click.argument("ident")
@click.pass_context
def run(ctx: click.Context, ident: str) -> int:
    """Supervise one queued run. The worker starts this; people need not."""
    logs.configure()
    app = build(configuration(ctx))
    try:
        done = supervise(app.site, app.config.fleet, app.config.state_dir, ident, trace.worker())
    finally:
        app.close()
    return 0 if done else 1
