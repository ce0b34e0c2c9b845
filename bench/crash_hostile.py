"""How the time of ``read`` grows with texts that are made to be slow; 1 is linear, 2 is square.

Two growths are told apart: with the size of the text, and at one size with the length of its
lines, since most patterns see one line (of which the reader takes 4,096 characters). Every text is
read alone, behind a crash, since a long one without a crash is not taken apart, and without
google-re2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bot.crash import ALL, read
from bot.crash.scan import use

SMALL = 1 << 15
"""Characters of the smallest text; the largest one is still read in full without a crash in it."""

DOUBLINGS = 3
LATER = 2
"""Doublings by which texts behind a crash are larger: those are read in full at any size."""

ROUNDS = 2
LINES = 1 << 16
"""Characters of a text of short or of long lines."""

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
GUILTY = "[    1.000000]  acme_tx_poll+0x12/0x40\n"
TRACE = "[    1.000000] Call Trace:\n"
CRASH = f"{OOPS}{TRACE}{GUILTY * 3}"
PYTHON = "Traceback (most recent call last):\n"
PYTHON_FRAME = '  File "/srv/shop/cart.py", line 7, in total\n'
JAVA_FRAME = "\tat com.acme.Cart.total(Cart.java:7)\n"
DATE = "Jul  4 12:00:01 h"


def _counted(piece: str) -> Callable[[int], str]:
    """Fill in ``{n}`` the number of each piece, ``{odd}`` whether it is odd."""

    def make(size: int) -> str:
        pieces: list[str] = []
        length = n = 0
        while length < size:
            pieces.append(piece.replace("{n}", str(n)).replace("{odd}", str(n % 2)))
            length += len(pieces[-1])
            n += 1
        return "".join(pieces)[:size]

    return make


def _parted(piece: str, parts: int) -> Callable[[int], str]:
    """Put ``parts`` lines of as many characters as fit, so that a line grows with the text."""
    return lambda size: "".join(_repeat(piece)(size // parts - 1) + "\n" for _ in range(parts))


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
    "Java causes without frames": _framed(
        'Exception in thread "a" a.b.C: d\n' + JAVA_FRAME, "Caused by: a.b.C: d\n"
    ),
    "Java causes of one exception": _framed(
        'Exception in thread "a" a.b.C: d\n', f"Caused by: a.b.C: d\n{JAVA_FRAME}"
    ),
    "Java frames alone": _repeat(JAVA_FRAME),
    "Java frames far apart": _repeat(JAVA_FRAME + "x\n" * 11),
    "Python frames alone": _repeat(PYTHON_FRAME),
    "Python errors chained": _repeat(
        f"{PYTHON}{PYTHON_FRAME}ValueError: x\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
    ),
    "Python errors that never come": _repeat(PYTHON + PYTHON_FRAME * 40),
    "Python groups": _repeat(f"  + Exception Group {PYTHON}  | {PYTHON_FRAME}  +-+---- 1 -----\n"),
    "syntax errors": _repeat("SyntaxError: x\n"),
    "panics in a row": _repeat("panic: runtime error: x\n"),
    "goroutines of one panic": _framed(
        "panic: x\n\n", "goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n"
    ),
    "Rust panics": _repeat("thread 'main' panicked at a.rs:1:1:\nx\n"),
    "Rust frames far apart": _framed(
        "thread 'main' panicked at a.rs:1:1:\nx\nstack backtrace:\n", "   1: a::b\n" + "x\n" * 7
    ),
    "node frames": _repeat("    at f (/srv/a.js:1:1)\n"),
    "units that fail": _counted("systemd[1]: a{n}.service: Main process exited, code=dumped\n"),
    "hints of every runtime on one line": _repeat(
        f"{PYTHON[:-1]} (a.java:1) goroutine 1 [r a.js:1:1 ]: segfault at 0 SyntaxError: \n"
    ),
    "programs that alternate": _counted(f"{DATE} p{{odd}}[1]: {PYTHON}"),
    "tracebacks of many programs": _counted(f"{DATE} p[{{n}}]: {PYTHON}"),
    "tracebacks between other programs": _repeat(
        f"{DATE} p[1]: {PYTHON}" + f"{DATE} q[2]: x\n" * 60
    ),
    "a traceback with another's hints in it": _framed(
        f"{DATE} p[1]: {PYTHON}",
        f"{DATE} p[1]: {PYTHON_FRAME}" + f"{DATE} p[1]: x (a.java:1)\n" * 5,
    ),
    "a traceback in lines of nobody": _framed(PYTHON, PYTHON_FRAME + "x (Unknown Source)\n" * 5),
    "segfaults of many programs": _counted(
        "[    1.000000] a{n}[{n}]: segfault at 0 ip 0 sp 0 error 4\n"
    ),
    "parts of rsyslog": _repeat("Traceback (most recent call last):#012"),
    "lines of parts of rsyslog": _parted("Traceback (most recent call last):#012", 8),
    "OOM kills": _counted(
        "[    1.000000] a invoked oom-killer: gfp_mask=0x0, order=0\n"
        "[    1.000000] Out of memory: Killed process {n} (a) total-vm:1kB\n"
    ),
    "OOM killers without an end": _repeat(
        "[    1.000000] a invoked oom-killer: gfp_mask=0x0, order=0\n"
    ),
    "errors of many disks": _counted(
        "[    1.000000] EXT4-fs error (device sd{n}): a:1: comm b: c\n"
    ),
    "headlines that differ in numbers": _counted(
        "[    1.000000][ T{n}] BUG: soft lockup - CPU#{n} stuck for {n}s! [a{n}:{n}]\n"
    ),
    "contexts that alternate": _counted(f"[    1.000000][ T{{odd}}] {OOPS[15:]}"),
    "frames of contexts that alternate": _framed(
        f"[    1.000000][ T1] {OOPS[15:]}",
        "[    1.000000][ T1]  f+0x1/0x2\n[    1.000000][ T2] x\n",
    ),
    "stamps of all widths": _counted(f"[{{n}}.000000] {OOPS[15:]}"),
    "stamps of all widths, one crash": lambda size: (
        f"[    1.000000][ T1] {OOPS[15:]}" + _counted("[{n}.000000][ T1] x\n")(size)
    ),
    "every headline with a whole window": _repeat(f"{OOPS}{TRACE}{GUILTY * 4000}"),
    "every headline with guesses alone": _repeat(f"{OOPS}{TRACE}{FRAME * 400}"),
    "traces without end": _repeat(f"{TRACE}{GUILTY}"),
    "traces that are empty": _framed(OOPS, TRACE),
    "panics that follow": _framed(OOPS, "[    1.000000] Kernel panic - not syncing: x\n"),
    "a crash said again": _framed(OOPS, OOPS),
    "two consoles": _repeat(OOPS * 2),
    "kernels that boot": _counted("[    0.000000] Linux version {n}.1\n" + OOPS),
    "headlines that lose their stamp": _repeat(OOPS + "x\n" * 63),
    "headlines of people": _repeat(f"see {OOPS[15:]}x\n"),
    "processors asked": _framed(
        f"[    1.000000][ C1] {STALL[15:]}",
        "[    1.000000][ C1] Sending NMI from CPU 1 to CPUs 2:\n",
    ),
    "fault injection": _repeat("[    1.000000]  should_fail+0x1/0x2\n"),
    "entity in an entity": lambda size: "&" + _repeat("amp;")(size - 4) + "lt;",
    "entity bombs on lines": _repeat("&" + "amp;" * 20 + "lt;\n"),
    "colours without text": _repeat("\x1b[0m"),
    "colours on lines": _repeat("\x1b[31m" * 20 + OOPS),
    "colours written out": _repeat("\\u001b[31m\\x1b[0m#033[1m^[[2m"),
    "quotes without an end": _repeat('"'),
    "quotes on lines": _repeat('say "BUG: \n'),
    "quotes behind a backslash": _repeat('\\"'),
    "JSON strings": _repeat('"a\\n'),
    "JSON in a long line": _repeat('{"log":"BUG: a b\\n"} '),
    "JSON that never ends in a long line": _repeat('{"log":"BUG: a b\\n", '),
    "JSON arrays": _repeat("["),
    "JSON with many messages": lambda size: "[" + _repeat('{"msg":"a b"},')(size // 14 * 14) + "0]",
    "deep JSON in a message": lambda size: '{"log":"' + _repeat('{\\"log\\":')(size) + '"}\n',
    "parentheses": _repeat("(("),
    "stamps alone": _repeat("[    1.000000]\n"),
    "brackets that close and open": _repeat("] ["),
    "run-on stamps": _repeat("[    1.000000] x "),
    "run-on addresses": _repeat(") [<ffffffff>] ("),
    "base64": _repeat("QlVHOiA+Pj4vLy8vKysrKys9PT09aGVsbG8gd29ybGQ="),
    "base64 on lines": _repeat("QlVHOiA+Pj4vLy8vKysrKys9PT09aGVsbG8gd29ybGQ=" * 2 + "\n"),
    "soft breaks of long lines": _repeat("a" * 75 + "=\n"),
    "soft breaks in quotes": _repeat("> " * 8 + "a" * 60 + "=\n"),
    "octal": _repeat("#012#011"),
    "hexadecimal": _repeat("\\x0a\\x41"),
    "tags on lines": _repeat("<pre>BUG: x<br/><br>\n"),
    "open tags": _repeat("<pre "),
    "container parts": _repeat("2024-01-01T00:00:00Z stdout P BUG: x\n"),
    "container parts of two": _repeat(
        "2024-01-01T00:00:00Z stdout P BUG: x\n2024-01-01T00:00:00Z stderr P BUG: x\n"
    ),
    "netconsole fragments of many": _counted("4,{n},1,-,ncfrag=0/9000;BUG:\n"),
    "lines of a quarter": _parted("BUG: soft lockup ", 4),
    "lines of a quarter, breaks": _parted("BUG: soft lockup\\n", 4),
    "lines of a quarter, stamps": _parted("[    1.000000] BUG: ", 4),
    "lines of a quarter, addresses": _parted("[<ffffffff>] ", 4),
    "literals, one on a line": _repeat("".join(f"{word}\n" for word in LITERALS)),
    "stamped literals, one on a line": _repeat(
        "".join(f"[    1.000000] {word}\n" for word in LITERALS)
    ),
    "numbered literals": _counted("".join(f"[    1.000000] {word}{{n}}\n" for word in LITERALS)),
    "file names that never end": _framed(
        "[    1.000000] WARNING: suspicious RCU usage\n", f"[    1.000000] {'.' * 300}\n"
    ),
    "resolved frames that never end": _framed(CRASH, f"[    1.000000] a (a.c:{'0' * 4000}\n"),
    "long names before an offset": _framed(CRASH, f"[    1.000000] {'a' * 3000}] +0x\n"),
    "dotted names before an offset": _framed(CRASH, f"[    1.000000] {'a.' * 1500}] +0x\n"),
    "64 programs that alternate": _repeat(
        "".join(
            f"{DATE} p[{n}]: {text}\n"
            for text in (PYTHON[:-1], PYTHON_FRAME[:-1], "x", "x", "x")
            for n in range(64)
        )
    ),
    "goroutines on one line": _repeat("goroutine 0 gp=0x0 m="),
    "a headline and stamps on one line": _framed("BUG: ", ".0]"),
    "warnings at on one line": _repeat("WARNING: at "),
    "panics behind guesses": _repeat(
        OOPS + TRACE + FRAME * 60 + "[    1.000000] Kernel panic - not syncing: x\n"
    ),
    "characters that are none": _repeat("\ud800\x00\uffff"),
    "wide characters": _repeat("\U0001f4a5BUG: \n"),
}


PIECES = (
    "a", " ", "0", "_a", "a.b/", "a.c:1 ", "f+0x1/0x2 ", "[<ffff>] ", "? ", "at ", "in ", "(", "::",
    "lock held ", "'", "\\", "=1 ", "....", "a (a.c:0", "[a[", "at: [<", "0x0m=", "a.", " from ", "Read of ",
)  # fmt: skip
HEADLINES = (
    "BUG: KASAN: use-after-free in f+0x1/0x2", "BUG: KASAN: use-after-free on address",
    "BUG: KMSAN: uninit-value in f+0x1/0x2", "WARNING: suspicious RCU usage",
    "WARNING: possible circular locking dependency detected", "WARNING: inconsistent lock state",
    "WARNING: held lock freed!", "BUG: held lock freed!", "BUG: still has locks held!",
    "WARNING: lock held when returning to user space!", "WARNING: bad unlock balance detected!",
    "WARNING: possible recursive locking detected", "BUG: unable to handle kernel paging request",
    "INFO: rcu_sched self-detected stall on CPU", "INFO: task a:1 blocked for more than 120 seconds.",
    "BUG: workqueue leaked lock or atomic: a/0x1/1", "WARNING: CPU: 1 PID: 2 at mm/a.c:1 f+0x1/0x2",
)  # fmt: skip
"""Headlines of which the lines that follow are searched."""


WAYS = (
    ("alone", "", SMALL, DOUBLINGS, ""),
    ("behind a crash", "", SMALL << LATER, DOUBLINGS, CRASH),
    ("without google-re2", "re", SMALL << 1, DOUBLINGS - 1, ""),
)
"""How texts are read: in words, the engine (empty: the usual one), the smallest size, doublings,
what stands first."""


def measure(*, verbose: bool) -> bool:
    """Print the exponents, the worst first, and the slowest texts."""
    fine = True
    usual = use("re")
    for where, engine, small, doublings, first in WAYS:
        use(engine or usual)
        by_size = [
            (*_growth(make, small, doublings, first), name) for name, make in HOSTILE.items()
        ]
        what = f"with the size of the text, {where}"
        fine = _told(what, small << doublings, by_size, verbose=verbose) and fine
    use(usual)
    by_line = [
        (*_line_growth("", literal, piece), f"{literal!r} and {piece!r} again and again")
        for literal in LITERALS
        for piece in PIECES
    ]
    fine = _told("with the length of lines", LINES, by_line, verbose=verbose) and fine
    behind = [
        (*_line_growth(f"[    1.000000] {head}\n", "", piece), f"{head!r}, then lines of {piece!r}")
        for head in HEADLINES
        for piece in PIECES
    ]
    what = "with the length of the lines behind a headline"
    return _told(what, LINES, behind, verbose=verbose) and fine


def _told(what: str, size: int, grown: list[tuple[float, float, str]], *, verbose: bool) -> bool:
    ranked = sorted(grown, reverse=True)
    bad = [row for row in ranked if row[0] > LIMIT]
    print(f"hostile: {len(bad)} of {len(ranked)} grow faster than ^{LIMIT} {what}")
    for exponent, seconds, name in ranked if verbose else ranked[:8]:
        print(f"  ^{exponent:4.2f}  {seconds * 1e3:8.1f} ms for {size >> 10} kB: {name}")
    slowest = max(ranked, key=lambda row: row[1])
    print(f"  slowest: {slowest[1] * 1e3:.1f} ms for {size >> 10} kB: {slowest[2]}")
    return not bad


def _growth(
    make: Callable[[int], str], size: int, doublings: int, first: str
) -> tuple[float, float]:
    """Return the exponent between the smallest and the largest text, and the largest's seconds."""
    small, large = (_time(first + make(size << n)) for n in (0, doublings))
    return math.log2(large / small) / doublings, large


def _line_growth(first: str, literal: str, piece: str) -> tuple[float, float]:
    """Return the exponent between short and long lines of one text, and the long ones' seconds."""
    short, long = (
        _time(first + _repeat(f"[    1.000000] {literal}{piece * (length // len(piece))}\n")(LINES))
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
