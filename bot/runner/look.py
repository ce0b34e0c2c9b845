"""Look at one host at once, with a read-only playbook: for commands of a person, not for incidents."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bot.config import Config
from bot.errors import NotFoundError
from bot.fleet.inventory import document
from bot.rollout.outcome import Raw
from bot.runbook.variable import Plain
from bot.runner import ansible, pin
from bot.runner.leash import Lease
from bot.runner.sources import DiskSources


def look(
    config: Config, sources: DiskSources, host: str, playbook: str, variables: Mapping[str, Plain]
) -> Raw:
    """Run the playbook on exactly this host and return what it said.

    Call it in a process that ends afterwards: its environment is replaced. Raises ``NotFoundError``
    for a host or a playbook that does not exist.
    """
    if playbook not in sources.playbooks():
        raise NotFoundError(
            f"there is no playbook {playbook!r}",
            where=str(config.path(config.playbooks)),
            next="copy it and its files/ from the shipped playbooks",
        )
    found = sources.inventory()
    if host not in found.hosts:
        close = difflib.get_close_matches(host, found.hosts, n=1)
        hint = f"did you mean {close[0]}?" if close else "name a host of the inventory"
        raise NotFoundError(f"there is no host {host!r} in the inventory", next=hint)
    with tempfile.TemporaryDirectory() as scratch, Lease() as lease:
        directory = Path(scratch)
        lease.write_to(directory / "lease")
        pin.lay_out(sources.pin(), config.state_dir / "pinned", directory / "project")
        job = ansible.Job(
            directory=directory,
            playbooks=((playbook, "probe"),),
            inventory=document(found, [host]),
            variables=variables,
            fleet=config.fleet,
        )
        results = ansible.Results(closing="probe")
        ansible.run(job, results, lease)
        ansible.sweep()
    return results.raws([host])[0]
