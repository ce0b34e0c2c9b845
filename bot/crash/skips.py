"""Functions that are never guilty, as data: each rule has a name that is shown to people.

Facts about which kernel functions are generic (allocators, string operations, locks, reporting)
follow the test data of google/syzkaller ``pkg/report`` (Apache-2.0) and the kernel's sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A class of generic functions: ``name`` says why, ``words`` are searched in the name."""

    name: str
    words: tuple[str, ...]


SKIP = (
    Rule(
        name="reports the crash",
        words=(
            "panic", "invalid_op", "report_bug", "fixup_bug", "print_report", "print_usage_bug",
            "do_error", "_trap$", "do_trap", "show_stack", "dump_stack", "walk_stack",
            "dump_backtrace", "warn_slowpath", "warn_alloc", "warn_bogus", "__warn",
            "print_address_description", "print_tainted", "^get_taint$", "assertfail",
            "program_check_exception", "program_check_common", "__fortify_report",
            "stack_trace_consume_entry", "arch_stack_walk", "stack_trace_save",
            "do_(kernel|translation)_fault", "do_mem_abort", "el1_abort",
            "el1h_64_sync(?:_handler)?", "print_unlock", "imbalance_bug", "^add_taint$", "perf_trace",
        ),
    ),
    Rule(
        name="sanitizer or checker",
        words=(
            "__sanitizer", "__asan", "kasan", "hwasan", "__msan", "kmsan",
            "kcsan_setup_watchpoint", "check_memory_region", "check_heap_object", "check_object",
            "read_word_at_a_time", "(read|write)_once_.*nocheck", "debug_object",
            "timer_is_static_object", "work_is_static_object", "ref_tracker", "__phys_addr",
            "__might_resched", "might_fault", "might_sleep", "seqprop_assert",
        ),
    ),
    Rule(
        name="allocates or frees memory",
        words=(
            "alloc_page", "k?v?(?:m|z|c)alloc", "krealloc", "kmem_cache", "allocate_slab",
            "__alloc_frozen_pages_noprof", "folio_(?:alloc|unlock)", "filemap_alloc_folio",
            "__filemap_get_folio", "find_or_create_page", "do_read_cache_folio",
            "read_cache_page", "pagecache_get_page", "grab_cache_page_write_begin", "slab_",
            "^kv?free$", "kfree_skb", "ida_free",
        ),
    ),
    Rule(
        name="takes or drops a lock",
        words=(
            "lockdep", "bh_enable", "bh_disable", "lock_acquire", "lock_release", "lock_class",
            "mark_lock", "(reacquire|mark)_held_locks", "raw_spin_rq", "spin_lock",
            "spin_trylock", "spin_unlock", "read_lock", "read_trylock", "write_lock",
            "write_trylock", "read_unlock", "write_unlock", "^down$", "down_read", "down_write",
            "down_trylock", "up_read", "up_write", "^mutex_", "^__mutex_", "^rt_mutex_",
            "owner_on_cpu", "osq_lock", "osq_unlock", "lock_timer_base", "^(un)?lock_page",
            "(trace|lockdep)_(hard|soft)irq",
        ),
    ),
    Rule(
        name="atomic, reference or list operation",
        words=(
            "atomic(64)?_(dec|inc|read|set|or|xor|and|add|sub|fetch|xchg|cmpxchg|try)",
            "(set|clear|change|test)_bit", "^refcount_", "^kref_", "list_add", "list_del",
            "list_replace", "list_move", "list_splice", "^rb_", "^__rb_", "^klist_",
            "xas_(?:start|load|find)", "rhashtable_lookup",
        ),
    ),
    Rule(
        name="copies memory or strings",
        words=(
            "memcpy", "memcmp", "memset", "memchr", "memmove", "memdup", "strcmp", "strncmp",
            "strcpy", "strlcpy", "strncpy", "strscpy", "strlen", "strstr", "strnstr", "strnlen",
            "strchr", "strdup", "strndup", "copy_to_user", "copy_from_user", "copy_to_iter",
            "copy_from_iter", "copy_page_to_iter", "copy_page_from_iter", "copy_folio_to_iter",
            "^copyin$", "^copyout$", "put_user", "get_user", "string", "pointer",  # codespell:ignore copyin
            "^crc\\d+", "crc_itu_t", "extract_(user|iter)_to_sg", "hex_dump_to_buffer",
            "print_hex_dump",
        ),
    ),
    Rule(
        name="prints",
        words=(
            "snprintf", "scnprintf", "kasprintf", "kvasprintf", "printk", "va_format",
            "dev_info", "dev_notice", "dev_warn", "dev_err", "dev_alert", "dev_crit",
            "dev_emerg",
        ),
    ),
    Rule(
        name="waits or queues work",
        words=(
            "__wake_up", "del_timer", "flush_work", "__cancel_work_timer", "cancel_work_sync",
            "try_to_grab_pending", "drain_workqueue", "destroy_workqueue", "queue_work",
            "finish_wait", "kthread_stop", "^complete$", "wait_for_completion", "insert_work",
            "__queue_delayed_work", "queue_delayed_work_on", "__timer_delete_sync",
            "sk_stop_timer_sync", "__mod_timer", "cleanup_srcu_struct",
        ),
    ),
    Rule(
        name="device or object plumbing",
        words=(
            "kobject_", "add_uevent_var", "get_device_parent", "device_add", "device_del",
            "device_unregister", "device_destroy", "device_release", "devres_release_all",
            "hwrng_unregister", "i2c_del_adapter", "__unregister_client",
            "device_for_each_child", "rollback_registered", "unregister_netdev", "sysfs_remove",
            "device_remove_file", "tty_unregister_device", "dummy_urb_enqueue", "usb_kill_urb",
            "usb_kill_anchored_urbs", "usb_control_msg", "usb_hcd_submit_urb", "usb_submit_urb",
            "^put_device$", "_indirect_thunk_", "ioread(?:8|16|32|64)", "iowrite(?:8|16|32|64)", "readb$", "readw$", "readl$", "readq$",
            "writeb$", "writew$", "writel$", "writeq$", "logic_in", "logic_out",
        ),
    ),
    Rule(
        name="inode, dentry or page cache plumbing",
        words=(
            "^iput$", "^iput_final$", "^ihold$", "find_lock_entries",  # codespell:ignore iput
            "truncate_inode_pages_range", "drop_nlink", "dput", "^mark_buffer_dirty$",
        ),
    ),
)  # fmt: skip

