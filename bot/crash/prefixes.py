"""What transports write in front of the kernel's own line, and how to take it off.

Syslog, journal, dmesg, netconsole, containers and people who quote: each is a row of ``PREFIXES``.
The rows are tried by the first character of a line, again and again, until none fits. Whoever
wrote the line, as far as the prefixes tell, is its context.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_LINE = 4096
"""Characters of one line that are read; the rest of a longer line is ignored."""

STAMPED = "console"
"""Context of a kernel line that carries a time or a kernel tag, but no caller id (``T12``, ``C0``)."""

FOREIGN = "@"
"""How the context of a line begins that another program wrote: ``@sshd[812]``."""

ROUNDS = 8
"""Prefixes that may stand in front of each other."""

MAX_BEGINS = 20_000
"""Beginnings of lines whose rows are remembered."""

_KERNEL_TAGS = frozenset({"kernel", "kernel-", "-", "netconsole"})
_OWN_WORDS = frozenset(
    {
        "Allocated", "Call", "Code", "Comm", "Freed", "Modules", "Oops", "Process", "Stack", "Tainted",
        "Trace", "Workqueue", "epc", "flags", "kasan", "kcsan", "kfence", "list_add", "list_del", "lr",
        "page", "pc", "pstate", "rcu", "rcu_bh", "rcu_preempt", "rcu_sched", "rcu_tasks", "refcount_t",
        "description", "log", "message", "sp", "summary", "traps", "trusty", "usercopy", "watchdog",
    }
)  # fmt: skip
_OWN = re.compile(r"[A-Z][A-Z0-9_]{1,15}|[rx]\d{1,2}")
"""Words before a colon with which the kernel's own lines begin, registers too: no program's tag."""

_STAMP = r"\[ {0,7}\d{1,10}\.\d{1,9}\]"
_CALLER = r"\[ {0,12}([CT]\d{1,10})\]"
_CALLED = rf"(?: ?{_CALLER})?(?: |$)"
_PRINTK = rf"(?:<\d{{1,2}}>)?{_STAMP}{_CALLED}"
_PLAIN_STAMP = re.compile(rf"{_STAMP}(?:{_CALLER})? ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH, _DAY = f"(?:{'|'.join(_MONTHS)})", f"(?:{'|'.join(_DAYS)})"
_TIME = r"\d\d:\d\d:\d\d"
_ISO = rf"\d{{4}}-\d\d-\d\d[T ]{_TIME}(?:[.,]\d{{1,9}})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_DATE = (
    rf"(?:{_MONTH} {{1,2}}\d{{1,2}} (?:\d{{4}} )?{_TIME}(?:\.\d{{1,9}})?"
    rf"|{_DAY} \d{{4}}-\d\d-\d\d {_TIME} (?:[A-Z]{{2,5}}|[+-]\d\d(?:\d\d)?)"
    rf"|{_ISO}|\d{{9,10}}\.\d{{3,9}})"
)
_ABROAD = (
    rf"(?:[^\W\d_]{{2,9}}\.?|\d{{1,2}}[\u6708\uc6d4]) {{1,2}}\d{{1,2}} {_TIME}(?:\.\d{{1,9}})?"
)
"""A date with a month in another language; in Chinese, Japanese and Korean it is a number."""

_TAGGED = r"([A-Za-z_./-][\w./@-]{0,63})(?:\[(\d{1,10})\])?: ?"
_ADDRESS = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f:]{2,40})"
_IS_ADDRESS = re.compile(_ADDRESS)
_PROCESS = (
    r"[a-z0-9][\w.-]{0,254} ([A-Za-z_./-][\w./@-]{0,63})\[(\d{1,10})\]: "
    r"(?!segfault |trap |general protection|bad frame|unhandled signal|potentially)"
)
"""A host and a program's tag without a date; the kernel puts a process of two words so as well."""
_TASK = r"[ ]?-?\(\d{1,3}\)\[(\d{1,10}):[^\]]{1,32}\](?: (?= ))?"
"""What MediaTek's kernels write behind a stamp: processor, process, its name."""

_BEHIND = re.compile(rf"(?:[\w.:-]{{1,255}} )?kernel: |{_PROCESS}|{_TASK}")
"""What the journal and some kernels write behind a stamp."""

Origin = Callable[[re.Match[str]], tuple[int, str]]
"""Tells where the rest of a line begins behind a prefix, and its context; empty: as before."""


class Prefix(NamedTuple):
    """What a program writes in front: how it begins, a text that its lines hold, its form."""

    begins: tuple[str, ...]
    need: str
    pattern: re.Pattern[str]
    origin: Origin


def _printk(match: re.Match[str]) -> tuple[int, str]:
    return match.end(), match[1] or STAMPED


def _kernel(match: re.Match[str]) -> tuple[int, str]:
    return match.end(), STAMPED


def _nobody(match: re.Match[str]) -> tuple[int, str]:
    return match.end(), ""


def _field(match: re.Match[str]) -> tuple[int, str]:
    return match.end(), of_tag(match[1], match[2])


