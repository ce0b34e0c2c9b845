"""What a report says about the machine and the task: release, processor, comm, taint, hardware."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.crash.frames import first_words
from bot.crash.report import Frame
from bot.crash.window import TASK_MARKS, Window

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
    ("stuck for", (_LOCKED,)),
    ("CPU#", (_STUCK,)),
    ("blocked", (_BLOCKED,)),
    ("INFO: task ", (_BLOCKED,)),
    ("LOCKUP on cpu", (_DEAD,)),
)
"""What headlines tell about the task: it is the one that hangs, not the one that noticed."""

_FACTS = (
    ("Hardware name: ", (_HARDWARE,)),
    ("ainted", (_OLD_CPU, _VERSION, _TAINT_WORDS)),
    ("EFLAGS: ", (_FLAGS,)),
    ("Process ", (_PROCESS,)),
    ("TASK = ", (_TASK_OF,)),
    ("CPU", (_CPU,)),
)
"""Where facts stand: a word of the line, and the patterns that read it. Earlier lines win."""

_REGISTERS = (
    ("arm64", ("psta", "pc :", "sp :", "ESR ", "Inte", "Mem "),
     r"^\s*(?:sp : .*)?pstate ?: |^\s*pc : .*\+0x|^\s*pc : \[<f{4}|ESR = 0x|ESR: 0x"),
    ("arm", ("PC i", "r10:"), r"^PC is at |^\s*r10: [0-9a-f]{8} "),
    ("riscv64", ("epc ", "epc:", "stat"),
     r"^\s*epc ?: .* ra ?: |^status: [0-9a-f]{16} badaddr"),
    ("mips", ("epc ",), r"^\s*epc   : "),
    ("ppc", ("NIP ", "NIP:"), r"^\s*NIP(?: \[|: {1,2})[0-9a-fA-F]{8}\b"),
    ("ppc64", ("NIP ", "NIP:"), r"^\s*NIP(?: \[|: {1,2}[0-9a-fA-F])"),
    ("s390x", ("Krnl",), r"^\s*Krnl PSW"),
    ("loongarch64", ("ERA:", "era "), r"^\s*ERA: [0-9a-f]{16}|^era   : [0-9a-f]{16}"),
    ("sparc64", ("TPC:", "TSTA"), r"^TPC: <|^TSTATE: "),
    ("parisc", ("IAOQ", "IASQ"), r"^\s*IAOQ\[0\]: |^IASQ: "),
    ("ia64", ("psr ",), r"^psr ?: [0-9a-f]{16} ifs ?: "),
    ("alpha", ("pc =",), r"^pc = \[<[0-9a-f]{16}>\] +ra = "),
    ("i386", ("EIP:", "EAX:"), r"^\s*EIP: |^EAX: "),
    ("x86_64", ("RIP:", "RAX:", "RDX:", "RSP:", "IP: "),
     r"^\s*RIP: |^\s*R(?:[AD]X|SP): (?:00..:)?[0-9a-f]{16}|^IP: \[<ffff"),
)  # fmt: skip
"""How the registers of each architecture are printed: how the lines begin, the pattern."""

_ARCHITECTURES: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _arch, _words, _pattern in _REGISTERS:
    for _mark in first_words(*_words):
        _ARCHITECTURES.setdefault(_mark, []).append((_arch, re.compile(_pattern)))

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


def machine(booted: str, window: Window, frames: Sequence[Frame]) -> dict[str, Any]:
    """Return the attributes that the lines of one report tell.

    Keys are those of the report: release, arch, taint, comm, pid, cpu, hardware. ``booted`` is
    the line with which the kernel came up, or empty; ``frames`` are those of the trace.
    """
    found: dict[str, Any] = {}
    texts = window.texts
    _of_headline(texts, found)
    for line in window.marks:
        if line >= window.keep:
            break
        text = texts[line]
        begin = text[:4]
        if begin in TASK_MARKS:
            _of_task(text, found)
        if begin in _ARCHITECTURES and "arch" not in found:
            for arch, pattern in _ARCHITECTURES[begin]:
                if pattern.search(text):
                    found["arch"] = arch
                    break
    if "release" not in found and booted:
        _read(booted, (_LINUX,), found)
    return _finished(found, frames)


def _of_task(text: str, found: dict[str, Any]) -> None:
    if "omm: " in text:
        _read(text, (_TASK, _COMM, _IA64), found)
        if " #" in text:
            _read(text, (_OLD_HARDWARE,), found)
        return
    for word, patterns in _FACTS:
        if word in text:
            _read(text, patterns, found)


def _finished(found: dict[str, Any], frames: Sequence[Frame]) -> dict[str, Any]:
    if "arch" not in found:
        arch = _of_names(frames, found.get("release", ""))
        if arch is not None:
            found["arch"] = arch
    for number in ("pid", "cpu"):
        if number in found:
            found[number] = int(found[number])
    if "taint" in found:
        found["taint"] = found["taint"].replace(" ", "") or None
    return found


def _of_headline(texts: Sequence[str], found: dict[str, Any]) -> None:
    hangs = False
    for word, patterns in _OF_HEADLINE:
        if word in texts[0]:
            _read(texts[0], patterns, found)
            hangs = True
    for text in texts[1:4] if hangs else ():
        if text[:1] == " " and "ainted" in text:
            _read(text, (_VERSION, _TAINT_WORDS), found)


def _read(text: str, patterns: Sequence[re.Pattern[str]], found: dict[str, Any]) -> None:
    """Take over what the first pattern that fits tells and is not known yet."""
    text = text[:512]
    for pattern in patterns:
        match = pattern.search(text)
        if match is not None:
            for key, value in match.groupdict().items():
                if value is not None and key not in found:
                    found[key] = value.strip()
            return


def _of_names(frames: Sequence[Frame], release: str) -> str | None:
    """Return the architecture that the last frames or the name of the release give away."""
    for frame in (*frames[:2], *frames[-6:]):
        for begin, arch in _ENTRIES:
            if frame.raw.startswith(begin):
                return arch
    return next((arch for pattern, arch in _BY_RELEASE if pattern.search(release)), None)
