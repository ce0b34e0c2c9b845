"""What a report says about the machine and the task: release, processor, comm, taint, hardware."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.crash.transport import Record

MAX_LINES = 400
"""Lines of a report that are searched."""

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
_HUNG = re.compile(rf"^\s{{2,10}}{_TAINT}")
_OLD_CPU = re.compile(rf"^CPU: {{1,6}}(?P<cpu>\d+) {{1,6}}{_TAINT}")
_REGS = re.compile(rf"^REGS: .{{1,60}}TRAP: \w{{1,8}} {{1,4}}{_TAINT}")
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
_CPU = re.compile(
    r"^CPU:? (?P<cpu>\d+)\s*$|CPU#(?P<stuck>\d+)(?: stuck|!)|LOCKUP on cpu (?P<dead>\d+)"
)
_LOCKED = re.compile(r"stuck for \d+s! \[(?P<comm>.{1,32}):(?P<pid>\d+)\]")
_BLOCKED = re.compile(r"INFO: task (?P<comm>.{1,32}):(?P<pid>\d+) (?:blocked|can't die)")

_FACTS = (
    _TASK, _COMM, _HUNG, _LOCKED, _BLOCKED, _HARDWARE, _LINUX, _OLD_CPU, _REGS, _FLAGS, _PROCESS, _IA64,
    _TASK_OF, _TAINT_WORDS, _CPU,
)  # fmt: skip
"""What a line may tell; of two that tell one thing, the first wins."""

_ARCHITECTURES = (
    (
        "arm64",
        re.compile(
            r"^\s*pstate ?: |^\s*pc : .*\+0x|^\s*el[01]\w{0,12}_(?:sync|irq|svc|error|abort)\w{0,12}\+|, arm64\b|ESR = 0x|ESR: 0x"
        ),
    ),
    (
        "arm",
        re.compile(r"^PC is at |^\s*r10: [0-9a-f]{8} |\bunwind_backtrace\b|\bret_fast_syscall\+"),
    ),
    ("riscv64", re.compile(r"^\s*epc ?: .* ra ?: |^status: [0-9a-f]{16} badaddr")),
    ("ppc", re.compile(r"^\s*NIP(?: \[|: {1,2})[0-9a-fA-F]{8}\b")),
    ("ppc64", re.compile(r"^\s*NIP(?: \[|: {1,2}[0-9a-fA-F])|\bsystem_call_exception\+")),
    ("s390x", re.compile(r"^\s*Krnl PSW")),
    ("mips", re.compile(r"^\s*epc   : ")),
    ("loongarch64", re.compile(r"^\s*ERA: [0-9a-f]{16}|^era   : [0-9a-f]{16}")),
    ("sparc64", re.compile(r"^TPC: <|^TSTATE: ")),
    ("parisc", re.compile(r"^\s*IAOQ\[0\]: |^IASQ: ")),
    ("ia64", re.compile(r"^psr ?: [0-9a-f]{16} ifs ?: ")),
    ("alpha", re.compile(r"^pc = \[<[0-9a-f]{16}>\] +ra = ")),
    ("i386", re.compile(r"^\s*EIP: |^EAX: ")),
    (
        "x86_64",
        re.compile(
            r"^\s*RIP: |\bentry_SYSCALL_64|\bsystem_call_fastpath\+|^\s*R[AD]X: [0-9a-f]{16}|^IP: \[<ffff"
        ),
    ),
)
_HINTS = (
    "omm: ",
    "ainted",
    "Linux version",
    "Hardware name",
    "CPU",
    "cpu",
    "stuck for",
    "INFO: task",
    "Process ",
    "EFLAGS",
    "TASK = ",
)
_ARCH_HINTS = (
    "pstate", "pc :", "ESR", "PC is", "r10:", "epc", "badaddr", "NIP", "Krnl", "EIP", "EAX",
    "RIP", "RAX", "RDX", "IP: ", "arm64", "ERA: ", "era ", "el0", "el1", "unwind_b", "ret_fast", "SYSCALL_64", "call_fastpath", "call_exception", "TPC", "TSTATE", "IA", "psr", "pc = ",
)  # fmt: skip


def machine(before: Sequence[Record], lines: Sequence[Record]) -> dict[str, Any]:
    """Return the attributes that ``lines`` (of one report) and those ``before`` it tell.

    Keys are those of the report: release, arch, taint, comm, pid, cpu, hardware. The first line
    that tells one of them wins, lines of the report before those in front of it.
    """
    found: dict[str, Any] = {}
    for record in lines[:MAX_LINES]:
        _look(record.text[:512], found)
    for record in before:
        if "Linux version" in record.text:
            match = _LINUX.search(record.text)
            if match is not None:
                found.setdefault("release", match["release"])
    for number in ("pid", "cpu"):
        if number in found:
            found[number] = int(found[number])
    if found.get("taint") is not None:
        found["taint"] = "".join(found["taint"].split()) or None
    return found


def _look(text: str, found: dict[str, Any]) -> None:
    if "arch" not in found and any(hint in text for hint in _ARCH_HINTS):
        arch = next((name for name, pattern in _ARCHITECTURES if pattern.search(text)), None)
        if arch is not None:
            found["arch"] = arch
    if not any(hint in text for hint in _HINTS):
        return
    for pattern in _FACTS:
        match = pattern.search(text)
        if match is not None:
            _keep(match.groupdict(), found)
            if pattern is _TASK:
                old = _OLD_HARDWARE.search(text)
                _keep(old.groupdict() if old else {}, found)


def _keep(groups: Mapping[str, str | None], found: dict[str, Any]) -> None:
    for key, value in groups.items():
        if value is not None:
            found.setdefault("cpu" if key in ("stuck", "dead") else key, value.strip())
