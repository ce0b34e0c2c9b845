"""Events after which the kernel lives on, as data: memory, hardware, filesystems, storage.

The messages follow the kernel's sources, 2.6 to 6.x. The first row of those that fit a line wins.
"""

from __future__ import annotations

from bot.crash.event_row import CARRIER, Row, row
from bot.crash.report import Kind

_VICTIM = r"\((?P<victim>.{1,40}?)\)"
_KILLED = (
    rf"Kill(?:ed)? process (?P<pid>\d+)(?:, UID (?P<uid>\d+),)? {_VICTIM}(?:, UID (?P<uid2>\d+))?"
    r"(?:,? (?:total-vm|vsz): ?(?P<total_vm>\d+ ?kB)(?:, anon-rss: ?(?P<anon_rss>\d+ ?kB))?"
    r"(?:, file-rss: ?(?P<file_rss>\d+ ?kB))?(?:, shmem-rss:\d+kB)?"
    r"(?:,? UID:(?P<uid3>\d+))?(?:.{0,40}oom_score_adj:(?P<victim_score_adj>-?\d+))?"
    r"|,? score \d+ |\.?\s*$)"
)
_EVENT = (
    r"(?:\s{0,8}(?:\d{1,4}[smhd]\w{0,8}\s{1,16})?Warning\s{1,16}OOMKilling\s{1,16}"
    r"(?:[\w./-]{1,80}\s{1,16}){0,3})?"
)
"""How Kubernetes passes the kernel's line on, as an event of the node."""

_CHOSEN = rf"Kill process (?P<pid>\d+) {_VICTIM}(?: score \d+)? or sacrifice (?:a )?child"
_GFP = r"(?:gfp_mask|mode)[:=](?P<mode>0x[0-9a-f]+(?:\([\w|]{1,300}\))?)"
_OOM = {"family": "oom", "same": ("pid",), "reach": 8000, "alts": ("oom-kill",)}
_TOLD = "the lines that name the victim are missing"
_MEMCG = {"constraint": "CONSTRAINT_MEMCG"}
_DONE = {**_OOM, "replaces": True}

_MEMORY_KILLS = (
    row("invoked oom-killer", rf"(?P<trigger>.{{1,15}}?) invoked oom-killer: {_GFP}"
        r"(?:, nodemask=[^,]{1,40})?,? ?order[=:](?P<order>-?\d+)",
        "OOM killer invoked", Kind.OOM, opens=True, closes=False, traced=True, broken=_TOLD,
        **_OOM),
    row("invoked oom-killer", r"(?P<trigger>.{1,15}?) invoked oom-killer: ",
        "OOM killer invoked", Kind.OOM, opens=True, closes=False, traced=True, broken=_TOLD,
        **_OOM),
    row("oom-kill:constraint=", r"oom-kill:constraint=CONSTRAINT_MEMCG,.{0,1500}?"
        r"oom_memcg=(?P<limit_cgroup>[^,]{1,1000}),task_memcg=(?P<cgroup>[^,]{1,1000}),"
        r"task=(?P<victim>.{1,40}?),pid=(?P<pid>\d+)(?:,uid=(?P<uid>\d+))?",
        "OOM kill of {victim} in memory cgroup", Kind.OOM, rank=3, closes=False, facts=_MEMCG,
        **_OOM),
    row("oom-kill:constraint=", r"oom-kill:constraint=(?P<constraint>CONSTRAINT_\w{1,32}),"
        r".{0,1500}?(?:task_memcg=(?P<cgroup>[^,]{1,1000}),)?"
        r"task=(?P<victim>.{1,40}?),pid=(?P<pid>\d+)(?:,uid=(?P<uid>\d+))?",
        "OOM kill of {victim}", Kind.OOM, rank=1, closes=False, **_OOM),
    row("killed as a result of limit of", r"Task in (?P<cgroup>\S{1,1000}) killed as a result of "
        r"limit of (?P<limit_cgroup>\S{1,1000})", "OOM kill in memory cgroup", Kind.OOM, rank=1,
        closes=False, facts=_MEMCG, broken=_TOLD, **_OOM),
    row("emory cgroup out of memory", rf"{_EVENT}[Mm]emory cgroup out of memory: {_CHOSEN}",
        "OOM kill of {victim} in memory cgroup", Kind.OOM, rank=3, closes=False, facts=_MEMCG,
        **_OOM),
    row("emory cgroup out of memory", rf"{_EVENT}[Mm]emory cgroup out of memory: {_KILLED}",
        "OOM kill of {victim} in memory cgroup", Kind.OOM, rank=3, facts=_MEMCG, **_DONE),
    row("Out of memory", r"Out of memory and no killable processes",
        "OOM: no killable processes", Kind.OOM, rank=4, **_OOM),
    row("Out of memory", rf"Out of memory(?: \([^)]{{1,40}}\))?: {_CHOSEN}",
        "OOM kill of {victim}", Kind.OOM, rank=2, closes=False, **_OOM),
    row("Out of memory", rf"{_EVENT}Out of memory(?: \([^)]{{1,40}}\))?: {_KILLED}",
        "OOM kill of {victim}", Kind.OOM, rank=2, **_DONE),
    row("Out of Memory", rf"Out of Memory: {_KILLED}", "OOM kill of {victim}", Kind.OOM, rank=2,
        **_OOM),
    row("Killed process ", _KILLED.replace("Kill(?:ed)?", "Killed"), "OOM kill of {victim}",
        Kind.OOM, rank=2, **_DONE),
    row("oom_reaper: ", rf"oom_reaper: (?:reaped process|unable to reap pid:?) ?(?P<pid>\d+) {_VICTIM}",
        "OOM kill of {victim}", Kind.OOM, rank=1, **_OOM),
    row("VM: killing process", r"VM: killing process (?P<victim>\S{1,40})$",
        "OOM kill of {victim}", Kind.OOM, rank=2, stamped=True, **_OOM),
    row("lowmemorykiller: ", r"lowmemorykiller: (?:Killing|send sigkill to) "
        r"(?:'(?P<victim>[^']{1,80})' \((?P<pid>\d+)\)|(?P<pid2>\d+) \((?P<victim2>[^)]{1,80})\))",
        "OOM kill of {victim} by lowmemorykiller", Kind.OOM, rank=2, **_OOM),
)  # fmt: skip

