"""Names of Rust functions, as their compiler wrote them into symbols and as people write them.

Two spellings are known: the ``v0`` mangling (``_R…``), a small prefix language with references
back into itself, and the legacy one (``_ZN…17h<hash>E``). Both are described in the compiler's
own documentation (rustc book, "Symbol Mangling"; RFC 2603).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from bot.crash.letters import MalformedError
from bot.crash.rust_v0 import Symbol

MAX_SYMBOL = 2048
"""Characters of a symbol; a longer one is nobody's name."""

_LEGACY = re.compile(r"_ZN([0-9].{0,2000}?)17h[0-9a-f]{16}E(?:\.|$)")
_ESCAPE = re.compile(r"\$([A-Za-z0-9]{1,8})\$|\.\.")
_ESCAPES: Mapping[str, str] = {
    "SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ",",
}  # fmt: skip


@lru_cache(maxsize=1024)
def demangle(symbol: str) -> str | None:
    """Return the name that ``symbol`` stands for, without hashes; None if it is no Rust symbol.

    It reads like the compiler's short form: ``<rust_binder::process::Process>::update_ref``. What
    follows a dot (``.llvm.123``, ``.cold``) is dropped, names in punycode are left as they are.
    Never raises, whatever ``symbol`` is.
    """
    if not symbol.startswith(("_R", "_ZN")) or len(symbol) > MAX_SYMBOL or not symbol.isascii():
        return None
    try:
        return Symbol(symbol[2:]).name() if symbol[1] == "R" else _legacy(symbol)
    except MalformedError:
        return None


def _legacy(symbol: str) -> str:
    match = _LEGACY.match(symbol)
    if match is None:  # without a hash it may be C++
        raise MalformedError
    names, rest = [], match[1]
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        size = int(digits) if 0 < len(digits) <= 4 else 0
        rest = rest[len(digits) :]
        if not 0 < size <= len(rest):
            raise MalformedError
        name, rest = rest[:size], rest[size:]
        names.append(_ESCAPE.sub(_unescaped, name[1:] if name.startswith("_$") else name))
    return "::".join(names)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code is None:
        return "::"
    if code in _ESCAPES:
        return _ESCAPES[code]
    if re.fullmatch("u[0-9a-f]{1,5}", code) and chr(int(code[1:], 16)).isprintable():
        return chr(int(code[1:], 16))
    raise MalformedError
