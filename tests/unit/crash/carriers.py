"""What transports do to console text: each function carries a clean log as one of them would."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable

Carrier = Callable[[str], str]

_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](\[ *[CT]\d+\])? ?", re.MULTILINE)


def _each(change: Carrier) -> Carrier:
    return lambda text: "\n".join(change(line) for line in text.split("\n"))


def _restamp(line: str) -> str:
    return _STAMP.sub(lambda m: f"[Tue Jul  4 12:00:01 2023] {m[1] + ' ' if m[1] else ''}", line)


def _netconsole(line: str) -> str:
    return _STAMP.sub(
        lambda m: f"4,1799,616001,-{',caller=' + m[1].strip('[ ]') if m[1] else ''};", line
    )


CARRIERS: dict[str, Carrier] = {
    "syslog": _each(lambda line: f"Jul  4 12:00:01 web-12 kernel: {line}"),
    "syslog with level": _each(lambda line: f"<4>Jul  4 12:00:01 web-12 kernel: {line}"),
    "syslog 5424": _each(
        lambda line: f"<4>1 2023-07-04T12:00:01.123456+02:00 web-12 kernel - - - {line}"
    ),
    "journal": _each(lambda line: f"2023-07-04T12:00:01+0200 web-12 kernel: {line}"),
    "journal json": _each(
        lambda line: json.dumps({"_TRANSPORT": "kernel", "MESSAGE": line, "PRIORITY": "4"})
    ),
    "docker": _each(
        lambda line: json.dumps(
            {"log": line + "\n", "stream": "stdout", "time": "2023-07-04T12:00:01.1Z"}
        )
    ),
    "netconsole extended": _each(_netconsole),
    "level": _each(lambda line: f"<4>{line}"),
    "dmesg -x": _each(lambda line: f"kern  :warn  : {line}"),
    "dmesg -T": _each(_restamp),
    "caller only": lambda text: _STAMP.sub(lambda m: f"{m[1]} " if m[1] else "", text),
    "quote": _each(lambda line: f"> {line}"),
    "double quote": _each(lambda line: f"> > {line}"),
    "fence": lambda text: f"web-12 is down, this is the console:\n```\n{text}\n```\n",
    "html": lambda text: html.escape(text, quote=False),
    "html twice": lambda text: html.escape(html.escape(text, quote=False), quote=False),
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "written out breaks": lambda text: "description: " + text.replace("\n", "\\n"),
    "smart quotes": lambda text: text.replace("'", "\u2019").replace('"', "\u201c"),
    "colours": _each(lambda line: f"\x1b[32m{line[:15]}\x1b[0m{line[15:]}"),
    "prose": lambda text: (
        f"Hi all,\nthis came at night \U0001f4a5 \u6e2c\u8a66:\n\n{text}\n\nAny idea?\n"
    ),
    "annotation": lambda text: f"summary = kernel crash on web-12 console = {text}\n",
    "joined": lambda text: text.replace("\n[", " ["),
}
"""Carriers that leave enough to read the same crash, by name."""
