"""What one crash report says: data, no reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What sort of crash. The value is the published name."""

    # The kernel crashed, hung, or complained about itself.
    NULL_DEREF = "null-deref"
    PAGE_FAULT = "page-fault"
    GPF = "gpf"
    BUG = "bug"
    WARNING = "warning"
    PANIC = "panic"
    SOFT_LOCKUP = "soft-lockup"
    HARD_LOCKUP = "hard-lockup"
    HUNG_TASK = "hung-task"
    RCU_STALL = "rcu-stall"
    DOUBLE_FAULT = "double-fault"
    DIVIDE_ERROR = "divide-error"
    INVALID_OPCODE = "invalid-opcode"
    SANITIZER = "sanitizer"
    LOCKDEP = "lockdep"
    OTHER = "other"

    # The kernel lives on, something else died: evidence where a crash follows.
    OOM = "oom"
    ALLOCATION_FAILURE = "allocation-failure"
    MACHINE_CHECK = "machine-check"
    FILESYSTEM = "filesystem"
    STORAGE = "storage"

    # The kernel takes note of a limit or of odd hardware.
    LIMIT = "limit"
    NOTICE = "notice"

    # A program died.
    SEGFAULT = "segfault"
    SERVICE = "service-failure"
    COREDUMP = "coredump"
    ABORT = "abort"
    USER_SANITIZER = "user-sanitizer"
    PYTHON = "python-exception"
    JAVA = "java-exception"
    GO = "go-panic"
    RUST = "rust-panic"
    NODE = "node-exception"


EVENTS = frozenset(
    {Kind.OOM, Kind.ALLOCATION_FAILURE, Kind.MACHINE_CHECK, Kind.FILESYSTEM, Kind.STORAGE}
)
"""Kinds after which the kernel lives on: reported only where no crash is."""

NOTICES = frozenset({Kind.LIMIT, Kind.NOTICE})
"""Kinds that are no crash at all."""

USERLAND = frozenset(
    {
        Kind.SEGFAULT,
        Kind.SERVICE,
        Kind.COREDUMP,
        Kind.ABORT,
        Kind.USER_SANITIZER,
        Kind.PYTHON,
        Kind.JAVA,
        Kind.GO,
        Kind.RUST,
        Kind.NODE,
    }
)
"""Kinds of programs that died."""

KERNEL_CRASH = frozenset(Kind) - NOTICES - USERLAND
"""The kinds that mean: this kernel crashed, hung, complained about itself, or lost a part."""

ALL = frozenset(Kind)
"""Every kind that can be read: notices of the kernel and crashes of programs too."""

TAINTS: Mapping[str, str] = {
    "P": "proprietary module",
    "F": "module loaded by force",
    "S": "processor out of specification",
    "R": "module unloaded by force",
    "M": "machine check",
    "B": "bad page",
    "U": "set by user space",
    "D": "died before",
    "A": "ACPI table overridden",
    "W": "warned before",
    "C": "staging driver",
    "I": "firmware bug worked around",
    "O": "out-of-tree module",
    "E": "unsigned module",
    "L": "soft lockup before",
    "K": "live patch",
    "X": "auxiliary, set by the distribution",
    "T": "randomised structure layout",
    "N": "test module",
    "J": "fwctl module",
}
"""Taint letters in words, after the kernel's ``admin-guide/tainted-kernels``; ``G`` means no ``P``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the text that was read: ``number`` counts from 1.

    ``role`` says what it proves: ``headline``, ``pointer`` (the instruction pointer) or ``frame``.
    """

    number: int
    text: str
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A line before the crash that may explain it: a hypothesis, never a finding.

    ``kind`` is one of ``memory-pressure``, ``disk``, ``thermal``, ``machine-check``,
    ``time-jump``, ``firmware``, ``limit``, ``program`` (one died); ``line`` counts from 1.
    """

    kind: str
    line: int
    text: str
    label: str = "hypothesis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of the call trace; ``reliable`` is false for frames printed with ``?``.

    ``raw`` is the symbol as printed, ``location`` file:line where the trace is symbolised.
    ``line`` is its line in the text, from 1; 0 for the kernel's own traces, whose frames are
    shared between reports.
    """

    function: str
    raw: str
    module: str | None = None
    location: str | None = None
    reliable: bool = True
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A frame that was not taken as guilty, and the rule that said so."""

    function: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """One crash as read from console text.

    ``evidence`` holds the lines that decided, ``context`` what stood before them and may be the
    hidden cause. ``details`` are further facts of the kind, e.g. ``victim``, ``cgroup`` and
    ``constraint`` of an OOM kill, ``object`` of a segfault. ``start`` and ``end`` are line
    numbers, counted from 1, both inclusive. ``consequence`` is true for a report that follows an
    earlier one in the same text.
    """

    title: str
    kind: Kind
    alt_titles: tuple[str, ...] = ()
    function: str | None = None
    module: str | None = None
    location: str | None = None
    release: str | None = None
    arch: str | None = None
    taint: str | None = None
    comm: str | None = None
    pid: int | None = None
    cpu: int | None = None
    hardware: str | None = None
    trace: tuple[Frame, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    evidence: tuple[Line, ...] = ()
    context: tuple[Evidence, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    panicked: bool = False
    consequence: bool = False
    corrupted: bool = False
    corrupted_reason: str | None = None
    start: int = 1
    end: int = 1

    @property
    def signature(self) -> str:
        """The stable key ``kind:function:module``; ``-`` stands for an unknown part."""
        return f"{self.kind.value}:{self.function or '-'}:{self.module or '-'}"

    @property
    def taint_words(self) -> tuple[str, ...]:
        """The taint letters in words, in the order printed."""
        return tuple(TAINTS[letter] for letter in self.taint or "" if letter in TAINTS)
