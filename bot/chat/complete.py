"""Completion by the grammar: verbs, then what each takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from bot.chat.grammar import VERBS
from bot.chat.news import News
from bot.incident.state import Outcome
from bot.service.people import ROLES, SEVERITIES


class Words(Completer):
    """Offers what may come next. ``local`` are words of the terminal itself, with their help."""

    def __init__(self, news: News, local: Mapping[str, str]) -> None:
        self._news = news
        self._local = local

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield the words that begin like the one before the cursor."""
        del complete_event
        before = document.text_before_cursor.split(" ")
        begun = before[-1]
        for word, meaning in self._next([w for w in before[:-1] if w]):
            if word.lower().startswith(begun.lower()):
                yield Completion(word, start_position=-len(begun), display_meta=meaning)

    def _next(self, said: list[str]) -> Iterable[tuple[str, str]]:
        if not said:
            yield from ((verb.name, verb.help) for verb in VERBS.values())
            yield from self._local.items()
            return
        if said[0].lower() == "focus":
            yield from self._incidents()
            return
        verb = VERBS.get(said[0].lower())
        if verb is None:
            return
        if verb.name == "help":
            yield from ((one.name, one.help) for one in VERBS.values())
        subjects = {"incident": self._incidents, "proposal": self._proposals}
        if len(said) == 1 and verb.wants:
            yield from subjects[verb.wants]()
        yield from ((word, "") for word in self._arguments(verb.name))
        yield from ((f"--{option}", "") for option in verb.options)

    def _incidents(self) -> Iterable[tuple[str, str]]:
        return ((str(row["id"]), str(row["title"])[:50]) for row in self._news.incidents)

    def _proposals(self) -> Iterable[tuple[str, str]]:
        return ((name, "") for name in self._news.proposals)

    def _arguments(self, verb: str) -> Iterable[str]:
        """Return the words that a verb knows by itself."""
        known: Mapping[str, Iterable[str]] = {
            "hosts": [*(outcome.value for outcome in Outcome), "down"],
            "assign": [*ROLES, "me", *self._news.people],
            "severity": SEVERITIES,
        }
        return known.get(verb, ())
