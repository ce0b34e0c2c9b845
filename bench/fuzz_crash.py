"""Coverage-guided fuzzing of the crash reader with atheris, which is no dependency of the project.

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris google-re2 hypothesis pytest
    /tmp/fuzz/bin/python -m bench.fuzz_crash --seeds /tmp/fuzz-seeds    # once: our golden logs
    /tmp/fuzz/bin/python -m bench.fuzz_crash -max_total_time=600 -max_len=16384 -timeout=20 \\
        -artifact_prefix=/tmp/fuzz- /tmp/fuzz-seeds

Every input is read as it is, and a second time as a recipe: which lines of the golden logs, in
which order, with what in between, through which two carriers. What is checked are the invariants
of the tests and a bound on the time. A finding becomes a test, its input a golden file or a line
in the tests; libFuzzer writes it to ``/tmp/fuzz-crash-…`` and ``python -m bench.fuzz_crash FILE``
runs that one again.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

atheris = importlib.import_module("atheris")
with atheris.instrument_imports(include=["bot.crash"]):
    from bot.crash import ALL, excerpt, read
    from tests.unit.crash.carriers import CARRIERS
    from tests.unit.crash.test_invariants import LOGS, PIECES, consistent

BASE_SECONDS = 0.5
SECONDS_A_CHARACTER = 2e-4
"""Instrumented code is some ten times slower; a super-linear text passes this bound quickly."""

MAX_RECIPE = 16384

_CARRY = [*CARRIERS.values()]
_PLAIN = 0xF0


def one_input(data: bytes) -> None:
    """Check what must hold for any input."""
    _in_time(data.decode("utf-8", errors="surrogateescape"))
    read(data)
    text = recipe(data)
    _in_time(text)
    consistent(text)
    assert len(excerpt(text, 100)) <= 100


def _in_time(text: str) -> None:
    begun = time.process_time()
    read(text, ALL)
    spent = time.process_time() - begun
    if spent > BASE_SECONDS + SECONDS_A_CHARACTER * len(text):
        raise AssertionError(f"{spent:.2f} s for {len(text)} characters")


def recipe(data: bytes) -> str:
    """Make a text of golden lines and bytes between them, carried twice; equal for equal bytes."""
    if len(data) < 3:
        return ""
    text = "\n".join(_lines(data[2:]))[:MAX_RECIPE]
    for choice in data[:2]:
        if choice < _PLAIN:
            text = _CARRY[choice % len(_CARRY)](text)
    return text


def _lines(data: bytes) -> Iterator[str]:
    """Read three bytes a step: a golden line, a number of lines in a row, or bytes as they are."""
    at = 0
    while at + 2 < len(data):
        kind, number = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        at += 3
        if kind < 0x90:
            yield PIECES[number % len(PIECES)]
        elif kind < 0xC0:
            lines = LOGS[number % len(LOGS)].split("\n")
            start = (number * 7) % len(lines)
            yield from lines[start : start + (kind - 0x90)]
        else:
            length = kind - 0xC0
            yield data[at : at + length].decode("utf-8", errors="replace")
            at += length


def seeds(folder: Path) -> None:
    """Write every golden log into ``folder``, as libFuzzer wants its first inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in LOGS:
        data = log.encode()
        name = hashlib.sha256(data).hexdigest()[:16]
        (folder / name).write_bytes(data)


def main() -> None:
    """Write seeds, or fuzz until libFuzzer's options say that it is enough."""
    if sys.argv[1:2] == ["--seeds"]:
        seeds(Path(sys.argv[2]))
        return
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
