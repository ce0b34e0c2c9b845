"""Evidence in front of a crash: lines that may be its hidden cause, as data and one reader.

None of these lines is a finding: they say what the machine suffered from before it crashed. Every
event and notice is evidence too; the rows here are what is nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.crash.entry import Entry
from bot.crash.event_row import Row, row
from bot.crash.losses import LOSSES
from bot.crash.notices import NOTICES
from bot.crash.report import Evidence, Kind
from bot.crash.speaking import Table

MAX_EVIDENCE = 20
"""Lines of evidence for one crash."""

MAX_TEXT = 400
"""Characters of one line that are kept."""

OF_KIND = {
    Kind.OOM: "memory-pressure",
    Kind.ALLOCATION_FAILURE: "memory-pressure",
    Kind.MACHINE_CHECK: "machine-check",
    Kind.FILESYSTEM: "disk",
    Kind.STORAGE: "disk",
    Kind.LIMIT: "limit",
}
"""What an event or notice is evidence of, where its row says nothing else."""


def _sign(hint: str, pattern: str, evidence: str) -> Row:
    return row(hint, pattern, "", Kind.NOTICE, evidence=evidence, silent=True)


SIGNS: tuple[Row, ...] = (
    _sign(" avg10=", r"(?:memory: |io: )?(?:some|full) avg10=(?:[1-9]\d{0,2}\.\d\d|0\.[1-9]\d) avg60=",
          "memory-pressure"),
    _sign("slab_unreclaimable:", r".{0,200}?slab_unreclaimable:\d{4,}", "memory-pressure"),
    _sign("SUnreclaim:", r"SUnreclaim: {0,12}\d{5,} kB", "memory-pressure"),
    _sign("nreclaimable slab info", r"Unreclaimable slab info:", "memory-pressure"),
    _sign("Free swap ", r"Free swap {1,2}= 0kB", "memory-pressure"),
    _sign("lowmem_reserve[]", r"lowmem_reserve\[\]:(?: \d+){2,8}", "memory-pressure"),
    _sign("vmap allocation for size", r"vmap allocation for size \d+ failed", "memory-pressure"),
    _sign("warn_alloc: ", r"warn_alloc: \d+ callbacks suppressed", "memory-pressure"),
    _sign("kswapd", r"(?:INFO: task )?kswapd\d{1,3}(?::\d{1,10})?(?: blocked for more than|: page|.{0,24}"
          r"stuck)", "memory-pressure"),
    _sign("failed command: ", r"ata\d+\.\d\d: failed command: ", "disk"),
    _sign("hard resetting link", r"ata\d+: hard resetting link$", "disk"),
    _sign("Sense Key : ", r"(?:sd|st|scsi) \d+:\d+:\d+:\d+: (?:\[\w{1,16}\] )?(?:tag#\d+ )?Sense Key : "
          r"(?:Medium|Hardware) Error", "disk"),
    _sign("nvme", r"nvme nvme\d+: Abort status: 0x[0-9a-f]+", "disk"),
    _sign("superblock", r"EXT[234]-fs \([\w!.-]{1,40}\): (?:previous I/O error to superblock|I/O error "
          r"while writing superblock)", "disk"),
    _sign("segfault at ", r".{1,16}\[\d{1,10}\]: segfault at [0-9a-f]{1,16} ip ", "program"),
    _sign("traps: ", r"traps: .{1,16}\[\d{1,10}\] (?:trap |general protection )", "program"),
    _sign("unhandled signal ", r".{1,16}\[\d{1,10}\]: unhandled signal \d", "program"),
    _sign("unexpected fatal signal", r".{1,16}/\d{1,10}: potentially unexpected fatal signal \d",
          "program"),
    _sign("temperature", r"thermal .{0,60}: .{0,40}temperature", "thermal"),
    _sign("thrott", r"(?:mce: )?CPU\d+: .{0,60}clock throttled", "thermal"),
    _sign("[Hardware Error]: ", r"(?:mce: |\{\d+\})?\[Hardware Error\]: (?!Run the above)",
          "machine-check"),
    _sign("umped", r".{0,40}(?:[Cc]lock|[Tt]ime) jumped (?:back|for)wards?", "time-jump"),
    _sign("Time has been changed", r"(?:systemd(?:-\w{1,32})?(?:\[\d{1,10}\])?: )?Time has been changed",
          "time-jump"),
    _sign("Clock jumped", r".{0,40}Clock jumped", "time-jump"),
    _sign("rtc_cmos", r"rtc_cmos [\w:]{1,20}: .{0,60}(?:error|fail|bad|invalid|unable|broken)",
          "time-jump"),
    _sign("Marking clocksource", r".{0,80}Marking clocksource '?tsc", "time-jump"),
    _sign("[Firmware Bug]", r".{0,80}\[Firmware Bug\]: ", "firmware"),
    _sign("[Firmware Warn]", r".{0,80}\[Firmware Warn\]: ", "firmware"),
    _sign("ACPI BIOS Error", r"ACPI BIOS Error(?: \(bug\))?: ", "firmware"),
    _sign("ACPI Error", r"ACPI Error(?: \(\w{1,16}\))?: ", "firmware"),
    _sign("ACPI Exception", r"ACPI Exception: ", "firmware"),
    _sign("BIOS bug", r".{0,80}BIOS bug", "firmware"),
    _sign("BIOS BUG", r".{0,80}BIOS BUG", "firmware"),
    _sign("broken BIOS", r".{0,80}broken BIOS", "firmware"),
)  # fmt: skip

_TABLE = Table((*LOSSES, *NOTICES, *SIGNS))

CONTEXT_HINTS = _TABLE.hints
"""Patterns, for ``re`` and RE2, of which every line of evidence holds one."""


def context(lines: Sequence[Entry]) -> tuple[Evidence, ...]:
    """Return the evidence among the lines before a crash, in order, at most ``MAX_EVIDENCE``.

    The first and the last line of each kind come first, then the first line of each further row,
    so that a storm of one message does not hide the others. Never raises.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for at, entry in enumerate(lines):
        spoken = _TABLE.speaker(entry)
        kind = _kind_of(spoken[0]) if spoken is not None else None
        if spoken is not None and kind is not None:
            found.setdefault(kind, []).append((at, _TABLE.place(spoken[0])))
    chosen: dict[int, str] = {}
    for at, kind in _by_worth(found):
        if len(chosen) >= MAX_EVIDENCE:
            break
        chosen.setdefault(at, kind)
    return tuple(
        Evidence(kind=kind, line=lines[at].number, text=lines[at].text[:MAX_TEXT].strip())
        for at, kind in sorted(chosen.items())
    )


def _kind_of(spoken: Row) -> str | None:
    """Return what a row is evidence of, if of anything."""
    return spoken.evidence or (None if spoken.silent else OF_KIND.get(spoken.kind))


def _by_worth(found: dict[str, list[tuple[int, int]]]) -> list[tuple[int, str]]:
    """Order the lines: the ends of each kind, then the first of each row, best rows first."""
    ends = [(at, kind) for kind, hits in found.items() for at, _ in (hits[0], hits[-1])]
    firsts: dict[tuple[int, str], int] = {}
    for kind, hits in found.items():
        for at, place in hits:
            firsts.setdefault((place, kind), at)
    return [*ends, *((at, kind) for (_, kind), at in sorted(firsts.items()))]
