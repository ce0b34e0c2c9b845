"""Crash texts of the runbooks that go by a kind or a message and not by one guilty function."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from tests.library.console import SHAPES, Crash, panic
from tests.library.machines import (
    BOOKWORM,
    EL7,
    EL8,
    FOCAL,
    GRAVITON,
    MAINLINE,
    XENIAL,
    Machine,
)

Texts = Iterator[tuple[str, str]]
Said = str | Sequence[str]


def said(*lines: str) -> str:
    """Stamp lines as one kernel said them within a second."""
    chance = random.Random(lines[0])
    clock, found = chance.uniform(100, 900_000), []
    for line in lines:
        clock += chance.uniform(0.00001, 0.03)
        found.append(f"[{clock:12.6f}] {line}")
    return "\n".join(found) + "\n"


def program(*lines: str) -> str:
    """Join lines that a program or systemd wrote."""
    return "\n".join(lines) + "\n"


def crash(kind: str, machine: Machine, function: str, calls: str, **more: str) -> str:
    """Return a report of ``kind`` about ``function``, called by ``calls``."""
    chance = random.Random(f"{kind} {machine.release} {function}")
    made = Crash(
        machine=machine, function=function, calls=tuple(calls.split()), chance=chance, **more
    )
    return SHAPES[kind](made)


def _texts(match: Sequence[str], none: Sequence[str]) -> Callable[[], Texts]:
    def made() -> Texts:
        yield from ((f"match-{number}", text) for number, text in enumerate(match, 1))
        yield from ((f"none-{number}", text) for number, text in enumerate(none, 1))

    return made


NFT = "nfnetlink_rcv_batch@nfnetlink nfnetlink_rcv@nfnetlink netlink_unicast netlink_sendmsg"
COMPACT = "compact_zone try_to_compact_pages __alloc_pages_direct_compact"
BPF = "bpf_prog_load __sys_bpf __x64_sys_bpf"
WAIT = "io_schedule bit_wait_io __wait_on_bit"
JBD2 = f"{WAIT} out_of_line_wait_on_bit jbd2_journal_commit_transaction@jbd2 kjournald2@jbd2"
KILLED = "total-vm:7021244kB, anon-rss:2078112kB, file-rss:856kB, shmem-rss:0kB, UID:1000 pgtables:4512kB"
CGROUP = "/kubepods.slice/kubepods-pod1f0c.slice"


def _oom(task: str, pid: int, machine: str = "6.1.0-9-amd64 #1  Debian 6.1.27-1") -> str:
    return said(
        f"{task} invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
        f"CPU: 3 PID: {pid} Comm: {task} Not tainted {machine}",
        "Hardware name: Example Systems R340/0X5YMR, BIOS 2.11.4 03/22/2023",
        "Call Trace:",
        " <TASK>",
        " dump_stack_lvl+0x44/0x5c",
        " dump_header+0x4a/0x211",
        " oom_kill_process.cold+0xb/0x10",
        " out_of_memory+0x1fd/0x4c0",
        " __alloc_pages_slowpath.constprop.0+0xc6e/0xd40",
        " </TASK>",
        "Mem-Info:",
        "active_anon:1904522 inactive_anon:60112 isolated_anon:0",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        f"[{pid:7}]  1000 {pid:5}  1755311   519742  4620288        0             0 {task}",
        f"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/{task}.service,task={task},pid={pid},uid=1000",
        f"Out of memory: Killed process {pid} ({task}) {KILLED} oom_score_adj:0",
        f"oom_reaper: reaped process {pid} ({task}), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    )


def _memcg(task: str, pid: int) -> str:
    return said(
        f"{task} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=968",
        f"memory: usage 2097152kB, limit 2097152kB, failcnt {pid}",
        f"Memory cgroup stats for {CGROUP}:",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri.scope,mems_allowed=0-1,oom_memcg={CGROUP},task_memcg={CGROUP}/cri.scope,task={task},pid={pid},uid=1000",
        f"Memory cgroup out of memory: Killed process {pid} ({task}) {KILLED} oom_score_adj:968",
    )


def _slub(cache: str, node: str = "-1", order: str = "0x8020") -> str:
    return said(
        f"SLUB: Unable to allocate memory on node {node} (gfp={order})",
        f"  cache: {cache}, object size: 192, buffer size: 192, default order: 1, min order: 0",
        "  node 0: slabs: 11, objs: 462, free: 0",
    )


def _nvme(status: str, device: str = "nvme0") -> str:
    return said(
        f"nvme {device}: I/O 12 QID 3 timeout, aborting",
        f"nvme {device}: controller is down; will reset: {status}",
        f"nvme {device}: Device not ready; aborting reset, CSTS=0x1",
    )


def _irq(number: int, machine: Machine = XENIAL) -> str:
    return said(
        f'irq {number}: nobody cared (try booting with the "irqpoll" option)',
        f"CPU: 1 PID: 0 Comm: swapper/1 {machine.taint} {machine.release} {machine.build}",
        f"Hardware name: {machine.hardware}",
        "Call Trace:",
        " <IRQ>",
        " dump_stack+0x66/0x81",
        " __report_bad_irq+0x37/0xb0",
        " note_interrupt.cold.9+0xb/0x61",
        " handle_irq_event_percpu+0x68/0x70",
        " </IRQ>",
        "handlers:",
        "[<00000000d2d3a1c5>] usb_hcd_irq [usbcore]",
        f"Disabling IRQ #{number}",
    )


def _mce(bank: int, status: str, cpu: int = 3) -> str:
    return said(
        f"mce: [Hardware Error]: CPU {cpu}: Machine Check Exception: 5 Bank {bank}: {status}",
        "mce: [Hardware Error]: RIP !INEXACT! 10:<ffffffff8170a1b5> {intel_idle+0x85/0x140}",
        "mce: [Hardware Error]: TSC 1a2b3c4d5e6 ADDR 3f1c2a80 MISC 1008600",
        "mce: [Hardware Error]: PROCESSOR 0:406f1 TIME 1701002203 SOCKET 0 APIC 6 microcode b000040",
    )


def _ghes(severity: str, error: str) -> str:
    return said(
        "{3}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
        f"{{3}}[Hardware Error]: event severity: {severity}",
        f"{{3}}[Hardware Error]:  Error 0, type: {severity}",
        "{3}[Hardware Error]:   section_type: memory error",
        "{3}[Hardware Error]:   physical_address: 0x0000002f41c0d000",
        f"{{3}}[Hardware Error]:   error_type: 3, {error}",
    )


def _panic(machine: Machine, function: str, why: str) -> str:
    made = Crash(
        machine=machine,
        function=function,
        calls=("do_exit", "do_group_exit"),
        comm="systemd",
        chance=random.Random(why),
    )
    return panic(made, why)


CONNTRACK = "nf_conntrack: nf_conntrack: table full, dropping packet"
EXPECT = "nf_conntrack: expectation table full"
NEIGHBOUR = "neighbour: {}: neighbor table overflow!"
FLOOD = "TCP: request_sock_TCP: Possible SYN flooding on port {}. Sending cookies.  Check SNMP counters."
TCP_MEM = "TCP: out of memory -- consider tuning tcp_mem"
ORPHANS = "TCP: too many orphaned sockets"
PCI = "pci 0000:00:1c.4: Some PCI device resources are unassigned, try booting with pci=realloc"
EIBRS = "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!"
EIBRS_SMT = "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS and SMT, data leaks possible via Spectre v2 BHB attacks!"
SPLIT = "x86/split lock detection: #AC: {}/{} took a split_lock trap at address: 0x{:x}"
BUS = "x86/split lock detection: #DB: {}/{} took a bus_lock trap at address: 0x{:x}"
TSC = "tsc: TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'."
SKEW = "clocksource: timekeeping watchdog on CPU{}: Marking clocksource 'tsc' as unstable because the skew is too large:"
OLD_SKEW = "Clocksource tsc unstable (delta = {} ns)"
HR = "hrtimer: interrupt took {} ns"
IO = "blk_update_request: I/O error, dev {}, sector {} op 0x1:(WRITE) flags 0x8800 phys_seg 2 prio class 0"
NFS = "nfs: server {} not responding, {}"
THERMAL = "mce: CPU{}: {} temperature above threshold, cpu clock throttled (total events = {})"
FULL_XFS = "XFS (dm-2): xfs_do_force_shutdown(0x8) called from line 955 of file fs/xfs/xfs_trans.c.  Return address = xfs_trans_cancel+0xc4/0xf0 [xfs]"
PYTHON_FULL = (
    "Traceback (most recent call last):",
    '  File "/srv/app/shop/export.py", line 88, in write_rows',
    "    handle.write(row)",
    "OSError: [Errno 28] No space left on device",
)
GO = (
    "panic: runtime error: invalid memory address or nil pointer dereference",
    "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47e7b3]",
    "",
    "goroutine 34 [running]:",
    "github.com/acme/shop/cart.(*Cart).Add(0x0?)",
    "\t/build/cart/cart.go:41 +0x33",
    "main.main()",
    "\t/build/main.go:12 +0x1d",
)
PYTHON = (
    "Traceback (most recent call last):",
    '  File "/srv/app/worker.py", line 14, in <module>',
    "    main()",
    '  File "/srv/app/worker.py", line 9, in main',
    '    return CONFIG["queue"]',
    "KeyError: 'queue'",
)
JAVA = (
    'Exception in thread "main" java.lang.IllegalStateException: cannot open the shop',
    "\tat com.acme.shop.Stock.load(Stock.java:41)",
    "\tat com.acme.shop.Main.main(Main.java:17)",
)
NODE = (
    "/srv/app/server.js:41",
    "  throw new Error('no upstream');",
    "  ^",
    "",
    "Error: no upstream",
    "    at connect (/srv/app/server.js:41:9)",
    "    at Object.<anonymous> (/srv/app/server.js:60:1)",
    "    at Module._compile (node:internal/modules/cjs/loader:1256:14)",
    "",
    "Node.js v18.17.0",
)
RUST = (
    "thread 'main' panicked at src/queue.rs:41:18:",
    "called `Option::unwrap()` on a `None` value",
    "stack backtrace:",
    "   0: rust_begin_unwind",
    "   1: core::panicking::panic_fmt",
    "   2: relay::queue::Queue::take",
    "             at ./src/queue.rs:41:18",
    "   3: relay::main",
)


def _service(unit: str, *lines: str) -> str:
    return program(*(f"Mar 11 03:14:09 pay-2 systemd[1]: {unit}: {line}" for line in lines))


SEGFAULT = "{}[{}]: segfault at {:x} ip 00007f99d8c2b1f0 sp 00007fffe2b0c9a8 error {} in {}[7f99d8c00000+5e00000]"

MESSAGES: dict[str, Callable[[], Texts]] = {
    "nf-tables-anonymous-sets": _texts(
        [
            crash("sanitizer", MAINLINE, "nft_set_lookup_global@nf_tables", f"nf_tables_newrule@nf_tables {NFT}"),
            crash("gpf", BOOKWORM, "nf_tables_deactivate_set@nf_tables", f"nf_tables_commit@nf_tables {NFT}"),
            crash("null-deref", GRAVITON, "nf_tables_unbind_set@nf_tables", f"nf_tables_abort@nf_tables {NFT}"),
            crash("page-fault", EL8, "nft_set_destroy@nf_tables", f"nf_tables_commit_release@nf_tables {NFT}"),
            crash("double-free", FOCAL, "nft_set_elem_destroy@nf_tables", f"nft_rhash_elem_destroy@nf_tables {NFT}"),
        ],
        [
            crash("warning", MAINLINE, "nf_tables_deactivate_set@nf_tables", f"nf_tables_commit@nf_tables {NFT}"),
            crash("sanitizer", MAINLINE, "ctnetlink_new_conntrack@nf_conntrack_netlink", NFT),
            crash("gpf", BOOKWORM, "ip_set_destroy@ip_set", NFT),
            crash("gpf", BOOKWORM, "nft_chain_parse_hook@nf_tables", f"nf_tables_addchain@nf_tables {NFT}"),
         crash("gpf", MAINLINE, "nft_set_dump@examplefw", "examplefw_get@examplefw genl_rcv_msg"),
         crash("gpf", MAINLINE, "nf_tables_fill_rule_info@nf_tables", "nf_tables_getrule@nf_tables"),],
    ),
    "tcp-ofo-queue": _texts(
        [
         crash("null-deref", BOOKWORM, "tcp_collapse_ofo_queue", "tcp_prune_queue tcp_try_rmem_schedule", where="softirq"),
         crash("gpf", EL7, "tcp_prune_ofo_queue", "tcp_try_rmem_schedule tcp_data_queue", where="softirq"),
         crash("hard-lockup", EL7, "tcp_try_coalesce", "tcp_collapse_ofo_queue tcp_prune_queue tcp_data_queue", where="softirq"),],
        [crash("null-deref", FOCAL, "fib_table_lookup", "tcp_prune_ofo_queue tcp_try_rmem_schedule tcp_data_queue", where="softirq"),
         crash("soft-lockup", FOCAL, "tcp_ofo_queue", "tcp_data_queue tcp_rcv_established tcp_v4_do_rcv", where="softirq"),],
    ),
    "tcp-sack-slowness": _texts(
        [],
        [crash("soft-lockup", FOCAL, "tcp_fragment_tstamp", "tcp_tso_should_defer tcp_write_xmit tcp_rcv_established", where="softirq")],
    ),
    "nft-verdict-init": _texts(
        [
            crash("gpf", BOOKWORM, "nf_hook_slow", "ip_local_deliver ip_rcv", where="softirq", also="nf_tables nfnetlink"),
            crash("null-deref", MAINLINE, "nf_hook_slow", "ip6_input ipv6_rcv", where="softirq", also="nf_tables"),
        ],
        [
            crash("gpf", BOOKWORM, "nf_hook_slow", "ip_local_deliver ip_rcv", where="softirq", also="ip_tables xt_nat"),
            crash("soft-lockup", BOOKWORM, "nf_hook_slow", "ip_local_deliver ip_rcv", where="softirq", also="nf_tables"),
         crash("hard-lockup", BOOKWORM, "nf_hook_slow", "ip_local_deliver ip_rcv", where="softirq", also="nf_tables"),
         crash("gpf", BOOKWORM, "nf_conntrack_in@nf_conntrack", "ip_local_deliver ip_rcv", where="softirq", also="nf_tables"),],
    ),
    "zfs-migrate-thp": _texts(
        [
            crash("bug", machine, function, f"{COMPACT} {caller}", comm="z_wr_iss", source=f"{path}mm/migrate.c:589", also="zfs spl")
            for machine, function, caller, path in (
                (MAINLINE, "migrate_page_move_mapping", "spl_kmem_alloc_impl@spl", ""),
                (XENIAL, "buffer_migrate_page", "zio_buf_alloc@zfs", "/build/linux-Ay7j_C/linux-4.15.0/"),
                (EL7, "migrate_pages", "zio_write_compress@zfs", ""),
            )
        ],
        [
            crash("bug", MAINLINE, "migrate_page_move_mapping", COMPACT, source="mm/migrate.c:589"),
            crash("bug", MAINLINE, "migrate_pages", COMPACT, source="mm/migrate.c:1021", also="zfs spl"),
            crash("bug", XENIAL, "isolate_migratepages_block", COMPACT, source="mm/compaction.c:589", also="zfs spl"),
            crash("warning", MAINLINE, "migrate_pages", COMPACT, source="mm/migrate.c:589", also="zfs spl"),
         crash("null-deref", MAINLINE, "dbuf_read@zfs", "dmu_buf_hold@zfs") + crash("bug", MAINLINE, "migrate_pages", "compact_zone try_to_compact_pages", source="mm/migrate.c:589", also="zfs spl"),],
    ),
    "unprivileged-bpf": _texts(
        [
            crash("sanitizer", FOCAL, "adjust_scalar_min_max_vals", f"do_check bpf_check {BPF}", comm="loader"),
            crash("null-deref", MAINLINE, "do_check", f"bpf_check {BPF}", comm="loader"),
            crash("page-fault", GRAVITON, "bpf_check", BPF, comm="loader"),
            crash("gpf", BOOKWORM, "adjust_scalar_min_max_vals.constprop.0", f"do_check bpf_check {BPF}"),
        ],
        [
            crash("null-deref", MAINLINE, "do_check@exampledrv", "probe_all@exampledrv do_one_initcall"),
            crash("sanitizer", FOCAL, "check_mem_access", f"do_check bpf_check {BPF}", comm="loader"),
            crash("soft-lockup", FOCAL, "adjust_reg_min_max_vals", f"do_check_common bpf_check {BPF}"),
            crash("page-fault", GRAVITON, "bpf_map_update_value", "bpf_map_update_elem __sys_bpf"),
         crash("hard-lockup", FOCAL, "do_check", "bpf_check bpf_prog_load __sys_bpf"),
         crash("sanitizer", FOCAL, "adjust_managed_page_count", "balloon_page_enqueue"),
         crash("page-fault", GRAVITON, "do_misc_fixups", "bpf_check bpf_prog_load __sys_bpf"),],
    ),
    "kmem-accounting": _texts(
        [
            _slub("kmalloc-192(1011:4f2a8d1c77aa)"),
            _slub("ext4_inode_cache(402:system.slice)", "-1", "0xd0"),
            _slub("dentry(77:kubepods.slice)"),
        ],
        [
            _slub("kmalloc-192"),
            _slub("kmalloc-4096", "0", "0x20"),
            _slub("radix_tree_node(77:kubepods.slice)", "1"),
            said("nginx: page allocation failure: order:4, mode:0x40a20(GFP_ATOMIC|__GFP_COMP), nodemask=(null),cpuset=/,mems_allowed=0"),
         _slub("kmalloc-192(1011:4f2a8d1c77aa)") + crash("null-deref", EL7, "example_open@example", "chrdev_open do_dentry_open"),],
    ),
    "intel-idle": _texts(
        [
            crash("hard-lockup", XENIAL, "intel_idle", "cpuidle_enter_state cpuidle_enter do_idle cpu_startup_entry"),
            crash("rcu-stall", FOCAL, "intel_idle", "cpuidle_enter_state cpuidle_enter do_idle"),
            crash("soft-lockup", BOOKWORM, "intel_idle", "cpuidle_enter_state cpuidle_enter do_idle cpu_startup_entry"),
        ],
        [
            crash("hard-lockup", XENIAL, "acpi_idle_do_entry", "acpi_idle_enter cpuidle_enter_state do_idle"),
            crash("null-deref", FOCAL, "intel_idle", "cpuidle_enter_state cpuidle_enter do_idle"),
            _mce(4, "be00000000800400"),
         crash("hard-lockup", XENIAL, "intel_pstate_update_util", "update_load_avg enqueue_task_fair"),],
    ),
    "nvme-apst": _texts(
        [_nvme("CSTS=0xffffffff, PCI_STATUS=0x10"), _nvme("CSTS=0xffffffff, PCI_STATUS=0xffff", "nvme1"),
         said("nvme 0000:01:00.0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS read failed (134)")],
        [_nvme("CSTS=0x3, PCI_STATUS=0x10"),
         said("nvme nvme0: I/O 12 QID 3 timeout, aborting", "nvme nvme0: I/O 12 QID 3 timeout, reset controller"),
         said("nvme nvme0: Device not ready; aborting reset, CSTS=0xffffffff"),
         said(IO.format("nvme0n1", 105906176)),
         _nvme("CSTS=0xffffffff, PCI_STATUS=0x10") + crash("null-deref", FOCAL, "nvme_pci_reset_done@nvme", "pci_reset_function", where="thread"),],
    ),
    "irq-nobody-cared": _texts(
        [_irq(16), _irq(19, EL7), _irq(23, FOCAL)],
        [said("hrtimer: interrupt took 34019 ns"), said("Uhhuh. NMI received for unknown reason 2d on CPU 0."),
         crash("soft-lockup", XENIAL, "handle_irq_event_percpu", "handle_edge_irq do_IRQ"),
         crash("null-deref", FOCAL, "__report_bad_irq", "note_interrupt handle_irq_event", where="softirq"),],
    ),
    "tsc-unstable": _texts(
        [said(TSC, "TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'."),
         said("TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'."),
         said("sched_clock: Marking unstable (1281, 77)<-(1411, -52)", TSC)],
        [said(SKEW.format(3)), said(OLD_SKEW.format(-8589847811)), said(HR.format(34019)),
         program("panic: TSC found unstable after boot", *GO[2:]),],
    ),
    "clock-jump": _texts(
        [said(SKEW.format(3), "clocksource:                       'hpet' wd_nsec: 515839812 wd_now: 6a1c mask: ffffffff",
              "clocksource:                       'tsc' cs_nsec: 1015839812 cs_now: 51c0ffee mask: ffffffffffffffff"),
         said(OLD_SKEW.format(-8589847811)), said("tsc: Marking TSC unstable due to clocksource watchdog")],
        [said(TSC), said(HR.format(34019)), said("workqueue: drm_fb_helper_damage_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND"),
         crash("null-deref", FOCAL, "clocksource_watchdog", "call_timer_fn run_timer_softirq", where="softirq"),],
    ),
    "pci-realloc": _texts(
        [said(PCI), said("pci_bus 0000:00: Some PCI device resources are unassigned, try booting with pci=realloc"),
         said("Some PCI device resources are unassigned, try booting with pci=realloc")],
        [said("pcieport 0000:00:1c.4: AER: Corrected error received: 0000:00:1c.4"), _irq(16),
         said("pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0"),
         crash("null-deref", FOCAL, "pci_assign_unassigned_root_bus_resources", "pci_host_probe pci_host_common_probe", where="thread"),],
    ),
    "conntrack-full": _texts(
        [said(CONNTRACK, CONNTRACK, "net_ratelimit: 5212 callbacks suppressed", CONNTRACK),
         said("nf_conntrack: table full, dropping packet"), said("ip_conntrack: table full, dropping packet.")],
        [said(EXPECT), said(NEIGHBOUR.format("arp_cache")),
         crash("soft-lockup", BOOKWORM, "__nf_conntrack_alloc@nf_conntrack", "init_conntrack@nf_conntrack nf_conntrack_in@nf_conntrack nf_hook_slow"),
         crash("null-deref", EL7, "__nf_conntrack_alloc@nf_conntrack", "init_conntrack@nf_conntrack nf_conntrack_in@nf_conntrack", where="softirq"),],
    ),
    "neighbour-overflow": _texts(
        [said(NEIGHBOUR.format("arp_cache")), said(NEIGHBOUR.format("ndisc_cache")), said("arp_cache: neighbor table overflow!"),
         said("ipv4: Neighbour table overflow.")],
        [said(CONNTRACK), said("IPv6: Route cache is full: consider increasing sysctl net.ipv6.route.max_size."),
         said("TCP: time wait bucket table overflow"),
         crash("gpf", EL7, "neigh_alloc", "__neigh_create ip_finish_output2", where="softirq"),],
    ),
    "tcp-mem": _texts(
        [said(TCP_MEM), said("TCP: out of memory -- consider tuning tcp_mem", ORPHANS),
         said("net_ratelimit: 12 callbacks suppressed", TCP_MEM)],
        [said(ORPHANS), said("SCTP: out of memory -- consider tuning sctp_mem"), said("TCP: time wait bucket table overflow"),
         _oom("nginx", 4021),
         program("panic: consider tuning tcp_mem", *GO[2:]),],
    ),
    "syn-flood": _texts(
        [said(FLOOD.format(443)), said("TCP: request_sock_TCPv6: Possible SYN flooding on port [::]:8080. Sending cookies."),
         said("possible SYN flooding on port 80. Sending cookies."), said("TCP: Possible SYN flooding on port 25. Dropping request.  Check SNMP counters.")],
        [said(CONNTRACK), said(ORPHANS), said("TCP: time wait bucket table overflow"),
         crash("null-deref", FOCAL, "tcp_syn_flood_action", "tcp_conn_request tcp_v4_conn_request", where="softirq"),],
    ),
    "ebpf-eibrs": _texts(
        [said(EIBRS), said(EIBRS_SMT), said("microcode: updated early", EIBRS)],
        [said(SPLIT.format("java", 811, 0x7F21A)), said(TSC), said("Spectre V2 : Mitigation: Enhanced IBRS", HR.format(34019)),
         crash("null-deref", BOOKWORM, "unpriv_ebpf_notify", "bpf_unpriv_handler proc_sys_call_handler"),],
    ),
    "split-lock": _texts(
        [said(SPLIT.format("java", 811, 0x7F21A0)), said(SPLIT.format("CPU 1/KVM", 9911, 0x401F0A)), said(SPLIT.format("game.exe", 4, 0x3331))],
        [said(BUS.format("java", 811, 0x7F21A0)), said(EIBRS), said(HR.format(34019)),
         program("panic: java took a split_lock trap", *GO[2:]),],
    ),
    "hung-task": _texts(
        [crash("hung-task", BOOKWORM, "rwsem_down_write_slowpath", "down_write do_truncate do_sys_ftruncate", comm="postgres"),
         crash("hung-task", EL7, "mutex_lock", "rtnl_lock dev_ioctl sock_do_ioctl", comm="ifconfig"),
         crash("hung-task", GRAVITON, "schedule_timeout", "wait_for_completion flush_work lru_add_drain_all", comm="kcompactd0"),
         crash("hung-task", XENIAL, "schedule_preempt_disabled", "__mutex_lock mutex_lock cgroup_kn_lock_live", comm="runc")],
        [crash("soft-lockup", XENIAL, "nf_conntrack_find_get@nf_conntrack", "nf_conntrack_in@nf_conntrack nf_hook_slow"),
         crash("rcu-stall", FOCAL, "proc_reg_read", "vfs_read ksys_read"),
         said('pid 12: "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.'),
         crash("null-deref", FOCAL, "check_hung_task", "watchdog kthread")],
    ),
    "hung-task-storage": _texts(
        [crash("hung-task", BOOKWORM, WAIT.split(maxsplit=1)[0], " ".join(JBD2.split()[1:]), comm="jbd2/sda1-8"),
         crash("hung-task", EL7, "io_schedule", "sleep_on_page __wait_on_bit wait_on_page_bit nfs_wb_page@nfs nfs_write_begin@nfs", comm="rsync"),
         crash("hung-task", GRAVITON, "io_schedule", "blk_mq_get_tag blk_mq_alloc_request nvme_alloc_request@nvme_core", comm="kworker/3:1H"),
         crash("hung-task", EL8, "xfs_log_force_lsn@xfs", "xfs_file_fsync@xfs do_fsync", comm="etcd"),
         crash("hung-task", XENIAL, "rpc_wait_bit_killable@sunrpc", "__rpc_execute@sunrpc nfs4_proc_getattr@nfsv4", comm="df"),
         crash("hung-task", MAINLINE, "dm_wait_for_completion@dm_mod", "dm_suspend@dm_mod", comm="lvm")],
        [crash("hung-task", BOOKWORM, "rwsem_down_write_slowpath", "down_write do_truncate do_sys_ftruncate", comm="postgres"),
         crash("hung-task", EL7, "mutex_lock", "rtnl_lock dev_ioctl sock_do_ioctl", comm="ifconfig"),
         crash("soft-lockup", EL8, "xfs_log_force_lsn@xfs", "xfs_file_fsync@xfs do_fsync", comm="etcd"),
         said(IO.format("sda", 88120))],
    ),
    "soft-lockup": _texts(
        [crash("soft-lockup", machine, "nf_conntrack_find_get@nf_conntrack", "nf_conntrack_in@nf_conntrack nf_hook_slow")
         for machine in (BOOKWORM, EL7, GRAVITON)],
        [crash("hard-lockup", XENIAL, "nf_conntrack_find_get@nf_conntrack", "nf_conntrack_in@nf_conntrack"),
         crash("rcu-stall", FOCAL, "proc_reg_read", "vfs_read ksys_read"),
         crash("hung-task", EL7, "mutex_lock", "rtnl_lock dev_ioctl", comm="ifconfig")],
    ),
    "hard-lockup": _texts(
        [crash("hard-lockup", machine, "native_queued_spin_lock_slowpath", "futex_wait_setup futex_wait do_futex")
         for machine in (BOOKWORM, EL7, XENIAL)],
        [crash("soft-lockup", XENIAL, "native_queued_spin_lock_slowpath", "futex_wait_setup futex_wait do_futex"),
         crash("rcu-stall", FOCAL, "futex_wait_setup", "futex_wait do_futex"),
         said("Uhhuh. NMI received for unknown reason 2d on CPU 0.")],
    ),
    "rcu-stall": _texts(
        [crash("rcu-stall", machine, "fib_route_get_idx", "fib_route_seq_start seq_read proc_reg_read vfs_read")
         for machine in (FOCAL, XENIAL, BOOKWORM)],
        [crash("soft-lockup", FOCAL, "fib_route_get_idx", "fib_route_seq_start seq_read"),
         crash("hard-lockup", FOCAL, "fib_route_get_idx", "fib_route_seq_start seq_read"),
         said("rcu: Hierarchical RCU implementation.", HR.format(34019))],
    ),
    "unknown-panic": _texts(
        [_panic(BOOKWORM, "do_exit", "Attempted to kill init! exitcode=0x0000000b"),
         crash("null-deref", XENIAL, "example_xmit@example", "dev_hard_start_xmit __dev_queue_xmit", where="softirq"),
         crash("page-fault", GRAVITON, "acme_poll@acme", "__napi_poll net_rx_action", where="softirq"),
         crash("gpf", EL7, "acme_rx@acme", "acme_poll@acme", where="softirq"),
         crash("bug", MAINLINE, "acme_map@acme", "acme_poll@acme", where="softirq"),
         *(crash(kind, XENIAL, "acme_scale@acme", "acme_poll@acme", where="softirq")
           for kind in ("divide-error", "invalid-opcode", "double-fault")),
         crash("panic", FOCAL, "acme_parse_fw@acme", "acme_service_task@acme", where="thread")],
        [crash("hung-task", EL7, "mutex_lock", "rtnl_lock dev_ioctl", comm="ifconfig")
         + said("Kernel panic - not syncing: hung_task: blocked tasks"),
         crash("null-deref", XENIAL, "example_ioctl@example", "do_vfs_ioctl ksys_ioctl"),
         crash("warning", XENIAL, "example_ioctl@example", "do_vfs_ioctl ksys_ioctl"),
         crash("gpf", FOCAL, "example_open@example", "chrdev_open do_dentry_open")],
    ),
    "oom-storm": _texts(
        [_oom("mysqld", 2210), _oom("java", 40188), _oom("chrome", 811, "5.4.0-26-generic #30-Ubuntu"),
         program("Mar  3 04:12:07 db7 kernel: Out of memory: Kill process 2210 (mysqld) score 903 or sacrifice child",
                 "Mar  3 04:12:07 db7 kernel: Killed process 2299 (mysql_helper) total-vm:113288kB, anon-rss:472kB, file-rss:0kB, shmem-rss:0kB")],
        [_memcg("java", 40188), said(TCP_MEM), said("nginx: page allocation failure: order:4, mode:0x40a20(GFP_ATOMIC|__GFP_COMP), nodemask=(null),cpuset=/,mems_allowed=0")],
    ),
    "oom-cgroup": _texts(
        [_memcg("java", 40188), _memcg("prometheus", 77),
         program("Mar  3 04:12:07 kube7 kernel: Memory cgroup out of memory: Kill process 2210 (worker) score 1903 or sacrifice child",
                 "Mar  3 04:12:07 kube7 kernel: Killed process 2210 (worker) total-vm:113288kB, anon-rss:472kB, file-rss:0kB, shmem-rss:0kB")],
        [_oom("java", 40188), said("cgroup: fork rejected by pids controller in /kubepods/pod77"), _oom("mysqld", 2210),
         program("panic: no room for the buffer in memory cgroup", *GO[2:]),],
    ),
    "page-allocation-failure": _texts(
        [said("ksoftirqd/2: page allocation failure: order:4, mode:0x40a20(GFP_ATOMIC|__GFP_COMP), nodemask=(null),cpuset=/,mems_allowed=0",
              "CPU: 2 PID: 24 Comm: ksoftirqd/2 Not tainted 5.15.0-91-generic #101-Ubuntu", "Call Trace:", " <TASK>", " warn_alloc+0x138/0x160",
              " __alloc_pages_slowpath.constprop.0+0x9f2/0xa40", " __alloc_skb+0x8c/0x1e0", " igb_clean_rx_irq+0x4a1/0x8a0 [igb]", " igb_poll+0x86/0x3c0 [igb]", " </TASK>", "Mem-Info:"),
         said("swapper/1: page allocation failure: order:0, mode:0x480020(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0"),
         said("kworker/0:1: page allocation failure. order:5, mode:0x4020")],
        [_slub("kmalloc-192"), _oom("java", 40188), said("vmap allocation for size 4198400 failed: use vmalloc=<size> to increase size.", TCP_MEM),
         program("panic: page allocation failure", *GO[2:]),],
    ),
    "machine-check": _texts(
        [_mce(4, "be00000000800400"), _mce(7, "fe00000000010091", 11), _ghes("fatal", "multi-bit ECC"), _ghes("recoverable", "multi-bit ECC"),
         said("EDAC MC1: 1 UE multi-bit ECC on unknown memory (node:1 card:2 module:0 page:0x2f41c0d offset:0x0 grain:1)"),
         said("pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0")],
        [said("EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x2f41c0d offset:0x0 grain:32 syndrome:0x0)"),
         said("mce: [Hardware Error]: Machine check events logged"), _ghes("corrected", "single-bit ECC"),
         said("mce: [Hardware Error]: Corrected error, no action required.")],
    ),
    "memory-corrected": _texts(
        [said("EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x2f41c0d offset:0x0 grain:32 syndrome:0x0)"),
         said("EDAC MC1: 3 CE single-bit ECC on unknown memory (node:1 card:2 module:0 page:0x1 offset:0x0 grain:1)"),
         _ghes("corrected", "single-bit ECC"), said("mce: [Hardware Error]: Machine check events logged"),
         said("mce: [Hardware Error]: Corrected error, no action required.")],
        [_mce(4, "be00000000800400"), said("EDAC MC1: 1 UE multi-bit ECC on unknown memory (node:1 card:2 module:0 page:0x2f41c0d offset:0x0 grain:1)"),
         said("pcieport 0000:00:1c.4: AER: Corrected error received: 0000:00:1c.4"), said(THERMAL.format(3, "Core", 12)),
         crash("null-deref", XENIAL, "do_machine_check", "machine_check"),
         program("panic: machine check: Corrected error", *GO[2:]),],
    ),
    "overheating": _texts(
        [said(THERMAL.format(3, "Core", 12)), said(THERMAL.format(0, "Package", 4411)),
         said("CPU7: Core temperature above threshold, cpu clock throttled (total events = 1)")],
        [said("mce: [Hardware Error]: Machine check events logged"), said(HR.format(34019)), said("mce: CPU3: Core temperature/speed normal", EIBRS),
         crash("null-deref", FOCAL, "therm_throt_process", "intel_thermal_interrupt", where="softirq"),],
    ),
    "disk-full": _texts(
        [program(*PYTHON_FULL),
         said("device-mapper: thin: 253:4: switching pool to out-of-data-space (queue IO) mode"),
         said("device-mapper: thin: 253:4: switching pool to out-of-metadata-space mode"),
         said("EXT4-fs (sdb1): Delayed block allocation failed for inode 262401 at logical offset 12 with max blocks 8 with error 28"),
         said("BTRFS: error (device sdc1) in btrfs_run_delayed_refs:2163: errno=-28 No space left", "BTRFS info (device sdc1): forced readonly"),
         program("panic: write /var/lib/app/wal/0001: no space left on device", "", "goroutine 1 [running]:", "main.append(...)", "\t/src/wal.go:88", "main.main()", "\t/src/main.go:12 +0x1d"),
         program("Exception in thread \"main\" java.io.IOException: No space left on device", "\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)", "\tat com.acme.shop.Export.run(Export.java:41)"),
         program(*NODE).replace("no upstream", "ENOSPC: no space left on device, write"),
         program(*RUST).replace("called `Option::unwrap()` on a `None` value", "write failed: No space left on device (os error 28)"),],
        [said("EXT4-fs (sdb1): Delayed block allocation failed for inode 262401 at logical offset 12 with max blocks 8 with error 5"),
         said("BTRFS: error (device sdc1) in btrfs_commit_transaction:2163: errno=-5 IO failure", "BTRFS info (device sdc1): forced readonly"),
         said("device-mapper: thin: 253:4: switching pool to read-only mode"), program(*PYTHON),
         said("rsyslogd: file write error: No space left on device", "EXT4-fs (sdb1): This should not happen!! Data will be lost, error 28") + crash("null-deref", EL7, "example_open@example", "chrdev_open do_dentry_open"),],
    ),
    "filesystem-read-only": _texts(
        [said("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #262401: comm nginx: reading directory lblock 0", "Aborting journal on device sda1-8.",
              "EXT4-fs (sda1): Remounting filesystem read-only"),
         said(FULL_XFS, "XFS (dm-2): Corruption of in-memory data detected.  Shutting down filesystem", "XFS (dm-2): Please unmount the filesystem and rectify the problem(s)"),
         said("BTRFS: error (device sdc1) in btrfs_commit_transaction:2163: errno=-5 IO failure", "BTRFS info (device sdc1): forced readonly"),
         said("F2FS-fs (mmcblk0p2): Stopped filesystem due to reason: 3")],
        [said(IO.format("sda", 88120)), said("BTRFS: error (device sdc1) in btrfs_run_delayed_refs:2163: errno=-28 No space left"),
         said(NFS.format("nas-1", "still trying")), said("XFS (dm-2): Mounting V5 Filesystem", IO.format("dm-2", 1))],
    ),
    "disk-errors": _texts(
        [said(IO.format("sda", 88120)), said("sd 0:0:0:0: [sda] tag#18 FAILED Result: hostbyte=DID_BAD_TARGET driverbyte=DRIVER_OK"),
         said("Buffer I/O error on dev sda1, logical block 0, lost sync page write"),
         said("md/raid1:md0: Disk failure on sdb1, disabling device."), said("nvme nvme0: I/O 12 QID 3 timeout, aborting")],
        [said("device-mapper: thin: 253:4: switching pool to out-of-data-space (queue IO) mode"), said(NFS.format("nas-1", "still trying")),
         said("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #262401: comm nginx: reading directory lblock 0"),
         said("device-mapper: thin: 253:4: switching pool to out-of-metadata-space mode")],
    ),
    "nfs-not-responding": _texts(
        [said(NFS.format("nas-1", "still trying")), said(NFS.format("10.0.4.7", "timed out")), said(NFS.format("nas-2.example.net", "still trying"))],
        [said("CIFS: VFS: \\\\files has not responded in 180 seconds. Reconnecting..."),
         crash("hung-task", XENIAL, "rpc_wait_bit_killable@sunrpc", "__rpc_execute@sunrpc nfs4_proc_getattr@nfsv4", comm="df"),
         crash("null-deref", EL7, "call_timeout@sunrpc", "rpc_async_schedule@sunrpc", where="thread"),
         crash("gpf", MAINLINE, "call_transmit@sunrpc", "rpc_async_schedule@sunrpc", where="thread"),],
    ),
    "program-crash": _texts(
        [said(SEGFAULT.format("nginx", 811, 0x18, 4, "nginx")), said(SEGFAULT.format("php-fpm7.4", 20117, 0x7F9A00000018, 6, "libcrypto.so.1.1")),
         program("Mar 11 03:14:09 pay-2 systemd-coredump[9911]: Process 812 (edged) of user 1001 dumped core.")],
        [program(*GO), said("traps: nginx[811] trap invalid opcode ip:401f0a sp:7ffe0 error:0 in sh[400000+1000]", THERMAL.format(3, "Core", 12)).split("\n", 1)[1],
         _service("edged.service", "Main process exited, code=exited, status=1/FAILURE", "Failed with result 'exit-code'."),
         crash("null-deref", FOCAL, "example_open@example", "chrdev_open do_dentry_open")],
    ),
    "service-failure": _texts(
        [_service("edged.service", "Main process exited, code=dumped, status=11/SEGV", "Failed with result 'core-dump'."),
         _service("shop@eu-1.service", "A process of this unit has been killed by the OOM killer.", "Main process exited, code=killed, status=9/KILL", "Failed with result 'oom-kill'."),
         _service("edged.service", "Watchdog timeout (limit 30s)!", "Killing process 812 (edged) with signal SIGABRT.", "Main process exited, code=dumped, status=6/ABRT", "Failed with result 'watchdog'.")],
        [program(*PYTHON), said(SEGFAULT.format("nginx", 811, 0x18, 4, "nginx")), _oom("java", 40188)],
    ),
    "unhandled-exception": _texts(
        [program(*PYTHON), program(*JAVA), program(*GO), program(*NODE), program(*RUST)],
        [said(SEGFAULT.format("nginx", 811, 0x18, 4, "nginx")), program(*PYTHON_FULL),
         _service("edged.service", "Main process exited, code=exited, status=1/FAILURE", "Failed with result 'exit-code'.")],
    ),
}  # fmt: skip
"""By the id of the runbook."""
