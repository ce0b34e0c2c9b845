"""Headline formats, as data: adding a crash is adding a row here and a golden file.

The kernel's messages and the titles follow the kernel's sources and the labelled test data of
google/syzkaller ``pkg/report`` (Apache-2.0); the layout of the table is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from bot.crash import frames as shapes
from bot.crash.frames import FUNC, PC, SRC
from bot.crash.report import Kind
from bot.crash.scan import needed

FRAMES = None
"""The step that collects the frames of a trace; every other step is a pattern to look for."""

Steps = tuple[re.Pattern[str] | None, ...]

_POINTER = shapes.POINTER
_CALLS = shapes.TRACE
_AT = re.compile(rf"at: (?:{PC} +)?{FUNC}")
_ORIGIN = re.compile(r"Local variable .* created at:|Uninit was created at:")
_TRAPPED = re.compile(rf"(?:{_POINTER.pattern}|--- interrupt: [0-9]+ at {FUNC})")
_OLD_WARNING = re.compile(rf"WARNING: at {SRC.replace('(', '(?:', 1)} {FUNC}")
_PLACE = SRC.replace("(", "(?:", 1)
_WARNED = re.compile(
    rf"WARNING: (?:(?:CPU: [0-9]{{1,5}} PID: [0-9]{{1,10}} )?at {_PLACE}|(?:\[.*\] )?{_PLACE} at) {FUNC}"
)
_WORK = re.compile(shapes.WORK.pattern.replace("(?P<module>", "(?:"))
CUT_OFF = ((_WARNED,), (_WORK,))
"""Who is left where a trace was cut off before it named anybody: who warned, the work that ran."""

_TIMER = re.compile(r"apic_timer_interrupt")
_OLD_COMPLAINT = re.compile(
    r"Badness in ([a-zA-Z0-9_]+) at|BUG: (?:warning )?at [^ ]{1,200}[/ ]([a-zA-Z0-9_]+)\(\)"
)
_TICK = re.compile(
    r"apic_timer_interrupt|Exception stack|el1h_64_irq|el1_irq|decrementer_common|ext_int_handler|"
    rf"handle_riscv_irq|--- interrupt: [0-9a-f]+ at \.?{FUNC}"
)
"""The frame of the timer's interrupt: what stands below it was running."""

_RETURN = re.compile(rf"^ {{0,2}}(?:LR is at |lr : |ra {{0,3}}: (?:[0-9a-f]{{8,16}} )?){FUNC}")
"""Where the processor would have returned to: the last resort where no trace was kept."""

_HALTED = re.compile(rf"^ {{0,2}}(?=epc|Krnl|NIP|IAOQ|TPC|ERA)(?:{_POINTER.pattern})")
"""Where the stalled processor itself was, on architectures that print it without an interrupt."""
_ITSELF = re.compile(r"\(t=[0-9]+ jiffies")
"""The processor that stalls is the one that says so: the registers that follow are its own."""


class Look(Enum):
    """Where the guilty function stands: ways to walk a report, the first that finds one wins."""

    NOWHERE = ((),)
    POINTER = ((_POINTER,),)
    POINTER_THEN_TRACE = ((_POINTER, _CALLS, FRAMES), (_CALLS, FRAMES), (_RETURN,))
    TRACE = ((_CALLS, FRAMES),)
    STUCK = (
        (_POINTER, _CALLS, FRAMES),
        (_CALLS, FRAMES),
        (re.compile(r"BUG: soft lockup detected on CPU"), FRAMES),
    )
    COMPLAINT = ((_OLD_COMPLAINT, FRAMES),)
    FREED = (
        (re.compile(rf"Freed in {FUNC}"),),
        (re.compile(rf"Allocated in {FUNC}"),),
        (_CALLS, FRAMES),
    )
    ALLOCATED = ((re.compile(rf"Allocated in {FUNC}"),), (_CALLS, FRAMES))
    POINTER_OR_TRACE = ((_TRAPPED, FRAMES), (_CALLS, FRAMES), (_OLD_WARNING,))
    HEADLINE_THEN_TRACE = (
        (re.compile(rf"BUG: KAS(?:AN|an): [a-z\- ]+ in {FUNC}"), _CALLS, FRAMES),
    )
    HEADLINE_THEN_FRAMES = ((re.compile(rf"BUG: KFENCE: [a-z\- ]+ in {FUNC}"), FRAMES),)
    FRAMES_AND_ORIGIN = ((FRAMES, _ORIGIN, FRAMES),)
    INTERRUPTED = (
        (_TIMER, _POINTER, FRAMES),
        (_TICK, FRAMES),
        (re.compile(r"NMI backtrace for cpu"), _POINTER, _CALLS, FRAMES),
        (_HALTED, _CALLS, FRAMES),
        (_ITSELF, _POINTER, _CALLS, FRAMES),
    )
    LOCKS = ((_AT, _AT, FRAMES),)
    BECAME = ((re.compile(r"which became .* at:"), FRAMES),)
    UNLOCKED = ((re.compile(rf"{PC} +{FUNC}"), _CALLS, FRAMES),)
    LEAKED = ((re.compile(r"backtrace(?: \(crc [0-9a-fA-F]*\))?:"), FRAMES),)
    PAGE_OWNER = ((re.compile(r"page last allocated"), FRAMES),)

    ways: tuple[Steps, ...]
    """The walks to try, in order."""

    def __init__(self, *ways: Steps) -> None:
        """Take the walks."""
        self.ways = ways


