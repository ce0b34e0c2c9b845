"""Realistic entry lists for tests: a whole night, and a bad one, as the services write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot import crash
from bot.approval.policy import Person
from bot.clock import stamp
from bot.crash.show import as_dict
from bot.proposal.content import digest
from bot.timeline.chain import GENESIS, body, link, payload_hash
from bot.timeline.entry import BOT, Actor, Draft, Entry

START = datetime(2026, 3, 14, 2, 13, 7, tzinfo=UTC)
SECRET = b"a key for tests"
INTAKE = Actor(id="alertmanager", name="alertmanager", via="intake")
KIM = Actor(id="kim", name="Kim Larsen", via="slack")
ROBIN = Actor(id="robin", name="Robin Oduya", via="cli")
PEOPLE = {
    "kim": Person(id="kim", name="Kim Larsen", roles=frozenset({"approver", "commander"})),
    "robin": Person(id="robin", name="Robin Oduya", roles=frozenset({"responder"})),
}
POOLS = {
    "db": ("db-01", "db-02", "db-03"),
    "web": ("web-01", "web-02", "web-03", "web-04", "web-05", "web-06"),
}
HOSTS = (*POOLS["db"], "old-01", *POOLS["web"])
OOPS = """\
[81234.118702] BUG: unable to handle kernel NULL pointer dereference at 0000000000000038
[81234.118731] IP: [<ffffffff8164a3c2>] tcp_estats_update_mss+0x12/0x40
[81234.118771] Oops: 0002 [#1] SMP
[81234.118784] CPU: 5 PID: 0 Comm: swapper/5 Not tainted 3.14.27-web10g #1
[81234.118802] RIP: 0010:[<ffffffff8164a3c2>]  [<ffffffff8164a3c2>] tcp_estats_update_mss+0x12/0x40
[81234.118840] Call Trace:
[81234.118855]  [<ffffffff81635f70>] tcp_sync_mss+0x80/0xb0
[81234.118870]  [<ffffffff81640d2e>] tcp_v4_mtu_reduced+0x9e/0xc0
[81234.118962] Kernel panic - not syncing: Fatal exception in interrupt
"""
HOSTILE = (
    "{{ lookup('pipe','touch /tmp/x') }} <script>alert(1)</script> | `id` ``` ~~~ <!channel> "
    "[go](https://evil.example) ![x](y) @here #1 *b* _i_ $x$ \\| \x1b[31m \u202egnp.exe\n# heading"
)


def boot(host: str, number: int = 1) -> str:
    """Return a boot id, another one for each host and boot."""
    return f"{number:02d}{HOSTS.index(host) if host in HOSTS else 99:02d}c0de-0000-4000-8000-1234abcd5678"


def redacted(entry: Entry) -> Entry:
    """Return the entry as the store gives it back once its payload is gone."""
    gone = Actor(id="", name="", via="")
    return replace(entry, actor=gone, text="", data={}, redacted=True)


class Log:
    """Appends drafts as the store does: numbered, chained, each key once."""

    def __init__(self, incident: str = "INC-1", at: datetime = START) -> None:
        self.incident = incident
        self.at = at
        self.entries: list[Entry] = []
        self.proposals: dict[str, str] = {}

    def add(
        self,
        kind: str,
        text: str,
        data: Mapping[str, Any] | None = None,
        *,
        actor: Actor = BOT,
        after: float = 1.0,
        key: str = "",
    ) -> Entry:
        """Append one entry ``after`` seconds; the key is the kind and number unless given."""
        self.at += timedelta(seconds=after)
        seq = len(self.entries) + 1
        draft = Draft(
            key=key or f"{kind}.{seq}", kind=kind, text=text, actor=actor, data=data or {}
        )
        prev = self.entries[-1].hash if self.entries else GENESIS
        hashed = payload_hash(body(draft, "salt"))
        row = (self.incident, seq, draft.key, kind, stamp(self.at), hashed)
        entry = Entry(
            id=f"{self.incident}-{seq}",
            incident=self.incident,
            seq=seq,
            at=self.at,
            kind=kind,
            key=draft.key,
            actor=actor,
            text=text,
            data=draft.data,
            payload_hash=hashed,
            prev=prev,
            hash=link(SECRET, prev, row),
        )
        self.entries.append(entry)
        return entry

    def crash(self, host: str, *, after: float = 4.0, known: bool = True, text: str = OOPS) -> None:
        """Let a host crash; the first one opens the incident."""
        report = crash.read(text)[0]
        facts = as_dict(report)
        if not self.entries:
            after = 0
            signature = {k: facts[k] for k in ("kind", "function", "module")}
            data = {"title": report.title, "signature": signature, "report": facts}
            said = f"incident opened: {report.title}"
            self.add("incident.opened", said, data, actor=INTAKE, after=0, key="opened")
        data = {**self._alert(host, known=known), "crash": facts, "text": text}
        said = f"{host}: {report.title}"
        self.add("alert.received", said, data, actor=INTAKE, after=after)

    def back(self, host: str, *, after: float = 30.0) -> None:
        """Say that the alert about a host that was down is over."""
        data = {**self._alert(host), "text": "", "down": False, "up": True}
        said = f"{host}: HostDown is over"
        self.add("alert.resolved", said, data, actor=INTAKE, after=after)

    def _alert(self, host: str, *, known: bool = True) -> dict[str, Any]:
        return {
            "source": "alertmanager",
            "alert": f"alertmanager/{host}/{len(self.entries)}",
            "name": "KernelOops",
            "host": host,
            "said": f"{host}:9100",
            "known": known,
            "plain_name": True,
            "labels": {"instance": f"{host}:9100"},
            "link": "",
            "cut": 0,
        }

    def matched(self) -> None:
        """Match the flagship's runbook and ask for a proposal."""
        report = crash.read(OOPS)[0]
        candidate = {
            "runbook": "tcp-estats-update-mss",
            "title": "TCP statistics (Web10G) dereference NULL in tcp_estats_update_mss",
            "score": 30,
            "reasons": ["kind null-deref", "function tcp_estats_update_mss"],
            "evidence": [{"line": e.number, "text": e.text} for e in report.evidence],
            "warning": "",
        }
        near = {
            "runbook": "tcp-sack-panic",
            "clause": "function",
            "why": "tcp_estats_update_mss is not tcp_shifted_skb",
        }
        data = {"candidates": [candidate], "near": [near], "choice": False, "no_knob": None}
        text = "matches runbook tcp-estats-update-mss: function tcp_estats_update_mss"
        self.add("runbook.matched", text, data, key="matched.1")

    def request(self, number: int, rollback_of: str | None = None, actor: Actor = BOT) -> None:
        """Ask for a proposal."""
        data = {
            "runbook": "tcp-estats-update-mss",
            "mitigation": "disable-estats",
            "requester": actor.id,
            "purpose": "rollback" if rollback_of else "mitigate",
            "rollback_of": rollback_of,
        }
        text = f"{actor.name} asks for a proposal"
        self.add("proposal.requested", text, data, actor=actor, key=f"requested.{number}")

    def probe(self, request: int, unreachable: Iterable[str] = ()) -> None:
        """Read the whole fleet: ``old-01`` has no knob."""
        hosts: dict[str, Any] = {h: self._probed(h) for h in HOSTS}
        for host in unreachable:
            reason = "ssh: connect to host: No route to host"
            hosts[host] = {"exposure": "unreachable", "reason": reason, "unreachable": True}
        data = {
            "request": request,
            "run": f"{self.incident}.probe.{request}.1",
            "hosts": hosts,
            "pools": {pool: list(members) for pool, members in POOLS.items()},
            "usable": True,
        }
        self.add("exposure.probed", f"probed {len(hosts)} hosts", data, after=6)

    def _probed(self, host: str) -> dict[str, Any]:
        na = host == "old-01"
        return {
            "exposure": "not_applicable" if na else "exposed",
            "reason": "net.ipv4.tcp_estats does not exist on this kernel" if na else "",
            "safe": False,
            "value": None if na else "127",
            "boot_id": boot(host),
            "kernel": "2.6.32-754.el6" if na else "3.14.27-web10g",
        }

    def preview(self, request: int) -> None:
        """Record the dry run."""
        would = ["write /etc/sysctl.d/99-zz-holdfast-net.ipv4.tcp_estats.conf", "127 becomes 0"]
        data = {
            "request": request,
            "run": f"{self.incident}.preview.{request}.1",
            "sha256": f"{request}" * 64,
            "hosts": {"db-01": would, "db-02": would},
            "silent": [],
        }
        self.add("dryrun.recorded", "dry run on 2 hosts", data, after=5)

    def propose(self, name: str, request: int, rollback_of: str | None = None) -> None:
        """Make the proposal: the canary is ``db-01``."""
        content = _content(self, name, request, rollback_of)
        self.proposals[name] = digest(content)
        data = {
            "proposal": name,
            "request": request,
            "digest": self.proposals[name],
            "content": content,
        }
        self.add("proposal.made", f"{name} proposed on {len(content['hosts'])} hosts", data)

    def prepare(self, name: str, request: int, rollback_of: str | None = None) -> None:
        """Request, probe, preview and propose in one go."""
        self.request(request, rollback_of, KIM if rollback_of else BOT)
        self.probe(request, ("web-01", "web-02"))
        self.preview(request)
        self.propose(name, request, rollback_of)

    def about(self, kind: str, name: str, text: str, actor: Actor = BOT, **data: Any) -> None:
        """Append an entry about a proposal, with its digest."""
        whole = {"proposal": name, "digest": self.proposals[name], **data}
        self.add(kind, text, whole, actor=actor, after=9)

    def approve(self, name: str, actor: Actor = KIM) -> None:
        """Approve and start."""
        said = f"{actor.name} approved {name} (1/1 approvals)"
        self.about("approval.given", name, said, actor, complete=True, roles=["approver"])
        by: dict[str, Any] = {"approved_by": [actor.id], "hosts": len(HOSTS)}
        self.about("rollout.started", name, f"{name} started: 1/1 approvals", **by)

    def wave(
        self,
        name: str,
        number: int,
        outcomes: Mapping[str, str] | None,
        *,
        hosts: Sequence[str] = (),
        owed: Sequence[str] = (),
        passes: bool = True,
    ) -> None:
        """Carry out a wave. Without ``outcomes`` its run is lost."""
        listed = list(outcomes or hosts)
        run = f"{self.incident}.{name}.wave.{number}.1"
        facts: dict[str, Any] = {"wave": number, "run": run, "purpose": "first"}
        text = f"wave {number} started on {', '.join(listed)}"
        self.about("wave.started", name, text, **facts, hosts=listed, owed=list(owed))
        if outcomes is None:
            text = f"{', '.join(listed)}: unknown, to be read back before anything else"
            self.about("wave.lost", name, text, run=run, wave=number, hosts=listed)
            return
        seen = {host: outcome(host, word) for host, word in outcomes.items()}
        lane = f"wave {number}"
        self.about("wave.finished", name, f"{lane}: ended", **facts, lane=lane, outcomes=seen)
        if passes:
            why = "within its limits"
            self.about("gate.passed", name, f"gate after {lane}: {why}", wave=number, why=why)

    def update(self, name: str, lane: str, **outcomes: str) -> None:
        """Change outcomes outside a wave; a host is written ``web_02="verified"``."""
        named = {host.replace("_", "-"): word for host, word in outcomes.items()}
        seen = {host: outcome(host, word, 2) for host, word in named.items()}
        facts: dict[str, Any] = {
            "run": f"{self.incident}.{name}.{lane}.1",
            "lane": lane,
            "purpose": lane,
        }
        text = f"{lane}: {', '.join(named)}: {', '.join(named.values())}"
        self.about("hosts.updated", name, text, **facts, outcomes=seen)

    def drift(self, name: str, host: str, number: int = 1) -> None:
        """Let the value drift back under the hold."""
        text = f"{host}: the value changed under the hold: 0 became 127"
        facts: dict[str, Any] = {"host": host, "value": "127", "was": "0", "same_boot": True}
        self.about("hold.drifted", name, text, **facts, boot_id=boot(host, number))

    def restored(self, name: str, host: str) -> None:
        """Write the value again under the approval."""
        self.update(name, "restore", **{host.replace("-", "_"): "verified"})
        text = f"{host}: restored to 0, verified"
        self.about("hold.restored", name, text, host=host, value="0", boot_id=boot(host, 2))


def outcome(host: str, word: str, number: int = 1) -> dict[str, Any]:
    """Return one host's outcome as a run reports it."""
    reasons = {
        "owed": "Failed to connect to the host via ssh",
        "failed": "read back 127, wanted 0",
        "unknown": "it answered the write, not the read-back: to be read back",
        "applied": "live value set, lost at the next boot: a later file sets it back",
        "not_applicable": "net.ipv4.tcp_estats does not exist on this kernel",
    }
    up = word in {"verified", "applied", "failed", "rolled_back", "not_applicable"}
    return {
        "outcome": word,
        "reason": reasons.get(word, ""),
        "value": {"verified": "0", "applied": "0", "failed": "127", "rolled_back": "127"}.get(word),
        "boot_id": boot(host, number) if up else None,
        "kernel": "3.14.27-web10g" if up else None,
        "unreachable": word == "owed",
    }


def _content(log: Log, name: str, request: int, rollback_of: str | None) -> dict[str, Any]:
    queue = [h for h in HOSTS if h != "old-01"]
    write = "sysctl-unset.yml" if rollback_of else "sysctl-set.yml"
    return {
        "incident": log.incident,
        "proposal": name,
        "requester": "kim" if rollback_of else BOT.id,
        "purpose": "rollback" if rollback_of else "mitigate",
        "rollback_of": rollback_of,
        "runbook": {
            "id": "tcp-estats-update-mss",
            "title": "TCP statistics (Web10G) dereference NULL in tcp_estats_update_mss",
            "revision": "5e" * 32,
        },
        "mitigation": {
            "id": "disable-estats",
            "title": "Switch extended TCP statistics off (net.ipv4.tcp_estats=0)",
            "risk": "low",
            "residual": "Only sockets that are created after the write are safe.",
            "reversible": True,
            "overridden": ["key"],
        },
        "playbooks": [[write, None], ["sysctl-read.yml", "verify"]],
        "read": [["sysctl-read.yml", "verify"]],
        "tree": "7f" * 32,
        "inventory": "1a" * 32,
        "variables": {"key": "net.ipv4.tcp_estats", "value": "0", "ref": name},
        "hosts": {h: {"exposure": _exposure(h), "value": "127", "kernel": None} for h in HOSTS},
        "waves": {"order": queue, "sizes": [1, len(queue) - 1], "rule": [1, "100%"]},
        "gate": {
            "max_failed": 0,
            "max_lost": "10%",
            "crash_after_apply": {"limit": 0, "settle_seconds": 600.0},
        },
        "rollback": "sysctl-unset.yml",
        "hold": {} if rollback_of else dict(HOLD),
        "dry_run": f"{request}" * 64,
        "approvals": 1,
        "expires_at": stamp(log.at + timedelta(minutes=30)),
    }


def _exposure(host: str) -> str:
    if host in {"web-01", "web-02"}:
        return "unreachable"
    return "not_applicable" if host == "old-01" else "exposed"


HOLD = {
    "action": "restore",
    "interval_seconds": 30.0,
    "watch": "value",
    "exit": "Every host runs a kernel without the fault for 7 days.",
}


def opening(log: Log) -> None:
    """Three hosts crash, one twice, one that nobody knows; a proposal is made."""
    log.crash("web-01")
    log.matched()
    log.crash("web-02")
    log.prepare("P-1", 1)
    log.crash("web-01", after=70)
    log.crash("rogue-9", known=False)
    said = {"role": "commander", "person": "kim"}
    log.add("incident.assigned", "Kim Larsen is commander", said, actor=ROBIN)
    log.add("incident.severity", "severity sev1", {"severity": "sev1"}, actor=KIM)
    why = "approve needs the role approver or commander; Robin Oduya has responder"
    log.about("approval.refused", "P-1", f"Robin's approval was refused: {why}", ROBIN, why=why)


def night() -> list[Entry]:
    """Return the whole night: from the first crash to the resolved incident."""
    log = Log()
    opening(log)
    log.approve("P-1")
    log.wave("P-1", 1, {"db-01": "verified"})
    rest = dict.fromkeys(("db-02", "web-03", "web-04", "web-05", "web-06"), "verified")
    log.wave("P-1", 2, {**rest, "db-03": "owed"}, owed=("web-01", "web-02"))
    log.about("rollout.done", "P-1", "P-1: all waves carried out", outcomes={"verified": 6})
    log.about("hold.started", "P-1", "hold: 6 hosts are read every 30 s", hold=dict(HOLD))
    log.back("web-02")
    log.update("P-1", "retry", web_02="verified")
    log.crash("web-03", after=45)
    log.update("P-1", "reboot", web_03="verified")
    log.drift("P-1", "web-04")
    log.restored("P-1", "web-04")
    log.add("note.added", "mail gateway drained by hand", actor=ROBIN)
    log.update("P-1", "retry", web_01="verified", db_03="verified")
    log.about("hold.released", "P-1", "hold released by Kim Larsen", KIM, owed=[])
    log.add("incident.resolved", "resolved by Kim Larsen", actor=KIM)
    return log.entries


def bad_night() -> list[Entry]:
    """Return a night in which runs are lost, a gate halts, and everything is rolled back."""
    log = Log("INC-2")
    opening(log)
    log.about("proposal.superseded", "P-1", "P-1 superseded: the runbook changed", why="changed")
    log.prepare("P-2", 2)
    log.about("proposal.rejected", "P-2", "P-2 rejected by Kim Larsen", KIM, why="wrong time")
    log.prepare("P-3", 3)
    log.approve("P-3")
    log.wave("P-3", 1, None, hosts=("db-01",))
    log.update("P-3", "readback", db_01="verified")
    log.about("gate.passed", "P-3", "gate after wave 1", wave=1, why="within its limits")
    log.about("rollout.paused", "P-3", "P-3 paused by Robin Oduya", ROBIN, why="paused")
    log.about("rollout.resumed", "P-3", "P-3 resumed by Kim Larsen", KIM, why="resumed")
    second = {"db-02": "failed", "db-03": "unknown", "web-03": "applied", "web-04": "verified"}
    log.wave("P-3", 2, second, owed=("web-01",), passes=False)
    why = "1 of 4 hosts not verified (limit 0): db-02: read back 127, wanted 0"
    log.about("rollout.halted", "P-3", f"P-3 halted after wave 2: {why}", wave=2, why=why)
    late = {"run": "INC-2.P-3.wave.1.1", "hosts": {"db-01": "ok"}}
    log.add("wave.late", "a run reported after it was given up", late)
    log.about("rollout.aborted", "P-3", "P-3 aborted by Robin Oduya", ROBIN, why=HOSTILE)
    log.prepare("P-4", 4, rollback_of="P-3")
    log.approve("P-4")
    log.wave("P-4", 1, {"db-01": "rolled_back"})
    log.wave("P-4", 2, {"db-02": "rolled_back", "db-03": "owed", "web-04": "rolled_back"})
    log.about("rollout.done", "P-4", "P-4: all waves carried out", outcomes={})
    return log.entries
