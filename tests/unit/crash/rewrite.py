"""Rewrite the headers of the golden files: ``python -m tests.unit.crash.rewrite``.

Names of files with a raw log (no header yet) may be given; they become golden files, in the
folder of userland crashes behind ``--userland``. Read the difference before committing it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.unit.crash import golden


def main() -> None:
    """Rewrite every header; take in the logs named on the command line first."""
    names = sys.argv[1:]
    folder = golden.USERLAND if "--userland" in names else golden.HERE
    for raw in (Path(name) for name in names if name != "--userland"):
        golden.write(folder / f"{raw.stem}.txt", raw.read_bytes().decode())
    for path in (*golden.files(), *golden.files(golden.USERLAND)):
        golden.write(path, golden.split(path)[1])
        print(f"{path.name}: {golden.split(path)[0]['title'] or 'no crash'}")


if __name__ == "__main__":
    main()
