"""``holdfast read``: what it takes, what it prints, how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bot.commands.read import HINT, read
from bot.errors import BadInputError
from tests.unit.crash import golden

LOG = golden.split(golden.HERE / "soft_lockup_5_10.txt")[1]
TITLE = "BUG: soft lockup in ctnetlink_dump_table"


class Terminal(io.BytesIO):
    """Standard input: bytes, and whether a person types them."""

    def __init__(self, data: bytes = b"", *, typed: bool = False) -> None:
        super().__init__(data)
        self.buffer = self
        self.typed = typed

    def isatty(self) -> bool:
        return self.typed


def run(*words: str) -> int:
    code = read.main(list(words), standalone_mode=False)
    assert isinstance(code, int)
    return code


def test_a_crash_is_told_with_status_zero(tmp_path, capsys):
    log = tmp_path / "console.log"
    log.write_text(LOG)
    assert run(str(log)) == 0
    assert capsys.readouterr().out.startswith(f"{TITLE}\n")


@pytest.mark.parametrize("words", [(), ("-",)])
def test_standard_input_is_read_where_no_file_is_named(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal(LOG.encode()))
    assert run(*words) == 0
    told = capsys.readouterr()
    assert told.out.startswith(TITLE)
    assert told.err == ""


def test_a_person_who_names_no_file_is_told_how_to_end_the_text(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Terminal(LOG.encode(), typed=True))
    assert run() == 0
    told = capsys.readouterr()
    assert told.err == f"{HINT}\n"
    assert told.out.startswith(TITLE)


def test_json_has_every_report_and_nothing_else(tmp_path, capsys):
    log = tmp_path / "console.log"
    log.write_text(LOG)
    assert run(str(log), "--json") == 0
    reports = json.loads(capsys.readouterr().out)
    assert reports[0]["title"] == TITLE
    assert reports[0]["kind"] == "soft-lockup"
    assert reports[0]["taint_words"] == ["soft lockup before"]


@pytest.mark.parametrize("data", [b"", b"all is well\n", bytes(range(256)) * 64, b"\xff\xfe" * 999])
def test_a_text_without_a_crash_and_garbage_are_no_error_but_status_one(data, tmp_path, capsys):
    log = tmp_path / "console.log"
    log.write_bytes(data)
    assert run(str(log)) == 1
    assert capsys.readouterr().out == "no crash found\n"
    assert run(str(log), "--json") == 1
    assert json.loads(capsys.readouterr().out) == []


def test_a_missing_file_is_named_and_what_to_do(tmp_path):
    with pytest.raises(BadInputError) as caught:
        run(str(tmp_path / "nowhere.log"))
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"{tmp_path / 'nowhere.log'}: no such file. Next: check the path, or pipe the text in"
    )


def test_a_directory_is_bad_input(tmp_path):
    with pytest.raises(BadInputError, match=r"is a directory\. Next: name a file in it"):
        run(str(tmp_path))


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(BadInputError, match=r"loop: cannot be read: .*\. Next: copy it"):
        run(str(loop))


def test_a_file_that_one_may_not_read_is_bad_input(tmp_path, monkeypatch):
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", forbidden)  # root, who runs CI, may read everything
    log = tmp_path / "console.log"
    with pytest.raises(BadInputError, match="you may not read it"):
        run(str(log))


def test_an_error_in_the_middle_of_reading_is_bad_input():
    with pytest.raises(BadInputError, match="cannot be read: Input/output error"):
        run("/proc/self/mem")


def test_a_closed_standard_input_is_bad_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(BadInputError, match="standard input is closed"):
        run()


def test_a_name_cannot_steer_the_terminal(tmp_path):
    with pytest.raises(BadInputError) as caught:
        run(str(Path(tmp_path) / "\x1b[2J"))
    assert "\x1b" not in str(caught.value)
