"""``holdfast demo``."""

from __future__ import annotations

from pathlib import Path

import click

from bot.demo.stage import play


@click.command()
@click.option("--auto", is_flag=True, help="Play through without asking.")
@click.option(
    "--simulated", is_flag=True, help="Use the simulated fleet even where a real one is possible."
)
@click.option("--out", default="demo-out", show_default=True, type=click.Path(path_type=Path))
def demo(*, auto: bool, simulated: bool, out: Path) -> int:
    """Replay the night on a real local fleet."""
    return play(out, auto=auto, simulated=simulated)
