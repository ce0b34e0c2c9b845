"""A hand-written event log for tests of the fold, the decision and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.incident.fold import fold
from bot.incident.state import Incident
from bot.timeline.entry import BOT, Actor, Entry

START = datetime(2026, 1, 1, 0, 0, tzinfo=UTC)
DANA = Actor(id="dana", name="Dana", via="cli")
SAM = Actor(id="sam", name="Sam", via="cli")


class Log:
    """Appends drafts a second apart and folds them."""

    def __init__(self, hosts: Sequence[str] = ("a", "b", "c", "d")) -> None:
        self.entries: list[Entry] = []
        self.now = START
        self.names = list(hosts)

    def add(self, kind: str, data: Mapping[str, Any], actor: Actor = BOT) -> Log:
        """Append one entry."""
        self.now += timedelta(seconds=1)
        seq = len(self.entries) + 1
        self.entries.append(
            Entry(
                id=f"INC-1.{seq}",
                incident="INC-1",
                seq=seq,
                at=self.now,
                kind=kind,
                key=f"{kind}.{seq}",
                actor=actor,
                text=kind,
                data=data,
                payload_hash="",
                prev="",
                hash="",
            )
        )
        return self

    def fold(self) -> Incident:
        """Return the incident so far."""
        return fold(self.entries)

    def opened(self) -> Log:
        """Open the incident by a crash of the first host."""
        signature = {"kind": "null-deref", "function": "f", "module": None}
        self.add("incident.opened", {"title": "BUG in f", "signature": signature, "report": {}})
        return self.crash(self.names[0])

    def crash(self, host: str) -> Log:
        """Crash a host."""
        return self.add("alert.received", {"host": host, "crash": {"title": "BUG in f"}})

    def back(self, host: str) -> Log:
        """Say that a host is up again."""
        return self.add("alert.resolved", {"host": host, "up": True})

    def requested(self) -> Log:
        """Match and ask for a proposal."""
        candidate = {"runbook": "r", "reasons": ["function is f"], "evidence": [], "score": 1}
        self.add("runbook.matched", {"candidates": [candidate], "near": [], "no_knob": None})
        return self.add(
            "proposal.requested", {"runbook": "r", "mitigation": "m", "requester": "holdfast"}
        )

    def probed(self, **exposure: str) -> Log:
        """Probe: every host is exposed unless said otherwise."""
        hosts = {
            h: {
                "exposure": exposure.get(h, "exposed"),
                "boot_id": None if exposure.get(h) == "unreachable" else f"boot-{h}",
                "unreachable": exposure.get(h) == "unreachable",
                "value": "1",
            }
            for h in self.names
        }
        return self.add("exposure.probed", {"request": 1, "run": "probe", "hosts": hosts})

    def proposed(self, **changes: Any) -> Log:
        """Make a proposal on all hosts: a canary, then the rest."""
        state = self.fold()
        self.add("dryrun.recorded", {"request": 1, "sha256": "dry", "hosts": {}})
        return self.add(
            "proposal.made",
            {
                "proposal": "P-1",
                "request": 1,
                "digest": "d" * 64,
                "content": content(state, self.names, **changes),
            },
        )

    def started(self) -> Log:
        """Approve and start."""
        self.add("approval.given", {"proposal": "P-1", "digest": "d" * 64, "complete": True}, DANA)
        return self.add("rollout.started", {"proposal": "P-1", "approved_by": ["dana"]})

    def wave(self, number: int, hosts: Sequence[str], run: str = "") -> Log:
        """Start a wave."""
        data = {"proposal": "P-1", "wave": number, "hosts": list(hosts), "run": run or f"w{number}"}
        return self.add("wave.started", data)

    def ended(self, number: int, **outcomes: str) -> Log:
        """End a wave with an outcome for each host."""
        seen = {
            h: {
                "outcome": o,
                "boot_id": None if o in {"owed", "unknown"} else f"boot-{h}",
                "value": "0" if o == "verified" else "1",
                "unreachable": o == "owed",
            }
            for h, o in outcomes.items()
        }
        return self.add("wave.finished", {"proposal": "P-1", "wave": number, "outcomes": seen})

    def passed(self, number: int) -> Log:
        """Pass the gate after a wave."""
        return self.add("gate.passed", {"proposal": "P-1", "wave": number})

    def done(self) -> Log:
        """Carry out all waves and start the hold."""
        self.wave(1, self.names[1:2]).ended(1, **{self.names[1]: "verified"}).passed(1)
        rest = [h for h in self.names if h != self.names[1]]
        self.wave(2, rest).ended(2, **dict.fromkeys(rest, "verified")).passed(2)
        self.add("rollout.done", {"proposal": "P-1"})
        return self.add("hold.started", {"proposal": "P-1"})


def content(state: Incident, names: Sequence[str], **changes: Any) -> dict[str, Any]:
    """Return a proposal's content over ``names``."""
    hosts = {h: {"exposure": str(state.host(h).exposure or "exposed"), "value": "1"} for h in names}
    order = [h for h in names if hosts[h]["exposure"] != "not_applicable"]
    return {
        "proposal": "P-1",
        "incident": "INC-1",
        "requester": "holdfast",
        "purpose": "mitigate",
        "rollback_of": None,
        "runbook": {"id": "r", "title": "R", "revision": "rev"},
        "mitigation": {
            "id": "m",
            "title": "turn it off",
            "risk": "low",
            "residual": "old sockets",
            "reversible": True,
            "overridden": [],
        },
        "playbooks": [["sysctl-set.yml", None], ["sysctl-read.yml", "verify"]],
        "read": [["sysctl-read.yml", "verify"]],
        "tree": "t",
        "inventory": "i",
        "variables": {"key": "net.x", "value": "0", "ref": "P-1"},
        "hosts": hosts,
        "waves": {"order": order, "sizes": [1, len(order) - 1], "rule": [1, "100%"]},
        "gate": {
            "max_failed": 0,
            "max_lost": "10%",
            "crash_after_apply": {"limit": 0, "settle_seconds": 0},
        },
        "rollback": "sysctl-unset.yml",
        "hold": {
            "action": "restore",
            "interval_seconds": 30,
            "watch": "value",
            "exit": "patched everywhere",
        },
        "dry_run": "dry",
        "approvals": 1,
        "expires_at": "2026-01-01T00:30:00.000Z",
        **changes,
    }
