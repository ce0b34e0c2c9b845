"""Notices, as data: limits that were reached and odd hardware that the kernel takes note of.

Nothing crashed, but each of them is often the hidden cause, and many have a knob of their own.
The messages follow the kernel's sources, 2.6 to 6.x. The first row that fits a line wins.
"""

from __future__ import annotations

from bot.crash.event_row import CARRIER, Row, row
from bot.crash.report import Kind

_FLOOD = r"(?:TCP: )?(?:(?P<protocol>request_sock_\w{1,12}): )?[Pp]ossible SYN flooding on port "
_DRIVER = rf"(?:{CARRIER}:? |[\w-]{{1,24}}: ?)?"
_LINK = r"(?P<device>(?!ata\d|usb)[a-zA-Z][\w.@-]{0,31})"
_NAME = r"[\w.@-]{1,32}"
_TEMPERATURE = r"(?:mce: )?CPU(?P<device>\d+): "

_LIMITS = (
    row("conntrack: table full", r"(?:nf_conntrack: )?(?P<table>(?:nf|ip)_conntrack): table full"
        r"[^,]{0,40}, (?:dropping packet|early_drop)", "{table}: table full, dropping packet",
        Kind.LIMIT, function="__nf_conntrack_alloc", module="nf_conntrack", same=("table",)),
    row("expectation table full", r"(?:nf_conntrack: )?(?P<table>nf_conntrack): expectation table full",
        "{table}: expectation table full", Kind.LIMIT, function="__nf_ct_expect_check",
        module="nf_conntrack", same=("table",)),
    row("neighbor table overflow", r"(?:neighbour: )?(?P<table>(?:arp|ndisc|clip|dn)_?\w{0,20}): "
        r"neighbor table overflow!", "neighbour: {table}: neighbor table overflow!", Kind.LIMIT,
        function="neigh_alloc", same=("table",)),
    row("eighbour table overflow", r"(?:ipv4: |ipv6: |IPv[46]: )?Neighbour table overflow\.?$",
        "neighbour: neighbour table overflow", Kind.LIMIT, function="neigh_alloc", same=(),
        stamped=True),
    row("out of memory -- consider tuning", r"(?P<protocol>TCP|SCTP|MPTCP): out of memory -- consider "
        r"tuning (?P<knob>\w{1,20})", "{protocol}: out of memory -- consider tuning {knob}",
        Kind.LIMIT, function="tcp_check_oom", same=("protocol",), evidence="memory-pressure"),
    row("Out of socket memory", r"(?:TCP: )?Out of socket memory$", "TCP: out of socket memory",
        Kind.LIMIT, function="tcp_out_of_resources", same=(), stamped=True),
    row("orphaned sockets", r"(?:TCP: )?too many (?:of )?orphaned sockets",
        "TCP: too many orphaned sockets", Kind.LIMIT, function="tcp_check_oom", same=()),
    row("SYN flooding on port", _FLOOD + r"(?:(?P<address>\[[0-9a-fA-F:.]{2,45}\]|[\d.]{7,15}):)?"
        r"(?P<port>\d{1,5})\.\s{0,3}(?:(?P<answer>Sending cookies|Dropping request))?",
        "TCP: possible SYN flooding on port {port}", Kind.LIMIT, function="tcp_syn_flood_action",
        same=("port",)),
    row("time wait bucket table overflow", r"(?:TCP: )?time wait bucket table overflow",
        "TCP: time wait bucket table overflow", Kind.LIMIT, function="tcp_time_wait", same=()),
    row("oute cache is full", r"(?:IPv4: |IPv6: )?Route cache is full: consider increasing sysctl "
        r"(?P<knob>[\w./\[\]|]{3,60}?)\.?$", "route cache is full", Kind.LIMIT,
        function="dst_alloc", same=()),
    row("dst cache overflow", r"(?:ipv4: |IPv4: )?dst cache overflow$", "dst cache overflow",
        Kind.LIMIT, function="rt_garbage_collect", same=(), stamped=True),
    row("VFS: file-max limit", r"VFS: file-max limit (?P<limit>\d+) reached",
        "VFS: file-max limit reached", Kind.LIMIT, function="alloc_empty_file", same=()),
    row("fork rejected by pids controller", r"cgroup: fork rejected by pids controller in "
        r"(?P<cgroup>\S{1,1000})", "cgroup: fork rejected by pids controller", Kind.LIMIT,
        function="pids_can_fork", same=("cgroup",)),
    row("backlog limit exceeded", r"audit: (?:kauditd )?backlog limit exceeded",
        "audit: backlog limit exceeded", Kind.LIMIT, function="audit_log_lost", same=()),
    row("xt_hashlimit: max count", r"xt_hashlimit: max count of (?P<limit>\d+) reached",
        "xt_hashlimit: max count reached", Kind.LIMIT, function="dsthash_alloc_init",
        module="xt_hashlimit", same=()),
)  # fmt: skip

