"""Sites as Ansible people have them: their inventories, settings and secrets, on real hosts.

Each test queues one probe and lets the real supervisor carry it out, as the bot does.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.app import App, build
from bot.config import load
from bot.demo.fleet import Fleet, HostSpec
from bot.errors import BadInputError, ConflictError
from bot.layout import lay_out
from bot.ports import Run
from bot.timeline.entry import Draft
from tests.acceptance.conftest import MakeFleet

pytestmark = pytest.mark.fleet

VALUE = "correct-horse-battery"
SHA = hashlib.sha256(VALUE.encode()).hexdigest()
WHO = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Say who is asked, and what the inventory says
      ansible.builtin.raw: >-
        printf '{"holdfast":1,"phase":"probe","applicable":true,"value":"%s","boot_id":"%s",
        "kernel":"%s","reason":"{{ note | default('') }}"}\\n'
        "$(id -un)" "$(cat /proc/sys/kernel/random/boot_id)" "$(hostname)"
      check_mode: false
      changed_when: false
"""
SCRIPT = """\
#!{python}
import json, sys
print(json.dumps({{"web": {{"hosts": ["web-01", "web-02"], "vars": {{"note": "from a script"}}}},
                   "_meta": {{"hostvars": {hosts}}}}}))
"""
PLUGIN = """\
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = '''
name: racks
short_description: hosts by rack
options:
  plugin: {description: racks, required: true}
  racks: {description: rack to hosts, type: dict, required: true}
'''

class InventoryModule(BaseInventoryPlugin):
    NAME = "racks"

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for rack, hosts in self.get_option("racks").items():
            inventory.add_group(rack)
            for name, address in hosts.items():
                inventory.add_host(name, group=rack)
                inventory.set_variable(name, "ansible_host", address)
                inventory.set_variable(name, "note", "from a plugin")
"""
CONNECTION = """\
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = '''
name: box
short_description: a container of this machine
version_added: "1.0"
extends_documentation_fragment: [connection_pipelining]
'''

class Connection(Local):
    transport = "acme.box.box"
"""


class Home:
    """A site directory whose inventory the test writes, and one fleet behind it."""

    def __init__(self, place: Path, fleet: Fleet) -> None:
        self.place, self.fleet = place, fleet
        lay_out(place)
        (place / "inventory.yml").unlink()
        (place / "playbooks" / "who.yml").write_text(WHO)
        self.env: dict[str, str] = {}

    def config(self, inventory: str, **fleet: Any) -> None:
        """Write the configuration."""
        part = {"inventory": inventory, "connect_timeout": 5, **fleet}
        whole = {"fleet": part, "people": {}}
        (self.place / "holdfast.yml").write_text(yaml.safe_dump(whole))

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a file of the site."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    @property
    def reach(self) -> dict[str, Any]:
        """Return the variables with which every host of the fleet is reached."""
        return {
            "ansible_user": self.fleet.user,
            "ansible_ssh_private_key_file": str(self.fleet.key),
            "ansible_ssh_common_args": f"-F none {' '.join(self.fleet.ssh_options)}",
        }

    def shared(self, **more: Any) -> None:
        """Write them to ``inventory/group_vars/all``."""
        self.write("inventory/group_vars/all/reach.yml", yaml.safe_dump({**self.reach, **more}))

    def hosts(self, *names: str) -> str:
        """Return INI lines of these hosts."""
        return "".join(f"{n} ansible_host={self.fleet.address(n)}\n" for n in names)

    def vault(self, text: str, *, password: str = "let-me-in", name: str = "") -> str:
        """Encrypt a text with the real program."""
        file = self.write("vault-password", password)
        program = str(Path(sys.executable).parent / "ansible-vault")
        command = [program, "encrypt", "--vault-password-file", str(file), "--output", "-"]
        if name:
            command = [program, "encrypt_string", "--vault-password-file", str(file)]
            command += ["--stdin-name", name]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def app(self) -> App:
        """Open the site as the bot does."""
        return build(load(self.place / "holdfast.yml"))

    def probe(self, *hosts: str, playbook: str = "who.yml") -> dict[str, dict[str, Any]]:
        """Let a supervisor probe these hosts, or all; return what each one said."""
        data = self.run(*hosts, playbook=playbook)
        assert data[-1].kind == "exposure.probed", data[-1].text
        found: dict[str, dict[str, Any]] = data[-1].data["hosts"]
        return found

    def run(self, *hosts: str, playbook: str = "who.yml") -> list[Any]:
        """Queue a probe, carry it out by the command line, return the incident's entries."""
        app = self.app()
        try:
            inventory = app.sources.inventory()
            listed = hosts or tuple(sorted(inventory.hosts))
            spec = {
                "request": 1,
                "tree": app.sources.pin(),
                "inventory": app.sources.pin_hosts(inventory, listed),
                "playbooks": [[playbook, None]],
                "variables": {},
            }
            with app.site.store.transaction("intake") as tx:
                incident = tx.open("a signature")
                tx.append(incident, Draft(key="note", kind="note.added", text="a test"))
                ident = f"{incident}.probe.1.1"
                tx.queue(Run(ident=ident, incident=incident, kind="probe", hosts=listed, spec=spec))
            config = str(self.place / "holdfast.yml")
            command = [sys.executable, "-m", "bot", "--config", config, "run", ident]
            env = {**os.environ, **self.env}
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                env=env,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return app.site.store.entries(incident)
        finally:
            app.close()


