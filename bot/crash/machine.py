"""What a report says about the machine and the task: release, processor, comm, taint, hardware."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.crash.frames import POINTER_MARKS
from bot.crash.report import Frame
from bot.crash.window import REGISTER_MARKS, TASK_MARKS, Window

_TAINT = (
    r"(?:Not tainted|Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?)) +(?:-{4,20} +(?:T +)?)?"
    r"(?:\[[^\]]{0,200}\],? )?\(?(?P<release>\d+\.\d+[^\s)]*)"
)
_TASK = re.compile(
    r"(?:CPU: (?P<cpu>\d+) (?:UID: \d+ )?)?P[Ii][Dd]: (?P<pid>\d+),? [Cc]omm: "
    rf"(?P<comm>.{{1,64}}?) (?:Kdump: loaded |veid: \d+ )?{_TAINT}"
)
_COMM = re.compile(
    r"^CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.{1,64}?)"
    r"(?= +(?:Kdump:|Not tainted|Tainted:|\d)|\s*$)"
)
_VERSION = re.compile(_TAINT)
_OLD_CPU = re.compile(rf"^CPU: {{1,6}}(?P<cpu>\d+) {{1,6}}{_TAINT}")
_FLAGS = re.compile(r"^EFLAGS: [0-9a-f]{8} {1,4}\((?P<release>\d+\.\d+[^\s)]*)")
_PROCESS = re.compile(r"^ ?Process (?P<comm>.{1,32}?) \(pid: (?P<pid>\d+), ")
_IA64 = re.compile(r"^Pid: (?P<pid>\d+), CPU (?P<cpu>\d+), comm: +(?P<comm>.{1,32})")
_TASK_OF = re.compile(
    r"^TASK = [0-9a-f]+\[(?P<pid>\d+)\] '(?P<comm>.{1,32}?)' THREAD: \w+(?: CPU: (?P<cpu>\d+))?"
)
_TAINT_WORDS = re.compile(r"Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?) +(?:\[|,|\d|-)")
_LINUX = re.compile(r"Linux version (?P<release>\d+\.\S+)")
_HARDWARE = re.compile(r"Hardware name: ?(?P<hardware>.{1,200})")
_OLD_HARDWARE = re.compile(r" #\d+ +(?P<hardware>[A-Z][^,#]{3,80}/\S.{0,60})$")
_CPU = re.compile(r"^CPU:? (?P<cpu>\d+)\s*$")
_STUCK = re.compile(r"CPU#(?P<cpu>\d+)(?: stuck|!)")
_DEAD = re.compile(r"LOCKUP on cpu (?P<cpu>\d+)")
_LOCKED = re.compile(r"stuck for \d+s! \[(?P<comm>.{1,32}):(?P<pid>\d+)\]")
_BLOCKED = re.compile(r"INFO: task (?P<comm>.{1,32}):(?P<pid>\d+) (?:blocked|can't die)")

_OF_HEADLINE = (
    ("stuck for", (_LOCKED, _STUCK)),
    ("CPU#", (_STUCK,)),
    ("blocked", (_BLOCKED,)),
    ("INFO: task ", (_BLOCKED,)),
    ("LOCKUP on cpu", (_DEAD,)),
)
"""What headlines tell about the task: it is the one that hangs, not the one that noticed."""

_FACTS = (
    ("omm: ", (_TASK, _COMM, _IA64, _OLD_HARDWARE)),
    ("Hardware name: ", (_HARDWARE,)),
    ("ainted", (_OLD_CPU, _VERSION, _TAINT_WORDS)),
    ("EFLAGS: ", (_FLAGS,)),
    ("Process ", (_PROCESS,)),
    ("TASK = ", (_TASK_OF,)),
    ("CPU", (_CPU,)),
)
"""Where facts stand: a word of the line, and the patterns that read it. Earlier lines win."""

_ARCHITECTURES = tuple(
    (arch, re.compile(pattern))
    for arch, pattern in (
        ("arm64", r"^\s*pstate ?: |^\s*pc : .*\+0x|^\s*pc : \[<f{4}|ESR = 0x|ESR: 0x"),
        ("arm", r"^PC is at |^\s*r10: [0-9a-f]{8} "),
        ("riscv64", r"^\s*epc ?: .* ra ?: |^status: [0-9a-f]{16} badaddr"),
        ("ppc", r"^\s*NIP(?: \[|: {1,2})[0-9a-fA-F]{8}\b"),
        ("ppc64", r"^\s*NIP(?: \[|: {1,2}[0-9a-fA-F])"),
        ("s390x", r"^\s*Krnl PSW"),
        ("mips", r"^\s*epc   : "),
        ("loongarch64", r"^\s*ERA: [0-9a-f]{16}|^era   : [0-9a-f]{16}"),
        ("sparc64", r"^TPC: <|^TSTATE: "),
        ("parisc", r"^\s*IAOQ\[0\]: |^IASQ: "),
        ("ia64", r"^psr ?: [0-9a-f]{16} ifs ?: "),
        ("alpha", r"^pc = \[<[0-9a-f]{16}>\] +ra = "),
        ("i386", r"^\s*EIP: |^EAX: "),
        ("x86_64", r"^\s*RIP: |^\s*R(?:[AD]X|SP): (?:00..:)?[0-9a-f]{16}|^IP: \[<ffff"),
    )
)
"""How the registers of each architecture are printed."""

_ENTRIES = (
    ("entry_SYSCALL_64", "x86_64"), ("system_call_fastpath", "x86_64"), ("el0", "arm64"),
    ("el1", "arm64"), ("ret_fast_syscall", "arm"), ("unwind_backtrace", "arm"),
    ("system_call_exception", "ppc64"), ("ret_from_kernel_thread", "ppc64"),
    ("entry_INT80_32", "i386"), ("handle_riscv", "riscv64"),
)  # fmt: skip
"""Functions that only one architecture has, by how they begin."""

_BY_RELEASE = tuple(
    (re.compile(pattern), arch)
    for pattern, arch in (
        (r"x86_64|amd64", "x86_64"),
        (r"aarch64|arm64", "arm64"),
        (r"i[3-6]86|-686|\.pae$", "i386"),
        (r"armv[67]|armhf|-armmp", "arm"),
        (r"ppc64|powerpc64", "ppc64"),
        (r"s390x", "s390x"),
        (r"riscv64", "riscv64"),
        (r"mips|-loongson", "mips"),
    )
)
"""Architectures that distributions write into the release."""

_TELLING = POINTER_MARKS | REGISTER_MARKS


def machine(booted: str, window: Window, frames: Sequence[Frame]) -> dict[str, Any]:
    """Return the attributes that the lines of one report tell.

    Keys are those of the report: release, arch, taint, comm, pid, cpu, hardware. ``booted`` is
    the line with which the kernel came up, or empty; ``frames`` are those of the trace.
    """
    found: dict[str, Any] = {}
    texts = window.texts
    _of_headline(texts, found)
    arch = None
    for line in window.marks:
        if line >= window.keep:
            break
        text = texts[line]
        begin = text[:4]
        if begin in TASK_MARKS:
            for word, patterns in _FACTS:
                if word in text:
                    _read(text, patterns, found)
                    if word == "omm: ":
                        break
        if arch is None and begin in _TELLING:
            arch = next((name for name, known in _ARCHITECTURES if known.search(text)), None)
    if "release" not in found:
        _read(booted, (_LINUX,), found)
    arch = arch or _of_names(frames, found.get("release", ""))
    if arch is not None:
        found["arch"] = arch
    for number in ("pid", "cpu"):
        if number in found:
            found[number] = int(found[number])
    if "taint" in found:
        found["taint"] = "".join(found["taint"].split()) or None
    return found


def _of_headline(texts: Sequence[str], found: dict[str, Any]) -> None:
    for word, patterns in _OF_HEADLINE:
        if word in texts[0]:
            _read(texts[0], patterns, found)
            for text in texts[1:4]:
                if text[:1] == " " and "ainted" in text:
                    _read(text, (_VERSION, _TAINT_WORDS), found)
            return


def _read(text: str, patterns: Sequence[re.Pattern[str]], found: dict[str, Any]) -> None:
    for pattern in patterns:
        match = pattern.search(text[:512])
        if match is not None:
            for key, value in match.groupdict().items():
                if value is not None:
                    found.setdefault(key, value.strip())


def _of_names(frames: Sequence[Frame], release: str) -> str | None:
    """Return the architecture that the last frames or the name of the release give away."""
    for frame in (*frames[:2], *frames[-6:]):
        for begin, arch in _ENTRIES:
            if frame.raw.startswith(begin):
                return arch
    return next((arch for pattern, arch in _BY_RELEASE if pattern.search(release)), None)
