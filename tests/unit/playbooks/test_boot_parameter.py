from __future__ import annotations

import pytest

from tests.unit.playbooks.machine import Machine, Said

OURS = "etc/default/grub.d/99-zz-holdfast-tsc-unstable.cfg"
GRUB = "\tlinux\t/boot/vmlinuz-6.1.0-test root=/dev/vda1 ro quiet{}\n"
# What update-grub does with the drop-ins, as far as it matters here.
UPDATE = """\
line="linux /boot/vmlinuz-6.1.0-test root=/dev/vda1 ro"
for file in "$ROOT"/etc/default/grub.d/*.cfg; do
  [ -e "$file" ] && GRUB_CMDLINE_LINUX= && . "$file" && line="$line $GRUB_CMDLINE_LINUX"
done
echo "$line" > "$ROOT/boot/grub/grub.cfg" """
GRUBBY = """\
store=$ROOT/boot/args
case $1 in
  --info=ALL) printf 'index=0\\nkernel="/boot/vmlinuz"\\nargs="%s"\\n' "$(cat "$store")" ;;
  --update-kernel=ALL)
    word=${2#*=}
    left=$(tr ' ' '\\n' < "$store" | grep -vxF "$word" | tr '\\n' ' ')
    case $2 in --args=*) left="$left$word" ;; esac
    printf '%s' "${left% }" > "$store" ;;
esac"""


def as_debian(machine: Machine) -> Machine:
    machine.put("proc/cmdline", "root=/dev/vda1 ro quiet\n")
    machine.put("etc/default/grub", "GRUB_TIMEOUT=5\n")
    machine.put("boot/grub/grub.cfg", GRUB.format(""))
    machine.program("update-grub", UPDATE)
    return machine


def as_fedora(machine: Machine) -> Machine:
    machine.put("proc/cmdline", "root=/dev/vda1 ro quiet\n")
    machine.put("boot/args", "ro quiet")
    machine.program("grubby", GRUBBY)
    return machine


@pytest.fixture
def debian(machine):
    return as_debian(machine)


def run(machine: Machine, phase: str, parameter: str = "tsc=unstable") -> Said:
    return machine.run("boot-parameter.sh", phase, parameter=parameter)


def test_a_host_whose_boot_loader_is_not_known_is_not_applicable(machine):
    machine.put("proc/cmdline", "ro\n")
    for phase in ("probe", "preview", "apply", "rollback"):
        said = run(machine, phase)
        assert (said.rc, said.facts["applicable"]) == (0, False)
    assert machine.tree() == {}


@pytest.mark.parametrize("as_sort", [as_debian, as_fedora])
def test_a_parameter_is_set_for_the_next_boot_and_says_that_it_needs_one(machine, as_sort):
    as_sort(machine)
    assert run(machine, "probe").facts["persisted"] is False
    assert len(run(machine, "preview").facts["would"]) == 1
    assert not machine.has(OURS)
    said = run(machine, "apply").facts
    assert (said["value"], said["safe"], said["persisted"]) == ("absent", False, True)
    assert said["reason"].startswith("needs a reboot")
    before = machine.tree()
    assert run(machine, "apply").facts["changed"] is False
    assert machine.tree() == before

    machine.put("proc/cmdline", "root=/dev/vda1 ro quiet tsc=unstable\n")  # after the reboot
    said = run(machine, "verify").facts
    assert (said["value"], said["safe"], said["persisted"]) == ("present", True, True)

    back = run(machine, "rollback").facts
    assert (back["changed"], back["persisted"], back["safe"]) == (True, False, False)
    assert back["reason"].startswith("needs a reboot")
    assert not machine.has(OURS)
    assert run(machine, "rollback").facts["changed"] is False


def test_a_parameter_of_somebody_else_is_not_taken_off(debian):
    debian.put("boot/grub/grub.cfg", GRUB.format(" tsc=unstable"))
    said = run(debian, "apply").facts
    assert (said["changed"], said["persisted"]) == (False, True)
    assert run(debian, "rollback").facts["reason"].startswith("nothing to roll back")


def test_a_word_that_only_begins_like_it_is_another_one(debian):
    debian.put("proc/cmdline", "ro irqpollx noirqpoll\n")
    assert run(debian, "probe", "irqpoll").facts["value"] == "absent"


def test_a_tool_that_fails_leaves_nothing(debian):
    debian.program("update-grub", 'echo "grub-mkconfig: no space left" >&2; exit 1')
    said = run(debian, "apply")
    assert said.rc == 1
    assert "no space left" in said.err
    assert not debian.has(OURS)


def test_a_tool_that_does_nothing_is_found_out(debian):
    debian.program("update-grub", ":")
    said = run(debian, "apply")
    assert said.rc == 1
    assert "still does not have tsc=unstable" in said.err