_PLUMBING = (
    r"^new_slab|get_free_page|cache_(?:alloc|grow)|fallback_alloc|kmem_|^_*(?:napi_|netdev_)?"
    r"alloc_skb|page_frag|folio_alloc|^_*dma_|show_mem|alloc_frozen|large_node|^_*alloc_pages|"
    r"skb_page_frag_refill|swiotlb_alloc|x86_swiotlb|alloc_coherent|^cma_alloc|^sk_page_frag"
)
_BLAME = {
    "traced": True,
    "blames": True,
    "plumbing": _PLUMBING,
    "alts": ("page allocation failure",),
    "family": "allocation",
}

_ALLOCATIONS = (
    row("page allocation failure", r"(?P<comm>.{1,15}?): page allocation failure[:.] ?"
        rf"order:(?P<order>\d+), ?{_GFP}", "page allocation failure{in_func}",
        Kind.ALLOCATION_FAILURE, same=("comm", "order"), **_BLAME),
    row("page allocation failure", r"(?P<comm>.{1,15}?): page allocation failure: \S",
        "page allocation failure{in_func}", Kind.ALLOCATION_FAILURE, same=("comm",), **_BLAME),
    row("page allocation stalls for", r"(?P<comm>.{1,15}?): page allocation stalls for "
        r"(?P<milliseconds>\d+)ms, order:(?P<order>\d+)", "page allocation stall{in_func}",
        Kind.ALLOCATION_FAILURE, same=("comm", "order"), **_BLAME),
    row("vmalloc: ", r"(?:(?P<comm>.{1,15}?): )?vmalloc: (?:allocation failure|size \d+)",
        "vmalloc allocation failure{in_func}", Kind.ALLOCATION_FAILURE, same=("comm",),
        **{**_BLAME, "family": "vmalloc"}),
    row("vmalloc error: ", r"(?:(?P<comm>.{1,15}?): )?vmalloc error: (?:allocation failure|size \d+)",
        "vmalloc allocation failure{in_func}", Kind.ALLOCATION_FAILURE, same=("comm",),
        **{**_BLAME, "family": "vmalloc"}),
    row("Unable to allocate memory on", r"SL[UA]B: Unable to allocate memory on (?:CPU \d+ \(of "
        r"node -?\d+\) on )?node (?P<node>-?\d+),? \(?gfp=(?P<mode>0x[0-9a-f]+(?:\([\w|]{1,300}\))?)",
        "SLUB: unable to allocate memory", Kind.ALLOCATION_FAILURE, function="slab_out_of_memory",
        same=("mode",), body=(r"\s{0,4}cache: (?P<cache>[^,]{1,80}), object size: (?P<size>\d+)",)),
    row("percpu: allocation failed", r"percpu: allocation failed, size=(?P<size>\d+)",
        "per-CPU allocation failure", Kind.ALLOCATION_FAILURE, function="pcpu_alloc", same=()),
)  # fmt: skip

