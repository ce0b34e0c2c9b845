"""Console text of the night, in the kernel's own format, and the alerts that carry it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

ESTATS = """\
[{t}.104211] BUG: unable to handle kernel NULL pointer dereference at 0000000000000{o}
[{t}.104245] IP: [<ffffffff816d{a}>] tcp_estats_update_mss+0x16/0x40
[{t}.104262] PGD 0
[{t}.104268] Oops: 0002 [#1] SMP
[{t}.104277] Modules linked in: tcp_htcp bonding ipmi_si ipmi_msghandler mlx4_en ptp pps_core
[{t}.104301] CPU: {c} PID: {p} Comm: {m} Not tainted {r} #1
[{t}.104318] Hardware name: Example Systems S2600/S2600, BIOS 2.0.1 03/11/2014
[{t}.104336] task: ffff88201c{a}00 ti: ffff881fd0{a}00 task.ti: ffff881fd0{a}00
[{t}.104352] RIP: 0010:[<ffffffff816d{a}>]  [<ffffffff816d{a}>] tcp_estats_update_mss+0x16/0x40
[{t}.104374] RSP: 0018:ffff881fd0{a}a8  EFLAGS: 00010246
[{t}.104388] RAX: 0000000000000000 RBX: ffff881f9c{a}00 RCX: 0000000000000218
[{t}.104402] RDX: 00000000000005a8 RSI: 00000000000005a8 RDI: ffff881f9c{a}00
[{t}.104420] CR2: 0000000000000{o}
[{t}.104431] Call Trace:
[{t}.104440]  [<ffffffff81680{a}>] tcp_sync_mss+0xc1/0x140
[{t}.104455]  [<ffffffff8168b{a}>] tcp_v4_syn_recv_sock+0x1c4/0x310
[{t}.104470]  [<ffffffff8168f{a}>] tcp_check_req+0x2d5/0x560
[{t}.104484]  [<ffffffff8168a{a}>] tcp_v4_do_rcv+0x1b6/0x330
[{t}.104498]  [<ffffffff8168d{a}>] tcp_v4_rcv+0x5a0/0x830
[{t}.104512]  [<ffffffff8166a{a}>] ip_local_deliver_finish+0xb3/0x270
[{t}.104528]  [<ffffffff8163b{a}>] __netif_receive_skb_core+0x5f0/0x7b0
[{t}.104544]  [<ffffffff8163e{a}>] net_rx_action+0x150/0x240
[{t}.104560]  [<ffffffff8107b{a}>] __do_softirq+0xf5/0x2a0
[{t}.104577] Code: 44 00 00 55 48 89 e5 48 8b 87 f0 06 00 00 <89> b0 c8 00 00 00 5d c3 66 90
[{t}.104630] Kernel panic - not syncing: Fatal exception in interrupt
"""

SACK = """\
[{t}.551020] kernel BUG at net/ipv4/tcp_input.c:1297!
[{t}.551044] invalid opcode: 0000 [#1] SMP PTI
[{t}.551060] CPU: {c} PID: {p} Comm: {m} Not tainted {r} #1
[{t}.551079] Hardware name: Example Systems R640/R640, BIOS 2.1.8 04/30/2019
[{t}.551098] RIP: 0010:tcp_shifted_skb+0x2a{n}/0x2f0
[{t}.551115] RSP: 0018:ffff9ee43fa03{n}98 EFLAGS: 00010202
[{t}.551131] RAX: 000000000000ffff RBX: ffff9ee3c1{a}00 RCX: 0000000000000001
[{t}.551148] Call Trace:
[{t}.551156]  <IRQ>
[{t}.551165]  tcp_sacktag_walk+0x1f{n}/0x4b0
[{t}.551180]  tcp_sacktag_write_queue+0x37{n}/0x830
[{t}.551196]  tcp_ack+0xa4{n}/0x1130
[{t}.551211]  tcp_rcv_established+0x1a{n}/0x620
[{t}.551226]  tcp_v4_do_rcv+0x131/0x1f0
[{t}.551241]  tcp_v4_rcv+0xa8b/0xb30
[{t}.551256]  ip_local_deliver_finish+0x62/0x1e0
[{t}.551270]  </IRQ>
[{t}.551290] Kernel panic - not syncing: Fatal exception in interrupt
"""


def console(shape: str, release: str, chance: random.Random) -> str:
    """Return one crash as a console shows it; addresses, CPU and task differ each time."""
    return shape.format(
        t=f"{chance.randrange(20_000, 900_000):6d}",
        o=f"{chance.choice(('0c8', '0d0', '0c8'))}",
        a=f"{chance.randrange(0x100, 0xFFF):03x}"[:3],
        n=f"{chance.randrange(16):x}",
        c=chance.randrange(24),
        p=chance.randrange(900, 32_000),
        m=chance.choice(("nginx", "memcached", "swapper/3", "java")),
        r=release,
    )


def crashed(host: str, text: str, started: str) -> dict[str, Any]:
    """Return the alert that a console watcher raises for a crash."""
    return _alert("KernelOops", host, {"summary": f"{host} crashed", "console": text}, started)


def down(host: str, started: str, ended: str = "") -> dict[str, Any]:
    """Return the alert that a host does not answer, or answers again."""
    alert = _alert("HostDown", host, {"summary": f"{host} does not answer"}, started)
    return {**alert, "status": "resolved", "endsAt": ended} if ended else alert


def _alert(name: str, host: str, annotations: Mapping[str, str], started: str) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": name, "instance": f"{host}:9100", "severity": "critical"},
        "annotations": dict(annotations),
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
    }


def webhook(*alerts: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap alerts as Alertmanager's webhook, version 4."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "holdfast",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
    }
