"""What runs that only read have found, host by host: probes, dry runs, diagnosis, a gate's questions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bot.incident.state import Exposure, Incident
from bot.rollout.gate import checked
from bot.rollout.outcome import Raw, exposure
from bot.runbook.judge import USUAL
from bot.service.report import Report, failed, silent
from bot.timeline.chain import canonical
from bot.timeline.entry import Draft

LONGEST = 100
"""How many lines of a host's dry run are kept."""
LONGEST_ANSWER = 128 << 10
"""Characters of an answer to a look that an entry holds."""
UNFINISHED = frozenset({"queued", "running"})


def probe(incident: Incident, report: Report) -> list[Draft]:
    """Say what every host's exposure is."""
    if silent(report):
        return [failed(report, report.trouble or "no host was reached by Ansible")]
    rule = report.run.spec.get("applies_if") or USUAL
    hosts = {raw.host: exposure(raw, rule) for raw in report.raws}
    counts = Counter(seen["exposure"] for seen in hosts.values())
    waiting = counts[Exposure.UNREACHABLE] + counts[Exposure.UNKNOWN]
    text = " · ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(counts.items()))
    others = Counter(incident.host(h).exposure for r in report.beside for h in r.hosts)
    waiting += others[Exposure.UNREACHABLE] + others[Exposure.UNKNOWN] + others[None]
    exposed = counts[Exposure.EXPOSED] + others[Exposure.EXPOSED]
    part = any(r.state in UNFINISHED for r in report.beside)
    lost = any(r.state not in {*UNFINISHED, "finished"} for r in report.beside)
    usable = not part and not lost and (exposed > 0 or waiting == 0)
    if (
        not usable
        and not part
        and all(incident.host(h).exposure == hosts[h]["exposure"] for h in hosts)
    ):
        return []  # as before: hours of probing a dead fleet stay readable
    data = {
        "request": report.run.spec.get("request"),
        "run": report.run.ident,
        "hosts": hosts,
        "pools": report.run.spec.get("pools", {}),
        "usable": usable,
        **({"part": True} if part else {}),
    }
    return [
        Draft(
            key=f"probed.{report.run.ident}",
            kind="exposure.probed",
            text=f"probed {len(hosts)} hosts: {text}",
            data=data,
        )
    ]


def preview(_incident: Incident, report: Report) -> list[Draft]:
    """Say what the dry run would do to each host."""
    hosts = {raw.host: _would(raw) for raw in report.raws}
    answered = {h: w for h, w in hosts.items() if w is not None}
    if not answered:
        whys = "; ".join(dict.fromkeys(r.message for r in report.raws if r.message))
        return [failed(report, whys or report.trouble or "no host answered the dry run")]
    blind = list(dict.fromkeys(task for raw in report.raws for task in raw.blind))
    value = {"hosts": {h: answered[h] for h in sorted(answered)}, "cannot_preview": blind}
    sha = hashlib.sha256(canonical(value).encode()).hexdigest()
    silent = sorted(set(hosts) - set(answered))
    note = f"; no answer from {', '.join(silent)}" if silent else ""
    return [
        Draft(
            key=f"preview.{report.run.ident}",
            kind="dryrun.recorded",
            text=f"dry run on {len(answered)} hosts{note}{_cannot(blind)}",
            data={
                "request": report.run.spec.get("request"),
                "run": report.run.ident,
                "sha256": sha,
                "silent": silent,
                **value,
            },
        )
    ]


def diagnosed(_incident: Incident, report: Report) -> list[Draft]:
    """Note what each host said to a look; who said nothing is asked again."""
    spec = report.run.spec
    found = {raw.host: dict(raw.facts[-1]) for raw in report.raws if raw.facts}
    if not found:
        whys = "; ".join(dict.fromkeys(raw.message for raw in report.raws if raw.message))
        why = report.trouble or whys or "no host answered"
        return [failed(report, f"looked at '{spec['title']}': {why}")]
    kept = {host: _bounded(fact) for host, fact in found.items()}
    said = [f"{host}: {fact.get('reason') or fact.get('value')}" for host, fact in kept.items()]
    shown = [line[:200] for line in said if not line.endswith(": None")][:3]
    silent = sorted(set(report.run.hosts) - set(found))
    note = f"; no answer from {', '.join(silent[:4])}" if silent else ""
    return [
        Draft(
            key=f"diagnosed.{report.run.ident}",
            kind="host.diagnosed",
            text=f"looked at '{spec['title']}' on {len(found)} hosts"
            + "".join(f"; {line}" for line in shown)
            + note,
            data={
                "look": spec["look"],
                "title": spec["title"],
                "run": report.run.ident,
                "hosts": kept,
                "silent": silent,
            },
        )
    ]


def asked(_incident: Incident, report: Report) -> list[Draft]:
    """Say what a check of the gate answered, or that nobody answered it."""
    spec = report.run.spec
    proposal, wave, attempt, check = spec["asks"]
    answer = report.answer or checked(report.raws)
    if answer is None or report.state == "cancelled" or (silent(report) and not report.answer):
        return [failed(report, report.trouble or "no host could be reached to ask it")]
    word = "passes" if answer.ok else "does not pass"
    return [
        Draft(
            key=f"asked.{proposal}.{wave}.{attempt}.{check}",
            kind="gate.checked",
            text=f"check '{spec['title']}' {word}: {answer.sentence}",
            data={
                "proposal": proposal,
                "wave": wave,
                "check": check,
                "title": spec["title"],
                "ok": answer.ok,
                "why": answer.sentence,
                "run": report.run.ident,
            },
        )
    ]


def _cannot(blind: Sequence[str]) -> str:
    return f"; cannot preview: {', '.join(blind)}" if blind else ""


def _would(raw: Raw) -> list[str] | None:
    """Return what the dry run says of a host; None if it says nothing at all."""
    previews = [f for f in raw.facts if f.get("phase") == "preview"]
    lines = list(raw.would)
    if previews:
        last = previews[-1]
        if not last.get("applicable"):
            return [f"nothing: {last.get('reason') or 'not applicable'}"]
        lines = [*(str(line) for line in last.get("would", [])), *lines]
    elif raw.status == "unreachable" or (raw.status != "ok" and not raw.blind):
        return None
    if raw.status == "failed":
        lines.append(f"then it fails in check mode: {raw.message}")
    if not lines:
        return ["nothing that can be previewed" if raw.blind else "nothing: it is so already"]
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"… and {len(lines) - LONGEST} more lines"]
    return lines


def _bounded(fact: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer, or its usual fields if the rest is too long for an entry."""
    if len(canonical(fact)) <= LONGEST_ANSWER:
        return dict(fact)
    usual = ("holdfast", "phase", "applicable", "value", "reason", "boot_id", "kernel")
    return {**{name: fact[name] for name in usual if name in fact}, "cut": True}
