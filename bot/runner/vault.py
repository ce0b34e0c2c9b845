"""Read what is vaulted, so that it can be kept out of the output. Plaintext stays in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from bot.errors import UnavailableError

HEADER = b"$ANSIBLE_VAULT;"
INLINE = re.compile(r"\$ANSIBLE_VAULT;[^\n]+\n(?:[ \t]*[0-9a-f]+[ \t]*(?:\n|\Z))+")
ITEM = re.compile(r"\s*(?:- |[^\s:'\"][^:]*:\s)\s*(?P<value>\S.*)")
LARGEST = 1 << 20
TIMEOUT = 60.0


def plaintexts(roots: Sequence[Path], env: Mapping[str, str], scratch: Path) -> list[str]:
    """Return every line and value of vaulted files, and every single vaulted value, below ``roots``.

    ``env`` tells Ansible where the passwords are; ``scratch`` gets ciphertext only. What cannot be
    decrypted is left out: a run cannot decrypt it either. Raises ``UnavailableError`` when a client
    script for the password does not answer.
    """
    sealed = dict.fromkeys(text for root in roots for text in _ciphertexts(root))
    if not sealed:
        return []
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = []
    for number, text in enumerate(sealed):
        file = scratch / f"{number}.vault"
        file.write_text(text)
        files.append(file)
    texts = [_view(files, env)]
    if texts == [None] and len(files) > 1:
        texts = [_view([file], env) for file in files]
    return [value for text in texts if text is not None for value in _values(text)]


def _ciphertexts(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if not path.is_file() or path.stat().st_size > LARGEST:
            continue
        data = path.read_bytes()
        if data.startswith(HEADER):
            yield data.decode("ascii", "replace")
        elif HEADER in data:
            for found in INLINE.findall(data.decode("utf-8", "replace")):
                yield re.sub(r"^[ \t]+", "", found, flags=re.MULTILINE)


def _view(files: Sequence[Path], env: Mapping[str, str]) -> str | None:
    """Decrypt all of these in one process; None if one of them cannot be."""
    program = Path(sys.executable).parent / "ansible-vault"
    try:
        done = subprocess.run(  # noqa: S603 - no shell; our own program on our own files
            [str(program), "view", *map(str, files)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=dict(env),
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"the vault password did not come within {TIMEOUT:.0f} s",
            where=env.get("ANSIBLE_VAULT_PASSWORD_FILE", "ansible.cfg"),
            next="check the client script; nothing was run",
        ) from error
    return done.stdout if done.returncode == 0 else None


def _values(text: str) -> Iterator[str]:
    """Return each line, and each value of a line of YAML."""
    for line in text.splitlines():
        yield line
        if found := ITEM.fullmatch(line):
            try:
                yield str(yaml.safe_load(found["value"]))
            except (yaml.YAMLError, ValueError):
                yield found["value"]
