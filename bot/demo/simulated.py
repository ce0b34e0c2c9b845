"""A fleet that is not there, for machines without namespaces. Whatever shows it must say so."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.demo.fleet import HostSpec
from bot.ports import Run
from bot.rollout.outcome import Raw
from bot.service.record import record
from bot.service.report import Report
from bot.service.site import Site


@dataclass(slots=True)
class _Host:
    spec: HostSpec
    live: dict[str, str]
    disk: dict[str, str]
    up: bool = True
    boot_id: str = ""


class SimulatedFleet:
    """Hosts that are rows in memory; the same methods as the real fleet's."""

    def __init__(self, specs: Sequence[HostSpec], knob: str) -> None:
        self.hosts: Mapping[str, HostSpec] = {spec.name: spec for spec in specs}
        self._knob = knob
        self._lock = threading.Lock()
        self._rows = {spec.name: _Host(spec=spec, live={}, disk={}) for spec in specs}
        self.boot(*self._rows)

    def crash(self, *names: str) -> None:
        """Take hosts down."""
        for name in names:
            self._rows[name].up = False

    def boot(self, *names: str) -> None:
        """Bring hosts up with a new boot id, defaults, and what their disk persists."""
        for name in names:
            row = self._rows[name]
            row.live = {"net.ipv4.tcp_sack": "1"} | ({self._knob: "1"} if row.spec.patched else {})
            row.live |= {k: v for k, v in row.disk.items() if k in row.live}
            row.boot_id, row.up = str(uuid.uuid4()), True

    def alive(self, name: str) -> bool:
        """Say whether the host is up."""
        return self._rows[name].up

    def read(self, name: str, key: str) -> str | None:
        """Return a value; None without the knob."""
        return self._rows[name].live.get(key)

    def write(self, name: str, key: str, value: str) -> None:
        """Set a live value that the host has."""
        with self._lock:
            if key in self._rows[name].live:
                self._rows[name].live[key] = value

    def write_inventory(self, path: Path) -> Path:
        """Write an inventory that names the hosts."""
        pools: dict[str, list[str]] = {}
        for spec in self.hosts.values():
            pools.setdefault(spec.pool, []).append(f"{spec.name} rack={spec.rack}")
        path.write_text("".join(f"[{p}]\n" + "\n".join(h) + "\n\n" for p, h in pools.items()))
        return path

    def answer(self, name: str, phases: Sequence[str], variables: Mapping[str, Any]) -> Raw:
        """Answer one run as the shipped sysctl playbooks would."""
        row = self._rows[name]
        if not row.up:
            return Raw(host=name, status="unreachable", message="simulated: no route to host")
        return Raw(
            host=name, status="ok", facts=tuple(self._fact(row, p, variables) for p in phases)
        )

    def _fact(self, row: _Host, phase: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        key, wanted = str(variables["key"]), str(variables["value"])
        before = row.live.get(key)
        if phase == "apply" and before is not None:
            row.disk[key] = row.live[key] = wanted
        value = row.live.get(key)
        return {
            "holdfast": 1,
            "phase": phase,
            "applicable": value is not None,
            "value": value,
            "wanted": wanted,
            "safe": value == wanted,
            "persisted": row.disk.get(key) == wanted,
            "would": [f"{key}: {value} -> {wanted}"] if value != wanted else [],
            "boot_id": row.boot_id,
            "kernel": row.spec.release,
            "reason": "" if value is not None else f"simulated: no {key}",
        }


class SimulatedLauncher:
    """Carries runs out against the simulated fleet, through the same report."""

    def __init__(self, site: Site, fleet: SimulatedFleet) -> None:
        self._site = site
        self._fleet = fleet

    def launch(self, run: Run) -> None:
        """Carry the run out in a thread."""
        threading.Thread(target=self._run, args=(run.ident,), daemon=True).start()

    def reap(self) -> None:
        """Do nothing: threads end by themselves."""

    def _run(self, ident: str) -> None:
        run = self._site.store.claim_run(ident, "simulated")
        if run is None:
            return
        self._site.clock.sleep(0.5)
        phases = ["preview"] if run.spec.get("check") else _phases(run.spec)
        raws = [self._fleet.answer(host, phases, run.spec["variables"]) for host in run.hosts]
        record(self._site, Report(run=run, raws=raws))


def _phases(spec: Mapping[str, Any]) -> list[str]:
    return [phase or "apply" for _, phase in spec["playbooks"]]