SYSCALL_PREFIXES = (
    "SYSC_", "SyS_", "__se_", "sys_", "__x64_", "__ia32_", "__arm64_", "____sys_", "___sys_",
    "__sys_", "__se_sys_", "__do_sys_", "compat_SYSC_", "compat_SyS_", "ksys_",
)  # fmt: skip
"""What kernel versions and architectures put before a system call's name, in stripping order."""

ANCHORS = re.compile(
    "|".join(
        (
            # where the kernel dispatches work, system calls, interrupts, timers, threads
            "process_one_work", "do_syscall_", "do_fast_syscall_", "sysenter_dispatch",
            "tracesys_phase2", "el0_svc_handler", "invoke_syscall", "ret_fast_syscall",
            "netif_receive_skb", "do_softirq", "call_timer_fn", "_run_timers",
            "run_timer_softirq", "hrtimer_run", "run_ksoftirqd", "smpboot_thread_fn",
            "^kthread$", "start_secondary", "cpu_startup_entry", "ret_from_fork",
            # calls through a table of a file, a block device or a mapping
            "vfs_write", "vfs_read", "vfs_iter_read", "vfs_iter_write", "do_iter_read",
            "do_iter_write", "call_read_iter", "call_write_iter", "new_sync_read",
            "new_sync_write", "vfs_ioctl", "ksys_ioctl", "compat_ioctl", "compat_sys_ioctl",
            "blkdev_driver_ioctl", "blkdev_ioctl", "^call_mmap", "mmap_region", "do_mmap",
            "do_dentry_open", "vfs_open",
            # calls through a socket's table
            "^sock_sendmsg", "^sock_recvmsg", "^sock_release", "^__sock_release",
            "^setsockopt$", "kernel_setsockopt", "sock_common_setsockopt", "^listen$",
            "kernel_listen", "sk_common_release", "^sock_mmap", "^accept$", "kernel_accept",
            "^sock_do_ioctl", "^sock_ioctl", "^compat_sock_ioctl", "^nfnetlink_rcv_msg",
            "^rtnetlink_rcv_msg", "^netlink_dump", "^(sys_)?(socketpair|connect|ioctl)",
            # page faults, the way back to user space, work on other processors
            "^system_call", "^sysc_", "^tracesys", "^el0_svc", "^ret_from_syscall", "^handle_sys",
            "^do_trap_ecall_u", "^worker_thread$",
            "__do_fault", "do_page_fault", "^page_fault$", "__fput", "task_work_run",
            "exit_to_usermode", "smp_call_function", "tasklet_action", "tasklet_hi_action",
        )
    )
)  # fmt: skip
"""For stalls: the function just below the first of these stands for the endless loop."""

CROSS_CALL = "smp_call_function"
"""A stall while waiting for another processor is named after the wait itself."""

HANG_GROUPS = (
    ("rtnl_lock", None),
    ("synchronize_rcu", "synchronize_rcu"),
    ("synchronize_srcu", "synchronize_rcu"),
    ("synchronize_net", "synchronize_rcu"),
    ("synchronize_sched", "synchronize_rcu"),
)
"""For hung tasks: waits that hang for one cause wherever they are called; all share a name."""

HANG_SKIP = re.compile(
    "sched|_lock|_slowlock|down|rwsem|completion|kthread|wait|synchronize|context_switch|"
    "__switch_to|cancel_delayed_work|rcu_barrier|ktime_get|wake_function|wake_up_"
)
"""For hung tasks: the ways of waiting, which are not what is being waited for."""

_MERGED = re.compile("|".join(f"({'|'.join(f'(?:{w})' for w in _plain)})" for _plain in (
    tuple(re.sub(r"\((?!\?)", "(?:", word) for word in rule.words) for rule in SKIP
)))  # fmt: skip


@lru_cache(maxsize=16384)
def rule_of(function: str, extra: str = "") -> str | None:
    """Return the name of the rule that makes ``function`` generic, or None when it may be guilty.

    ``extra`` is the pattern that a format adds for its own plumbing.
    """
    match = _MERGED.search(function)
    if match is not None and match.lastindex is not None:
        return SKIP[match.lastindex - 1].name
    if extra and re.search(extra, function):
        return "plumbing of this kind of report"
    return None
