"""What one crash report says: frozen data, no reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What sort of crash. The value is the published name."""

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
    OOM = "oom"
    DOUBLE_FAULT = "double-fault"
    DIVIDE_ERROR = "divide-error"
    INVALID_OPCODE = "invalid-opcode"
    SANITIZER = "sanitizer"
    LOCKDEP = "lockdep"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the text that was read: ``number`` counts from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of the call trace; ``reliable`` is false for frames printed with ``?``."""

    function: str
    raw: str
    module: str | None = None
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

    ``evidence`` holds the lines that decided (headline, instruction pointer, deciding frame).
    ``start`` and ``end`` are line numbers, counted from 1, both inclusive.
    ``consequence`` is true for a report that follows an earlier one in the same text.
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
    panicked: bool = False
    consequence: bool = False
    corrupted: bool = False
    corrupted_reason: str | None = None
    start: int = 1
    end: int = 1
    boot_id: str | None = field(default=None)

    @property
    def signature(self) -> str:
        """The stable key ``kind:function:module``; ``-`` stands for an unknown part."""
        return f"{self.kind.value}:{self.function or '-'}:{self.module or '-'}"
