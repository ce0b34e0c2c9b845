"""Kernel reports as a serial console shows them, in the words of the kernel of their time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.library.machines import Machine

BOTTOM: dict[str, dict[str, tuple[str, ...]]] = {
    "syscall": {
        "old": ("system_call_fastpath",),
        "mid": ("do_syscall_64", "entry_SYSCALL_64_after_hwframe"),
        "new": ("do_syscall_64", "entry_SYSCALL_64_after_hwframe"),
        "arm64": ("invoke_syscall", "el0_svc_common.constprop.0", "do_el0_svc", "el0t_64_sync"),
    },
    "softirq": {
        "old": ("__netif_receive_skb", "process_backlog", "net_rx_action", "__do_softirq"),
        "mid": ("__netif_receive_skb", "process_backlog", "net_rx_action", "__do_softirq"),
        "new": ("__netif_receive_skb", "process_backlog", "__napi_poll", "net_rx_action"),
        "arm64": ("__netif_receive_skb", "process_backlog", "net_rx_action", "__do_softirq"),
    },
    "thread": {
        "old": ("worker_thread", "kthread", "ret_from_fork"),
        "mid": ("process_one_work", "worker_thread", "kthread", "ret_from_fork"),
        "new": ("process_one_work", "worker_thread", "kthread", "ret_from_fork"),
        "arm64": ("process_one_work", "worker_thread", "kthread", "ret_from_fork"),
    },
}
"""Where a call trace ends, by what was going on."""


@dataclass(slots=True)
class Crash:
    """What a report is about. ``calls`` are the callers, innermost first; ``f@m`` is f of module m.

    ``also`` names further modules that are loaded, ``where`` what was going on (a key of BOTTOM).
    """

    machine: Machine
    function: str
    calls: Sequence[str] = ()
    where: str = "syscall"
    comm: str = "nginx"
    source: str = "kernel/fork.c:1412"
    chance: random.Random = field(default_factory=random.Random)
    also: str = ""
    lines: list[str] = field(default_factory=list, init=False)
    clock: float = field(default=0.0, init=False)
    cpu: int = field(default=0, init=False)
    pid: int = field(default=0, init=False)
    places: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.clock = self.chance.uniform(200, 900_000)
        self.cpu, self.pid = self.chance.randrange(24), self.chance.randrange(300, 32_000)
        if self.where == "softirq" and self.chance.random() < 0.6:
            self.comm, self.pid = f"swapper/{self.cpu}", 0

    def say(self, *lines: str) -> None:
        """Add lines with the time at which the kernel said them."""
        for line in lines:
            self.clock += self.chance.uniform(0.000003, 0.00004)
            self.lines.append(f"[{self.clock:12.6f}] {line}")

    def address(self, high: str = "ffff8881") -> str:
        """Return a kernel address."""
        return f"{high}{self.chance.randrange(16 ** (16 - len(high))):0{16 - len(high)}x}"

    def symbol(self, name: str) -> str:
        """Return ``f+0x12/0x340 [m]`` of ``f@m``."""
        function, _, module = name.partition("@")
        if name not in self.places:
            size = self.chance.randrange(0x40, 0xA00, 0x10)
            self.places[name] = (self.chance.randrange(5, size), size)
        place, size = self.places[name]
        return f"{function}+{place:#x}/{size:#x}" + (f" [{module}]" if module else "")

    @property
    def loaded(self) -> str:
        """The modules that are linked in: those of the trace come first."""
        named = [name.partition("@")[2] for name in (self.function, *self.calls)]
        linked = [n for n in named if n] + self.also.split() + self.machine.loaded.split()
        return " ".join(dict.fromkeys(linked))

    def machine_lines(self) -> None:
        """Say which machine, task and kernel it was."""
        m = self.machine
        linked = "Modules linked in: " + self.loaded
        who = f"CPU: {self.cpu} PID: {self.pid} Comm: {self.comm} {m.taint} {m.release} {m.build}"
        self.say(linked, who, f"Hardware name: {m.hardware}")

    def pointer(self, name: str) -> None:
        """Say where the processor was, with some of its registers."""
        if self.machine.style == "arm64":
            self.say("pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)")
            caller = self.calls[0] if self.calls else "do_el0_svc"
            self.say(f"pc : {self.symbol(name)}", f"lr : {self.symbol(caller)}")
            self.say(f"sp : {self.address('ffff8000')}")
            self.say(
                f"x29: {self.address('ffff8000')} x28: {self.address('ffff0000')} x27: 0000000000000000"
            )
            return
        at = self.address("ffffffff8")
        spelt = f"[<{at}>]  [<{at}>] " if self.machine.style == "old" else ""
        self.say(f"RIP: 0010:{spelt}{self.symbol(name)}")
        self.say(f"RSP: 0018:{self.address('ffffb0c1')} EFLAGS: 00010246")
        self.say(f"RAX: 0000000000000000 RBX: {self.address()} RCX: 0000000000000000")
        self.say(f"RDX: 0000000000000001 RSI: {self.address()} RDI: {self.address()}")

    def trace(self, *first: str) -> None:
        """Print the call trace: ``first``, the callers, and what is below them."""
        style = self.machine.style
        self.say("Call trace:" if style == "arm64" else "Call Trace:")
        soft = self.where == "softirq" and style != "arm64"
        if style == "new" and not soft:
            self.say(" <TASK>")
        if soft:
            self.say(" <IRQ>")
        for name in (*first, *self.calls, *BOTTOM[self.where][style]):
            old = f"[<{self.address('ffffffff8')}>] " if style == "old" else ""
            self.say(f" {old}{self.symbol(name)}")
        if soft:
            self.say(" <EOI>" if style in {"old", "mid"} else " </IRQ>")
        elif style == "new":
            self.say(" </TASK>")

    def end(self) -> str:
        """Close the report and return the text."""
        if self.machine.style == "new":
            self.say("---[ end trace 0000000000000000 ]---")
        else:
            self.say(f"---[ end trace {self.chance.randrange(16**16):016x} ]---")
        if self.where == "softirq":
            word = "Oops: " if self.machine.style == "arm64" else ""
            self.say(f"Kernel panic - not syncing: {word}Fatal exception in interrupt")
        return "\n".join(self.lines) + "\n"


def _oops(crash: Crash, number: str, word: str) -> str:
    if crash.machine.style == "arm64":
        crash.say("Mem abort info:", "  ESR = 0x0000000096000004")
        crash.say("  EC = 0x25: DABT (current EL), IL = 32 bits", "  SET = 0, FnV = 0")
        crash.say("Internal error: Oops: 96000004 [#1] SMP")
    else:
        if crash.machine.style == "new":
            crash.say("#PF: supervisor read access in kernel mode")
            crash.say("#PF: error_code(0x0000) - not-present page")
        if crash.machine.style == "old":
            at = crash.address("ffffffff8")
            crash.say(f"IP: [<{at}>] {crash.symbol(crash.function)}")
        crash.say("PGD 0 P4D 0 " if crash.machine.style != "old" else "PGD 0 ")
        crash.say(f"Oops: {number} [#1] {word}")
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace(*(() if crash.machine.style != "arm64" else (crash.function,)))
    if crash.machine.style != "arm64":
        crash.say("Code: 48 89 e5 41 54 53 48 8b 87 40 08 00 00 <48> 8b 80 a8 01 00 00 39 50 14")
    return crash.end()


def null_deref(crash: Crash) -> str:
    """A NULL pointer, in the three spellings of the years."""
    place = f"{crash.chance.randrange(8, 0x300, 8):016x}"
    style = crash.machine.style
    if style == "arm64":
        crash.say(f"Unable to handle kernel NULL pointer dereference at virtual address {place}")
    elif style == "new":
        crash.say(f"BUG: kernel NULL pointer dereference, address: {place}")
    else:
        crash.say(f"BUG: unable to handle kernel NULL pointer dereference at {place}")
    return _oops(crash, "0000", "SMP PTI" if style != "old" else "SMP ")


def page_fault(crash: Crash) -> str:
    """An address that is not mapped."""
    style, place = crash.machine.style, crash.address("ffffc900")
    if style == "arm64":
        crash.say(f"Unable to handle kernel paging request at virtual address {place}")
    elif style == "new":
        crash.say(f"BUG: unable to handle page fault for address: {place}")
    else:
        crash.say(f"BUG: unable to handle kernel paging request at {place}")
    return _oops(crash, "0002", "SMP NOPTI" if style != "old" else "SMP ")


def gpf(crash: Crash) -> str:
    """A pointer that is none; x86 only."""
    if crash.machine.style == "new":
        crash.say(
            "general protection fault, probably for non-canonical address "
            "0xdead000000000122: 0000 [#1] PREEMPT SMP NOPTI"
        )
    else:
        crash.say(
            "general protection fault: 0000 [#1] SMP"
            + (" PTI" if crash.machine.style == "mid" else " ")
        )
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace()
    return crash.end()


def bug(crash: Crash) -> str:
    """A check of the kernel's own that did not hold."""
    style = crash.machine.style
    crash.say("------------[ cut here ]------------", f"kernel BUG at {crash.source}!")
    crash.say(
        "Internal error: Oops - BUG: 0 [#1] SMP"
        if style == "arm64"
        else "invalid opcode: 0000 [#1] SMP PTI"
    )
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace(*((crash.function,) if style == "arm64" else ()))
    return crash.end()


