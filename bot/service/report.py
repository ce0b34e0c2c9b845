"""What a supervisor reports when its run has ended, and the entries that every kind of run may leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.incident.state import Answer
from bot.ports import Run
from bot.rollout.outcome import Raw
from bot.timeline.entry import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended: ``state`` is ``finished``, ``cancelled`` or ``lost``.

    Lost is a run whose Ansible was killed: what no host has said to the end is in doubt.
    ``trouble`` is for people. ``strangers`` are hosts that had an event although the run was not on
    them; ``answer`` is what a Prometheus query came to. ``beside`` are the other runs of the same
    probe of a large fleet.
    """

    run: Run
    raws: Sequence[Raw]
    state: str = "finished"
    trouble: str = ""
    strangers: Sequence[str] = ()
    answer: Answer | None = None
    beside: Sequence[Run] = ()


def silent(report: Report) -> bool:
    """Say whether no host said anything at all: Ansible itself did not get going."""
    return all(raw.status == "missing" for raw in report.raws)


def failed(report: Report, why: str) -> Draft:
    """Say that a run came to nothing, and why."""
    return Draft(
        key=f"failed.{report.run.ident}",
        kind="run.failed",
        text=f"run {report.run.ident} failed: {why}",
        data={
            "run": report.run.ident,
            "why": why,
            "request": report.run.spec.get("request"),
            "proposal": report.run.spec.get("proposal"),
        },
    )


def lost_run(run: Run, why: str) -> Draft:
    """Say that a run was lost."""
    return Draft(
        key=f"lost.{run.ident}",
        kind="run.failed",
        text=f"run {run.ident} was lost: {why}",
        data={"run": run.ident, "why": why, "request": run.spec.get("request")},
    )


def lost_hosts(run: Run, hosts: Sequence[str]) -> Draft:
    """Say which hosts of a lost run are in doubt."""
    names = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" * (len(hosts) > 4))
    return Draft(
        key=f"lost.{run.ident}.hosts",
        kind="wave.lost",
        text=f"{names or 'no host'}: unknown, to be read back before anything else",
        data={
            "run": run.ident,
            "proposal": run.spec["proposal"],
            "wave": run.spec.get("wave"),
            "hosts": list(hosts),
        },
    )


def unrun(run: Run) -> Draft:
    """Say that a wave touched nobody, so that the rollout does not wait for it."""
    return Draft(
        key=f"unrun.{run.ident}",
        kind="wave.lost",
        text=f"wave {run.spec['wave']} was not carried out and touched none of "
        f"its {len(run.hosts)} hosts",
        data={
            "run": run.ident,
            "proposal": run.spec["proposal"],
            "wave": run.spec["wave"],
            "hosts": [],
        },
    )