@pytest.fixture(scope="module")
def fleet(make_fleet: MakeFleet) -> Fleet:
    specs = [("web-01", "web"), ("web-02", "web"), ("db-01", "db"), ("gate-01", "gate")]
    return make_fleet(*(HostSpec(name=name, pool=pool) for name, pool in specs))


@pytest.fixture
def home(tmp_path: Path, fleet: Fleet) -> Home:
    return Home(tmp_path / "site", fleet)


def reached(home: Home, said: Mapping[str, Mapping[str, Any]], *names: str) -> None:
    """Compare with the hosts themselves."""
    assert sorted(said) == sorted(names)
    for name in names:
        assert said[name].get("boot_id") == home.fleet.boot_id(name), said[name]
        assert said[name]["kernel"] == name


def test_ini_with_groups_of_groups_and_variables_at_every_level(home: Home):
    home.shared(note="all")
    ini = f"[web]\n{home.hosts('web-01', 'web-02')}\n[db]\n{home.hosts('db-01')}\n"
    ini += "[site:children]\nweb\ndb\n[site:vars]\nnote=site\n"
    home.write("inventory/hosts.ini", ini)
    home.write("inventory/group_vars/web.yml", "note: web\n")
    home.write("inventory/host_vars/web-02.yml", "note: web-02\n")
    home.config("inventory")
    said = home.probe()
    reached(home, said, "web-01", "web-02", "db-01")
    assert {h: s["reason"] for h, s in said.items()} == {
        "web-01": "web",
        "web-02": "web-02",
        "db-01": "site",
    }


def test_yaml_in_one_file_with_a_template_and_the_place_of_the_inventory(home: Home):
    key = home.write("keys/id", home.fleet.key.read_text(), mode=0o600)
    hosts = {n: {"ansible_host": home.fleet.address(n)} for n in ("web-01", "web-02")}
    reach = {**home.reach, "ansible_ssh_private_key_file": "{{ inventory_dir }}/keys/id"}
    text = {"web": {"hosts": hosts, "vars": {**reach, "note": "{{ inventory_hostname }}!"}}}
    home.write("hosts.yml", yaml.safe_dump(text))
    home.config("hosts.yml")
    said = home.probe("web-02")
    assert key.exists()
    reached(home, said, "web-02")
    assert said["web-02"]["reason"] == "web-02!"


def test_an_executable_answers_and_is_read_once_for_a_proposal(home: Home):
    hosts = {n: {"ansible_host": home.fleet.address(n), **home.reach} for n in ("web-01", "web-02")}
    home.write("hosts.py", SCRIPT.format(python=sys.executable, hosts=hosts), mode=0o755)
    home.config("hosts.py")
    said = home.probe()
    reached(home, said, "web-01", "web-02")
    assert said["web-01"]["reason"] == "from a script"


