"""One grammar for Slack, the console and the command line."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from bot.errors import BadInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A row of the grammar. ``wants`` is ``incident``, ``proposal`` or ''; ``rest`` takes words.

    ``writes`` verbs need an identity. ``options`` are flags that take a value.
    """

    name: str
    help: str
    wants: str = ""
    words: tuple[str, ...] = ()
    rest: str = ""
    options: tuple[str, ...] = ()
    writes: bool = False

    @property
    def usage(self) -> str:
        """``approve P-1 [--digest PREFIX]``."""
        subject = {"incident": "[INC-1]", "proposal": "[P-1]"}.get(self.wants, "")
        words = [word.upper() for word in self.words]
        options = [f"[--{option} {option.upper()}]" for option in self.options]
        return " ".join(w for w in (self.name, subject, *words, self.rest, *options) if w)


_ROWS = (
    Verb(name="help", help="what can be said here"),
    Verb(name="incidents", help="all incidents, newest first"),
    Verb(name="status", help="where things stand", wants="incident"),
    Verb(name="hosts", help="every host's outcome", wants="incident", rest="[OUTCOME]"),
    Verb(
        name="propose",
        help="prepare a proposal (probe and dry run first)",
        wants="incident",
        rest="[RUNBOOK [MITIGATION]]",
        writes=True,
    ),
    Verb(name="details", help="a proposal in full", wants="proposal"),
    Verb(
        name="approve",
        help="say yes to exactly this digest",
        wants="proposal",
        options=("digest",),
        writes=True,
    ),
    Verb(name="reject", help="say no", wants="proposal", rest="[WHY]", writes=True),
    Verb(name="abort", help="end a rollout now", wants="proposal", rest="[WHY]", writes=True),
    Verb(name="pause", help="start no further wave", wants="proposal", writes=True),
    Verb(name="resume", help="go on after a pause or halt", wants="proposal", writes=True),
    Verb(name="rollback", help="propose to undo a rollout", wants="proposal", writes=True),
    Verb(name="hold", help="what is held, and its drift", wants="incident"),
    Verb(name="release", help="end the hold", wants="incident", writes=True),
    Verb(name="note", help="add to the timeline", wants="incident", rest="TEXT", writes=True),
    Verb(name="ack", help="say that you are on it", wants="incident", writes=True),
    Verb(
        name="assign",
        help="give a role: commander, ops or scribe",
        wants="incident",
        words=("role", "person"),
        writes=True,
    ),
    Verb(name="severity", help="sev1 to sev4", wants="incident", words=("level",), writes=True),
    Verb(name="timeline", help="what happened, in order", wants="incident"),
    Verb(name="postmortem", help="the draft, in Markdown", wants="incident"),
    Verb(
        name="knobs",
        help="what could turn it off: by runbooks, and near the crash",
        wants="incident",
    ),
    Verb(name="resolve", help="close the incident", wants="incident", writes=True),
    Verb(name="reopen", help="open it again", wants="incident", writes=True),
    Verb(name="who", help="who may do what"),
)

VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in _ROWS})

_SUBJECTS = {
    "incident": re.compile(r"INC-\d+", re.IGNORECASE),
    "proposal": re.compile(r"P-\d+", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A parsed command. ``subject`` is '' when it is to be found in the context."""

    verb: Verb
    subject: str = ""
    words: tuple[str, ...] = ()
    rest: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def parse(line: str) -> Command:
    """Read one line; raise ``BadInputError`` with a did-you-mean."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    return parse_words(words)


def parse_words(words: Sequence[str]) -> Command:
    """Read the words of a command."""
    if not words:
        words = ["help"]
    verb = VERBS.get(words[0].lower())
    if verb is None:
        close = difflib.get_close_matches(words[0].lower(), VERBS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "say 'help'"
        raise BadInputError(f"unknown command {words[0][:40]!r}", next=hint)
    options, left = _options(verb, words[1:])
    subject = ""
    if verb.wants and left and _SUBJECTS[verb.wants].fullmatch(left[0]):
        subject, left = left[0].upper(), left[1:]
    elif verb.wants and left and any(p.fullmatch(left[0]) for p in _SUBJECTS.values()):
        kind = "a proposal (P-1)" if verb.wants == "proposal" else "an incident (INC-1)"
        raise BadInputError(f"{verb.name} takes {kind}, not {left[0]}", next=verb.usage)
    named, left = left[: len(verb.words)], left[len(verb.words) :]
    if len(named) < len(verb.words):
        raise BadInputError(f"{verb.name} needs more", next=f"usage: {verb.usage}")
    if left and not verb.rest:
        raise BadInputError(f"{verb.name} does not take {left[0][:40]!r}", next=verb.usage)
    if verb.rest and not verb.rest.startswith("[") and not left:
        raise BadInputError(f"{verb.name} needs {verb.rest}", next=f"usage: {verb.usage}")
    return Command(
        verb=verb, subject=subject, words=tuple(named), rest=" ".join(left), options=options
    )


def _options(verb: Verb, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    left: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or (verb.rest and name not in verb.options):
            left.append(word)
            continue
        if name not in verb.options:
            raise BadInputError(f"{verb.name} has no option --{name}", next=f"usage: {verb.usage}")
        if not equals and not queue:
            raise BadInputError(f"--{name} needs a value", next=f"usage: {verb.usage}")
        options[name] = value if equals else queue.pop(0)
    return options, left
