"""What transports do to console text: each function carries a log as one of them would.

Every carrier is a pure function from text to text that writes what the real tool writes. The log
that goes in is what a serial console shows (``[   12.345678][ T123] text``), or what another
carrier made of it. ``LOSSY`` names those that drop the caller ids, so that the lines of several
CPUs can no longer be told apart.
"""

from __future__ import annotations

import html
import json
import quopri
import re
from collections.abc import Callable
from typing import NamedTuple

Carrier = Callable[[str], str]

_HEAD = re.compile(r"(?:<\d{1,3}>)?(?:\[ *(\d+)\.(\d{6})\])(?:\[ *([CT]\d+)\])? ?")
_EPOCH = 1688464801
_CHUNK = 240


class _Printk(NamedTuple):
    """One console line apart: ``micros`` since boot (None: no stamp), caller id, text."""

    micros: int | None
    caller: str
    text: str


def _printk(line: str) -> _Printk:
    match = _HEAD.match(line)
    if match is None:
        return _Printk(None, "", line)
    return _Printk(int(match[1]) * 10**6 + int(match[2]), match[3] or "", line[match.end() :])


def compose(inner: Carrier, outer: Carrier) -> Carrier:
    """Return the carrier that carries with ``inner`` first and what it made with ``outer``."""
    return lambda text: outer(inner(text))


def _numbered(change: Callable[[int, str], str]) -> Carrier:
    """Change every line by its number; the line break at the end stays one."""

    def carry(text: str) -> str:
        body = text.removesuffix("\n")
        lines = [change(number, line) for number, line in enumerate(body.split("\n"))]
        return "\n".join(lines) + text[len(body) :]

    return carry


def _each(change: Carrier) -> Carrier:
    return _numbered(lambda _, line: change(line))


def _before(prefix: str) -> Carrier:
    return _each(lambda line: prefix + line)


def _bare(line: str) -> str:
    return _printk(line).text


def _caller_only(line: str) -> str:
    caller, text = _printk(line)[1:]
    return f"[{caller:>6}] {text}" if caller else text


def _dated(line: str) -> str:
    micros, caller, text = _printk(line)
    if micros is None:
        return line
    return f"[Tue Jul  4 12:00:01 2023] {f'[{caller:>6}] ' if caller else ''}{text}"


def _human(number: int, line: str) -> str:
    micros, caller, text = _printk(line)
    if micros is None:
        return line
    stamp = "Jul 4 12:00" if number % 40 == 0 else f"{f'+{number % 7 / 1e6:.6f}':>11}"
    return f"[{stamp}] {f'[{caller:>6}] ' if caller else ''}{text}"


def _iso_dmesg(line: str) -> str:
    micros, caller, text = _printk(line)
    if micros is None:
        return line
    stamp = f"2023-07-04T12:00:01,{micros % 10**6:06}+02:00"
    return f"{stamp} {f'[{caller:>6}] ' if caller else ''}{text}"


def _coloured(line: str) -> str:
    match = _HEAD.match(line)
    if match is None:
        return f"\x1b[1m{line[:12]}\x1b[0m{line[12:]}"
    colour = "\x1b[31m" if re.search(r"BUG|Oops|WARNING|panic", line) else "\x1b[33m"
    return f"\x1b[32m{match[0]}\x1b[0m{colour}{line[match.end() :]}\x1b[0m"


def _monotonic(line: str) -> str:
    micros, _, text = _printk(line)
    seconds, rest = divmod(micros or 0, 10**6)
    return f"[{seconds:5}.{rest:06}] web-12 kernel: {text}"


def _local(line: str) -> str:
    return _monotonic(line).replace("] web-12 kernel: ", "] kernel: ", 1)


def _android(number: int, line: str) -> str:
    micros, _, text = _printk(line)
    seconds, rest = divmod(micros or 0, 10**6)
    return f"[{seconds:5}.{rest:06}]@{number % 4} {text}"


def _mediatek(line: str) -> str:
    micros, caller, text = _printk(line)
    seconds, rest = divmod(micros or 0, 10**6)
    return f"<4>[{seconds:5}.{rest:06}]  (0)[{caller[1:] or 811}:kworker/0:1]{text}"


def _unix(line: str) -> str:
    micros, _, text = _printk(line)
    seconds, rest = divmod(micros or 0, 10**6)
    return f"{_EPOCH + seconds}.{rest:06} web-12 kernel: {text}"


def _netconsole_head(number: int, line: str) -> tuple[str, str]:
    micros, caller, text = _printk(line)
    caller = f",caller={caller}" if caller else ""
    return f"4,{1799 + number},{micros or 616001 + number},-{caller}", _kmsg(text)