def sanitizer(crash: Crash, what: str = "slab-out-of-bounds", how: str = "Write") -> str:
    """A report of KASAN."""
    symbol = crash.symbol(crash.function)
    crash.say("=" * 66, f"BUG: KASAN: {what} in {symbol}")
    crash.say(f"{how} of size 8 at addr {crash.address()} by task {crash.comm}/{crash.pid}", "")
    m = crash.machine
    crash.say(
        f"CPU: {crash.cpu} PID: {crash.pid} Comm: {crash.comm} {m.taint} {m.release} {m.build}"
    )
    crash.say(f"Hardware name: {m.hardware}")
    if m.style == "arm64":
        crash.trace(
            "dump_backtrace",
            "show_stack",
            "dump_stack_lvl",
            "print_report",
            "kasan_report",
            crash.function,
        )
    elif m.style == "new":
        crash.trace("dump_stack_lvl", "print_report", "kasan_report", crash.function)
    else:
        crash.trace("dump_stack", "print_address_description", "kasan_report", crash.function)
    crash.say("", "Allocated by task 1:", " kasan_save_stack+0x1e/0x40", " __kmalloc+0x1b1/0x2f0")
    crash.say("=" * 66)
    return "\n".join(crash.lines) + "\n"


def use_after_free(crash: Crash) -> str:
    """A report of KASAN about freed memory."""
    return sanitizer(
        crash, "use-after-free" if crash.machine.style != "new" else "slab-use-after-free", "Read"
    )