_MCE = r"(?:mce: )?(?:\[Hardware Error\]: )?"
_CHECK = (
    rf"{_MCE}CPU (?P<cpu>\d+): Machine Check(?: Exception)?:\s{{0,24}}(?P<mcgstatus>[0-9a-f]+) "
)
_ONLY_LOGGED = _CHECK.replace("(?: Exception)?", "")  # an exception is never only logged
_MCE_BODY = (
    rf"{_MCE}RIP.{{0,24}} (?P<at>[0-9a-f]{{2}}:<[0-9a-f]+>.{{0,80}})",
    rf"{_MCE}TSC \w+ .{{0,40}}?ADDR (?P<address>[0-9a-f]+)",
    rf"{_MCE}PROCESSOR (?P<processor>\S{{1,16}}) TIME \d+ SOCKET "
    r"(?P<socket>\d+)",
)
_GHES_BODY = (
    r"(?:\{\d+\})?\[Hardware Error\]:\s{1,8}section_type: (?P<section>.{1,60})",
    r"(?:\{\d+\})?\[Hardware Error\]:\s{1,8}(?:error_type: \d+, )(?P<error>.{1,60})",
    r"(?:\{\d+\})?\[Hardware Error\]:\s{1,8}physical_address: (?P<address>0x[0-9a-f]+)",
    r"(?:\{\d+\})?\[Hardware Error\]:\s{1,8}device_id: (?P<device>[0-9a-f:.]{7,16})",
    r"(?:\{\d+\})?\[Hardware Error\]:\s{1,8}DIMM location: (?P<dimm>.{1,60})",
)
_GHES = r"(?:\{\d+\})?\[Hardware Error\]: event severity: "
_AER = rf"(?:{CARRIER}: |[\w-]{{1,24}} [0-9a-f:.]{{7,12}}: )"
_SOURCE = r"(?P<source>[0-9a-f:.]{7,12}|id=[0-9a-f]{4})"
_RECEIVED = rf"(?: error (?:message )?received(?: from)?:? {_SOURCE}| error received)"
_EDAC = r"EDAC (?:\w{1,20} )?(?P<device>MC\d+|PCI\d+|DEVICE\d+|[\w-]{1,24}): ?"