def _kmsg(text: str) -> str:
    """Write as /dev/kmsg and extended consoles do what is not printable ASCII, and backslashes."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in text.encode()
    )


def _netconsole(number: int, line: str) -> str:
    head, text = _netconsole_head(number, line)
    return f"{head};{text}"


def _fragments(number: int, line: str) -> str:
    """Cut one message as netconsole cuts it; the kernel does so at 1000 bytes, here earlier."""
    head, text = _netconsole_head(number, line)
    if len(text) <= _CHUNK:
        return f"{head};{text}"
    return "\n".join(
        f"{head},ncfrag={start}/{len(text)};{text[start : start + _CHUNK]}"
        for start in range(0, len(text), _CHUNK)
    )


def _journal(message: Callable[[str], object]) -> Carrier:
    """Write each line as ``journalctl -o json`` does."""
    return _numbered(
        lambda number, line: json.dumps(
            {
                "__REALTIME_TIMESTAMP": str(_EPOCH * 10**6 + number),
                "__MONOTONIC_TIMESTAMP": str(_printk(line).micros or number),
                "_BOOT_ID": "0f6a3b1d9c5e4e0fa1b7c2d3e4f50617",
                "_TRANSPORT": "kernel",
                "PRIORITY": "4",
                "SYSLOG_FACILITY": "0",
                "SYSLOG_IDENTIFIER": "kernel",
                "_HOSTNAME": "web-12",
                "MESSAGE": message(line),
            },
            separators=(",", ":"),
        )
    )


def _go_json(value: object, indent: int | None = None) -> str:
    """Write JSON as programs in Go do: ``<``, ``>`` and ``&`` as escapes, no other character."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _docker(line: str) -> str:
    entry = {"log": line + "\n", "stream": "stdout", "time": "2023-07-04T12:00:01.123456789Z"}
    return _go_json(entry)


def _alert(text: str, indent: int | None) -> str:
    alert = {
        "status": "firing",
        "labels": {"alertname": "KernelCrash", "instance": "web-12:9100", "severity": "page"},
        "annotations": {"summary": "web-12 crashed", "description": text},
        "startsAt": "2023-07-04T12:00:01.123Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up&g0.tab=1",
    }
    body = {"receiver": "holdfast", "status": "firing", "alerts": [alert], "version": "4"}
    return _go_json(body, indent)


def _smart_quotes(text: str) -> str:
    text = re.sub(r'(^|[\s(\[{])"', "\\1\u201c", text, flags=re.MULTILINE)
    text = re.sub(r"(^|[\s(\[{])'", "\\1\u2018", text, flags=re.MULTILINE)
    return text.replace('"', "\u201d").replace("'", "\u2019")


def _smart_signs(text: str) -> str:
    return _smart_quotes(text).replace("...", "\u2026").replace("--", "\u2014")


def _mail(text: str) -> str:
    return quopri.encodestring(text.encode()).decode("ascii")


def _zero_width(number: int, line: str) -> str:
    return ("\u200b", "\ufeff", "", "\u200d", "\u200e", "\u2060")[number % 6] + line


def _written(text: str, line_break: str) -> str:
    return "description: " + text.replace("\n", line_break)


_SD = (
    '[origin software="rsyslogd" swVersion="8.2302.0" x-pid="811" x-info="https://www.rsyslog.com"]'
)
_5424 = "2023-07-04T12:00:01.123456+02:00 web-12 kernel - -"

LOG_DAEMONS: dict[str, Carrier] = {
    "syslog": _before("Jul  4 12:00:01 web-12 kernel: "),
    "syslog with level": _before("<4>Jul  4 12:00:01 web-12 kernel: "),
    "syslog bare": _each(lambda line: f"Jul  4 12:00:01 web-12 kernel: {_bare(line)}"),
    "syslog iso": _before("2023-07-04T12:00:01.123456+02:00 web-12 kernel: "),
    "syslog escapes": _each(
        lambda line: (
            "Jul  4 12:00:01 web-12 kernel: " + line.replace("\t", "#011").replace("\x1b", "#033")
        )
    ),
    "syslog 5424": _before(f"<4>1 {_5424} - "),
    "syslog 5424 data": _before(f"<4>1 {_5424} {_SD} "),
    "syslog 5424 mark": _before(f"<4>1 {_5424} - \ufeff"),
    "journal": _before("2023-07-04T12:00:01+0200 web-12 kernel: "),
    "journal precise": _before("2023-07-04T12:00:01.118702+0200 web-12 kernel: "),
    "journal full": _before("Tue 2023-07-04 12:00:01 CEST web-12 kernel: "),
    "journal bare": _each(lambda line: f"2023-07-04T12:00:01+02:00 web-12 kernel: {_bare(line)}"),
    "journal monotonic": _each(_monotonic),
    "journal unix": _each(_unix),
    "journal json": _journal(str),
    "journal json bytes": _journal(lambda line: list(line.encode())),
    "journal json bare": _journal(_bare),
    "journal monotonic local": _each(_local),
    "syslog in french": _before("juil. 19 05:58:52 web-12 kernel: "),
    "syslog in russian": _before("\u0434\u0435\u043a 19 05:58:52 web-12 kernel: "),
    "syslog in japanese": _before("7\u6708 19 05:58:52 web-12 kernel: "),
    "openwrt": _before("Fri Jul 19 05:58:52 2019 kern.warn kernel: "),
    "android": _numbered(_android),
    "mediatek": _each(_mediatek),
    "vmware": _before("2019-07-19T05:58:52.123Z| vcpu-0| I125: Guest: <3>"),
    "multiplexed": _before("[guest0/uart0] "),
    "docker": _each(_docker),
    "cri": _before("2023-07-04T12:00:01.123456789Z stdout F "),
    "netconsole": _before("Jul  4 12:00:01 10.20.0.12 "),
    "netconsole extended": _numbered(_netconsole),
    "netconsole fragments": _numbered(_fragments),
    "level 4": _before("<4>"),
    "level 6": _before("<6>"),
    "dmesg -x": _before("kern  :warn  : "),
    "dmesg -T": _each(_dated),
    "dmesg -H": _numbered(_human),
    "dmesg iso": _each(_iso_dmesg),
    "dmesg coloured": _each(_coloured),
    "caller only": _each(_caller_only),
    "no prefixes": _each(_bare),
}
"""Programs that write something in front of every line."""