def skb_panic(crash: Crash, way: str = "under", call: str = "skb_push") -> str:
    """A packet's buffer that has no room: the pointer is in skb_panic, the caller is guilty."""
    crash.say(
        f"skbuff: skb_{way}_panic: text:{crash.address('ffffffff8')} len:120 put:96 "
        f"head:{crash.address()} data:{crash.address()} tail:0x68 end:0xc0 dev:eth0"
    )
    guilty, crash.calls = crash.function, (call, crash.function, *crash.calls)
    crash.function, crash.source = "skb_panic", "net/core/skbuff.c:109"
    text = bug(crash)
    crash.function = guilty
    return text


def stack_protector(crash: Crash) -> str:
    """A stack that was written over: the kernel stops at once."""
    symbol = crash.symbol(crash.function)
    said = f"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: {symbol}"
    m = crash.machine
    crash.say(said)
    crash.say(
        f"CPU: {crash.cpu} PID: {crash.pid} Comm: {crash.comm} {m.taint} {m.release} {m.build}"
    )
    crash.say(f"Hardware name: {m.hardware}")
    crash.trace("dump_stack", "panic", "__stack_chk_fail", crash.function)
    crash.say(f"---[ end {said} ]---")
    return "\n".join(crash.lines) + "\n"


def panic(crash: Crash, why: str = "Attempted to kill init! exitcode=0x0000000b") -> str:
    """A kernel that stops for a reason of its own."""
    m = crash.machine
    crash.say(f"Kernel panic - not syncing: {why}")
    crash.say(
        f"CPU: {crash.cpu} PID: {crash.pid} Comm: {crash.comm} {m.taint} {m.release} {m.build}"
    )
    crash.say(f"Hardware name: {m.hardware}")
    crash.trace("dump_stack", "panic", crash.function)
    crash.say(f"---[ end Kernel panic - not syncing: {why} ]---")
    return "\n".join(crash.lines) + "\n"


def soft_lockup(crash: Crash) -> str:
    """A CPU that does not come back from the kernel."""
    said = f"BUG: soft lockup - CPU#{crash.cpu} stuck for 22s! [{crash.comm}:{crash.pid}]"
    crash.say(said if crash.machine.style == "old" else f"watchdog: {said}")
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace(*((crash.function,) if crash.machine.style == "arm64" else ()))
    return "\n".join(crash.lines) + "\n"


