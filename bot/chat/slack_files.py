"""Snippets and files that come with a message: their text, as far as it is text."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from bot.errors import HoldfastError

log = logging.getLogger(__name__)

LARGEST = 10 * 1024 * 1024
"""Bytes of a file that are read; a larger one is said to be too large."""
TEXTS = ("text/", "application/json", "application/octet-stream", "application/x-log")


class Files(Protocol):
    """Fetches files. Raises the errors of ``bot.errors``."""

    def download(self, url: str, most: int) -> bytes:
        """Fetch a file that somebody shared, at most so many bytes."""


def filled(message: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return the message with the whole text of its text files, where they can be had.

    An alert counts also if its file cannot be fetched: what is lost is said in the log.
    """
    shared = message.get("files")
    if not isinstance(shared, list) or not shared:
        return message
    found = [dict(one) for one in shared if isinstance(one, Mapping)]
    for one in found:
        try:
            if (text := text_of(one, files)) is not None:
                one["plain_text"] = text
        except HoldfastError as error:
            log.warning("a file of an alert cannot be read", extra={"error": str(error)})
    return {**message, "files": found}


def text_of(one: Mapping[str, Any], files: Files) -> str | None:
    """Return a file's text; None if it is none, or too large to be read."""
    url = one.get("url_private_download") or one.get("url_private")
    kind, size = str(one.get("mimetype") or "text/"), one.get("size")
    if not isinstance(url, str) or not kind.startswith(TEXTS):
        return None
    if isinstance(size, int) and size > LARGEST:
        return None
    return files.download(url, LARGEST).decode("utf-8", "replace")


def texts(message: Mapping[str, Any], files: Files) -> Iterator[tuple[str, str | None]]:
    """Yield name and text of every file of a message; None for what cannot be read as text."""
    for one in message.get("files") or ():
        if isinstance(one, Mapping):
            yield str(one.get("name") or one.get("title") or "file"), text_of(one, files)
