"""One grammar for Slack, the console and the command line."""

from __future__ import annotations

import contextlib
import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from bot.errors import BadInputError

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "look": "where things stand",
        "say": "put something on record",
        "decide": "what may be done to the fleet",
        "run": "a rollout that was approved",
    }
)
"""The parts of the help, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A row of the grammar. ``wants`` is ``incident``, ``proposal`` or ''; ``rest`` takes words.

    ``writes`` verbs need an identity. ``options`` are flags that take a value. With ``alone`` its
    words can stand for the subject. ``example`` is one line that a person may copy.
    """

    name: str
    help: str
    group: str
    wants: str = ""
    words: tuple[str, ...] = ()
    rest: str = ""
    options: tuple[str, ...] = ()
    writes: bool = False
    alone: bool = False
    example: str = ""

    @property
    def usage(self) -> str:
        """``approve P-1 [--digest PREFIX]``."""
        subject = {"incident": "[INC-1]", "proposal": "[P-1]"}.get(self.wants, "")
        words = [word.upper() for word in self.words]
        options = [f"[--{option} {option.upper()}]" for option in self.options]
        return " ".join(w for w in (self.name, subject, *words, self.rest, *options) if w)


_ROWS = (
    Verb(
        name="help",
        group="look",
        help="what can be said here; of one verb: who may, and how",
        rest="[VERB]",
        example="help approve",
    ),
    Verb(name="incidents", group="look", help="all incidents, newest first"),
    Verb(name="status", group="look", help="where things stand", wants="incident"),
    Verb(
        name="hosts",
        group="look",
        help="every host's outcome",
        wants="incident",
        rest="[OUTCOME]",
        example="hosts owed",
    ),
    Verb(
        name="match",
        group="look",
        help="which runbooks fit the crash, why, and which just miss",
        wants="incident",
        rest="[TEXT]",
        alone=True,
    ),
    Verb(name="details", group="look", help="a proposal in full", wants="proposal"),
    Verb(name="hold", group="look", help="what is held, and its drift", wants="incident"),
    Verb(name="timeline", group="look", help="what happened, in order", wants="incident"),
    Verb(
        name="recall",
        group="look",
        help="earlier incidents like this one, and what was done then",
        wants="incident",
        rest="[WORDS]",
        alone=True,
        example="recall tcp_sack",
    ),
    Verb(
        name="knobs",
        group="look",
        help="what could turn it off: by runbooks, and near the crash",
        wants="incident",
    ),
    Verb(name="postmortem", group="look", help="the draft, in Markdown", wants="incident"),
    Verb(name="who", group="look", help="who may do what"),
    Verb(
        name="declare",
        group="say",
        help="open an incident by hand",
        rest="TITLE",
        options=("severity",),
        writes=True,
        example="declare logins fail --severity sev2",
    ),
    Verb(name="ack", group="say", help="say that you are on it", wants="incident", writes=True),
    Verb(
        name="assign",
        group="say",
        help="give a role: commander, ops or scribe",
        wants="incident",
        words=("role", "person"),
        writes=True,
        example="assign commander me",
    ),
    Verb(
        name="severity",
        group="say",
        help="sev1 to sev4",
        wants="incident",
        words=("level",),
        writes=True,
        example="severity sev1",
    ),
    Verb(
        name="note",
        group="say",
        help="add to the timeline",
        wants="incident",
        rest="TEXT",
        writes=True,
        example="note drained rack r2",
    ),
    Verb(
        name="pin",
        group="say",
        help="put a message or text into the timeline",
        wants="incident",
        rest="TEXT",
        writes=True,
    ),
    Verb(name="resolve", group="say", help="close the incident", wants="incident", writes=True),
    Verb(name="reopen", group="say", help="open it again", wants="incident", writes=True),
    Verb(
        name="propose",
        group="decide",
        help="prepare a proposal (probe and dry run first)",
        wants="incident",
        rest="[RUNBOOK [MITIGATION]]",
        writes=True,
        example="propose tcp-sack-panic",
    ),
    Verb(
        name="approve",
        group="decide",
        help="say yes to exactly this digest",
        wants="proposal",
        options=("digest",),
        writes=True,
        example="approve P-1 --digest 1227",
    ),
    Verb(name="reject", group="decide", help="say no", wants="proposal", rest="[WHY]", writes=True),
    Verb(
        name="break-glass",
        group="decide",
        help="start without the usual approvals, in the open",
        wants="proposal",
        rest="WHY",
        options=("digest",),
        writes=True,
        example="break-glass P-1 nobody else is awake",
    ),
    Verb(
        name="abort",
        group="run",
        help="end a rollout now",
        wants="proposal",
        rest="[WHY]",
        writes=True,
        example="abort P-1 db latency",
    ),
    Verb(name="pause", group="run", help="start no further wave", wants="proposal", writes=True),
    Verb(
        name="resume",
        group="run",
        help="go on after a pause or halt",
        wants="proposal",
        writes=True,
    ),
    Verb(
        name="rollback",
        group="run",
        help="propose to undo a rollout",
        wants="proposal",
        writes=True,
    ),
    Verb(name="release", group="run", help="end the hold", wants="incident", writes=True),
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

    @property
    def line(self) -> str:
        """Return the line that reads as this command."""
        words = [self.verb.name, self.subject, *self.words, self.rest]
        named = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return shlex.join([word for word in [*words, *named] if word])


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
    verb = verb_of(words[0])
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


def may_write(line: str) -> bool:
    """Say whether ``parse`` can read a line as a verb that writes, by its first word alone."""
    word = next(iter(line.split()), "")
    with contextlib.suppress(ValueError):  # a quote that is never closed is a letter
        word = "".join(shlex.split(word))
    verb = VERBS.get(word.lower())
    return verb is not None and verb.writes


def verb_of(word: str) -> Verb:
    """Return a verb by its name, in any case; raise ``BadInputError`` with a did-you-mean."""
    if (verb := VERBS.get(word.lower())) is not None:
        return verb
    close = difflib.get_close_matches(word.lower(), VERBS, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "say 'help'"
    raise BadInputError(f"unknown command {word[:40]!r}", next=hint)


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