PEOPLE: dict[str, Carrier] = {
    "quote": _before("> "),
    "double quote": _before("> > "),
    "tight quote": _before(">>"),
    "fence": lambda text: f"web-12 is down, this is the console:\n```\n{text}\n```\n",
    "fence with a language": lambda text: f"```text\n{text}\n```\n",
    "tilde fence": lambda text: f"~~~\n{text}\n~~~\n",
    "indented": _before("    "),
    "cat -n": _numbered(lambda number, line: f"{number + 1:6}\t{line}"),
    "grep -n": _numbered(lambda number, line: f"{number + 1}:{line}"),
    "numbers": _numbered(lambda number, line: f"{number + 1:3}  {line}"),
    "numbers and bars": _numbered(lambda number, line: f"{number + 1:3} | {line}"),
    "prose": lambda text: (
        f"Hi all,\nthis came at night \U0001f4a5 \u6e2c\u8a66:\n\n{text}\n\nAny idea?\n"
    ),
    "chat": lambda text: (
        f"\u5f20\u4f1f  00:04\n\U0001f525\U0001f525 web-12 \u5d29\u6e83\u4e86\n{text}\n"
        "\U0001f44d 3  \u518d\u8d77\u52d5\u3057\u307e\u3057\u305f\n"
    ),
    "annotation": lambda text: f"summary = kernel crash on web-12 console = {text}\n",
}
"""What a person puts around a log."""

SPELLINGS: dict[str, Carrier] = {
    "html": lambda text: html.escape(text, quote=False),
    "html twice": lambda text: html.escape(html.escape(text, quote=False), quote=False),
    "html quotes": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    "html hex quotes": lambda text: html.escape(html.escape(text)),
    "html breaks": lambda text: html.escape(text).replace("\n", "<br>\n"),
    "html joined": lambda text: html.escape(text).replace("\n", "<br/>"),
    "html preformatted": lambda text: f"<pre><code>{html.escape(text)}</code></pre>\n",
    "html spaces": lambda text: (
        html.escape(text).replace("  ", "&nbsp; ").replace("\n", "<br />\n")
    ),
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "written breaks": lambda text: _written(text, "\\n"),
    "written crlf": lambda text: _written(text, "\\r\\n"),
    "written twice": lambda text: _written(text, "\\\\n"),
    "written tabs": lambda text: _written(text.replace("\t", "\\t"), "\\n"),
    "json string": json.dumps,
    "alert": lambda text: _alert(text, None),
    "alert on lines": lambda text: _alert(text, 2),
    "mail": _mail,
    "smart quotes": _smart_quotes,
    "smart signs": _smart_signs,
    "collapsed spaces": lambda text: re.sub(r"[ \t]+", " ", text),
    "no indents": _each(str.lstrip),
    "tabs to spaces": lambda text: text.expandtabs(8),
    "joined": lambda text: text.replace("\n[", " ["),
    "zero width": _numbered(_zero_width),
}
"""What programs do to characters and line breaks on the way."""

CARRIERS: dict[str, Carrier] = LOG_DAEMONS | PEOPLE | SPELLINGS
"""Carriers that leave enough to read the same crash, by name."""

LOSSY = frozenset(
    {
        "syslog bare",
        "journal bare",
        "journal json bare",
        "journal monotonic",
        "journal monotonic local",
        "journal unix",
        "android",
        "mediatek",
        "no prefixes",
    }
)
"""Carriers that drop the caller ids."""

_CUT_LINES = (
    "quoted-printable mail breaks long lines; what writes a prefix before every line then writes "
    "it into the middle of them, and no mail program stands below such a writer"
)
_WHOLE_LINES = {"journal json bytes", "docker"}  # opened before mail is put together
_ONLY_STAMPS = {"dmesg -T", "dmesg -H", "dmesg iso", "dmesg coloured", "caller only", "no prefixes"}
HOPELESS: dict[tuple[str, str], str] = {
    ("mail", outer): _CUT_LINES for outer in LOG_DAEMONS if outer not in _ONLY_STAMPS | _WHOLE_LINES
}
"""Pairs, the inner one first, after which nobody could read the crash, each with its reason."""
