"""Console text that a person pasted or a machine posted as it is."""

from __future__ import annotations

import hashlib

from bot.alert.alert import Alert
from bot.errors import BadInputError


def read(body: bytes, host: str, *, source: str = "text", key: str = "") -> Alert:
    """Make an alert of console text. The same text from the same host is the same alert."""
    if not body.strip():
        raise BadInputError("there is no text", where="body", next="post the console text itself")
    text = body.decode("utf-8", "replace")
    digest = hashlib.sha256(host.encode() + b"\0" + body).hexdigest()[:32]
    return Alert(key=f"{source}/{key or digest}", source=source, host=host, text=text)
