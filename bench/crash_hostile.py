"""How the time of ``read`` grows with texts that are made to be slow; 1 is linear, 2 is square.

Two growths are told apart: with the size of the text, and at one size with the length of its
lines, since most patterns see one line (of which the reader takes 4,096 characters).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bot.crash import ALL, read

SMALL = 1 << 16
DOUBLINGS = 3
ROUNDS = 2
SHORT, LONG = 500, 4000
LIMIT = 1.3
"""Exponents above this are super-linear; below it is noise."""


def _repeat(piece: str) -> Callable[[int], str]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def _framed(head: str, piece: str, tail: str = "\n") -> Callable[[int], str]:
    """Put one headline first, then as many pieces as fit."""
    return lambda size: head + _repeat(piece)(size - len(head) - len(tail)) + tail


def _nested(opening: str, closing: str) -> Callable[[int], str]:
    def make(size: int) -> str:
        depth = size // (len(opening) + len(closing))
        return opening * depth + closing * depth

    return make


OOPS = "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
STALL = "[    1.000000] rcu: INFO: rcu_sched self-detected stall on CPU\n"
LOCKS = "[    1.000000] WARNING: possible circular locking dependency detected\n"
FRAME = "[    1.000000]  ? acme_tx_poll+0x12/0x40\n"

HOSTILE: dict[str, Callable[[int], str]] = {
    "headlines only": _repeat("[    1.000000] BUG: soft lockup - CPU#1 stuck for 22s!\n"),
    "headlines of all sorts": _repeat(f"{OOPS}{STALL}{LOCKS}"),
    "headlines without a stamp": _repeat("WARNING: BUG: INFO: Kernel panic - not syncing: \n"),
    "headlines on one line": _repeat("BUG: WARNING: INFO: "),
    "stamps on one line": _repeat("[    1.000000] BUG: "),
    "headlines whose frames never come": _repeat(f"{LOCKS}[    1.000000] x\n"),
    "one oops, guesses without end": _framed(OOPS, FRAME),
    "one oops, skipped frames without end": _framed(OOPS, "[    1.000000]  dump_stack+0x12/0x40\n"),
    "many contexts": lambda size: "".join(
        f"[    1.{n:06}][ T{n}] BUG: soft lockup - CPU#1 stuck for 22s!\n"
        for n in range(size // 68)
    ),
    "pointers": _framed(OOPS, "RIP: 0010:[<ffffffff>] [<ffffffff>] "),
    "addresses": _framed("BUG: held lock freed!\n", "[<aaaa"),
    "path of a warning": _framed("[    1.000000] WARNING: ", "mm/a.c"),
    "dentry": _repeat("BUG: Dentry  still in use (1) [unmount of "),
    "task blocked": _framed("INFO: task ", "a blocked for more than "),
    "written out breaks": _repeat("\\n"),
    "backslashes": _repeat("\\"),
    "backslashes and breaks": _repeat("\\\\\\\\n\\r"),
    "braces": _repeat("{"),
    "nested JSON": _nested('{"log":', "1}"),
    "JSON in JSON": lambda size: '{"log":"' + "\\" * (size - 12) + 'n"}\n',
    "JSON lines": _repeat('{"log":"[    1.000000] BUG: x\\n"}\n'),
    "open JSON lines": _repeat('{"log":"{\\"log\\":\n'),
    "pretty JSON without an end": _repeat('{\n  "description": "BUG: \\n'),
    "byte arrays": _framed('{"MESSAGE":[', "66,85,71,58,", "66]}\n"),
    "entities": _repeat("&amp;amp;lt;"),
    "half entities": _repeat("&am&#x2&#3"),
    "tags": _repeat("<br<br/><pre><"),
    "quotes": _repeat("> "),
    "fences": _repeat("```\n"),
    "blanks": _repeat(" "),
    "tabs and blanks": _repeat("\t \t  \n"),
    "empty lines": _repeat("\n"),
    "carriage returns": _repeat("\r"),
    "ANSI": _repeat("\x1b[0;1;31"),
    "ANSI without an end": _repeat("\x1b["),
    "syslog dates": _repeat("Jul  4 12:00:01 "),
    "ISO dates": _repeat("2023-07-04T12:00:01.1Z "),
    "levels": _repeat("<4>"),
    "5424": _repeat('<4>1 2023-07-04T12:00:01Z h k - - [a b="\\"'),
    "netconsole": _repeat("4,1,1,-,caller=T1"),
    "netconsole fragments": _repeat("4,1,1,-,ncfrag=0/9000;BUG:\n"),
    "login": _repeat("login: "),
    "printk dropped": _repeat("** 1 printk messages dropped ** "),
    "soft breaks": _repeat("=\n"),
    "quoted printable": _repeat("=3D=20=\n"),
    "typography": _repeat("\u2019\u201c\u2026\u200b"),
    "digits": _repeat("1234567890"),
    "letters": _repeat("a"),
    "brackets": _repeat("[["),
    "underscores in a title": _framed("[    1.000000] Kernel panic - not syncing: ", "_a0x"),
    "tracebacks": _repeat("Traceback (most recent call last):\n"),
    "traceback in a traceback": _repeat(
        '  File "a.py", line 1, in f\nDuring handling of the above exception, another\n'
    ),
    "Java causes": _repeat("Caused by: a.b.C: d\n\tat a.b.C.d(E.java:1)\n"),
    "goroutines": _repeat("panic: x\n\ngoroutine 1 [running]:\nmain.main()\n"),
    "segfaults": _repeat("[    1.000000] a[1]: segfault at 0 ip 0 sp 0 error 4 in a[0+1]\n"),
    "sanitizer": _repeat("==1==ERROR: AddressSanitizer: x\n    #0 0x1 in f a.c:1\n"),
}


LITERALS = (
    "BUG: ", "WARNING: ", "INFO: ", "rcu: INFO: ", "general protection fault", "kernel BUG at ",
    "Kernel panic - not syncing: ", "BUG: KASAN: ", "BUG: KMSAN: ", "BUG: KFENCE: ", "UBSAN: ",
    "BUG: Dentry ", "INFO: task ", "WARNING: CPU: 1 PID: 2 at ", "Unable to handle kernel ",
    "unregister_netdevice: waiting for ", "divide error: ", "Internal error: ", "Oops: ",
    "Out of memory: Killed process ", "oom-kill:", "page allocation failure: ", "EXT4-fs error ",
    "XFS (sda1): ", "BTRFS error ", "mce: [Hardware Error]: ", "EDAC MC0: ", "nvme nvme0: ",
    "list_add corruption. ", "PANIC: double fault", "NMI watchdog: ", "watchdog: BUG: ",
    "a[1]: segfault at ", "Traceback ", "Exception in thread ", "Caused by: ", "panic: ",
    "goroutine 1 ", "thread 'main' panicked at ", "==1==ERROR: AddressSanitizer: ",
    "*** stack smashing detected ***: ", "RIP: 0010:", "Call Trace: ", "Modules linked in: ",
    "Hardware name: ", "CPU: 1 PID: 2 Comm: ", " at: ", "backtrace: ", "Process 811 (a) of user ",
    "a.service: Main process exited, code=", "terminate called after throwing ",
)  # fmt: skip
PIECES = (
    "a", " ", "0", "_a", "a.b/", "a.c:1 ", "f+0x1/0x2 ", "[<ffff>] ", "? ", "at ", "in ", "(", "::",
    "lock held ", "'", "\\", "=1 ",
)  # fmt: skip


def measure(*, verbose: bool) -> bool:
    """Print the exponents, the worst first, and the slowest texts."""
    by_size = [(*_growth(make), name) for name, make in HOSTILE.items()]
    fine = _told("with the size of the text", SMALL << DOUBLINGS, by_size, verbose=verbose)
    by_line = [
        (*_line_growth(literal, piece), f"{literal!r} and {piece!r} again and again")
        for literal in LITERALS
        for piece in PIECES
    ]
    return _told("with the length of lines", SMALL, by_line, verbose=verbose) and fine


def _told(what: str, size: int, grown: list[tuple[float, float, str]], *, verbose: bool) -> bool:
    ranked = sorted(grown, reverse=True)
    bad = [row for row in ranked if row[0] > LIMIT]
    print(f"hostile: {len(bad)} of {len(ranked)} grow faster than ^{LIMIT} {what}")
    for exponent, seconds, name in ranked if verbose else ranked[:8]:
        print(f"  ^{exponent:4.2f}  {seconds * 1e3:8.1f} ms for {size >> 10} kB: {name}")
    slowest = max(ranked, key=lambda row: row[1])
    print(f"  slowest: {slowest[1] * 1e3:.1f} ms for {size >> 10} kB: {slowest[2]}")
    return not bad


def _growth(make: Callable[[int], str]) -> tuple[float, float]:
    """Return the exponent between the smallest and the largest text, and the largest's seconds."""
    small, large = _time(make(SMALL)), _time(make(SMALL << DOUBLINGS))
    return math.log2(large / small) / DOUBLINGS, large


def _line_growth(literal: str, piece: str) -> tuple[float, float]:
    """Return the exponent between short and long lines of one text, and the long ones' seconds."""
    short, long = (
        _time(_repeat(f"[    1.000000] {literal}{_repeat(piece)(length)}\n")(SMALL))
        for length in (SHORT, LONG)
    )
    return 1 + math.log2(long / short) / math.log2(LONG / SHORT), long


def _time(text: str) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        read(text, ALL)
        best = min(best, time.process_time() - begun)
    return max(best, 1e-4)