_TIME = (
    row("nobody cared", r"irq (?P<irq>\d+): nobody cared \(try booting with the \"irqpoll\" option\)",
        "irq {irq}: nobody cared", Kind.NOTICE, function="__report_bad_irq", same=("irq",),
        closes=False, traced=True, rank=1, family="bad-irq",
        body=(r"\[<[0-9a-f]{1,16}>\] (?P<handler>[a-z_]\w{0,60})(?: \[\w{1,40}\])?",)),
    row("Disabling IRQ #", r"Disabling IRQ #(?P<irq>\d+)", "irq {irq}: nobody cared", Kind.NOTICE,
        function="__report_bad_irq", same=("irq",), family="bad-irq", reach=80),
    row("TSC found unstable after boot", r"(?:tsc: )?TSC found unstable after boot",
        "tsc: TSC found unstable after boot", Kind.NOTICE, function="clocksource_watchdog", evidence="time-jump",
        same=(), family="tsc"),
    row("timekeeping watchdog", r"clocksource: timekeeping watchdog (?:on CPU(?P<device>\d+)|.{0,30}?):? "
        r"(?:wd-.{0,60}|Marking clocksource '?(?P<clock>[\w-]{1,24})'? as unstable)",
        "clocksource: marked unstable by the timekeeping watchdog", Kind.NOTICE,
        function="clocksource_watchdog", evidence="time-jump", same=(), family="tsc",
        body=(r"clocksource:\s{1,40}'tsc' cs_nsec: (?P<clock_ns>\d+)",)),
    row("Marking TSC unstable", r"(?:tsc: )?Marking TSC unstable due to clocksource watchdog",
        "clocksource: marked unstable by the timekeeping watchdog", Kind.NOTICE,
        function="clocksource_watchdog", evidence="time-jump", same=(), family="tsc"),
    row("locksource tsc unstable", r"[Cc]locksource tsc unstable \(delta = (?P<delta>-?\d+) ns\)",
        "clocksource: marked unstable by the timekeeping watchdog", Kind.NOTICE,
        function="clocksource_watchdog", evidence="time-jump", same=(), family="tsc"),
    row("try booting with pci=realloc", r"(?:pci(?:_bus)? (?P<device>[0-9a-f:.]{7,12}): )?Some PCI device "
        r"resources are unassigned, try booting with pci=realloc",
        "PCI: some device resources are unassigned, try booting with pci=realloc", Kind.NOTICE,
        function="pci_assign_unassigned_root_bus_resources", same=()),
    row("Unprivileged eBPF is enabled with eIBRS", r"Spectre V2 : WARNING: Unprivileged eBPF is "
        r"enabled with eIBRS(?P<with> and SMT)?", "Spectre V2: unprivileged eBPF is enabled with eIBRS",
        Kind.NOTICE, function="unpriv_ebpf_notify", same=()),
    row("x86/split lock detection: #", r"x86/split lock detection: #(?:AC|DB): (?P<comm>.{1,40}?)/"
        r"(?P<pid>\d+) took a (?P<what>split_lock|bus_lock) trap at address:? ?(?P<address>\w{1,18})",
        "x86: {comm} took a {what} trap", Kind.NOTICE, function="split_lock_warn",
        same=("comm", "what")),
    row("hrtimer: interrupt took", r"hrtimer: interrupt took (?P<nanoseconds>\d+) ns",
        "hrtimer: interrupt took too long", Kind.NOTICE, function="hrtimer_interrupt", evidence="time-jump", same=()),
    row("hogged CPU for", r"workqueue: (?P<work>\w{1,80})(?: \[\w{1,40}\])? hogged CPU for "
        r">(?P<microseconds>\d+)us (?P<count>\d+) times", "workqueue: {work} hogged CPU",
        Kind.NOTICE, function="wq_cpu_intensive_report", same=("work",)),
    row("NMI received for unknown reason", r"Uhhuh\. NMI received for unknown reason "
        r"(?P<reason>[0-9a-f]{1,4}) on CPU (?P<device>\d+)", "NMI received for unknown reason",
        Kind.NOTICE, function="unknown_nmi_error", evidence="machine-check", same=()),
)  # fmt: skip