_HARDWARE = (
    row("Machine Check", _CHECK + r"Bank (?P<bank>\d+): (?P<status>[2367abef][0-9a-f]{15})",
        "machine check: uncorrected error in bank {bank}", Kind.MACHINE_CHECK,
        function="print_mce", same=("cpu", "bank"), body=_MCE_BODY),
    row("Machine Check", _ONLY_LOGGED + r"Bank (?P<bank>\d+): (?P<status>[0-9a-f]{1,16})",
        "machine check: corrected error in bank {bank}", Kind.NOTICE, function="print_mce", evidence="machine-check",
        same=("cpu", "bank"), body=_MCE_BODY),
    row("Machine Check", _CHECK + r"Bank (?P<bank>\d+): (?P<status>[0-9a-f]{1,16})",
        "machine check exception in bank {bank}", Kind.MACHINE_CHECK, function="print_mce",
        same=("cpu", "bank"), body=_MCE_BODY),
    row("Uncorrected", r"(?:mce: )?\[Hardware Error\]: Uncorrected, software (?P<what>\w+) error",
        "machine check: uncorrected error", Kind.MACHINE_CHECK, function="amd_decode_mce",
        same=()),
    row("System Fatal error", r"(?:mce: )?\[Hardware Error\]: System Fatal error",
        "machine check: system fatal error", Kind.MACHINE_CHECK, function="amd_decode_mce",
        same=()),
    row("Uncorrected hardware memory error", r"(?:mce: |MCE: )Uncorrected hardware memory error in "
        r"user-access at (?P<address>[0-9a-f]+)", "machine check: uncorrected memory error",
        Kind.MACHINE_CHECK, function="kill_me_maybe", same=()),
    row("machine check (", r"MCE: CPU(?P<cpu>\d+): machine check \((?P<severity>Severe|Fatal)\)\s"
        r"{1,4}(?:Host|Guest|Unknown)? ?(?P<error>.{1,60})", "machine check: {severity}",
        Kind.MACHINE_CHECK, function="machine_check_print_event_info", same=("cpu",)),
    row("machine check (Warning)", r"MCE: CPU(?P<cpu>\d+): machine check \(Warning\)\s",
        "machine check: warning", Kind.NOTICE, function="machine_check_print_event_info", evidence="machine-check",
        same=("cpu",)),
    row("event severity: ", _GHES + "(?P<severity>fatal)", "APEI hardware error: fatal",
        Kind.MACHINE_CHECK, function="ghes_print_estatus", same=(), body=_GHES_BODY),
    row("event severity: ", _GHES + "(?P<severity>recoverable)",
        "APEI hardware error: recoverable", Kind.MACHINE_CHECK, function="ghes_print_estatus",
        same=(), body=_GHES_BODY),
    row("event severity: ", _GHES + "(?P<severity>corrected|info)",
        "APEI hardware error: {severity}", Kind.NOTICE, function="ghes_print_estatus", evidence="machine-check", same=(),
        body=_GHES_BODY),
    row("EDAC ", _EDAC + r"(?P<count>\d+) UE (?P<error>.{0,60}?) on (?P<dimm>[^( ]{1,60})",
        "EDAC: uncorrected memory error", Kind.MACHINE_CHECK, function="edac_mc_handle_error"),
    row("EDAC ", _EDAC + r"(?:\d+ )?UE (?:row|page|-|\S{1,40} error)",
        "EDAC: uncorrected memory error", Kind.MACHINE_CHECK, function="edac_mc_handle_error"),
    row("EDAC ", _EDAC + r"(?P<count>\d+) CE (?P<error>.{0,60}?) on (?P<dimm>[^( ]{1,60})",
        "EDAC: corrected memory error", Kind.NOTICE, function="edac_mc_handle_error", evidence="machine-check"),
    row("EDAC ", _EDAC + r"(?:\d+ )?CE (?:row|page|-|\S{1,40} error)",
        "EDAC: corrected memory error", Kind.NOTICE, function="edac_mc_handle_error", evidence="machine-check"),
    row("Memory failure: 0x", r"Memory failure: (?P<page>0x[0-9a-f]+): recovery action for "
        r"(?P<what>.{1,60}?): (?P<outcome>Failed|Ignored|Delayed)",
        "memory failure: recovery of {what} failed", Kind.MACHINE_CHECK, function="action_result",
        same=("page",)),
    row("Memory failure: 0x", r"Memory failure: (?P<page>0x[0-9a-f]+): recovery action for "
        r"(?P<what>.{1,60}?): (?P<outcome>Recovered)", "memory failure: recovered {what}",
        Kind.MACHINE_CHECK, function="action_result", same=("page",)),
    row("due to hardware memory corruption", r"(?:MCE |Memory failure: )(?P<page>0x[0-9a-f]+): "
        r"[Kk]illing (?P<victim>.{1,40}?):(?P<pid>\d+) .{0,60}due to hardware memory corruption",
        "memory failure: killed {victim}", Kind.MACHINE_CHECK, function="kill_proc",
        same=("page", "pid")),
    row("AER: ", rf"{_AER}AER: (?:Multiple )?(?:Uncorrected|Uncorrectable) \((?P<severity>Fatal|Non-Fatal)\)"
        rf"{_RECEIVED}", "PCIe AER: uncorrected ({severity}) error", Kind.MACHINE_CHECK,
        function="aer_print_error", family="aer-uncorrected", same=("severity",)),
    row("AER: ", rf"{_AER}AER: (?:Multiple )?Correct(?:ed|able){_RECEIVED}",
        "PCIe AER: corrected error", Kind.NOTICE, function="aer_print_error", evidence="machine-check",
        family="aer-corrected", same=()),
    row("PCIe Bus Error: severity=", rf"{_AER}(?:AER: )?PCIe Bus Error: severity="
        r"(?:Uncorrected|Uncorrectable) \((?P<severity>Fatal|Non-Fatal)\), type=(?P<layer>[\w ]{1,40})",
        "PCIe AER: uncorrected ({severity}) error", Kind.MACHINE_CHECK,
        function="aer_print_error", family="aer-uncorrected", same=("severity",)),
    row("PCIe Bus Error: severity=", rf"{_AER}(?:AER: )?PCIe Bus Error: severity=Correct(?:ed|able)",
        "PCIe AER: corrected error", Kind.NOTICE, function="aer_print_error", evidence="machine-check",
        family="aer-corrected", same=()),
    row("DPC: containment event", rf"{_AER}(?:pciehp: |AER: )?DPC: containment event, "
        r"status:(?P<status>0x[0-9a-f]+)", "PCIe DPC: containment event", Kind.MACHINE_CHECK,
        function="dpc_process_error", same=()),
    row("NMI: ", r"NMI: (?:PCI system error \(SERR\)|IOCK error \(debug interrupt\?\)|memory parity "
        r"error) for reason (?P<reason>[0-9a-f]+)", "NMI: hardware error", Kind.MACHINE_CHECK,
        function="default_do_nmi", same=()),
    row("critical temperature reached", r"(?:thermal )?[\w-]{1,40}: (?:\w{1,40}: )?critical "
        r"temperature reached(?: ?\((?P<temperature>-?\d+) ?C\))?",
        "thermal: critical temperature reached", Kind.MACHINE_CHECK, function="thermal_zone_trip",
        same=()),
)  # fmt: skip

_XFS = r"XFS \((?P<device>[\w!.-]{1,40})\): "
_DOWN = {"module": "xfs", "family": "xfs-shutdown"}
_EXT = r"EXT[234]-fs error \(device (?P<device>[\w!.-]{1,40})\)"
_EXT_FAMILY = {"module": "ext4", "family": "ext4"}
_BTRFS = r"BTRFS:? (?:critical|error|warning|info)? ?\(device (?P<device>[\w!.-]{1,40})(?::? state \w{1,8})?\)"
_BTRFS_FAMILY = {"module": "btrfs", "family": "btrfs"}
_SYMBOL = r"(?P<func>[a-z_][\w.]{0,80})"

