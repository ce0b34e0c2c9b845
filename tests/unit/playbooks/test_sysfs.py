from __future__ import annotations

import pytest

from tests.unit.playbooks.machine import Machine, Said

PATH = "/sys/kernel/mm/transparent_hugepage/enabled"
OURS = "etc/tmpfiles.d/zz-holdfast-kernel-mm-transparent_hugepage-enabled.conf"


@pytest.fixture
def thp(machine):
    machine.put(PATH[1:], "[always] madvise never\n")
    (machine.root / "run/systemd/system").mkdir(parents=True)
    return machine


def run(machine: Machine, phase: str, value: str = "never", path: str = PATH) -> Said:
    return machine.run("sysfs.sh", phase, path=path, value=value)


def test_of_a_choice_the_word_in_brackets_is_the_value(thp):
    said = run(thp, "probe").facts
    assert (said["value"], said["wanted"], said["safe"]) == ("always", "never", False)
    assert said["reason"] == f"not persisted: there is no /{OURS}"


def test_a_machine_without_the_file_is_not_applicable(thp):
    for phase in ("probe", "preview", "apply", "rollback"):
        said = run(thp, phase, path="/sys/kernel/mm/ksm/run")
        assert (said.rc, said.facts["applicable"]) == (0, False)
    assert thp.tree() == {}


def test_a_value_is_persisted_set_and_taken_back_once(thp):
    assert run(thp, "preview").facts["would"] == [f"{PATH}: always -> never", f"write /{OURS}"]
    assert thp.tree() == {}
    said = run(thp, "apply").facts
    assert (said["safe"], said["persisted"], said["prior"]) == (True, True, "always")
    assert thp.get(OURS).splitlines()[-1] == f"w {PATH} - - - - never"
    before = thp.tree()
    again = run(thp, "apply").facts
    assert (again["changed"], thp.tree()) == (False, before)
    assert run(thp, "preview").facts["would"] == []

    assert run(thp, "unpreview").facts["would"] == [f"{PATH}: never -> always", f"remove /{OURS}"]
    back = run(thp, "rollback").facts
    assert (back["value"], back["safe"], back["changed"]) == ("always", True, True)
    assert (thp.get(PATH[1:]), thp.tree()) == ("always\n", {})
    assert run(thp, "rollback").facts["changed"] is False


def test_without_systemd_the_value_is_live_only_and_says_so(thp):
    (thp.root / "run/systemd/system").rmdir()
    said = run(thp, "apply").facts
    assert (said["safe"], said["persisted"]) == (True, False)
    assert "without systemd" in said["reason"]


def test_a_second_value_keeps_the_first_prior_one(thp):
    run(thp, "apply")
    assert run(thp, "apply", value="madvise").facts["prior"] == "always"
    assert run(thp, "rollback", value="madvise").facts["value"] == "always"


def test_a_refused_write_leaves_everything_as_it_was(thp):
    thp.program("tee", 'echo "tee: $1: Invalid argument" >&2; exit 1')
    said = run(thp, "apply", value="sometimes")
    assert said.rc == 1
    assert "nothing was changed: tee: " in said.err
    assert (thp.get(PATH[1:]), thp.tree()) == ("[always] madvise never\n", {})