def test_a_constructed_group_and_its_variables(home: Home):
    home.shared()
    home.write("inventory/1-hosts.ini", f"[fleet]\n{home.hosts('web-01', 'db-01')}")
    rule = {
        "plugin": "ansible.builtin.constructed",
        "strict": True,
        "groups": {"databases": "inventory_hostname.startswith('db-')"},
        "compose": {"note": "'composed for ' ~ inventory_hostname"},
    }
    home.write("inventory/2.constructed.yml", yaml.safe_dump(rule))
    home.config("inventory", pools=["databases"])
    said = home.probe()
    reached(home, said, "web-01", "db-01")
    assert said["db-01"]["reason"] == "composed for db-01"
    app = home.app()
    assert app.sources.inventory().pools == {"databases": ("db-01",)}
    app.close()


def test_a_plugin_of_the_site_is_found_through_its_ansible_cfg(home: Home):
    home.shared()
    home.write("inventory_plugins/racks.py", PLUGIN)
    racks = {"r1": {"web-01": home.fleet.address("web-01")}}
    home.write("inventory/my.racks.yml", yaml.safe_dump({"plugin": "racks", "racks": racks}))
    home.write(
        "site.cfg",
        "[defaults]\ninventory_plugins = inventory_plugins\n[inventory]\nenable_plugins = racks\n",
    )
    home.config("inventory", ansible_cfg="site.cfg")
    said = home.probe()
    reached(home, said, "web-01")
    assert said["web-01"]["reason"] == "from a plugin"


VAULTS = ("file", "script", "cfg")


@pytest.mark.parametrize("how", VAULTS)
def test_vaulted_variables_are_used_and_never_shown(home: Home, how: str):
    note = "{{ whole | hash('sha256') }} {{ single | hash('sha256') }} {{ whole }} {{ single }}"
    home.shared(note=note)
    home.write("inventory/hosts.ini", f"[web]\n{home.hosts('web-01')}")
    home.write("inventory/group_vars/all/vault.yml", home.vault(f"whole: {VALUE}\n"))
    home.write("inventory/group_vars/web.yml", home.vault(f"{VALUE}2", name="single"))
    password = home.place / "vault-password"
    if how == "script":
        home.write(
            "pw-client",
            "#!/bin/sh\n[ $# = 0 ] || [ $1 = --vault-id ] && echo let-me-in\n",
            mode=0o755,
        )
        password.unlink()
        home.config("inventory", vault_password_file="pw-client")
    elif how == "cfg":
        home.write(
            "inventory/ansible.cfg", "[defaults]\nvault_identity_list = x@../vault-password\n"
        )
        home.config("inventory")
    else:
        home.config("inventory", vault_password_file="vault-password")
    said = home.probe()
    reached(home, said, "web-01")
    two = hashlib.sha256(f"{VALUE}2".encode()).hexdigest()
    assert said["web-01"]["reason"] == f"{SHA} {two} [redacted] [redacted]"
    assert holding(home.place / "state", VALUE) == []


def holding(root: Path, *secrets: str) -> list[Path]:
    """Return the files below ``root`` that hold one of these."""
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    assert files
    return [p for p in files if any(s.encode() in p.read_bytes() for s in secrets)]


@pytest.mark.parametrize(
    ("cfg", "words"),
    [
        ("[defaults]\nask_vault_pass = true\n", "ask_vault_pass = true"),
        ("[defaults]\nvault_identity_list = a@prompt\n", "vault_identity_list = a@prompt"),
        ("[privilege_escalation]\nbecome_ask_pass = yes\n", "become_ask_pass = yes"),
    ],
)
def test_whatever_would_ask_a_person_is_refused(home: Home, cfg: str, words: str):
    home.write("inventory/hosts.ini", "web-01\n")
    file = home.write("inventory/ansible.cfg", cfg)
    home.config("inventory")
    app = home.app()
    with pytest.raises(BadInputError, match="asks a person for a password") as caught:
        app.sources.inventory()
    assert (words in str(caught.value), str(file) in str(caught.value)) == (True, True)
    app.close()