_FILESYSTEMS = (
    row("Shutting down filesystem", _XFS + r"Corruption of in-memory data(?: \(0x[0-9a-f]+\))? "
        rf"detected(?: at {_SYMBOL}\+0x\S{{1,20}}[^.]{{0,80}}(?:\.c:\d+\))?)?\.\s{{1,4}}Shutting down",
        "XFS: corruption of in-memory data, shut down{in_func}", Kind.FILESYSTEM, rank=2, **_DOWN),
    row("Shutting down filesystem", _XFS + r"[Cc]orruption of on-disk metadata \(0x[0-9a-f]+\) "
        rf"detected at {_SYMBOL}\+0x", "XFS: corruption of on-disk metadata, shut down{in_func}",
        Kind.FILESYSTEM, rank=2, **_DOWN),
    row("Shutting down filesystem", _XFS + rf"Log I/O [Ee]rror(?: \(0x\w+\) detected at {_SYMBOL}"
        r"\+0x.{0,120}?\.| Detected\.)\s{1,4}Shutting down", "XFS: log I/O error, shut down{in_func}",
        Kind.FILESYSTEM, rank=2, **_DOWN),
    row("Shutting down filesystem", _XFS + rf"(?:Metadata )?I/O [Ee]rror(?: \(0x\w+\) detected at "
        rf"{_SYMBOL}\+0x.{{0,120}}?\.| Detected\.)\s{{1,4}}Shutting down",
        "XFS: metadata I/O error, shut down{in_func}", Kind.FILESYSTEM, rank=2, **_DOWN),
    row("Shutting down filesystem", _XFS + r"(?P<reason>User initiated shutdown|All device paths "
        r"lost|Shutdown).{0,160}?Shutting down filesystem", "XFS: {reason}, shut down",
        Kind.FILESYSTEM, rank=2, function="xfs_do_force_shutdown", **_DOWN),
    row("Shutting down filesystem", r"Filesystem \"(?P<device>[\w!.-]{1,40})\": (?P<reason>[\w/ -]"
        r"{1,60}) [Dd]etected\.\s{1,4}Shutting down", "XFS: {reason}, shut down", Kind.FILESYSTEM,
        rank=2, function="xfs_do_force_shutdown", **_DOWN),
    row("_force_shutdown(", _XFS + r"xfs_do_force_shutdown\((?P<flags>0x[0-9a-f]+)\) called from "
        rf"line \d+ of file (?P<file>[\w/.-]{{1,120}})\.\s{{1,4}}Return address = (?:{_SYMBOL}\+0x)?",
        "XFS: filesystem shut down{in_func}", Kind.FILESYSTEM, rank=1, closes=False, **_DOWN),
    row("_force_shutdown(", r"xfs_force_shutdown\((?P<device>[\w!.-]{1,40}),(?P<flags>0x[0-9a-f]+)\) "
        r"called from line \d+ of file (?P<file>[\w/.-]{1,120})", "XFS: filesystem shut down",
        Kind.FILESYSTEM, rank=1, closes=False, function="xfs_do_force_shutdown", **_DOWN),
    row("rectify the problem(s)", _XFS + r"Please u(?:n)?mount the filesystem and rectify",
        "XFS: filesystem shut down", Kind.FILESYSTEM, function="xfs_do_force_shutdown", **_DOWN),
    row("etadata I/O error", _XFS + rf"metadata I/O error(?: in \"{_SYMBOL}(?:\+0x[^\"]{{1,40}})?\" at "
        r"daddr (?P<block>0x[0-9a-f]+)|: block (?P<block2>0x[0-9a-f]+) ?\(\"(?P<func2>\w{1,80})\"\))"
        r"(?: len \d+)? error (?P<errno>\d+)", "XFS: metadata I/O error{in_func}",
        Kind.FILESYSTEM, module="xfs", family="xfs-metadata-io"),
    row("etadata corruption detected", _XFS + rf"Metadata corruption detected at {_SYMBOL}\+0x"
        r"(?:.{0,60}, (?P<what>xfs_\w{1,40}) block (?P<block>0x[0-9a-f]+))?",
        "XFS: metadata corruption{in_func}", Kind.FILESYSTEM, module="xfs", family="xfs-corrupt"),
    row("etadata CRC error detected", _XFS + rf"Metadata CRC error detected at {_SYMBOL}\+0x",
        "XFS: metadata CRC error{in_func}", Kind.FILESYSTEM, module="xfs", family="xfs-corrupt"),
    row("nternal error ", _XFS + r"Internal error (?P<what>[\w() !=<>&|,*-]{1,80}?) at line \d+ of "
        rf"file \S{{1,120}}\.\s{{1,4}}Caller (?:{_SYMBOL}\+0x|0x)", "XFS: internal error{in_func}",
        Kind.FILESYSTEM, module="xfs", family="xfs-corrupt"),
    row("nternal error ", r"XFS internal error (?P<what>[\w() ]{1,80}?) at line \d+ of file",
        "XFS: internal error", Kind.FILESYSTEM, module="xfs", family="xfs-corrupt"),
    row("-fs error (device ", _EXT + rf"(?::| in) {_SYMBOL}:\d+: (?:inode #(?P<inode>\d+): )?"
        r"(?:block \d+: )?(?:comm (?P<comm>.{1,32}?): )?(?P<error>.{1,120})",
        "EXT4-fs error{in_func}", Kind.FILESYSTEM, rank=2, **_EXT_FAMILY),
    row("-fs error (device ", _EXT + rf"(?::| in) {_SYMBOL}: (?P<error>.{{1,120}})",
        "EXT4-fs error{in_func}", Kind.FILESYSTEM, rank=2, **_EXT_FAMILY),
    row("emounting filesystem read-only", r"EXT[234]-fs \((?P<device>[\w!.-]{1,40})\): (?:error: )?"
        r"[Rr]emounting filesystem read-only", "EXT4-fs: remounted read-only", Kind.FILESYSTEM,
        function="ext4_handle_error", rank=1, **_EXT_FAMILY),
    row("emounting filesystem read-only", r"Remounting filesystem read-only$",
        "EXT4-fs: remounted read-only", Kind.FILESYSTEM, function="ext4_handle_error",
        stamped=True, module="ext4", family="remount", same=()),
    row("emounting filesystem read-only", r"(?P<name>F2FS|NILFS|UDF|FAT)-fs \((?P<device>"
        r"[\w!.-]{1,40})\): (?:error: )?[Rr]emounting filesystem read-only",
        "{name}-fs: remounted read-only", Kind.FILESYSTEM),
    row("Aborting journal on device", r"Aborting journal on device (?P<device>[\w!.-]{1,40}?)"
        r"(?:-\d{1,7})?\.$", "JBD2: journal aborted", Kind.FILESYSTEM,
        function="__jbd2_journal_abort", **{**_EXT_FAMILY, "module": "jbd2"}),
    row("JBD2: ", r"JBD2: (?P<error>Detected IO errors while flushing file data|Error -?\d+ detected "
        r"when updating journal superblock|I/O error when updating journal superblock|I/O error "
        r"detected when updating journal superblock) (?:on|for) (?P<device>[\w!.-]{1,40}?)"
        r"(?:-\d{1,7})?\.?$", "JBD2: I/O error", Kind.FILESYSTEM, function="jbd2_journal_commit",
        module="jbd2"),
    row("Delayed block allocation failed", r"EXT4-fs \((?P<device>[\w!.-]{1,40})\): Delayed block "
        r"allocation failed for inode (?P<inode>\d+)", "EXT4-fs: delayed allocation failed",
        Kind.FILESYSTEM, function="mpage_map_and_submit_extent", module="ext4"),
    row("ext4_end_bio:", r"EXT4-fs warning \(device (?P<device>[\w!.-]{1,40})\): ext4_end_bio:\d+: "
        r"I/O error", "EXT4-fs: I/O error while writing data", Kind.FILESYSTEM,
        function="ext4_end_bio", module="ext4"),
    row("BTRFS", _BTRFS + rf" in {_SYMBOL}:\d+: errno=(?P<errno>-?\d+) (?P<error>[^(]{{1,60}})",
        "BTRFS error{in_func}", Kind.FILESYSTEM, rank=2, **_BTRFS_FAMILY),
    row("BTRFS", _BTRFS + r": forced readonly", "BTRFS: forced readonly", Kind.FILESYSTEM,
        function="btrfs_handle_error", **_BTRFS_FAMILY),
    row("BTRFS", r"(?:BTRFS: |" + _BTRFS + r": )Transaction aborted \(error (?P<errno>-?\d+)\)",
        "BTRFS: transaction aborted", Kind.FILESYSTEM, function="btrfs_abort_transaction",
        rank=1, **_BTRFS_FAMILY),
    row("BTRFS", _BTRFS + r": Skipping commit of aborted transaction", "BTRFS: transaction aborted",
        Kind.FILESYSTEM, function="btrfs_abort_transaction", rank=1, **_BTRFS_FAMILY),
    row("BTRFS", _BTRFS + r": corrupt (?P<what>leaf|node)", "BTRFS: corrupt {what}",
        Kind.FILESYSTEM, function="check_leaf", module="btrfs"),
    row("BTRFS", _BTRFS + r": parent transid verify failed on",
        "BTRFS: parent transid verify failed", Kind.FILESYSTEM, function="verify_parent_transid",
        module="btrfs"),
    row("BTRFS", _BTRFS + r": csum failed ", "BTRFS: checksum failed", Kind.FILESYSTEM,
        function="btrfs_print_data_csum_error", module="btrfs"),
    row("BTRFS", _BTRFS + r": bdev (?P<disk>\S{1,80}) errs: (?!wr 0, rd 0, flush 0, corrupt 0, gen 0)wr (?P<write_errors>\d+), rd "
        r"(?P<read_errors>\d+), flush \d+, corrupt (?P<corruptions>\d+), gen \d+",
        "BTRFS: device errors", Kind.FILESYSTEM, function="btrfs_dev_stat_inc_and_print",
        module="btrfs", stamped=True),
    row("Stopped filesystem due to reason", r"F2FS-fs \((?P<device>[\w!.-]{1,40})\): Stopped "
        r"filesystem due to reason: (?P<reason>\d+)", "F2FS-fs: stopped", Kind.FILESYSTEM,
        function="f2fs_handle_critical_error", module="f2fs"),
    row("Filesystem has been set read-only", r"FAT-fs \((?P<device>[\w!.-]{1,40})\): Filesystem has "
        r"been set read-only", "FAT-fs: set read-only", Kind.FILESYSTEM,
        function="__fat_fs_error", module="fat"),
    row("GFS2: fsid=", r"GFS2: fsid=(?P<device>[\w:.-]{1,80}): (?:fatal: |about to withdraw|"
        r"File system withdrawn|withdrawn)", "GFS2: filesystem withdrawn", Kind.FILESYSTEM,
        function="gfs2_withdraw", module="gfs2"),
    row("uncorrectable I/O failure", r"WARNING: Pool '(?P<device>[^']{1,80})' has encountered an "
        r"uncorrectable I/O failure", "ZFS: pool suspended", Kind.FILESYSTEM,
        function="zio_suspend", module="zfs"),
)  # fmt: skip

