"""What a run takes over from a site's ``ansible.cfg``."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import FleetPart
from bot.errors import BadInputError
from bot.runner.ansible import scrubbed
from bot.runner.settings import Settings, read, ssh_args

CFG = """\
[defaults]
inventory = elsewhere
remote_user = deploy
private_key_file = keys/id   ; ours
roles_path = roles:../shared/roles
vault_identity_list = prod@vault/prod, vault/other
callbacks_enabled = profile_tasks
[sudo_become_plugin]
flags = -H
password = in-clear
[ssh_connection]
ssh_args = -F ssh/config -o "ProxyCommand=ssh -W %h:%p gate"
pipelining = false
"""


def site(place: Path, text: str) -> Settings:
    (place / "ansible.cfg").write_text(text)
    return read(FleetPart(), place / "hosts.ini")


def test_paths_start_at_the_file_and_the_rest_is_named(tmp_path: Path):
    found = site(tmp_path, CFG)
    assert found.values["defaults"] == {
        "remote_user": "deploy",
        "private_key_file": f"{tmp_path}/keys/id",
        "vault_identity_list": f"prod@{tmp_path}/vault/prod, {tmp_path}/vault/other",
    }
    assert found.code == {"roles_path": (tmp_path / "roles", tmp_path.parent / "shared/roles")}
    assert found.values["sudo_become_plugin"] == {"flags": "-H"}
    assert found.left == (
        "[defaults] inventory",
        "[defaults] callbacks_enabled",
        "[sudo_become_plugin] password",
        "[ssh_connection] pipelining",
    )


def test_our_ssh_options_come_before_the_sites(tmp_path: Path):
    written = tmp_path / "run.cfg"
    written.write_text(site(tmp_path, CFG).text({"roles_path": ["roles_path/0"]}))
    args = ssh_args(written)
    assert args == f"-F {tmp_path}/ssh/config -o 'ProxyCommand=ssh -W %h:%p gate'"
    env = scrubbed(FleetPart(ssh_options=["ControlMaster=no"]), args)
    assert env["ANSIBLE_SSH_ARGS"] == f"-o ControlMaster=no {args}"
    assert "roles_path = roles_path/0" in written.read_text()


def test_a_site_without_a_file_and_one_whose_file_is_broken(tmp_path: Path):
    assert read(FleetPart(), tmp_path / "hosts.ini") == Settings()
    for broken in ("no section\n", '[ssh_connection]\nssh_args = "open\n'):
        with pytest.raises(BadInputError, match=r"ansible\.cfg cannot be read"):
            site(tmp_path, broken)
    with pytest.raises(BadInputError, match="there is no vault password file"):
        read(FleetPart(vault_password_file=str(tmp_path / "gone")), tmp_path / "hosts.ini")


def test_a_run_sees_only_the_variables_that_were_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAULT_ADDR", "http://vault")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb")
    assert "VAULT_ADDR" not in scrubbed(FleetPart())
    assert scrubbed(FleetPart(environment=["VAULT_ADDR"]))["VAULT_ADDR"] == "http://vault"
    for ours in ("SLACK_BOT_TOKEN", "HOLDFAST_TOKEN", "PGPASSWORD", "ANSIBLE_FORKS", "A-B"):
        with pytest.raises(ValueError, match=ours):
            FleetPart(environment=[ours])
