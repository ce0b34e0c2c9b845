"""The interpreter: reads the tables of formats and skip rules over clean lines.

It finds headlines, cuts the window of lines that belong to each, looks for the row that fits and
writes the report. It knows no crash by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from bot.crash.console import Console
from bot.crash.formats import (
    CONTINUES,
    DRIVER,
    ECHO,
    INTRUDERS,
    LOOSE,
    PROGRAM,
    QUIET,
    UNNAMED,
    Format,
    Look,
    by_literal,
    scan_words,
)
from bot.crash.frames import name_of, parse, place
from bot.crash.guilty import Suspect, Verdict, judge, judge_cut
from bot.crash.machine import machine
from bot.crash.report import CrashReport, Frame, Kind, Line
from bot.crash.scan import Hit, needed
from bot.crash.skips import rule_of
from bot.crash.titles import anonymous, stamped
from bot.crash.trace import broken_trace, trace_of
from bot.crash.transport import FOREIGN, STAMPED, bare, clean, pieces, single
from bot.crash.window import ALL_CPUS, END_MARKS, INJECTION, MAX_WINDOW, Headline, Window, cut

MAX_REPORTS = 32
"""Reports of one text; whatever follows is a consequence of a consequence."""

MAX_AHEAD = 64
"""Headlines that are looked at to find where a report ends."""

MAX_HEADLINE = 320
"""Characters of a headline that are compared with the formats."""

FEW = 64
"""Lines behind a headline that is a report by itself: they tell the machine, no more."""

LOST = 64
"""Lines behind a headline that must have no context before it loses its own."""

_MID_LINE = re.compile(r"\[ {0,7}\d{1,10}\.\d{6}\](?:\[ {0,12}([CT]\d{1,10})\])? ")
_SOURCE = re.compile(r"\b(?:at|in) ([\w./-]{1,200}\.(?:c|h|rs|S):\d{1,7})")
_OLD_GUESS = re.compile(r"\s*(?:<\w+> +)?\[<[0-9a-f]+>\] \? ")
_NO_RETURN = re.compile(r"\? [\w.]{1,128}\+0x(?:0|([0-9a-f]{1,8}))/0x(?(1)\1\b|[0-9a-f])")
"""A guess at the first byte of a function, or behind its last."""

_GUESSED = "the call trace is cut off: the kernel only guessed this frame"
_CLOSING = ("---[ end ", "Rebooting in", "Kernel Offset:")


BOOTED = "Linux version "
"""How the line begins with which a kernel comes up."""


def _held(words: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Add the literals that were looked for with more words: what was found may overlap them."""
    return (*words, *[literal for literal in LOOSE if literal in text])