class Pick(Enum):
    """Which of the frames that were collected is the guilty one."""

    TOP = "the first frame that no rule skips"
    STALL = "the frame just below the point where work is dispatched"
    HANG = "what the task waits for, not how it waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way in which a kernel announces a crash.

    ``literal`` is what the line must hold (the cheap test), ``pattern`` the real test; named
    groups go into ``title`` and ``alts``, ``{frame}`` stands for the guilty function. ``details``
    are patterns that must follow, in order, on later lines, and add groups. ``plumbing`` is what
    this format skips besides the general rules. ``broken`` says why such a headline alone cannot
    be trusted. ``traced`` is false where no call trace belongs to the report.
    """

    literal: str
    pattern: re.Pattern[str]
    title: str
    kind: Kind
    look: Look = Look.NOWHERE
    pick: Pick = Pick.TOP
    alts: tuple[str, ...] = ()
    details: tuple[re.Pattern[str], ...] = ()
    plumbing: str = ""
    traced: bool = True
    broken: str | None = None


def row(  # noqa: PLR0913 - a row of the table has as many columns
    literal: str,
    pattern: str,
    title: str,
    kind: Kind,
    look: Look = Look.NOWHERE,
    *,
    pick: Pick = Pick.TOP,
    alts: tuple[str, ...] = (),
    details: tuple[str, ...] = (),
    plumbing: str = "",
    traced: bool = True,
    broken: str | None = None,
) -> Format:
    """Make a row; ``@FUNC``, ``@PC`` and ``@SRC`` stand for a function, an address, file:line."""
    return Format(
        literal=literal,
        pattern=_compile(pattern),
        title=title,
        kind=kind,
        look=look,
        pick=pick,
        alts=alts,
        details=tuple(_compile(detail) for detail in details),
        plumbing=plumbing,
        traced=traced,
        broken=broken,
    )


def _compile(pattern: str) -> re.Pattern[str]:
    func = FUNC.replace("(", "(?P<func>", 1)
    src = SRC.replace("(", "(?P<src>", 1)
    return re.compile(pattern.replace("@FUNC", func).replace("@PC", PC).replace("@SRC", src))


ACCESS = ("bad-access in {frame}",)
STALL = ("stall in {frame}",)
HANG = ("hang in {frame}",)
FREE = ("invalid-free in {frame}",)
OVERFLOW = ("stack-overflow in {frame}",)
HELD = r"leaving the kernel with locks still held"
LOCK_AT = r"at: (?:@PC +)?@FUNC"
ALLOCATORS = r"kmalloc|krealloc|slab|kmem"
USB = r"usb_submit_urb|usb_start_wait_urb|usb_bulk_msg|usb_interrupt_msg|usb_control_msg"
DEBUGOBJECTS = r"debug_|rcu|hrtimer_|timer_|work_|percpu_|vunmap|vfree|__free_|debug_check|kobject_"
MEMORY = (
    r"kmemleak|mmap|kmem|slab|alloc|create_object|idr_get|list_lru_init|kasprintf|kvasprintf|"
    r"pcpu_create|strdup|strndup|memdup"
)
PAGES = (
    r"bad_page|free_hot|(?:free|put|get|update|release)_page|free_unref|^_*folio|truncate_inode_pages|"
    r"page_frag_free|alloc|vmap|page_owner"
)
WATCHDOG = r"watchdog|perf_event|perf_prepare|_nmi|^nmi_|_pmu_|sched_clock|x86_perf"
SLUB = (
    r"check_bytes|check_slab|check_pad|print_trailer|object_err|slab|debug_processing|"
    r"free_to_partial|consistency_checks|dump_stack"
)
TAGS = r"kernel_fault|tag_check|mem_abort|^el1_|^el1h_"
CIPHERS = r"alloc_skb|netlink_ack|netlink_rcv_skb|_encrypt$|^(?:crypto|cipher|drbg|rng)_"
QUEUES = r"process_one_work|flush_workqueue|drain_workqueue|destroy_workqueue"
BAD_FREE = r"double-free or invalid-free|double-free|invalid-free"
TRUNCATED = "the crash itself is missing: only what follows it was kept"
STARVED = "the thread of RCU itself did not run: no processor is proven guilty"
SPLIT = "the headline is cut off"

_BUG = (
    row("BUG:", r"BUG: KASAN: (?P<what>[a-z\-]+) in @FUNC",
        "KASAN: {what} {access} in {frame}", Kind.SANITIZER, Look.HEADLINE_THEN_TRACE,
        alts=ACCESS, plumbing=TAGS,
        details=(r"^.*(?P<access>Read|Write) (?:of size|at addr) [0-9a-f]+",)),
    row("BUG:", rf"BUG: KASAN: (?:{BAD_FREE}) in @FUNC", "KASAN: invalid-free in {frame}",
        Kind.SANITIZER, Look.HEADLINE_THEN_TRACE, alts=FREE,
        plumbing=r"slab_|kfree|vunmap|vfree"),
    row("BUG:", r"BUG: KASAN: (?P<what>[a-z\-]+) on address", "KASAN: {what} {access}",
        Kind.SANITIZER, details=(r"^.*(?P<access>Read|Write) of size [0-9]+",)),
    row("BUG:", r"BUG: KASAN: (?P<what>.*)", "KASAN: {what}", Kind.SANITIZER, broken=SPLIT),
    *(row("BUG:", rf"BUG: KASan: {spelt} in @FUNC", f"KASAN: {what} {{access}} in {{frame}}",
          Kind.SANITIZER, Look.HEADLINE_THEN_TRACE, alts=ACCESS, plumbing=TAGS,
          details=(r"^.*(?P<access>Read|Write) of size [0-9]+",))
      for spelt, what in (("use after free", "use-after-free"),
                          ("out of bounds (?:access|on stack)", "out-of-bounds"))),
    row("BUG:", r"BUG: KMSAN: kernel-usb-infoleak in @FUNC", "KMSAN: kernel-usb-infoleak in {frame}",
        Kind.SANITIZER, Look.FRAMES_AND_ORIGIN, alts=("KMSAN origin in {origin}",),
        plumbing=f"alloc_skb|{USB}", traced=False),
    row("BUG:", r"BUG: KMSAN: (?P<what>[a-z\-]+) in @FUNC", "KMSAN: {what} in {frame}", Kind.SANITIZER,
        Look.FRAMES_AND_ORIGIN, alts=ACCESS, plumbing=CIPHERS, traced=False),
    row("BUG:", r"BUG: KCSAN: (?P<what>.*)", "KCSAN: {what}", Kind.SANITIZER, traced=False),
    row("BUG:", r"BUG: KFENCE: (?P<what>use-after-free|out-of-bounds) (?P<access>read|write) in "
        r"@FUNC", "KFENCE: {what} {access} in {frame}", Kind.SANITIZER,
        Look.HEADLINE_THEN_FRAMES, alts=ACCESS, traced=False),
    row("BUG:", r"BUG: KFENCE: invalid free in @FUNC", "KFENCE: invalid free in {frame}",
        Kind.SANITIZER, Look.HEADLINE_THEN_FRAMES, alts=FREE, traced=False),
    row("BUG:", r"BUG: KFENCE: invalid (?P<access>read|write) in @FUNC",
        "KFENCE: invalid {access} in {frame}", Kind.SANITIZER, Look.HEADLINE_THEN_FRAMES,
        alts=ACCESS, traced=False),
    row("BUG:", r"BUG: KFENCE: memory corruption in @FUNC",
        "KFENCE: memory corruption in {frame}", Kind.SANITIZER, Look.HEADLINE_THEN_FRAMES,
        traced=False),
    row("BUG:", r"BUG: (?:unable to handle kernel paging request|unable to handle page fault for "
        r"address|Unable to handle kernel (?:data access|instruction fetch|unaligned access))",
        "BUG: unable to handle kernel paging request in {frame}", Kind.PAGE_FAULT,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("BUG:", r"BUG: (?:unable to handle kernel NULL pointer|kernel NULL pointer|Kernel NULL "
        r"pointer) dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}", Kind.NULL_DEREF,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("BUG:", r"BUG: [uU]nable to handle kernel", "BUG: unable to handle kernel",
        Kind.PAGE_FAULT, broken=SPLIT),
    row("BUG:", r"BUG: (?P<lock>spinlock|rwlock) (?P<what>lockup(?: suspected)?|already unlocked|"
        r"recursion|cpu recursion|bad magic|wrong owner|wrong CPU|trylock failure on UP)",
        "BUG: {lock} {what} in {frame}", Kind.BUG, Look.TRACE, plumbing=r"spin_|_lock|_unlock"),
    row("BUG:", r"BUG: soft lockup", "BUG: soft lockup in {frame}", Kind.SOFT_LOCKUP,
        Look.STUCK, pick=Pick.STALL, alts=STALL),
    row("BUG:", r"BUG: NMI Watchdog detected LOCKUP", "BUG: hard lockup in {frame}",
        Kind.HARD_LOCKUP, Look.POINTER_THEN_TRACE, alts=STALL, plumbing=WATCHDOG),
    row("BUG:", r"BUG: (?:warning )?at @SRC[/ ](?P<name>[a-zA-Z0-9_]+)\(\)", "WARNING in {frame}",
        Kind.WARNING, Look.COMPLAINT),
    row("BUG:", r"BUG: .*still has locks held!", "BUG: still has locks held in {func}",
        Kind.LOCKDEP, details=(r"^.*@PC +@FUNC",)),
    row("BUG:", r"BUG: scheduling while atomic", "BUG: scheduling while atomic in {frame}",
        Kind.BUG, Look.TRACE, plumbing="schedule"),
    row("BUG:", r"BUG: lock held when returning to user space",
        "BUG: lock held when returning to user space in {func}", Kind.LOCKDEP,
        details=(HELD, LOCK_AT), traced=False),
    row("BUG:", r"BUG: bad unlock balance detected!", "BUG: bad unlock balance in {frame}",
        Kind.LOCKDEP, Look.UNLOCKED),
    row("BUG:", r"BUG: held lock freed!", "BUG: held lock freed in {func}", Kind.LOCKDEP,
        details=(r"^.*@PC +@FUNC",)),
    row("BUG:", r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state", Kind.BUG,
        traced=False),
    row("BUG:", r"BUG: non-zero nr_(?P<what>ptes|pmds) on freeing mm",
        "BUG: non-zero nr_{what} on freeing mm", Kind.BUG, traced=False),
    row("BUG:", r"BUG: Dentry .* still in use \([0-9]+\) \[(?P<what>unmount) of (?P<of>[^\]]+)\]",
        "BUG: Dentry still in use in {what}", Kind.BUG,
        alts=("BUG: Dentry still in use [{what} of {of}]",)),
    row("BUG:", r"BUG: Bad page (?P<what>state|cache)", "BUG: Bad page {what} in {frame}",
        Kind.BUG, Look.PAGE_OWNER, plumbing=PAGES),
    row("BUG:", r"BUG: Bad page map", "BUG: Bad page map", Kind.BUG),
    row("BUG:", r"BUG: workqueue lockup", "BUG: workqueue lockup", Kind.OTHER, traced=False),
    row("BUG:", r"BUG: sleeping function called from invalid context at ",
        "BUG: sleeping function called from invalid context in {frame}", Kind.BUG, Look.TRACE),
    row("BUG:", r"BUG: using (?P<what>[a-z_]+)\(\) in preemptible",
        "BUG: using {what}() in preemptible code in {frame}", Kind.BUG, Look.TRACE,
        plumbing=r"dump_stack|preemption|preempt|debug_|processor_id|this_cpu"),
    row("BUG:", r"BUG: workqueue leaked lock or atomic",
        "BUG: workqueue leaked lock or atomic in {name}", Kind.BUG, traced=False,
        details=(r"^.*last function: (?P<name>[a-zA-Z0-9_]+)$",)),
    row("BUG:", r"BUG: memory leak", "memory leak in {frame}", Kind.SANITIZER, Look.LEAKED,
        plumbing=MEMORY),
    row("BUG:", r"BUG: .*stack guard page was hit at",
        "BUG: stack guard page was hit in {frame}", Kind.DOUBLE_FAULT, Look.POINTER_THEN_TRACE,
        pick=Pick.STALL, alts=OVERFLOW),
    row("BUG:", r"BUG: Invalid wait context", "WARNING: locking bug in {frame}", Kind.LOCKDEP,
        Look.TRACE, plumbing="lock_sock|release_sock"),
    row("BUG:", r"BUG:\s*$", "BUG: corrupted", Kind.BUG, broken=SPLIT),
)  # fmt: skip


def _warning(pattern: str, title: str, plumbing: str = "", kind: Kind = Kind.WARNING) -> Format:
    return row("WARNING:", pattern, title, kind, Look.POINTER_OR_TRACE, plumbing=plumbing)


_WARNING = (
    _warning(r"WARNING: .*lib/debugobjects\.c.* (?:debug_print|debug_check|at)",
             "WARNING: ODEBUG bug in {frame}", DEBUGOBJECTS),
    _warning(r"WARNING: .*mm/usercopy\.c.* (?:usercopy_warn|at)",
             "WARNING: bad usercopy in {frame}", "usercopy|__check"),
    _warning(r"WARNING: .*lib/kobject\.c.* (?:kobject_|at)", "WARNING: kobject bug in {frame}",
             "kobject_"),
    _warning(r"WARNING: .*fs/proc/generic\.c.* (?:proc_register|at)",
             "WARNING: proc registration bug in {frame}", "proc_"),
    row("WARNING:", r"WARNING: .*kernel/watchdog\.c.* watchdog_overflow_callback",
        "BUG: hard lockup in {frame}", Kind.HARD_LOCKUP, Look.POINTER_THEN_TRACE, alts=STALL,
        plumbing=WATCHDOG),
    _warning(r"WARNING: .*lib/refcount\.c.* (?:refcount_|at)", "WARNING: refcount bug in {frame}",
             "refcount|kobject_"),
    _warning(r"WARNING: .*kernel/locking/lockdep\.c.*lock_", "WARNING: locking bug in {frame}",
             "lock_sock|release_sock", Kind.LOCKDEP),
    row("WARNING:", r"WARNING: .*still has locks held!", "WARNING: still has locks held in {func}",
        Kind.LOCKDEP, details=(r"^.*at: @FUNC",)),
    _warning(r"WARNING: Nested lock was not taken",
             "WARNING: nested lock was not taken in {frame}", kind=Kind.LOCKDEP),
    row("WARNING:", r"WARNING: lock held when returning to user space",
        "WARNING: lock held when returning to user space in {func}", Kind.LOCKDEP,
        details=(HELD, LOCK_AT), traced=False),
    _warning(r"WARNING: [^/]*\bmm/[\w/.-]+\.c\S* (?:at )?k?.?malloc", "WARNING: kmalloc bug in {frame}", ALLOCATORS),
    _warning(r"WARNING: .*mm/vmalloc.c.*__vmalloc_node",
             "WARNING: zero-size vmalloc in {frame}"),
    _warning(r"WARNING: .* usb_submit_urb", "WARNING in {frame}/usb_submit_urb", USB),
    _warning(r"WARNING: @SRC at 0x\d+, CPU#\d+", "WARNING in {frame}"),
    _warning(r"WARNING: .*at @SRC @FUNC", "WARNING in {frame}"),
    _warning(r"WARNING: @SRC at @FUNC", "WARNING in {frame}"),
    _warning(r"WARNING: \[.*\] @SRC at @FUNC", "WARNING in {frame}"),
    _warning(r"WARNING: (?:CPU: [0-9]+ PID: [0-9]+ )?at @SRC\s*$", "WARNING in {frame}"),
    _warning(r"WARNING: at @SRC (?P<name>[a-z_]\w*)\(\)", "WARNING in {frame}"),
    row("WARNING:", r"WARNING: possible circular locking dependency detected",
        "possible deadlock in {frame}", Kind.LOCKDEP, Look.LOCKS, plumbing=QUEUES,
        details=(r"is trying to acquire lock",)),
    row("WARNING:", r"WARNING: possible irq lock inversion dependency detected",
        "possible deadlock in {func}", Kind.LOCKDEP,
        details=(r"just changed the state of lock", LOCK_AT)),
    row("WARNING:", r"WARNING: .*-safe -> .*-unsafe lock order detected",
        "possible deadlock in {frame}", Kind.LOCKDEP, Look.BECAME),
    row("WARNING:", r"WARNING: possible recursive locking detected",
        "possible deadlock in {func}", Kind.LOCKDEP,
        details=(r"is trying to acquire lock", LOCK_AT)),
    row("WARNING:", r"WARNING: inconsistent lock state", "inconsistent lock state in {frame}",
        Kind.LOCKDEP, Look.TRACE, details=(r"takes", LOCK_AT)),
    row("WARNING:", r"WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {frame}",
        Kind.LOCKDEP, Look.TRACE, details=(r"(?<![a-zA-Z0-9\-_/.])@SRC",), plumbing="rcu|kmem|slab"),
    row("WARNING:", r"WARNING: kernel stack regs at [0-9a-f]+ in [^ ]* has bad '(?P<what>[^']+)' "
        r"value", "WARNING: kernel stack regs has bad '{what}' value", Kind.WARNING,
        traced=False),
    row("WARNING:", r"WARNING: kernel stack frame pointer at [0-9a-f]+ in [^ ]* has bad value",
        "WARNING: kernel stack frame pointer has bad value", Kind.WARNING, traced=False),
    row("WARNING:", r"WARNING: bad unlock balance detected!",
        "WARNING: bad unlock balance in {frame}", Kind.LOCKDEP, Look.UNLOCKED),
    row("WARNING:", r"WARNING: held lock freed!", "WARNING: held lock freed in {func}",
        Kind.LOCKDEP, details=(r"^.*at:(?: @PC)? +@FUNC",)),
    row("WARNING:", r"WARNING: kernel stack (?:regs .* has bad 'bp'|frame pointer .* has bad) "
        r"value", "WARNING: kernel stack regs has bad value", Kind.WARNING, traced=False),
    row("WARNING:", r"WARNING:\s*$", "WARNING: corrupted", Kind.WARNING, broken=SPLIT),
)  # fmt: skip

_INFO = (
    row("INFO:", r"INFO: possible circular locking dependency detected",
        "possible deadlock in {func}", Kind.LOCKDEP,
        details=(r"is trying to acquire lock", r"at: @PC +@FUNC")),
    row("INFO:", r"INFO: possible irq lock inversion dependency detected",
        "possible deadlock in {func}", Kind.LOCKDEP,
        details=(r"just changed the state of lock", r"at: @PC +@FUNC")),
    row("INFO:", r"INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
        "possible deadlock in {func}", Kind.LOCKDEP,
        details=(r"is trying to acquire", r"at: @PC +@FUNC")),
    row("INFO:", r"INFO: possible recursive locking detected", "possible deadlock in {func}",
        Kind.LOCKDEP, details=(r"is trying to acquire lock", r"at: @PC +@FUNC")),
    row("INFO:", r"INFO: inconsistent lock state", "inconsistent lock state in {func}",
        Kind.LOCKDEP, details=(r"takes", r"at: @PC +@FUNC")),
    row("INFO:", r"INFO: rcu_(?:preempt|sched|bh)(?:_\w+)? (?:self-)?detected(?: expedited)? stall",
        "INFO: rcu detected stall in corrupted", Kind.RCU_STALL, alts=("stall in corrupted",),
        details=(r"All QSes seen", r"kthread starved for", r"where RCU GP kthread last ran"),
        broken=STARVED),
    row("INFO:", r"INFO: rcu_(?:preempt|sched|bh|tasks)(?:_\w+)? (?:self-)?detected(?: expedited)? "
        r"stall", "INFO: rcu detected stall in {frame}", Kind.RCU_STALL, Look.INTERRUPTED,
        pick=Pick.STALL, alts=STALL, plumbing="apic_timer_interrupt|rcu"),
    row("INFO:", r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {frame}", Kind.LOCKDEP, Look.TRACE,
        plumbing="stack|lock|IRQ"),
    row("INFO:", r"INFO: suspicious RCU usage", "INFO: suspicious RCU usage in {frame}",
        Kind.LOCKDEP, Look.TRACE, details=(r"(?<![a-zA-Z0-9\-_/.])@SRC",), plumbing="rcu|kmem|slab"),
    row("INFO:", r"INFO: task .* blocked (?:in I/O wait )?for more than [0-9]+ seconds",
        "INFO: task hung in {frame}", Kind.HUNG_TASK, Look.TRACE, pick=Pick.HANG, alts=HANG),
    row("INFO:", r"INFO: task .* can't die for more than .* seconds",
        "INFO: task can't die in {frame}", Kind.HUNG_TASK, Look.TRACE, alts=HANG,
        plumbing="schedule"),
    row("INFO:", r"INFO: (?P<what>Freed|Allocated) in (?P<rest>.*)", "INFO: {what} in {rest}",
        Kind.SANITIZER, broken=TRUNCATED),
    row("INFO:", r"INFO:\s*$", "INFO: corrupted", Kind.OTHER, broken=SPLIT),
)  # fmt: skip

_PANIC = "Kernel panic - not syncing: "

_PANICS = (
    row("Kernel panic", _PANIC + r"stack-protector: Kernel stack is corrupted in: @FUNC",
        "kernel panic: stack is corrupted in {func}", Kind.PANIC, traced=False),
    row("Kernel panic", _PANIC + r"stack-protector: Kernel stack is corrupted in: [a-f0-9]+",
        "kernel panic: stack is corrupted in {frame}", Kind.PANIC, Look.TRACE,
        plumbing="stack_chk"),
    row("Kernel panic", _PANIC + r"corrupted stack end detected inside scheduler",
        "kernel panic: corrupted stack end in {frame}", Kind.PANIC, Look.TRACE, pick=Pick.STALL,
        alts=OVERFLOW, plumbing="schedule|retint_kernel"),
    row("Kernel panic", _PANIC + r"kernel stack overflow", "kernel stack overflow in {frame}",
        Kind.PANIC, Look.TRACE, pick=Pick.STALL, alts=OVERFLOW, plumbing="bad_stack"),
    row("Kernel panic", _PANIC + r"Attempted to kill init!",
        "kernel panic: Attempted to kill init!", Kind.PANIC, traced=False),
    row("Kernel panic", _PANIC + r"(?P<what>VFS: Unable to mount root.*?(?= \]---|$)|No (?:working )?init found)",
        "kernel panic: {what}", Kind.PANIC, traced=False),
    row("Kernel panic", _PANIC + r"(?P<what>(?:Fatal |Unrecoverable )?(?:local )?[Mm]achine check|"
        r"Fatal hardware error|Timeout: Not all CPUs entered broadcast exception handler|"
        r"Uncorrected hardware error|Kernel Fault)", "kernel panic: {what}", Kind.PANIC, traced=False),
    row("Kernel panic", _PANIC + r"Watchdog detected hard LOCKUP", "BUG: hard lockup in {frame}",
        Kind.HARD_LOCKUP, Look.TRACE, alts=STALL, plumbing=WATCHDOG),
    row("Kernel panic", _PANIC + r"Couldn't open N_TTY ldisc for [^ ]+ --- error -[0-9]+",
        "kernel panic: Couldn't open N_TTY ldisc", Kind.PANIC),
    row("Kernel panic", _PANIC + r"Fatal exception", "kernel panic: Fatal exception", Kind.PANIC,
        broken=TRUNCATED),
    row("Kernel panic", _PANIC + r"panic_on_warn set", "kernel panic: panic_on_warn set",
        Kind.PANIC, broken=TRUNCATED),
    row("Kernel panic", _PANIC + r"hung_task: blocked tasks",
        "kernel panic: hung_task: blocked tasks", Kind.PANIC, broken=TRUNCATED),
    row("Kernel panic", _PANIC + r"(?P<what>.*)", "kernel panic: {what}", Kind.PANIC),
)  # fmt: skip

_TRAPS = (
    row("Watchdog detected hard LOCKUP", r"Watchdog detected hard LOCKUP on cpu",
        "BUG: hard lockup in {frame}", Kind.HARD_LOCKUP, Look.POINTER_THEN_TRACE,
        alts=STALL, plumbing=WATCHDOG),
    row("Unable to handle kernel", r"Unable to handle kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}", Kind.NULL_DEREF,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Unable to handle kernel",
        r"Unable to handle kernel (?P<what>paging request|access to user memory|"
        r"write to read-only memory|execute from non-executable memory|read from unreadable memory|"
        r"execution of user memory)",
        "BUG: unable to handle kernel {what} in {frame}", Kind.PAGE_FAULT,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Unable to handle kernel", r"Unable to handle kernel pointer dereference",
        "BUG: unable to handle kernel paging request in {frame}", Kind.PAGE_FAULT,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("general protection fault", r"general protection fault(?:.*:|, probably for)",
        "general protection fault in {frame}", Kind.GPF, Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("stack segment: ", r"stack segment: ", "stack segment fault in {frame}", Kind.GPF,
        Look.POINTER_THEN_TRACE),
    *_PANICS,
    row("PANIC: double fault", r"PANIC: double fault", "PANIC: double fault in {frame}",
        Kind.DOUBLE_FAULT, Look.POINTER),
    row("rust_kernel: panicked", r"rust_kernel: panicked at ", "{what} in {frame}", Kind.BUG,
        Look.TRACE, details=(r"(?P<what>.+)",), plumbing="rust_begin_unwind"),
    row("kernel BUG", r"kernel BUG at mm/usercopy.c", "BUG: bad usercopy in {frame}", Kind.BUG,
        Look.TRACE, plumbing="usercopy|__check"),
    row("kernel BUG", r"kernel BUG at lib/list_debug.c", "BUG: corrupted list in {frame}",
        Kind.BUG, Look.TRACE, alts=ACCESS),
    row("kernel BUG", r"kernel BUG at ", "kernel BUG in {frame}", Kind.BUG,
        Look.POINTER_THEN_TRACE, plumbing="^skb_"),
    row("Kernel BUG", r"Kernel BUG at [\w./-]+:[0-9]+", "kernel BUG in {frame}", Kind.BUG,
        Look.POINTER_THEN_TRACE, plumbing="^skb_"),
    row("Kernel BUG", r"Kernel BUG (?P<what>.*)", "kernel BUG {what}", Kind.BUG),
    row("divide error:", r"divide error: ", "divide error in {frame}", Kind.DIVIDE_ERROR,
        Look.POINTER),
    row("divide_error:", r"divide_error: ", "divide error in {frame}", Kind.DIVIDE_ERROR,
        Look.POINTER),
    row("invalid opcode:", r"invalid opcode: ", "invalid opcode in {frame}", Kind.INVALID_OPCODE,
        Look.POINTER),
    row("Oops: int3:", r"Oops: int3: ", "int3 in {frame}", Kind.OTHER, Look.POINTER_THEN_TRACE),
    row("UBSAN:", r"UBSAN: (?:Undefined behaviour in)", "UBSAN: undefined-behaviour in {frame}",
        Kind.SANITIZER, Look.TRACE, plumbing="ubsan|overflow"),
    row("UBSAN:", r"UBSAN: array-index-out-of-bounds in",
        "UBSAN: array-index-out-of-bounds in {frame}", Kind.SANITIZER, Look.TRACE, alts=ACCESS,
        plumbing="ubsan|overflow"),
    row("UBSAN:", r"UBSAN: (?P<what>.*?) in", "UBSAN: {what} in {frame}", Kind.SANITIZER,
        Look.TRACE, plumbing="ubsan|overflow"),
    row("Booting the kernel.", r"^Booting the kernel", "unexpected kernel reboot", Kind.OTHER,
        traced=False),
    row("unregister_netdevice: waiting for", r"unregister_netdevice: waiting for .* to become "
        r"free", "unregister_netdevice: waiting for DEV to become free", Kind.OTHER,
        traced=False),
    row("VFS: Close: file count is 0", r"VFS: Close: file count is 0",
        "VFS: Close: file count is zero (use-after-free)", Kind.OTHER, traced=False),
    row("VFS: Busy inodes after unmount", r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)", Kind.OTHER, traced=False),
    row("Internal error:", r"Internal error: Oops - (?:undefined|illegal) instruction",
        "Internal error in {frame}", Kind.INVALID_OPCODE, Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Internal error:", r"Internal error: Oops - BUG", "Internal error in {frame}", Kind.BUG,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Internal error:", r"Internal error: (?:Oops)?: [0-9a-f]{1,16} \[# ?[0-9]",
        "Internal error in {frame}", Kind.PAGE_FAULT, Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Internal error:", r"Internal error:", "Internal error in {frame}", Kind.OTHER,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Unhandled fault:", r"Unhandled fault:", "Unhandled fault in {frame}", Kind.PAGE_FAULT,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Alignment trap:", r"Alignment trap:", "Alignment trap in {frame}", Kind.OTHER,
        Look.POINTER_THEN_TRACE),
    row("trusty: panic", r"trusty: panic.* ASSERT FAILED at \(.*?\): (?P<what>.+)",
        "trusty: ASSERT FAILED: {what}", Kind.PANIC, traced=False),
    row("trusty: panic", r"trusty: panic.* ASSERT FAILED.*: *(?P<what>.*)",
        "trusty: ASSERT FAILED: {what}", Kind.PANIC, broken=SPLIT),
    row("trusty: panic", r"trusty: panic \(.*?\): (?P<what>.+)", "trusty: panic: {what}",
        Kind.PANIC, traced=False),
)  # fmt: skip

_DIED = r"\[#? ?[0-9]{1,4}\][A-Z0-9_() ]{0,80}:?\s*$"
"""How every ``die()`` ends its line: the count of deaths, then options of the build."""

_OPENS = r"(?:^\s{0,16}|[:\]\"] ?)"
"""What may stand in front of such a line: blanks, or the end of whatever carried it."""

_DIE = r" ?(?::? ?[0-9a-f]{4,16})?(?: ilc:[0-9])? ?" + _DIED


def _die(what: str, title: str, kind: Kind, literal: str = "") -> Format:
    """Make a row for what ``die()`` prints: words, an error code, the count of deaths."""
    return row(
        literal or what,
        f"{_OPENS}(?P<what>{what}){_DIE}",
        title,
        kind,
        Look.POINTER_THEN_TRACE,
        alts=ACCESS,
    )


def _slub(literal: str, look: Look) -> Format:
    return row(
        literal,
        r"\bBUG [\w:.-]{1,64} ?(?:\(.{1,60}\))?: (?P<what>(?:Left |Right |Object )?"
        rf"{literal})",
        "BUG: {what} in {frame}",
        Kind.BUG,
        look,
        plumbing=SLUB,
    )


_OTHERS = (
    row("Hard LOCKUP", r"(?:atchdog:? {0,2}|^)CPU:? ?[0-9]+ Hard LOCKUP", "BUG: hard lockup in {frame}",
        Kind.HARD_LOCKUP, Look.POINTER_THEN_TRACE, alts=STALL),
    row("NMI Watchdog detected LOCKUP", r"NMI Watchdog detected LOCKUP",
        "BUG: hard lockup in {frame}", Kind.HARD_LOCKUP, Look.POINTER_THEN_TRACE, alts=STALL,
        plumbing=WATCHDOG),
    row("blocked for more than", r"^.{0,32}:[0-9]{1,10} blocked for more than [0-9]+ seconds\.?\s*$",
        "INFO: task hung in {frame}", Kind.HUNG_TASK, Look.TRACE, pick=Pick.HANG, alts=HANG),
    *(row("Vector: ", rf"^cpu 0x[0-9a-f]{{1,4}}: Vector: (?:{vectors})\b", title, kind,
          Look.POINTER_THEN_TRACE, alts=ACCESS, traced=False)
      for vectors, title, kind in (
          ("300|380|400|480", "BUG: unable to handle kernel paging request in {frame}", Kind.PAGE_FAULT),
          ("700", "kernel BUG in {frame}", Kind.BUG),
          ("[0-9a-f]{3,4}", "Exception in kernel mode in {frame}", Kind.OTHER))),
    row("Unhandled exception: IPSR", r"Unhandled exception: IPSR = ", "Unhandled exception in {frame}",
        Kind.OTHER, Look.POINTER_THEN_TRACE),
    row("Badness at ", r"^Badness at @SRC", "WARNING in {frame}", Kind.WARNING,
        Look.POINTER_OR_TRACE),
    row("Badness in ", r"^Badness in (?P<name>[a-zA-Z0-9_]+) at @SRC", "WARNING in {frame}",
        Kind.WARNING, Look.COMPLAINT),
    row("PANIC: early exception", r"PANIC: early exception", "PANIC: early exception in {frame}",
        Kind.PANIC, Look.POINTER_THEN_TRACE, traced=False),
    row("SError Interrupt on CPU", r"SError Interrupt on CPU[0-9]+", "SError Interrupt in {frame}",
        Kind.PANIC, Look.POINTER_THEN_TRACE, traced=False),
    row("Kernel Fault: Code=", r"Kernel Fault: Code=[0-9]+", "Kernel Fault in {frame}",
        Kind.PAGE_FAULT, Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Object already free", r"BUG kmalloc-.*: Object already free", "BUG: Object already free",
        Kind.BUG),
    *(_slub(what, Look.FREED) for what in ("Poison overwritten", "Freepointer corrupt",
                                           "Freechain corrupt", "Object already free")),
    *(_slub(what, Look.ALLOCATED) for what in ("Redzone overwritten", "padding overwritten")),
    _die("Kernel bug detected", "kernel BUG in {frame}", Kind.BUG),
    _die("Unhandled kernel unaligned access", "{what} in {frame}", Kind.PAGE_FAULT),
    *(_die(what, "invalid opcode in {frame}", Kind.INVALID_OPCODE) for what in (
        "Reserved instruction in kernel code", "Kernel illegal instruction",
        "Oops - illegal instruction", "Oops - undefined instruction")),
    *(_die(what, "invalid opcode in {frame}", Kind.INVALID_OPCODE, f"{what}: ") for what in (
        "illegal operation", "invalid operand")),
    *(_die(what, "{what} in {frame}", Kind.OTHER) for what in (
        "Break instruction in kernel code", "Trap instruction in kernel code",
        "FP exception in kernel code")),
    *(_die(what, "{what} in {frame}", Kind.OTHER, f"{what}: ") for what in (
        "addressing exception", "specification exception", "protection exception",
        "operand exception", "data exception", "monitor event", "alignment check",
        "segment not present", "invalid TSS", "bounds", "int3", "simd exception",
        "device not available")),
    row("Kernel bad sw trap", r"Kernel bad sw trap [0-9]{1,4} " + _DIED,
        "Kernel bad sw trap in {frame}", Kind.BUG, Look.POINTER_THEN_TRACE),
    row("Oops: ", r"Oops: Kernel access of bad area.{0,20}" + _DIED,
        "BUG: unable to handle kernel paging request in {frame}", Kind.PAGE_FAULT,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Oops: ", r"Oops: (?P<what>Machine check|Exception in kernel mode|Bad kernel stack pointer|"
        r"Unrecoverable [A-Za-z ]{1,40}).{0,20}" + _DIED, "{what} in {frame}", Kind.OTHER,
        Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Oops - ", r"Oops - (?P<what>[a-z][A-Za-z() ]{2,50}?) " + _DIED, "{what} in {frame}",
        Kind.OTHER, Look.POINTER_THEN_TRACE, alts=ACCESS),
    row("Oops", _OPENS + r"Oops ?(?:: [0-9a-f]{4,16}\b.{0,20})?" + _DIED, "Oops in {frame}",
        Kind.PAGE_FAULT, Look.POINTER_THEN_TRACE, alts=ACCESS),
)  # fmt: skip

FORMATS = (*_TRAPS[:1], *_BUG, *_WARNING, *_INFO, *_TRAPS[1:], *_OTHERS)
"""Every format; of several that fit one line, the first wins."""

UNNAMED = {"BUG:": Kind.BUG, "WARNING:": Kind.WARNING}
"""Literals whose line is taken as the title itself when no format fits and nothing else is."""

DRIVER = re.compile(
    r"(?:usb|pci|pnp|i2c|spi|mmc|ata|scsi|sd|virtio|platform|hid|nvme|pcieport|xhci_hcd|ehci_hcd|"
    r"ath1[0-9]k_\w{1,12}|iwlwifi|e1000e|igb|ixgbe|r8169|tg3|bnx2x|mlx[45]_core|amdgpu|nouveau|i915) "
    r"(?:[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9]|[0-9a-z][0-9a-z.:-]{0,23}): "
)
"""How a driver of the kernel names its device in front of its words."""

PROGRAM = re.compile(r"[\w.-]{1,64}\[\d{1,10}\]: ")
"""How a program, not the kernel, begins its line."""

QUIET: dict[str, tuple[str, ...]] = {
    "BUG:": (r"^audit: ", r"^audit\(", r"ODEBUG:", r"Boot_DEBUG:", r"xlog_status:", r"DEBUG:"),
    "WARNING:": (
        r"^audit: |^audit\(",
        r"WARNING: ATAPI DMA disabled for SATA controllers",
        r"WARNING: Spectre v2 mitigation leaves CPU vulnerable",
        r"WARNING: /etc/ssh/moduli does not exist",
        r"WARNING: workqueue cpumask: online intersect > possible intersect",
        r"WARNING: [Tt]he mand mount option",
        r"WARNING: Unsupported flag value\(s\) of 0x%x in DT_FLAGS_1",
        r"WARNING: Unprivileged eBPF is enabled with eIBRS",
        r"WARNING: fbcon: Driver '.*' missed to adjust virtual screen size",
        r"WARNING: See https.* for mitigation options",
        r"WARNING: kernel not compiled with CPU_SRSO",
        r"EXT4-[Ff][Ss](?: \(.*\))?:",
        r"XFS \([\w-]+\): WARNING",
        r"(?i:uses (?:deprecated v2 capabilities|wireless extensions))",
    ),
    "INFO:": (
        r"INFO: lockdep is turned off",
        r"INFO: Stall ended before state dump start",
        r"INFO: NMI handler",
        r"INFO: recovery required on readonly filesystem",
        r"(?:handler|interrupt).*took too long",
        r"_INFO:",
        r"rmt_storage:INFO:",
    ),
    "general protection fault": (r"general protection fault .*error:\d+", r"\bip:[0-9a-f]+"),
    "Kernel panic": (r"---\[ end Kernel panic",),
    "Booting the kernel.": (r"Parsing ELF|Decompressing Linux|Unknown parameter '",),
}
"""Lines that look like a headline and are none, by literal."""

CONTINUES = re.compile(
    r"kernel BUG at rust/helpers/|invalid opcode: 0000|Kernel panic - not syncing|unregister_netdevice: waiting for|"
    r"PANIC: double fault|Internal error:|\bOops\b|illegal operation: 0|monitor event: 0|"
    r"invalid operand: 0|Kernel BUG \[#|Kernel bad sw trap|INFO: (?:(?:Allocated|Freed) in |(?:Slab |Object )?0x)|"
    r"^Watchdog detected hard LOCKUP"
)
"""Headlines that may stand inside the report of another crash without ending it."""

ECHO = re.compile(
    r"invalid opcode: 0000|Internal error:|\bOops\b|illegal operation: 0|monitor event: 0|"
    r"invalid operand: 0|Kernel BUG \[#|Kernel bad sw trap|INFO: (?:(?:Allocated|Freed) in |(?:Slab |Object )?0x)|"
    r"Kernel panic - not syncing: (?:Fatal exception|Asynchronous SError|Kernel Fault|"
    r"Fatal hardware error|panic_on_warn|panic_on_|kernel: panic_on|hung_task|softlockup|"
    r"[Hh]ard LOCKUP|RCU Stall|Machine halted|Oops|BUG!|Aiee|NMI|KASAN|kasan|UBSAN|KFENCE)|"
    r"^Watchdog detected hard LOCKUP"
)
"""Of these, the ones that are the same crash said again, not a further one."""

INTRUDERS = (
    "vmalloc: allocation failure:",
    "FAULT_INJECTION: forcing a failure",
    "FAULT_FLAG_ALLOW_RETRY missing",
)
"""Messages that print a call trace and are no crash: a trace behind them proves nothing."""


_KERNEL_LINE = (
    r"(?:\.\d+\]|\d\d:\d\d \d\d\d\d\]|kernel: |[,-];|caller=[CT]\d+;|<\d>|[CT]\d+\] |kern +:|"
    r"MESSAGE[\\\" :]{3,9})"
)
"""What stands in front of a kernel's line, whatever carries it; good enough for a first look."""