_HARDWARE_AND_LINKS = (
    row("Bad swap ", r"\w{1,32}: Bad swap (?:file|offset) entry (?P<entry>[0-9a-f]{1,16})",
        "swap: bad entry", Kind.NOTICE, function="get_swap_device", evidence="memory-pressure",
        same=()),
    row("Machine check events logged", r"(?:mce: )?(?:\[Hardware Error\]: )?Machine check events logged",
        "machine check events logged", Kind.NOTICE, function="mce_notify_irq", evidence="machine-check", same=()),
    row("orrected error, no action required", r"(?:mce: )?\[Hardware Error\]: (?P<what>Corrected) "
        r"error, no action required", "machine check: {what} error", Kind.NOTICE,
        function="amd_decode_mce", evidence="machine-check", same=("what",)),
    row("eferred error, no action required", r"(?:mce: )?\[Hardware Error\]: (?P<what>Deferred) "
        r"error, no action required", "machine check: {what} error", Kind.NOTICE,
        function="amd_decode_mce", evidence="machine-check", same=("what",)),
    row("above threshold, cpu clock throttled", _TEMPERATURE + r"(?P<what>Core|Package) temperature "
        r"(?:is )?above threshold, cpu clock throttled(?: \(total events = (?P<total>\d+)\))?",
        "thermal: {what} temperature above threshold", Kind.NOTICE, function="therm_throt_process", evidence="thermal",
        same=("what",)),
    row("NETDEV WATCHDOG: ", r"NETDEV WATCHDOG: (?P<device>[\w.@-]{1,32}) \((?P<driver>[\w-]{1,40})\): "
        r"transmit (?:queue (?P<queue>\d+) )?timed out", "NETDEV WATCHDOG: transmit queue timed out",
        Kind.NOTICE, function="dev_watchdog"),
    row("NETDEV WATCHDOG: ", r"(?:(?P<driver>[\w-]{1,24}) [0-9a-f:.]{7,12} )?(?:(?P<device>[\w.@-]{1,32})"
        r"(?: \([\w ]{1,40}\))?: )?NETDEV WATCHDOG: CPU: \d+: transmit queue (?P<queue>\d+) timed out "
        r"(?P<milliseconds>\d+) ms", "NETDEV WATCHDOG: transmit queue timed out", Kind.NOTICE,
        function="dev_watchdog"),
    row("not responding", r"nfs: server (?P<device>\S{1,255}) not responding, (?P<answer>still trying|"
        r"timed out)", "nfs: server not responding", Kind.NOTICE, function="call_timeout", evidence="disk",
        module="sunrpc"),
    row("has not responded in", r"CIFS: (?:VFS: )?(?P<device>\\{1,4}\S{1,255}|\S{1,255}) has not responded "
        r"in (?P<seconds>\d+) seconds", "CIFS: server has not responded", Kind.NOTICE,
        function="cifs_reconnect", evidence="disk", module="cifs"),
    row("ink is ", rf"{_DRIVER}{_LINK}:? (?:NIC )?[Ll]ink is [Uu]p", "", Kind.NOTICE,
        family="link-up", silent=True),
    row("ink is ", rf"{_DRIVER}{_LINK}:? NIC (?:Copper |Fibre |SerDes )?[Ll]ink is [Dd]own",
        "network link is down", Kind.NOTICE, stamped=True, family="link"),
    row("ink is ", rf"{_DRIVER}{_LINK}:? [Ll]ink is [Dd]own", "network link is down", Kind.NOTICE,
        stamped=True, family="link", needs="link-up"),
    row("ink up", rf"{_DRIVER}{_LINK}: [Ll]ink up\b", "", Kind.NOTICE, family="link-up", silent=True),
    row("ink down", rf"{_DRIVER}{_LINK}: [Ll]ink down\b", "network link is down", Kind.NOTICE,
        stamped=True, family="link", needs="link-up"),
    row("link status definitely down", r"(?:bonding: )?(?P<bond>[\w.-]{1,32}): (?:\(slave (?P<device>[\w.@-]{1,32})\): )?"
        rf"link status definitely down(?: for (?:active )?interface (?P<device2>{_NAME}))?(?:, disabling|\s*$)",
        "bonding: link status definitely down", Kind.NOTICE, function="bond_miimon_commit",
        module="bonding", same=("bond", "device")),
)  # fmt: skip

NOTICES: tuple[Row, ...] = (*_LIMITS, *_TIME, *_HARDWARE_AND_LINKS)
"""Every notice; of several that fit one line, the first wins."""
