"""The machines that crash in the fixtures: each writes its reports as its kernel does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``style`` is how its kernel words a crash: old (3.x), mid (4.x), new (5.x and later), arm64."""

    style: str
    release: str
    build: str
    hardware: str
    loaded: str
    taint: str = "Not tainted"


EL7 = Machine(
    style="old",
    release="3.10.0-693.el7.x86_64",
    build="#1",
    hardware="Dell Inc. PowerEdge R630/02C2CP, BIOS 2.4.3 01/17/2017",
    loaded="iptable_filter ip_tables bonding ipmi_si ipmi_msghandler mei_me lpc_ich xfs libcrc32c "
    "sd_mod crc_t10dif ahci libahci libata tg3 ptp megaraid_sas",
)
EL8 = Machine(
    style="mid",
    release="4.18.0-147.el8.x86_64",
    build="#1",
    hardware="Red Hat KVM, BIOS 1.11.1-4.module+el8.1.0 04/01/2014",
    loaded="nft_chain_nat nf_nat nf_conntrack nf_defrag_ipv4 rfkill sunrpc virtio_balloon i2c_piix4 "
    "xfs libcrc32c virtio_net net_failover virtio_blk",
)
XENIAL = Machine(
    style="mid",
    release="4.15.0-50-generic",
    build="#54-Ubuntu",
    hardware="Supermicro SYS-1028R-WTRT/X10DRW-iT, BIOS 2.0b 04/12/2017",
    loaded="ipt_MASQUERADE overlay br_netfilter bridge stp llc ses enclosure ixgbe mdio ahci",
    taint="Tainted: G           OE   ",
)
FOCAL = Machine(
    style="new",
    release="5.4.0-26-generic",
    build="#30-Ubuntu",
    hardware="QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.13.0-1ubuntu1 04/01/2014",
    loaded="binfmt_misc nls_iso8859_1 kvm_amd kvm joydev input_leds serio_raw virtio_net psmouse",
)
BOOKWORM = Machine(
    style="new",
    release="6.1.0-9-amd64",
    build="#1  Debian 6.1.27-1",
    hardware="HPE ProLiant DL360 Gen10/ProLiant DL360 Gen10, BIOS U32 05/16/2022",
    loaded="tls cfg80211 rfkill intel_rapl_msr ipmi_ssif acpi_ipmi ext4 crc16 mbcache jbd2 dm_mod tg3",
    taint="Tainted: G        W         ",
)
MAINLINE = Machine(
    style="new",
    release="5.16.0",
    build="#7",
    hardware="Example Systems E300-9D/X11SDV, BIOS 1.3 02/21/2019",
    loaded="8021q garp mrp stp llc i40e nvme nvme_core",
)
GRAVITON = Machine(
    style="arm64",
    release="5.15.0-1004-aws",
    build="#6-Ubuntu",
    hardware="Amazon EC2 m6g.2xlarge/, BIOS 1.0 11/1/2018",
    loaded="ena sch_fq_codel aes_ce_blk crypto_simd cryptd ghash_ce sha2_ce efi_pstore ip_tables",
)
ALTRA = Machine(
    style="arm64",
    release="6.1.21",
    build="#1",
    hardware="WIWYNN Mt.Jade Server System B81.03001.0005/Mt.Jade Motherboard, BIOS 2.06 20220510",
    loaded="mlx5_core mlxfw psample tls xgene_hwmon arm_cmn nvme nvme_core",
    taint="Tainted: G            E     ",
)
EVERY = (BOOKWORM, EL7, GRAVITON, XENIAL, FOCAL, ALTRA, EL8, MAINLINE)
X86 = tuple(machine for machine in EVERY if machine.style != "arm64")