def _task(match: re.Match[str]) -> tuple[int, str]:
    """Return the process as context: it is no caller id, for it may have been interrupted."""
    return match.end(), f"P{match[1]}"


def _guest(match: re.Match[str]) -> tuple[int, str]:
    """Tell what a guest printed from what its virtual machine logs of itself."""
    return match.end(), "" if match[2] else FOREIGN + match[1]


def _tag(match: re.Match[str]) -> tuple[int, str]:
    """Tell a program's tag from a word of the kernel behind a host that wrote no tag.

    Applications write `2024-03-05 10:11:18 pool WARNING: ...`: there only an address is a host.
    """
    host, tag, pid = match[1], match[2], match[3]
    if tag == "kernel":
        return match.end(), STAMPED
    own = pid is None and (tag in _OWN_WORDS or _OWN.fullmatch(tag) is not None)
    if own and host and (match[0][0].isalpha() or _IS_ADDRESS.fullmatch(host)):
        return match.start(2), STAMPED
    return match.end(), of_tag(tag, pid)


_DIGITS = tuple("0123456789")
_LETTERS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORDS = _LETTERS + _DIGITS
_DATED = (*_MONTHS, *_DAYS, *_DIGITS)
_STAMPS = ("[ ", *(f"[{digit}" for digit in _DIGITS))
_ODD = "\x80"
"""Stands for the beginning of every line that begins with a character outside of ASCII."""

_BRACKETED = tuple(f"[{name[:2]}" for name in (*_MONTHS, *_DAYS))

PREFIXES: tuple[Prefix, ...] = tuple(
    Prefix(begins, need, re.compile(pattern), origin)
    for begins, need, pattern, origin in (
        # printk itself, and most lines of syslog
        ((*_STAMPS, "<"), "", _PRINTK, _printk),
        (_MONTHS, " kernel: ", rf"{_MONTH} [ \d]\d {_TIME} \S{{1,255}}+ kernel: ?(?:{_PRINTK})?", _printk),
        (
            ("2",), " kernel: ",
            rf"\d{{4}}-\d\d-\d\dT{_TIME}[.\d]{{0,10}}(?:Z|[+-]\d\d:?\d\d) \S{{1,255}}+ kernel: ?(?:{_PRINTK})?",
            _printk,
        ),
        (("[ ", "[C", "[T"), "", rf"{_CALLER}(?: |$)", _printk),
        (("<",), "", r"<\d{1,3}>(?=[^:]|$)", _kernel),
        (_STAMPS, "@", rf"(?:{_STAMP}@\d{{1,3}}|\[ {{0,7}}\d{{1,10}}\.\d{{1,9}}@\d{{1,3}}\]) ?", _kernel),
        (("(", "-("), ")[", _TASK, _task),
        (("*",), "", rf"\*\* \d{{1,9}} printk messages dropped \*\* ?(?:{_PRINTK})?", _printk),
        (_LETTERS, " login: ", rf"\S.{{0,200}}? login: {_PRINTK}", _printk),
        # dmesg -T, -d, -e, -H, --time-format iso, -x; terminals that write the time
        (_BRACKETED, ":", rf"\[{_DAY} {_MONTH} {{1,2}}\d{{1,2}} {_TIME} \d{{4}}\]{_CALLED}", _printk),
        (_STAMPS, " < ", rf"\[ {{0,7}}\d{{1,10}}\.\d{{6}} < {{0,7}}\d{{1,9}}\.\d{{6}}>\]{_CALLED}", _printk),
        (("[ ", "[+"), "+", rf"\[ {{0,7}}\+\d{{1,9}}\.\d{{6}}\]{_CALLED}", _printk),
        (_BRACKETED, ":", rf"\[{_MONTH} {{0,2}}\d{{1,2}} \d\d:\d\d\]{_CALLED}", _printk),
        (("[2",), ":", rf"\[{_ISO}\] ?", _nobody),
        (_DIGITS, ",", rf"\d{{4}}-\d\d-\d\dT{_TIME},\d{{6}}[+-]\d\d:\d\d{_CALLED}", _printk),
        (("k", "u", "d", "s"), " :", r"(?:kern|user|daemon|syslog) {0,4}: ?[a-z]{3,6} {0,4}: ?", _kernel),
        # netconsole, extended: level, number, microseconds, flags, caller
        (
            _WORDS, ";",
            r"(?:\S{1,255} )?\d{1,4},\d{1,12},\d{1,18},[^,; ]{0,8}"
            r"(?:,(?!caller=)[^,;]{1,64}){0,8}(?:,caller=([CT]\d{1,10}))?(?:,[^,;]{1,64}){0,8};",
            _printk,
        ),
        # files of containers
        (_DIGITS, " std", rf"{_ISO} std(?:out|err) [FP](?: |$)", _nobody),
        # syslog and journal; rsyslog's file of plain netconsole has no tag
        (
            ("1",), "",
            rf"1 (?:{_DATE}|-) \S{{1,255}} (\S{{1,48}}) (?:-|(\S{{1,128}})) \S{{1,32}} "
            r"(?:-|(?:\[[^\]]{0,512}\]){1,4}) ?",
            _field,
        ),
        (_DATED, ": ", rf"{_DATE} {{1,16}}(?:((?!\[)\S{{1,255}}) {{1,16}})?{_TAGGED}", _tag),
        (_DATED, "[", rf"{_DATE} {{1,16}}(?:(?!\[)\S{{1,255}} {{1,16}})?(?={_STAMP}|{_CALLER})", _nobody),
        (_DATED, "kernel:", rf"{_DATE} {{1,16}}(?:\S{{1,255}} {{1,16}}){{2}}kernel: ?", _kernel),
        (_DATED, "", rf"{_DATE} {{1,16}}{_ADDRESS} ", _kernel),
        (("k",), "kernel:", r"kernel: ?", _kernel),
        (_WORDS, " kernel: ", r"[\w.:-]{1,255} kernel: ", _kernel),
        (_WORDS, "]: ", _PROCESS, _field),
        # OpenWrt
        (_DAYS, ": ", rf"{_DAY} {_MONTH} {{1,2}}\d{{1,2}} {_TIME} \d{{4}} (?:[a-z]\w{{1,8}}\.[a-z]{{3,7}} )?{_TAGGED}", _field),
        ((*_LETTERS, *_DIGITS, _ODD), ": ", rf"{_ABROAD} {{1,16}}(?:((?!\[)\S{{1,255}}) {{1,16}})?{_TAGGED}", _tag),
        # virtual machines, consoles of several
        (_DIGITS, "| ", rf"{_ISO}\| ([\w.-]{{1,32}})\| (?:[A-Z]\d{{0,4}}: )?(Guest: )?", _guest),
        (_DIGITS, ") ", rf"{_ISO} [A-Z][a-z]\(\d{{1,4}}\) ([\w.-]{{1,32}}) - (Guest: )?", _guest),
        (tuple(f"[{letter}" for letter in _LETTERS), "] ", r"\[[a-z][\w.-]{0,31}/[a-z][\w.-]{0,31}\](?: |$)", _nobody),
        # people
        ((">",), "", r"(?:> ?){1,16}", _nobody),
        (("`",), "", r"`{3}", _nobody),
    )
)  # fmt: skip
"""Every prefix that is known; where several fit, the first is taken off."""

