"""The crash reader that everybody writes first, to compare with: one line, all patterns.

It takes the stamp off each line, tries every headline pattern on it, then every frame pattern,
and skips frames by a list of names. Nothing is clever and nothing is slow on purpose: patterns
are compiled once, each line is split and stripped once. It knows the common formats, writes the
same titles for them, and no transport.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *([CT]\d+)\])? ?")

_HEADLINES = [
    (re.compile(pattern), title)
    for pattern, title in (
        (r"BUG: KASAN: ([a-z\-]+) in ([a-zA-Z0-9_]+)", "KASAN: {0} {access} in {frame}"),
        (r"BUG: KASAN: double-free or invalid-free", "KASAN: invalid-free in {frame}"),
        (r"BUG: KMSAN: ([a-z\-]+) in ([a-zA-Z0-9_]+)", "KMSAN: {0} in {frame}"),
        (r"BUG: KCSAN: (.*)", "KCSAN: {0}"),
        (r"BUG: KFENCE: ([a-z\-]+ [a-z]+) in", "KFENCE: {0} in {frame}"),
        (r"BUG: unable to handle kernel paging request", "{bug} paging request in {frame}"),
        (r"BUG: unable to handle page fault for address", "{bug} paging request in {frame}"),
        (r"Unable to handle kernel paging request", "{bug} paging request in {frame}"),
        (r"BUG: unable to handle kernel NULL pointer", "{bug} NULL pointer dereference in {frame}"),
        (r"BUG: kernel NULL pointer dereference", "{bug} NULL pointer dereference in {frame}"),
        (r"Unable to handle kernel NULL pointer", "{bug} NULL pointer dereference in {frame}"),
        (r"BUG: spinlock ([a-z ]+) on", "BUG: spinlock {0} in {frame}"),
        (r"BUG: soft lockup", "BUG: soft lockup in {frame}"),
        (r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {frame}"),
        (r"BUG: sleeping function called from invalid context",
         "BUG: sleeping function called from invalid context in {frame}"),
        (r"BUG: using ([a-z_]+)\(\) in preemptible",
         "BUG: using {0}() in preemptible code in {frame}"),
        (r"BUG: bad unlock balance detected", "BUG: bad unlock balance in {frame}"),
        (r"BUG: held lock freed", "BUG: held lock freed in {frame}"),
        (r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state"),
        (r"BUG: Bad page state", "BUG: Bad page state in {frame}"),
        (r"BUG: Bad page map", "BUG: Bad page map"),
        (r"BUG: workqueue lockup", "BUG: workqueue lockup"),
        (r"BUG: memory leak", "memory leak in {frame}"),
        (r"BUG: Invalid wait context", "WARNING: locking bug in {frame}"),
        (r"WARNING: .*lib/debugobjects\.c", "WARNING: ODEBUG bug in {frame}"),
        (r"WARNING: .*mm/usercopy\.c", "WARNING: bad usercopy in {frame}"),
        (r"WARNING: .*lib/kobject\.c", "WARNING: kobject bug in {frame}"),
        (r"WARNING: .*fs/proc/generic\.c", "WARNING: proc registration bug in {frame}"),
        (r"WARNING: .*lib/refcount\.c", "WARNING: refcount bug in {frame}"),
        (r"WARNING: .*kernel/locking/lockdep\.c.*lock_", "WARNING: locking bug in {frame}"),
        (r"WARNING: possible circular locking dependency", "possible deadlock in {lock}"),
        (r"WARNING: possible recursive locking", "possible deadlock in {lock}"),
        (r"WARNING: possible irq lock inversion", "possible deadlock in {lock}"),
        (r"WARNING: inconsistent lock state", "inconsistent lock state in {frame}"),
        (r"WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {frame}"),
        (r"WARNING: bad unlock balance", "WARNING: bad unlock balance in {frame}"),
        (r"WARNING: .*at [\w./\-]+:\d+ ([a-zA-Z0-9_]+)", "WARNING in {frame}"),
        (r"INFO: possible circular locking dependency", "possible deadlock in {lock}"),
        (r"INFO: possible recursive locking", "possible deadlock in {lock}"),
        (r"INFO: rcu_\w+ (?:self-)?detected(?: expedited)? stall",
         "INFO: rcu detected stall in {frame}"),
        (r"INFO: trying to register non-static key",
         "INFO: trying to register non-static key in {frame}"),
        (r"INFO: suspicious RCU usage", "INFO: suspicious RCU usage in {frame}"),
        (r"INFO: task .* blocked (?:in I/O wait )?for more than \d+ seconds",
         "INFO: task hung in {frame}"),
        (r"INFO: task .* can't die for more than", "INFO: task can't die in {frame}"),
        (r"general protection fault", "general protection fault in {frame}"),
        (r"stack segment: ", "stack segment fault in {frame}"),
        (r"divide error: ", "divide error in {frame}"),
        (r"invalid opcode: ", "invalid opcode in {frame}"),
        (r"PANIC: double fault", "PANIC: double fault in {frame}"),
        (r"kernel BUG at ", "kernel BUG in {frame}"),
        (r"Kernel BUG at ", "kernel BUG in {frame}"),
        (r"UBSAN: ([a-z\-]+) in", "UBSAN: {0} in {frame}"),
        (r"unregister_netdevice: waiting for (\w+) to become free",
         "unregister_netdevice: waiting for DEV to become free"),
        (r"Kernel panic - not syncing: (.*)", "kernel panic: {0}"),
    )
]  # fmt: skip
_NOT = re.compile(r"INFO: lockdep is turned off|INFO: Stall ended|panic_on_warn set")
_FRAMES = [
    re.compile(pattern)
    for pattern in (
        r"^RIP: 0010:([a-zA-Z0-9_]+)",
        r"^RIP: 0010:\[<[0-9a-f]+>\] +(?:\[<[0-9a-f]+>\] +)?([a-zA-Z0-9_]+)",
        r"^(?:EIP|IP): (?:\[<[0-9a-f]+>\] +)?([a-zA-Z_][a-zA-Z0-9_]*)\+0x",
        r"^PC is at ([a-zA-Z0-9_]+)",
        r"^(?:pc|epc) : ([a-zA-Z_][a-zA-Z0-9_]*)\+0x",
        r"^NIP \[[0-9a-f]+\] ([a-zA-Z0-9_]+)",
        r"^[ \t]+(?:\[<[0-9a-f]+>\] )?([a-zA-Z_][a-zA-Z0-9_]*)(?:\.[\w.]+)?\+0x[0-9a-f]+/0x",
        r"^[ \t]*\[<[0-9a-f]+>\] ([a-zA-Z_][a-zA-Z0-9_]*)",
        r"^[ \t]+([a-zA-Z_][a-zA-Z0-9_]*)(?:\.[\w.]+)? [\w./\-]+\.[chS]:\d+",
    )
]
_ACCESS = re.compile(r"(Read|Write) of size \d+")
_LOCK = re.compile(r"at: (?:\[<[0-9a-f]+>\] )?([a-zA-Z0-9_]+)")
_SKIP = [
    re.compile(pattern)
    for pattern in (
        r"^_*dump_stack", r"^show_stack", r"^print_", r"^_*kasan_", r"^check_memory_region",
        r"^_*asan_", r"^_*kmsan_", r"^_*msan_", r"^kfence_", r"^ubsan_", r"^_*ubsan_",
        r"^_*warn", r"^panic$", r"^report_bug", r"^fixup_bug", r"^do_trap", r"^do_error_trap",
        r"^handle_bug", r"^exc_", r"^asm_", r"^do_invalid_op", r"^invalid_op", r"^page_fault",
        r"^do_page_fault", r"^_*die", r"^oops_", r"^no_context", r"^bad_area", r"^_*mem(?:cpy|set|"
        r"move|cmp)", r"^_*str(?:cpy|len|cmp|ncpy|lcpy)", r"^_*k[mz]alloc", r"^kfree", r"^kmem_",
        r"^_*vmalloc", r"^slab_", r"^_*slab", r"^lock_", r"^_*lock_", r"^_raw_", r"^_*mutex_",
        r"^_*spin_", r"^_*down_", r"^_*up_", r"^rcu_", r"^_*list_", r"^refcount_", r"^kobject_",
        r"^debug_", r"^_*copy_(?:to|from)_user", r"^_copy_", r"^atomic", r"^arch_", r"^_*sched",
        r"^schedule", r"^_*might_", r"^lockdep_", r"^validate_", r"^check_", r"^mark_",
        r"^trace_", r"^apic_timer", r"^smp_", r"^update_process", r"^tick_", r"^_*hrtimer_",
        r"^_*do_softirq", r"^irq_", r"^nmi_", r"^watchdog", r"^skb_panic", r"^skb_(?:over|under)",
        r"^create_object", r"^save_", r"^set_track", r"^_*stack_", r"^object_err", r"^end_report",
    )
]  # fmt: skip
_BROKEN = re.compile(r"\[ *\d+\.\d+\]")
_FACTS = {
    "release": re.compile(r"(?:Not tainted|Tainted: [A-Z ]+) (\d+\.\d+\S*)"),
    "taint": re.compile(r"Tainted: ([A-Z ]+?) \d"),
    "pid": re.compile(r"(?:PID|Pid): (\d+)"),
    "comm": re.compile(r"Comm: (\S+)"),
    "hardware": re.compile(r"Hardware name: (.*)"),
}
_BUG = "BUG: unable to handle kernel"


class Crash(NamedTuple):
    """What the naive reader finds."""

    title: str
    frames: list[str]
    facts: dict[str, str]


def read(text: str) -> Crash | None:
    """Return the first crash of ``text``, if there is one."""
    found: tuple[re.Match[str], str] | None = None
    frames: list[str] = []
    facts: dict[str, str] = {}
    access = lock = ""
    for line in text.splitlines():
        text_of = _STAMP.sub("", line)
        if found is None:
            found = _headline(text_of)
            continue
        for pattern in _FRAMES:
            match = pattern.search(text_of)
            if match is not None:
                frames.append(match[1])
                break
        for name, pattern in _FACTS.items():
            match = pattern.search(text_of)
            if match is not None:
                facts.setdefault(name, match[1])
        match = _ACCESS.search(text_of)
        access = access or (match[1] if match else "")
        match = _LOCK.search(text_of)
        lock = lock or (match[1] if match else "")
    if found is None:
        return None
    guilty = next((name for name in frames if not _skipped(name)), "corrupted")
    title = found[1].format(
        *found[0].groups(), frame=guilty, access=access, lock=lock or guilty, bug=_BUG
    )
    return Crash(_BROKEN.sub("", title), frames, facts)


def _headline(line: str) -> tuple[re.Match[str], str] | None:
    if _NOT.search(line):
        return None
    for pattern, title in _HEADLINES:
        match = pattern.search(line)
        if match is not None:
            return match, title
    return None


def _skipped(name: str) -> bool:
    return any(pattern.search(name) for pattern in _SKIP)