LOOSE = {
    "WARNING:": (
        r"WARNING: (?:[^\n]* )?at [\w./-]+\.[a-z]+:\d",
        r"WARNING: (?:\[[^\n]*\] )?[\w./-]+\.[a-z]+:\d+ at ",
        r"WARNING: [^\n]* usb_submit_urb",
        r"WARNING:[ \t]*\n",
        r"(?:usb|pci|ath1\dk_\w+|nvme|i2c|mmc|ata|scsi|sd|hid) [0-9a-z.:-]+: [^\n]*WARNING:",
        _KERNEL_LINE + r"[^\n]*WARNING:",
    ),
    "INFO:": (r"INFO:[ \t]*\n", r"INFO: (?:Freed|Allocated) in "),
    "BUG:": (
        r"BUG: [uU]nable to handle ",
        r"BUG: (?:spinlock|rwlock) ",
        r"BUG: [^\n]*still has locks held!",
        r"BUG: (?:warning )?at [\w./-]+:\d",
        r"BUG:[ \t]*\n",
        _KERNEL_LINE + r"[^\n]*BUG:",
    ),
    "Kernel panic": (),
}
"""Programs write these words all day: what a line must hold besides, for a first look.

The rows whose pattern needs more plain words than the literal are looked for by these.
"""