_Rows = tuple[tuple[str, Callable[[str], re.Match[str] | None], Origin], ...]


class _Begins(dict[str, _Rows]):
    """The rows that may fit a line, by its first three characters; found when first asked for."""

    def __missing__(self, begin: str) -> _Rows:
        first = begin if begin[:1].isascii() else _ODD
        rows = tuple(
            (row.need, row.pattern.match, row.origin)
            for row in PREFIXES
            if first.startswith(row.begins)
        )
        if len(self) < MAX_BEGINS:
            self[begin] = rows
        return rows


_ROWS = _Begins()
_TRIES = range(ROUNDS)
_BLANKS = frozenset(" \t")


def is_stamp(prefix: str) -> bool:
    """Tell whether ``prefix`` is a printk stamp, with or without a caller id, and no more."""
    return _PLAIN_STAMP.fullmatch(prefix) is not None


def bare(text: str, context: str = "") -> tuple[str, str]:
    """Strip what stands in front of the kernel's own line; return the line and its context.

    ``context`` is what is known before; a line that a program wrote stays its own, whatever it
    looks like.
    """
    if context[:1] == FOREIGN:
        return bare(text)[0], context
    if text[:1] == "[" and (stamp := _PLAIN_STAMP.match(text)) is not None:
        rest = text[stamp.end() :]
        if not _hosted(rest):
            return rest, stamp[1] or context or STAMPED
    return _stripped(text, context)


def _stripped(text: str, context: str) -> tuple[str, str]:
    """Take prefixes off until none fits."""
    for _ in _TRIES:
        rest = text.lstrip(" \t") if text[:1] in _BLANKS else text
        for need, match_of, origin in _ROWS[rest[:3]]:
            if need in rest and (match := match_of(rest)) is not None:
                at, seen = origin(match)
                stamped = origin is _printk and rest[at - 2 : at] == "] "
                break
        else:
            break
        text = rest[at:]
        if seen and (seen != STAMPED or not context):
            context = seen
        if stamped:
            if not _hosted(text):
                break  # a second stamp is a line printed into another
        elif seen[:1] == FOREIGN:
            break
    return text, context


def _hosted(text: str) -> bool:
    """Tell whether a host and a program stand behind a stamp that the kernel wrote."""
    hosted = "kernel: " in text or "]: " in text or ")[" in text
    return hosted and _BEHIND.match(text) is not None


def of_tag(tag: str, pid: str | None = None) -> str:
    """Return the context that a syslog tag stands for."""
    if tag.casefold() in _KERNEL_TAGS:
        return STAMPED
    return f"{FOREIGN}{tag}[{pid}]" if pid else FOREIGN + tag
