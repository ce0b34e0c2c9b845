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
_OLD_CPU = re.compile(rf"^ {{0,3}}CPU: {{1,6}}(?P<cpu>\d+) {{1,6}}{_TAINT}")
_FLAGS = re.compile(r"^ {0,3}EFLAGS: [0-9a-f]{8} {1,4}\((?P<release>\d+\.\d+[^\s)]*)")
_PROCESS = re.compile(r"^ {0,3}Process (?P<comm>.{1,32}?) \(pid: (?P<pid>\d+), ")
_IA64 = re.compile(r"^Pid: (?P<pid>\d+), CPU (?P<cpu>\d+), comm: +(?P<comm>.{1,32})")
_TASK_OF = re.compile(
    r"^TASK = [0-9a-f]+\[(?P<pid>\d+)\] '(?P<comm>.{1,32}?)' THREAD: \w+(?: CPU: (?P<cpu>\d+))?"
)
_TAINT_WORDS = re.compile(r"Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?) +(?:\[|,|\d|-)")
_LINUX = re.compile(r"Linux version (?P<release>\d+\.\S+)")
_HARDWARE = re.compile(r"Hardware name: ?(?P<hardware>.{1,200})")
_OLD_HARDWARE = re.compile(r" #\d+ +(?P<hardware>[A-Z][^,#]{3,80}/\S.{0,60})$")
_CPU = re.compile(r"^ {0,3}CPU:? {1,6}(?P<cpu>\d+)\s*$")
_STUCK = re.compile(r"CPU#(?P<cpu>\d+)(?: stuck|!)")
_WARNED = re.compile(r"WARNING: CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) at ")
_DEAD = re.compile(r"LOCKUP on cpu (?P<cpu>\d+)")
_LOCKED = re.compile(r"stuck for \d+s! \[(?P<comm>.{1,32}):(?P<pid>\d+)\]")
_STALLED = re.compile(r"stall on CPU (?P<cpu>\d+)\b")
_WAITED_FOR = re.compile(r"^(?:rcu: )?\s{0,16}(?P<cpu>\d{1,5})-[.!O?Nf]")
_BLOCKED = re.compile(r"INFO: task (?P<comm>.{1,32}):(?P<pid>\d+) (?:blocked|can't die)")

_OF_HEADLINE = (
    ("stuck for", (_LOCKED,)),
    ("CPU#", (_STUCK,)),
    ("blocked", (_BLOCKED,)),
    ("INFO: task ", (_BLOCKED,)),
    ("LOCKUP on cpu", (_DEAD,)),
    ("stall on CPU ", (_STALLED,)),
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
    ("entry_SYSCALL_64", "x86_64"), ("system_call_fastpath", "x86_64"),
    ("x86_64_start_kernel", "x86_64"), ("__x64_sys_", "x86_64"), ("x64_sys_call", "x86_64"),
    ("do_syscall_64", "x86_64"), ("ret_from_fork_asm", "x86_64"), ("el0", "arm64"),
    ("el1", "arm64"), ("__arm64_sys_", "arm64"), ("ret_fast_syscall", "arm"),
    ("unwind_backtrace", "arm"), ("system_call_exception", "ppc64"),
    ("ret_from_kernel_thread", "ppc64"), ("entry_INT80_32", "i386"), ("handle_riscv", "riscv64"),
)  # fmt: skip
"""Functions that only one architecture has, by how they begin."""
_BEGINS = tuple(begin for begin, _ in _ENTRIES)

_LAST = 16
"""Frames of the end of a trace that are looked at: the kernel is entered there."""

_BY_LINE: tuple[tuple[str, str, str], ...] = (
    ("ARM", r"(?:Oops|Internal error).{0,60}\] (?:[A-Z]{2,12} ){0,3}ARM\s*$", "arm"),
    ("epc == ", r"^CPU \d+ Unable to handle kernel .{0,80}, epc == [0-9a-f]{8},", "mips"),
    ("Faulting instruction", r"^Faulting instruction address: 0x[0-9a-f]{12,16}", "ppc64"),
    (": Vector: ", r"^cpu 0x[0-9a-f]{1,4}: Vector: .{1,60} at \[c[0-9a-f]{15}\]", "ppc64"),
    (" from ", r"unwind_backtrace\b.{0,40} from |^ {0,4}\[<[0-9a-f]{8}>\] ?\(.{1,90} from \[<", "arm"),
    ("dump_backtrace+", r"^ {1,4}dump_backtrace\+0x", "arm64"),
    ("[<ffff", r"^.{0,64}\[<ffff(?:ffc0|0000|8000)[0-9a-f]{8}>\] (?:\? )?[a-z_]\w*[.+]", "arm64"),
    ("[<ffffffff", r"^.{0,64}\[<ffffffff(?:8[1-9a-f]|[9abc][0-9a-f])[0-9a-f]{6}>\] (?:\? )?[a-z_]\w*[.+]",
     "x86_64"),
    ("at addr ffff888", r"(?:Read|Write) of size \d+ at addr ffff888[0-9a-f]{9} ", "x86_64"),
    ("[<ffffffff80", r"^.{0,24}\[<ffffffff80[0-9a-f]{6}>\] (?:\? )?(?:walk_stackframe|dump_backtrace)[.+]",
     "riscv64"),
)  # fmt: skip
"""Lines that give the architecture away where no registers were printed: a word, the pattern.

Modern 64-bit kernels keep their text in ranges that differ: x86-64 from ffffffff81000000, arm64
from ffff000000000000 or ffffffc000000000.
"""
_BY_LINES = tuple((word, re.compile(pattern), arch) for word, pattern, arch in _BY_LINE)

_MAX_LOOKED_AT = 64

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
    if "cpu" not in found:
        _read(texts[0], (_WARNED,), found)
        for text in texts[1:4] if "self-detected" in texts[0] else ():
            _read(text, (_WAITED_FOR,), found)
    return _finished(found, frames, texts[: min(window.keep, _MAX_LOOKED_AT)])


def _of_task(text: str, found: dict[str, Any]) -> None:
    if "omm: " in text:
        _read(text, (_TASK, _COMM, _IA64), found)
        if " #" in text:
            _read(text, (_OLD_HARDWARE,), found)
        return
    for word, patterns in _FACTS:
        if word in text:
            _read(text, patterns, found)


def _finished(
    found: dict[str, Any], frames: Sequence[Frame], texts: Sequence[str]
) -> dict[str, Any]:
    if "arch" not in found:
        arch = _of_names(frames, found.get("release", "")) or _of_lines(texts)
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
    for frame in (*frames[:2], *frames[-_LAST:]):
        if frame.raw.startswith(_BEGINS):
            return next(arch for begin, arch in _ENTRIES if frame.raw.startswith(begin))
    return next((arch for pattern, arch in _BY_RELEASE if pattern.search(release)), None)


def _of_lines(texts: Sequence[str]) -> str | None:
    """Return the architecture that a line of the report gives away."""
    region = "\n".join(texts)
    for word, shape, name in _BY_LINES:
        if word not in region:
            continue
        if any(word in text and shape.search(text[:200]) is not None for text in texts):
            return name
    return None