@lru_cache(maxsize=4096)
def _literals(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the literals of the table, in its order, that words found in a line hold."""
    meant = {scan_words().get(word) for word in words}
    said = "\n".join(words)
    return tuple(literal for literal in by_literal() if literal in said or literal in meant)


@lru_cache(maxsize=1)
def _quiet() -> dict[str, tuple[tuple[str, re.Pattern[str]], ...]]:
    """Return what to keep silent about by literal: the word that is needed, the pattern."""
    return {
        literal: tuple((needed(p) if "(?i" not in p else "", re.compile(p)) for p in patterns)
        for literal, patterns in QUIET.items()
    }


def headlines(console: Console, hits: Sequence[Hit]) -> list[Headline]:
    """Find among ``hits`` the lines that announce a crash or print a trace without one."""
    found: list[Headline] = []
    for at, words, _ in hits:
        text, context = console.bare(at)
        if context[:1] == FOREIGN:
            continue
        short = text[:MAX_HEADLINE]
        for literal in _literals(_held(words, text)):
            if literal in text and not _hushed(literal, short):
                head = _placed(console, at, literal)
                if found and _doubled(console, found[-1], head):
                    found.pop()
                found.append(head)
                break
        else:
            _remark(console, Headline(at, text, context, ""), words, found)
    return found


def _doubled(console: Console, before: Headline, head: Headline) -> bool:
    """Tell whether two consoles wrote into one log, each line twice: the later one goes on."""
    return (
        head.at == before.at + 1
        and bool(head.context)
        and console.lines[before.at] == console.lines[head.at]
    )


def promising(hit: Hit) -> bool:
    """Tell whether a line that was found may announce a crash, by itself."""
    if not _needed_in(hit) and single(hit.line):
        return False
    for piece, known in pieces(clean(hit.line)):
        text, context = bare(piece, known)
        if context[:1] == FOREIGN:
            continue
        for literal in _literals(_held(hit.words, text)):
            if literal in text and not _hushed(literal, text[:MAX_HEADLINE]):
                head = Headline(hit.at, text, context, literal)
                if _rows(head) or _kernels(head):
                    return True
    return False


def _needed_in(hit: Hit) -> bool:
    """Tell whether a line holds what a format needs besides its literal, or needs no more."""
    literals = _literals(_held(hit.words, hit.line))
    return any(
        literal in UNNAMED or any(word in hit.line for word, _ in _needs()[literal])
        for literal in literals
    )


def _remark(
    console: Console, line: Headline, words: tuple[str, ...], found: list[Headline]
) -> None:
    """Take note of a line that is no headline, but tells how to read those behind it."""
    for word in words:
        if word in INTRUDERS:
            found.append(line)
        elif word == INJECTION:
            console.injected = True
        elif word == ALL_CPUS:
            console.all_cpus = True
        elif word == BOOTED:
            console.boots.append((line.at, line.text))


def _hushed(literal: str, text: str) -> bool:
    for word, pattern in _quiet().get(literal, ()):
        if word in text and pattern.search(text) is not None:
            return True
    return False


def _placed(console: Console, at: int, literal: str) -> Headline:
    """Give a headline that stands behind words of people or of a template its kernel context."""
    text, context = console.bare(at)
    if context not in ("", STAMPED) or text.startswith(literal):
        return Headline(at, text, _shared(console, at, context), literal)
    stop = text.index(literal)
    matches = [match for match in _MID_LINE.finditer(text) if match.end() <= stop]
    if context and not (matches and matches[-1][1]):
        return Headline(at, text, _shared(console, at, context), literal)
    if matches:
        last = matches[-1]
        context = _shared(console, at, last[1] or STAMPED)
        return Headline(at, text[last.end() :], context, literal)
    if at + 1 < len(console.lines) and _fits(text[: stop + MAX_HEADLINE], literal):
        after = console.bare(at + 1)[1]
        if after and after[:1] != FOREIGN:
            context = after
    return Headline(at, text, context, literal)


def _shared(console: Console, at: int, context: str) -> str:
    """Return ``context``, or that of the lines behind if they have lost theirs and this one not.

    What takes prefixes off leaves the one that stands behind words of people or of a template.
    """
    behind = range(at + 1, min(at + 1 + LOST, console.end))
    if not context or not behind:
        return context
    if console.bare(at)[1] == context and console.alike(at, at + 1):
        return context
    left = ""
    for line in behind:
        other = console.bare(line)[1]
        if other == context or other not in ("", STAMPED):
            return context
        left = left or other
    return left


def _fits(text: str, literal: str) -> bool:
    return any(word in text and entry.pattern.search(text) for word, entry in _needs()[literal])


def read_headlines(
    console: Console, heads: Sequence[Headline], *, later: bool = False
) -> list[CrashReport]:
    """Read every crash, in order; those after the first are marked as consequences.

    A complaint of the kernel that no format knows is a report only where nothing else is.
    ``later`` says that crashes were read before, in an earlier part of the text.
    """
    reports: list[CrashReport] = []
    unknown: int | None = None
    for n, head in enumerate(heads):
        if len(reports) >= MAX_REPORTS:
            break
        if not head.literal or ((reports or later) and _said_again(head)):
            continue
        rows = _rows(head)
        if rows:
            window = cut(console, heads, n, MAX_AHEAD, _lines_of(rows))
            reports.append(
                _Case(console, window, head).report(rows, consequence=later or bool(reports))
            )
        elif unknown is None and _kernels(head):
            unknown = n
    if not reports and not later and unknown is not None:
        head = heads[unknown]
        window = cut(console, heads, unknown, MAX_AHEAD)
        reports.append(_Case(console, window, head).plain(None, consequence=False))
    return reports


def _lines_of(rows: Sequence[_Row]) -> int:
    """Return how many lines behind its headline a report may need."""
    if any(row.entry.traced or row.entry.details for row in rows):
        return MAX_WINDOW
    return FEW if all(row.entry.look is Look.NOWHERE for row in rows) else MAX_WINDOW


def _said_again(head: Headline) -> bool:
    text = head.text[:MAX_HEADLINE]
    return CONTINUES.search(text) is not None and ECHO.search(text) is not None


class _Row(NamedTuple):
    entry: Format
    match: re.Match[str]


@lru_cache(maxsize=1)
def _needs() -> dict[str, tuple[tuple[str, Format], ...]]:
    """Return the formats by literal, each with the word that its lines hold."""
    return {
        literal: tuple((needed(entry.pattern.pattern), entry) for entry in entries)
        for literal, entries in by_literal().items()
    }


def _rows(head: Headline) -> list[_Row]:
    """Return the formats that fit a headline, in the order of the table."""
    text = head.text[: head.text.index(head.literal) + MAX_HEADLINE]
    return [
        _Row(entry, match)
        for word, entry in _needs()[head.literal]
        if word in text and (match := entry.pattern.search(text)) is not None
    ]


def _kernels(head: Headline) -> bool:
    """Tell whether a headline that no row knows is the kernel's own and no program's."""
    if head.literal not in UNNAMED or PROGRAM.match(head.text):
        return False
    return bool(head.context) or DRIVER.match(head.text) is not None


class _Case:
    """One headline with its window, on the way to a report."""

    def __init__(self, console: Console, window: Window, head: Headline) -> None:
        self.console = console
        self.window = window
        self.head = head

    def report(self, rows: Sequence[_Row], *, consequence: bool) -> CrashReport:
        for entry, match in rows:
            groups = self._details(entry)
            if groups is not None:
                names = {**match.groupdict(default=""), **groups}
                return self._fitted(entry, match, names, consequence=consequence)
        return self.plain(rows[0].entry.kind, consequence=consequence)

    def _details(self, entry: Format) -> dict[str, str] | None:
        """Find the patterns that must follow, each on a line after the one before."""
        groups: dict[str, str] = {}
        rest = iter(range(1, self.window.keep))
        texts = self.window.texts
        for detail in entry.details:
            word = needed(detail.pattern)
            for line in rest:
                text = texts[line]
                if word in text and (match := detail.search(text[:MAX_HEADLINE])) is not None:
                    groups |= match.groupdict(default="")
                    break
            else:
                return None
        return groups

    def _fitted(
        self, entry: Format, match: re.Match[str], groups: dict[str, str], *, consequence: bool
    ) -> CrashReport:
        window = self.window
        first = window.texts[0]
        if match.start():
            window.texts[0] = first[match.start() :]
        verdict = self._judged(entry)
        names = _names(entry, groups, verdict)
        raw_title = entry.title.format_map(names)
        title = anonymous(raw_title)
        function = _function(entry, names)
        suspect = verdict.suspects[0] if verdict.suspects else None
        module, location = self._place(suspect, function, first)
        trace, last = trace_of(window)
        reason = self._broken(entry, verdict, raw_title, trace)
        number = self.console.number(self.head.at)
        return CrashReport(
            title=title,
            kind=entry.kind,
            alt_titles=_alternatives(entry, names, suspect, title),
            function=function,
            module=module,
            location=location,
            trace=trace,
            skipped=verdict.skipped,
            evidence=self._evidence(verdict, suspect),
            panicked=window.panicked,
            consequence=consequence,
            corrupted=reason is not None,
            corrupted_reason=reason,
            start=number,
            end=self._end(last),
            **machine(self.console.booted(self.head.at), self.window, trace),
        )

    def plain(self, known: Kind | None, *, consequence: bool) -> CrashReport:
        """Take the headline as its own title."""
        head, window = self.head, self.window
        line = head.text[head.text.index(head.literal) :]
        reason = None
        if stamped(line[:MAX_HEADLINE]):
            reason = "two lines are printed into each other"
        elif known:
            reason = "the lines that belong to this headline are missing"
        number = self.console.number(head.at)
        return CrashReport(
            title=anonymous(line),
            kind=known or UNNAMED.get(head.literal, Kind.OTHER),
            evidence=(self._line(head.at, "headline"),),
            panicked=window.panicked,
            consequence=consequence,
            corrupted=reason is not None,
            corrupted_reason=reason,
            start=number,
            end=number,
            **machine(self.console.booted(self.head.at), window, ()),
        )

    def _judged(self, entry: Format) -> Verdict:
        """Judge the window; where an old kernel only guessed its trace, the guesses must do."""
        window = self.window
        verdict = judge(window, entry)
        if verdict.broken or all(verdict.suspects):
            return verdict
        if not self._guesswork():
            return judge_cut(window, entry, verdict)
        sure = [text if n == 0 else _trusted(text) for n, text in enumerate(window.texts)]
        guessed = Window(sure, window.places)
        guessed.keep = window.keep
        verdict = judge(guessed, entry)
        if all(verdict.suspects) and self._cut_guess():
            verdict = verdict._replace(broken=_GUESSED)
        return judge_cut(window, entry, verdict)

    def _cut_guess(self) -> bool:
        """Tell whether the trace held sure frames, too, and its rest is cut off."""
        return self.window.ends_in_trace and any(
            frame.reliable for frame in trace_of(self.window).frames
        )

    def _guesswork(self) -> bool:
        """Tell whether the trace is that of an old kernel, which doubted most of its frames."""
        guesses = [text for text in self.window.texts if ">] ? " in text]
        return sum(_OLD_GUESS.match(text) is not None for text in guesses) >= 3

    def _place(
        self, suspect: Suspect | None, function: str | None, headline: str
    ) -> tuple[str | None, str | None]:
        module = location = None
        if function is not None:
            text = self.window.texts[suspect.line] if suspect is not None else headline
            frame = parse(text).frame
            if frame is not None and frame.function == function:
                module, location = frame.module, frame.location
            else:
                module, location = place(text, function)
        if location is None and (" at " in headline or " in " in headline):
            match = _SOURCE.search(headline)
            location = match[1] if match else None
        return module, location

    def _broken(
        self, entry: Format, verdict: Verdict, title: str, trace: Sequence[Frame]
    ) -> str | None:
        if verdict.broken is not None:
            return verdict.broken
        if entry.look.ways != ((),) and not all(verdict.suspects):
            return "no frame names a guilty function"
        if entry.broken is not None:
            return entry.broken
        if stamped(title):
            return "two lines are printed into each other"
        if not entry.traced:
            return None
        reason = broken_trace(self.window)
        if reason and self._guesswork() and not any(frame.reliable for frame in trace):
            return None
        return reason

    def _evidence(self, verdict: Verdict, suspect: Suspect | None) -> tuple[Line, ...]:
        roles = {self.head.at: "headline"}
        if verdict.pointer is not None:
            roles.setdefault(self.window.places[verdict.pointer], "pointer")
        if suspect is not None:
            roles.setdefault(self.window.places[suspect.line], "frame")
        return tuple(self._line(at, role) for at, role in roles.items())

    def _line(self, at: int, role: str) -> Line:
        return Line(number=self.console.number(at), text=self.console.shown(at), role=role)

    def _end(self, last: int) -> int:
        window = self.window
        for line in window.marks:
            if last < line < window.keep:
                text = window.texts[line]
                if text[:4] in END_MARKS and text.lstrip().startswith(_CLOSING):
                    last = line
        return self.console.number(window.places[last])


def _trusted(text: str) -> str:
    """Take the kernel's doubt off a frame, unless it is where a call can never return to."""
    return text if _NO_RETURN.search(text) is not None else text.replace("? ", "", 1)


def _names(entry: Format, groups: dict[str, str], verdict: Verdict) -> dict[str, str]:
    found = [suspect.function if suspect else "corrupted" for suspect in verdict.suspects]
    names = dict(groups)
    # Where the trace was lost, the lock's own line may still say who takes it.
    lost = None
    if entry.kind is Kind.LOCKDEP and found[:1] == ["corrupted"]:
        lost = names.get("func")
    names["frame"] = lost or (found[0] if found else "corrupted")
    names["origin"] = found[1] if len(found) > 1 else "corrupted"
    return names


def _alternatives(
    entry: Format, names: dict[str, str], suspect: Suspect | None, title: str
) -> tuple[str, ...]:
    """Return what else the crash may be called: other formats, the function's longer names."""
    if not entry.alts and not (suspect and suspect.also):
        return ()
    found: dict[str, None] = {}
    for frame in (names["frame"], *(suspect.also if suspect else ())):
        for template in (entry.title, *entry.alts):
            found[anonymous(template.format_map({**names, "frame": frame}))] = None
    return tuple(name for name in found if name != title)


def _function(entry: Format, names: dict[str, str]) -> str | None:
    """Return the guilty function; where the trace was lost, the one that the headline names."""
    for key in ("frame", "func", "name"):
        if f"{{{key}}}" in entry.title:
            if names[key] not in ("", "corrupted"):
                return names[key]
            told = names.get("func", "")
            return name_of(told) if told and rule_of(told, entry.plumbing) is None else None
    return None