def rcu_stall(crash: Crash) -> str:
    """A CPU that keeps RCU waiting."""
    crash.say("rcu: INFO: rcu_sched self-detected stall on CPU")
    crash.say(
        f"rcu: \t{crash.cpu}-....: (14999 ticks this GP) idle=1ce/1/0x4000000000000002 softirq=91237/91237 fqs=7321"
    )
    crash.say("\t(t=15000 jiffies g=312233 q=88120)", f"NMI backtrace for cpu {crash.cpu}")
    m = crash.machine
    crash.say(
        f"CPU: {crash.cpu} PID: {crash.pid} Comm: {crash.comm} {m.taint} {m.release} {m.build}"
    )
    crash.say(f"Hardware name: {m.hardware}", "Call Trace:", " <IRQ>")
    for name in (
        "dump_stack",
        "nmi_cpu_backtrace.cold",
        "rcu_dump_cpu_stacks",
        "rcu_sched_clock_irq.cold",
        "update_process_times",
        "smp_apic_timer_interrupt",
        "apic_timer_interrupt",
    ):
        crash.say(f" {crash.symbol(name)}")
    crash.say(" </IRQ>", f"RIP: 0010:{crash.symbol(crash.function)}")
    for name in (*crash.calls, "do_syscall_64", "entry_SYSCALL_64_after_hwframe"):
        crash.say(f" {crash.symbol(name)}")
    return "\n".join(crash.lines) + "\n"


def hard_lockup(crash: Crash) -> str:
    """A CPU that takes no interrupts any more."""
    crash.say(f"NMI watchdog: Watchdog detected hard LOCKUP on cpu {crash.cpu}")
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace()
    return "\n".join(crash.lines) + "\n"


def hung_task(crash: Crash) -> str:
    """A task that waits without end."""
    m = crash.machine
    crash.say(f"INFO: task {crash.comm}:{crash.pid} blocked for more than 120 seconds.")
    crash.say(f"      {m.taint} {m.release} {m.build}")
    crash.say('"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.')
    if m.style in {"new", "arm64"}:
        crash.say(
            f"task:{crash.comm:<15} state:D stack:    0 pid:{crash.pid:5} ppid:     2 flags:0x00004000"
        )
    else:
        crash.say(f"{crash.comm:<15} D {crash.address()}     0 {crash.pid:5}      2 0x00000000")
    crash.trace("__schedule", "schedule", crash.function)
    return "\n".join(crash.lines) + "\n"


def warning(crash: Crash) -> str:
    """A check that complains and lets the kernel go on."""
    crash.say("------------[ cut here ]------------")
    crash.say(
        f"WARNING: CPU: {crash.cpu} PID: {crash.pid} at {crash.source} {crash.symbol(crash.function)}"
    )
    crash.machine_lines()
    crash.pointer(crash.function)
    crash.trace(*((crash.function,) if crash.machine.style == "arm64" else ()))
    return crash.end()


def double_free(crash: Crash) -> str:
    """The allocator finds that something is freed twice: the caller of kfree is guilty."""
    crash.say("------------[ cut here ]------------", "kernel BUG at mm/slub.c:305!")
    crash.say("invalid opcode: 0000 [#1] SMP PTI")
    crash.machine_lines()
    guilty, crash.calls = crash.function, (crash.function, *crash.calls)
    crash.pointer("kfree")
    crash.trace()
    crash.calls, crash.function = crash.calls[1:], guilty
    return crash.end()


def _trap(headline: str) -> Callable[[Crash], str]:
    def said(crash: Crash) -> str:
        crash.say(headline)
        crash.machine_lines()
        crash.pointer(crash.function)
        crash.trace()
        return crash.end()

    return said


def skb_over_panic(crash: Crash) -> str:
    """A packet that is longer than its buffer."""
    return skb_panic(crash, "over", "skb_put")


STALLS = {
    "soft-lockup": soft_lockup,
    "hard-lockup": hard_lockup,
    "rcu-stall": rcu_stall,
}
"""Shapes of a processor that does not come back."""
SHAPES = STALLS | {
    "null-deref": null_deref,
    "page-fault": page_fault,
    "gpf": gpf,
    "bug": bug,
    "sanitizer": use_after_free,
    "hung-task": hung_task,
    "warning": warning,
    "panic": stack_protector,
    "double-free": double_free,
    "divide-error": _trap("divide error: 0000 [#1] SMP PTI"),
    "invalid-opcode": _trap("invalid opcode: 0000 [#1] SMP PTI"),
    "double-fault": _trap("traps: PANIC: double fault, error_code: 0x0"),
    "skb-panic": skb_panic,
    "skb-over-panic": skb_over_panic,
}
"""How a crash is written; most names are the kinds that the reader gives."""
ONLY_X86 = {"gpf", "rcu-stall", "hard-lockup", "double-free", "panic"}
"""Shapes that are written in the words of x86."""