@lru_cache(maxsize=1)
def scan_words() -> dict[str, str]:
    """Return the plain words to scan for, each with the literal of its rows."""
    words: dict[str, str] = {}
    for literal, rows in by_literal().items():
        if literal not in LOOSE:
            words[literal] = literal
            continue
        for entry in rows:
            word = needed(entry.pattern.pattern)
            if len(word) > len(literal) + 1:
                words[word] = literal
    return words


def scan_patterns() -> tuple[str, ...]:
    """Return patterns, for ``re`` and RE2, one of which fits every line that may be a headline."""
    loose = [pattern for patterns in LOOSE.values() for pattern in patterns]
    return (*map(re.escape, scan_words()), *loose)


@lru_cache(maxsize=1)
def by_literal() -> dict[str, tuple[Format, ...]]:
    """Return the formats, grouped by their literal, in the order of the table."""
    groups: dict[str, list[Format]] = {}
    for entry in FORMATS:
        groups.setdefault(entry.literal, []).append(entry)
    return {literal: tuple(rows) for literal, rows in groups.items()}


@lru_cache(maxsize=1)
def quiet() -> dict[str, re.Pattern[str]]:
    """Return what to keep silent about, one pattern a literal."""
    return {
        literal: re.compile("|".join(f"(?:{p})" for p in patterns))
        for literal, patterns in QUIET.items()
    }