def test_a_vault_without_a_password_and_a_script_that_asks_are_errors_and_no_hang(home: Home):
    home.write("inventory/hosts.ini", "web-01\n")
    home.write("inventory/group_vars/all/vault.yml", home.vault("x: y\n"))
    home.config("inventory")
    app = home.app()
    with pytest.raises(BadInputError, match=r"fleet\.vault_password_file"):
        app.sources.inventory()
    app.close()
    asking = f"#!{sys.executable}\nimport getpass\nprint(getpass.getpass())\n"
    home.write("asking", asking, mode=0o755)
    home.config("inventory", vault_password_file="asking")
    app = home.app()
    with pytest.raises(BadInputError, match="ansible-inventory cannot read it"):
        app.sources.inventory()
    app.close()


def test_ansible_cfg_is_honoured_where_it_may_be_and_our_settings_win(home: Home):
    home.write("inventory/hosts.ini", f"[web]\n{home.hosts('web-01')}")
    home.write(
        "inventory/ansible.cfg",
        "[defaults]\n"
        f"remote_user = {home.fleet.user}\nprivate_key_file = {home.fleet.key}\n"
        "roles_path = ../shared/roles\nforks = 1\nlog_path = ../ansible.log\n"
        "strategy = free\ncallbacks_enabled = profile_tasks\n"
        "[ssh_connection]\npipelining = false\n"
        f"ssh_args = -F none -o ServerAliveInterval=99 {' '.join(home.fleet.ssh_options)}\n",
    )
    home.write("shared/roles/who/tasks/main.yml", yaml.safe_dump(yaml.safe_load(WHO)[0]["tasks"]))
    home.write("shared/roles/who/defaults/main.yml", "note: from a role\n")
    home.write("playbooks/role.yml", "- hosts: web\n  gather_facts: false\n  roles: [who]\n")
    home.config("inventory")
    said = home.probe(playbook="role.yml")
    reached(home, said, "web-01")
    assert said["web-01"]["reason"] == "from a role"
    assert not (home.place / "ansible.log").exists()
    (cfg,) = home.place.glob("state/runs/*/project/.holdfast/ansible.cfg")
    assert "forks" not in cfg.read_text()
    first = home.app().sources.tree()
    home.write("shared/roles/who/defaults/main.yml", "note: changed\n")
    assert home.app().sources.tree() != first


def test_connections_other_than_ssh_and_a_collection_beside_the_playbooks(home: Home):
    box = home.place / "playbooks/collections/ansible_collections/acme/box"
    box.mkdir(parents=True)
    (box / "galaxy.yml").write_text("namespace: acme\nname: box\nversion: 1.0.0\n")
    (box / "plugins/connection").mkdir(parents=True)
    (box / "plugins/connection/box.py").write_text(CONNECTION)
    home.write(
        "inventory/hosts.ini",
        "here ansible_connection=local\nbox ansible_connection=acme.box.box\n"
        "gone ansible_connection=community.docker.docker\n",
    )
    home.config("inventory")
    said = home.probe()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert [said[h].get("boot_id") for h in ("here", "box")] == [boot, boot], said
    assert said["gone"]["exposure"] in {"unknown", "unreachable"}
    assert "community.docker.docker" in said["gone"]["reason"]


def test_a_bastion_is_gone_through(home: Home):
    """The address behind the bastion is its own loopback: no other way leads there."""
    gate, login = home.fleet.address("gate-01"), home.fleet.user
    ssh = f"ssh -F none -i {home.fleet.key} {' '.join(home.fleet.ssh_options)}"
    home.shared(
        ansible_ssh_common_args=f"-F none {' '.join(home.fleet.ssh_options)} -o HostKeyAlias={gate} "
        f'-o ProxyCommand="{ssh} -W %h:%p {login}@{gate}"'
    )
    home.write("inventory/hosts.ini", "inner ansible_host=127.0.0.1\n")
    home.config("inventory")
    said = home.probe()
    assert said["inner"]["boot_id"] == home.fleet.boot_id("gate-01"), said
    assert said["inner"]["kernel"] == "gate-01"


def user(fleet: Fleet, host: str, name: str) -> None:
    """Make a user of the host."""
    # A password that nothing fits: sshd lets nobody in whose account is locked.
    made = fleet.run(
        host, "useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", name
    )
    assert made.returncode in {0, 9}, made.stderr


