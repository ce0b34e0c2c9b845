"""What a report says about the machine and the task: release, processor, comm, taint, hardware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.crash.window import Window

_TAINT = (
    r"(?:Not tainted|Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?)) +(?:-{4,20} +(?:T +)?)?"
    r"(?:\[[^\]]{0,200}\],? )?\(?(?P<release>\d+\.\d+[^\s)]*)"
)
_TASK = re.compile(
    r"(?:CPU: (?P<cpu>\d+) (?:UID: \d+ )?)?P[Ii][Dd]: (?P<pid>\d+),? [Cc]omm: "
    rf"(?P<comm>.{{1,64}}?) (?:Kdump: loaded )?{_TAINT}"
)
_VERSION = re.compile(_TAINT)
_TAINT_WORDS = re.compile(r"Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?) +(?:\[|,|\d|-)")
_LINUX = re.compile(r"Linux version (?P<release>\d+\.\S+)")
_HARDWARE = re.compile(r"Hardware name: ?(?P<hardware>.{1,200})")
_OLD_HARDWARE = re.compile(r" #\d+ +(?P<hardware>[A-Z][^,#]{3,80}/\S.{0,60})$")
_CPU = re.compile(r"^CPU:? (?P<cpu>\d+)\s*$")
_STUCK = re.compile(r"CPU#(?P<cpu>\d+) stuck")
_DEAD = re.compile(r"LOCKUP on cpu (?P<cpu>\d+)")
_LOCKED = re.compile(r"stuck for \d+s! \[(?P<comm>.{1,32}):(?P<pid>\d+)\]")
_BLOCKED = re.compile(r"INFO: task (?P<comm>.{1,32}):(?P<pid>\d+) (?:blocked|can't die)")

_OF_HEADLINE = (
    ("stuck for", (_LOCKED, _STUCK)),
    ("INFO: task ", (_BLOCKED,)),
    ("LOCKUP on cpu", (_DEAD,)),
)
"""What headlines tell about the task: it is the one that hangs, not the one that noticed."""

_FACTS = (
    ("ainted", "release", (_VERSION,)),
    ("ainted: ", "taint", (_TAINT_WORDS,)),
    ("CPU", "cpu", (_CPU,)),
    ("Linux version", "release", (_LINUX,)),
)
"""Where facts stand that no task line told: a word of the line, what is missing, the patterns."""

MAX_TRIES = 4
"""Lines with the word of a fact that are tried."""

_ARCHITECTURES = (
    ("RIP: ", "x86_64", re.compile(r"^\s*RIP: ")),
    ("pc : ", "arm64", re.compile(r"^\s*(?:<\d>)?pc : .*\+0x")),
    ("pstate", "arm64", re.compile(r"^\s*(?:sp : .*)?pstate ?: ")),
    ("ESR", "arm64", re.compile(r"ESR = 0x|ESR: 0x")),
    (", arm64", "arm64", re.compile(r", arm64\b")),
    ("PC is at ", "arm", re.compile(r"^PC is at ")),
    ("r10: ", "arm", re.compile(r"^\s*r10: [0-9a-f]{8} ")),
    ("epc", "riscv64", re.compile(r"^\s*epc ?: .* ra ?: ")),
    ("badaddr: ", "riscv64", re.compile(r"^status: [0-9a-f]{16} badaddr")),
    ("NIP", "ppc64", re.compile(r"^NIP(?: \[|:  ?[0-9a-fc])")),
    ("Krnl PSW", "s390x", re.compile(r"^Krnl PSW")),
    ("epc   : ", "mips", re.compile(r"^epc   : ")),
    ("EIP: ", "i386", re.compile(r"^\s*EIP: ")),
    ("EAX: ", "i386", re.compile(r"^EAX: ")),
    ("RAX: ", "x86_64", re.compile(r"^\s*RAX: [0-9a-f]{16}")),
    ("RDX: ", "x86_64", re.compile(r"^\s*RDX: [0-9a-f]{16}")),
    ("IP: ", "x86_64", re.compile(r"^IP: \[<ffff")),
)
"""How each architecture prints its registers: a word of the line, the name, the pattern."""


_BY_RELEASE = (
    (re.compile(r"x86_64|amd64"), "x86_64"),
    (re.compile(r"aarch64|arm64"), "arm64"),
    (re.compile(r"i[3-6]86|-686|\.pae$"), "i386"),
    (re.compile(r"armv[67]|armhf|-armmp"), "arm"),
    (re.compile(r"ppc64|powerpc64"), "ppc64"),
    (re.compile(r"s390x"), "s390x"),
    (re.compile(r"riscv64"), "riscv64"),
    (re.compile(r"mips|-loongson"), "mips"),
)
"""Architectures that distributions write into the release."""


def machine(before: str, window: Window, pointer: int | None) -> dict[str, Any]:
    """Return the attributes that the lines of one report, and the text before it, tell.

    Keys are those of the report: release, arch, taint, comm, pid, cpu, hardware. Lines of the
    report win over those in front of it. ``pointer`` is its line with the instruction pointer.
    """
    found: dict[str, Any] = {}
    buffer, texts = window.buffer, window.texts
    for word, patterns in _OF_HEADLINE:
        if word in texts[0]:
            for pattern in patterns:
                match = pattern.search(texts[0][:512])
                if match is not None:
                    _keep(match.groupdict(), found)
    at = buffer.find("omm: ")
    if at >= 0:
        line = _line(buffer, at)
        match = _TASK.search(line)
        if match is not None:
            _keep(match.groupdict(), found)
            old = _OLD_HARDWARE.search(line)
            if old is not None:
                found["hardware"] = old["hardware"].strip()
    at = buffer.find("Hardware name: ")
    if at >= 0:
        match = _HARDWARE.match(buffer, at)
        if match is not None:
            found["hardware"] = match["hardware"].strip()
    if len(found) < 6:
        _look(buffer, found)
    if "release" not in found and before:
        at = before.rfind("Linux version")
        match = _LINUX.match(before, at) if at >= 0 else None
        if match is not None:
            found["release"] = match["release"]
    arch = _architecture(window, texts[pointer] if pointer is not None else "", found)
    if arch is not None:
        found["arch"] = arch
    for number in ("pid", "cpu"):
        if number in found:
            found[number] = int(found[number])
    if "taint" in found:
        found["taint"] = "".join(found["taint"].split()) or None
    return found


def _line(text: str, at: int) -> str:
    """Return the line of ``text`` around ``at``."""
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)][:512]


def _look(buffer: str, found: dict[str, Any]) -> None:
    for word, missing, patterns in _FACTS:
        if missing in found:
            continue
        at = -1
        for _ in range(MAX_TRIES):
            at = buffer.find(word, at + 1)
            if at < 0:
                break
            line = _line(buffer, at)
            matches = [match for pattern in patterns if (match := pattern.search(line))]
            for match in matches:
                _keep(match.groupdict(), found)
            if matches:
                break


def _architecture(window: Window, pointer: str, found: Mapping[str, Any]) -> str | None:
    if pointer.startswith("RIP: "):
        return "x86_64"
    buffer = window.buffer
    for word, arch, pattern in _ARCHITECTURES:
        at = buffer.find(word)
        if at >= 0 and pattern.search(_line(buffer, at)):
            return arch
    release = found.get("release", "")
    return next((arch for pattern, arch in _BY_RELEASE if pattern.search(release)), None)


def _keep(groups: Mapping[str, str | None], found: dict[str, Any]) -> None:
    for key, value in groups.items():
        if value is not None:
            found.setdefault(key, value.strip())