_NVME = r"nvme (?P<device>nvme\d+|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]): "
_TIMEOUT = (
    _NVME + r"I/O (?:tag )?\d+ (?:\([0-9a-f]{1,4}\) )?(?:opcode 0x[0-9a-f]+ \([^)]{1,40}\) )?"
    r"QID (?P<queue>\d+) timeout"
)
_SCSI = r"(?:sd|st|scsi|dasd) (?P<device>\d+:\d+:\d+:\d+): (?:\[(?P<disk>\w{1,16})\] {1,2})?(?:tag#\d+ )?"
_DISK = r"(?P<device>(?!fd\d|sr\d|loop\d|ram\d|zram|mtdblock)[\w!.-]{1,40})"
_BLK = r"(?:blk_update_request: |print_req_error: |end_request: )?"

_STORAGE = (
    row("controller is down; will reset", _NVME + r"controller is down; will reset: "
        r"CSTS=(?P<csts>0x[0-9a-f]+)(?:, PCI_STATUS(?:=(?P<pci_status>0x[0-9a-f]+)| read failed))?",
        "nvme: controller is down; will reset", Kind.STORAGE, function="nvme_warn_reset",
        module="nvme"),
    row(" QID ", _TIMEOUT + r", (?:aborting|Abort)", "nvme: I/O timeout, aborting",
        Kind.STORAGE, function="nvme_timeout", module="nvme"),
    row(" QID ", _TIMEOUT + r", (?:reset|disable) controller",
        "nvme: I/O timeout, reset controller", Kind.STORAGE, function="nvme_timeout",
        module="nvme"),
    row(" QID ", _TIMEOUT + r", completion polled", "nvme: I/O timeout, completion polled",
        Kind.STORAGE, function="nvme_timeout", module="nvme"),
    row("Device not ready; aborting", _NVME + r"Device not ready; aborting (?P<what>\w+)"
        r"(?:, CSTS=(?P<csts>0x[0-9a-f]+))?", "nvme: device not ready; aborting {what}",
        Kind.STORAGE, function="nvme_wait_ready", module="nvme"),
    row("after probe failure", _NVME + r"Removing after probe failure(?: status: (?P<errno>-?\d+))?",
        "nvme: removed after probe failure", Kind.STORAGE, function="nvme_remove_dead_ctrl",
        module="nvme"),
    row("Disabling device after reset failure", _NVME + r"Disabling device after reset failure: "
        r"(?P<errno>-?\d+)", "nvme: disabled after reset failure", Kind.STORAGE,
        function="nvme_reset_work", module="nvme"),
    row("rejecting I/O to", _SCSI + r"rejecting I/O to (?P<what>offline|dead) device",
        "SCSI: rejecting I/O to {what} device", Kind.STORAGE, function="scsi_device_state_check"),
    row("Device offlined - not ready", _SCSI + r"Device offlined - not ready after error recovery",
        "SCSI: device offlined, not ready after error recovery", Kind.STORAGE,
        function="scsi_eh_offline_sdevs"),
    row("Result: hostbyte=", _SCSI + r"(?:FAILED )?Result: hostbyte=(?P<hostbyte>\w{1,40}) "
        r"driverbyte=(?P<driverbyte>\w{1,40})", "SCSI: command failed", Kind.STORAGE,
        function="scsi_io_completion_action"),
    row("timing out command, waited", _SCSI + r"timing out command, waited \d+s",
        "SCSI: command timed out", Kind.STORAGE, function="scsi_decide_disposition"),
    row("reset: FAILED", r"(?P<device>[\w :.-]{1,60}?): (?P<what>host|bus|device|target|adapter) "
        r"reset: FAILED", "SCSI: {what} reset failed", Kind.STORAGE, function="scsi_eh_ready_devs",
        stamped=True),
    row("reset failed", r"(?:scsi host\d+|[\w-]{1,24} (?P<device>[0-9a-f:.]{7,12})): (?:\w{1,20}: )?"
        r"(?P<what>host|bus|device|target|adapter|controller|HBA|FW) reset failed",
        "SCSI: {what} reset failed", Kind.STORAGE, function="scsi_eh_ready_devs", stamped=True,
        same=("what",)),
    row("exception Emask", r"(?P<device>ata\d+)(?:\.\d\d)?: exception Emask ", "", Kind.STORAGE,
        family="ata-exception", silent=True, evidence="disk"),
    row("SRST failed", r"(?P<device>ata\d+): SRST failed \(errno=(?P<errno>-?\d+)\)",
        "ata: soft reset failed", Kind.STORAGE, function="ata_eh_reset", module="libata",
        needs="ata-exception"),
    row("reset failed, giving up", r"(?P<device>ata\d+): reset failed, giving up",
        "ata: reset failed, giving up", Kind.STORAGE, function="ata_eh_reset", module="libata",
        needs="ata-exception"),
    row(".00: disable", r"(?P<device>ata\d+)\.00: disable(?:d|\s+device)$", "ata: device disabled",
        Kind.STORAGE, function="ata_dev_disable", module="libata", needs="ata-exception"),
    row("error, dev ", _BLK + r"(?P<what>I/O|critical (?:medium|target|nexus|space allocation)|recovered|"
        rf"timeout|protection|recoverable transport) error, dev {_DISK}, sector (?P<sector>\d+)"
        r"(?: op 0x[0-9a-f]+:\((?P<operation>\w+)\))?", "{what} error on disk", Kind.STORAGE,
        function="blk_update_request", same=("device", "what")),
    row("Buffer I/O error on dev", rf"Buffer I/O error on dev(?:ice)? {_DISK}, logical block "
        r"(?P<block>\d+)(?:, (?P<operation>.{1,60}))?", "buffer I/O error", Kind.STORAGE,
        function="buffer_io_error"),
    row("due to I/O error on", rf"lost (?:async |sync )?page write due to I/O error on {_DISK}$",
        "lost page write due to I/O error", Kind.STORAGE, function="end_buffer_write_sync"),
    row("Failing path", r"device-mapper: multipath: (?P<table>\d+:\d+: )?Failing path "
        r"(?P<device>\d+:\d+|\S{1,40}?)\.", "multipath: failing path", Kind.STORAGE,
        function="fail_path", module="dm_multipath"),
    row("Disk failure on", r"(?:md/)?(?P<level>[\w-]{1,16})(?::(?P<array>\w{1,16}))?: Disk failure on "
        r"(?P<device>[\w!.-]{1,40}), disabling device", "md: disk failure, device disabled",
        Kind.STORAGE, function="md_error", module="md_mod"),
    row("read error not correctable", r"(?:md/)?(?P<level>[\w-]{1,16}):(?P<array>\w{1,16}): read error "
        r"not correctable \(sector (?P<sector>\d+) on (?P<device>[\w!.-]{1,40})\)",
        "md: read error not correctable", Kind.STORAGE, function="raid5_end_read_request",
        module="md_mod"),
    row("super_written gets error", r"md: super_written gets (?:uptodate=\d+, )?error=(?P<errno>-?\d+)",
        "md: superblock write failed", Kind.STORAGE, function="super_written", module="md_mod",
        same=()),
    row("switching pool to", r"device-mapper: thin: (?P<device>\d+:\d+): switching pool to "
        r"(?P<mode>out-of-data-space|out-of-metadata-space|read-only|fail)(?: \([^)]{1,20}\))? mode",
        "dm-thin: pool switched to {mode} mode", Kind.STORAGE, function="set_pool_mode", module="dm_thin_pool"),
    row("nvalidating snapshot", r"device-mapper: snapshots: Invalidating snapshot: (?P<reason>.{1,60}?)"
        r"\.?$", "dm-snapshot: snapshot invalidated", Kind.STORAGE,
        function="__invalidate_snapshot", module="dm_snapshot", same=()),
    row("detected conn error", r"\s?(?P<device>connection\d+:\d+): detected conn error \((?P<code>\d+)\)",
        "iSCSI: connection error", Kind.STORAGE, function="iscsi_conn_error_event",
        module="scsi_transport_iscsi"),
    row("session recovery timed out", r"\s?(?P<device>session\d+): session recovery timed out after "
        r"(?P<seconds>\d+) secs", "iSCSI: session recovery timed out", Kind.STORAGE,
        function="session_recovery_timedout", module="scsi_transport_iscsi"),
    row("blocked FC remote port time out", r"\s?(?P<device>rport-[\d:-]{3,20}): blocked FC remote port "
        r"time out", "FC: remote port timed out", Kind.STORAGE,
        function="fc_timeout_deleted_rport", module="scsi_transport_fc"),
    row("transferring data", r"(?P<device>mmcblk\d+): error (?P<errno>-\d+) (?:sending \S+ command|"
        r"transferring data)", "mmc: data transfer failed", Kind.STORAGE,
        function="mmc_blk_cmd_recovery", module="mmc_block"),
)  # fmt: skip

LOSSES: tuple[Row, ...] = (
    *_MEMORY_KILLS, *_ALLOCATIONS, *_HARDWARE, *_FILESYSTEMS, *_STORAGE,
)  # fmt: skip
"""Every event; of several that fit one line, the first wins."""