def test_each_group_has_its_own_user(home: Home):
    if home.fleet.mode != "root":
        pytest.skip("a rootless host has one user")
    user(home.fleet, "db-01", "dba")
    home.shared()
    home.write(
        "inventory/hosts.ini",
        f"[web]\n{home.hosts('web-01')}[db]\n{home.hosts('db-01')}[db:vars]\nansible_user=dba\n",
    )
    home.config("inventory")
    said = home.probe()
    reached(home, said, "web-01", "db-01")
    assert (said["web-01"]["value"], said["db-01"]["value"]) == (home.fleet.user, "dba")


@pytest.mark.parametrize("password", [True, False])
def test_become_with_and_without_a_password_file(home: Home, *, password: bool):
    """Root becomes the user without a password; the user becomes root with one."""
    if home.fleet.mode != "root":
        pytest.skip("a rootless host has one user")
    user(home.fleet, "web-01", "ops")
    home.fleet.run("web-01", "chpasswd", input=f"root:{VALUE}\n")
    target = "root" if password else "ops"
    home.shared(ansible_user="ops" if password else "root")
    home.write("inventory/hosts.ini", f"[web]\n{home.hosts('web-01')}")
    cfg = f"[privilege_escalation]\nbecome = true\nbecome_method = su\nbecome_user = {target}\n"
    if password:
        home.write("become-password", f"{VALUE}\n", mode=0o600)
        cfg += "[defaults]\nbecome_password_file = ../become-password\n"
    home.write("inventory/ansible.cfg", cfg)
    home.config("inventory")
    said = home.probe()
    reached(home, said, "web-01")
    assert said["web-01"]["value"] == target
    assert holding(home.place / "state", VALUE) == []


def test_what_a_host_resolves_to_is_pinned_by_a_keyed_hash_of_its_own(home: Home):
    home.shared(ansible_password="1234")
    home.write("inventory/hosts.ini", f"[web]\n{home.hosts('web-01')}\n[db]\n{home.hosts('db-01')}")
    home.config("inventory")
    app = home.app()
    inventory = app.sources.inventory()
    pinned = app.sources.pin_hosts(inventory, ["db-01", "web-01"])
    assert holding(home.place / "state", "1234", str(home.fleet.key)) == []
    run = Run(ident="x", incident="x", kind="x", hosts=("web-01",), spec={"inventory": pinned})
    memory = app.sources.hand_over(run)
    home.write("inventory/group_vars/web.yml", "colour: blue\n")
    fresh = home.app()
    with pytest.raises(ConflictError, match="something else of web-01 than"):
        fresh.sources.approved(["db-01", "web-01"], pinned)
    assert "db-01" in fresh.sources.approved(["db-01"], pinned).hosts
    fresh.sources.take_over(memory)
    kept = fresh.sources.approved(["web-01"], pinned).hosts["web-01"]
    assert ("colour" in kept, kept["ansible_password"]) == (False, "1234")
    with pytest.raises(ConflictError, match="something else of web-01 than"):
        fresh.sources.approved(["db-01", "web-01"], pinned)
    stored = json.loads((home.place / f"state/pinned/{pinned}.json").read_text())
    assert sorted(stored["hosts"]) == ["db-01", "web-01"]
    other = Home(home.place.parent / "other", home.fleet)
    other.config(str(home.place / "inventory"))
    keyed = other.app().sources
    assert keyed.hosts_hash(fresh.sources.inventory(), ["db-01"]) != fresh.sources.hosts_hash(
        fresh.sources.inventory(), ["db-01"]
    )


def test_links_out_of_the_playbooks_are_refused_and_the_copy_is_faithful(home: Home):
    home.write("inventory/hosts.ini", "web-01\n")
    home.config("inventory")
    home.write("playbooks/files/tool", "#!/bin/sh\n", mode=0o755)
    (home.place / "playbooks/files/same").symlink_to("tool")
    app = home.app()
    before = app.sources.tree()
    copy = home.place / "state/pinned" / app.sources.pin()
    assert copy.name == before
    assert os.access(copy / "files/tool", os.X_OK)
    assert (copy / "files/same").readlink() == Path("tool")
    (home.place / "playbooks/files/tool").chmod(0o644)
    assert app.sources.tree() != before
    (home.place / "playbooks/out").symlink_to("../holdfast.yml")
    with pytest.raises(BadInputError, match=r"the link leads to \.\./holdfast\.yml"):
        app.sources.pin()
    app.close()
