"""Which lane a raw task takes, and what is understood of ssh's settings."""

import pytest

from bot.incident.state import Outcome
from bot.rollout.outcome import Seen, lanes
from bot.runner.ansible import Results
from bot.runner.lane import Bounded, Fallback, Link, link, settings, shared, task_reason

USUAL = """\
user root
hostname localhost
port 22
ciphers chacha20-poly1305@openssh.com,aes128-ctr
macs hmac-sha2-256
hostkeyalgorithms ssh-ed25519
pubkeyacceptedalgorithms ssh-ed25519
kexalgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256
stricthostkeychecking ask
userknownhostsfile /root/.ssh/known_hosts /root/.ssh/known_hosts2
globalknownhostsfile /etc/ssh/ssh_known_hosts
identityfile ~/.ssh/id_ed25519
identitiesonly no
forwardagent no
compression no
connecttimeout none
serveraliveinterval 0
serveralivecountmax 3
"""
ABLE = {
    "kexalgorithms": {"curve25519-sha256"},
    "ciphers": {"aes128-ctr"},
    "macs": {"hmac-sha2-256"},
    "hostkeyalgorithms": {"ssh-ed25519"},
    "pubkeyacceptedalgorithms": {"ssh-ed25519"},
}
OURS = {"kexalgorithms": "curve25519-sha256,sntrup761x25519-sha512@openssh.com"}
TASK = {"args": {"_raw_params": "uptime"}, "check_mode": False}


def reached(environ: dict[str, str] | None = None, **changes: str) -> Link | Fallback:
    said = settings(USUAL) | {key: (value,) for key, value in {**OURS, **changes}.items()}
    return link("web-01", said, settings(USUAL), environ or {}, ABLE)


def test_the_link_is_what_ssh_would_do():
    found = reached(
        {"LANG": "C.UTF-8", "SECRET": "s"},
        user="ops",
        port="2222",
        connecttimeout="5",
        serveraliveinterval="2",
        sendenv="LANG LC_*",
        setenv="RUN=1",
        hostkeyalias="web",
    )
    assert isinstance(found, Link)
    assert (found.host, found.user, found.port, found.alias) == ("web-01", "ops", 2222, "web")
    assert (found.timeout, found.keepalive, found.keepalives) == (5.0, 2.0, 3)
    assert found.keys == ("~/.ssh/id_ed25519",)
    assert found.environment == (("LANG", "C.UTF-8"), ("RUN", "1"))
    assert found.known == (
        "/root/.ssh/known_hosts",
        "/root/.ssh/known_hosts2",
        "/etc/ssh/ssh_known_hosts",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"proxyjump": "bastion"}, "ssh option proxyjump bastion"),
        ({"proxycommand": "nc %h 22"}, "ssh option proxycommand nc %h 22"),
        ({"controlpath": "/tmp/x"}, "ssh option controlpath /tmp/x"),
        ({"forwardagent": "yes"}, "ssh option forwardagent yes"),
        ({"ciphers": "3des-cbc"}, "ssh option ciphers: none of its algorithms"),
        ({"preferredauthentications": "password"}, "it logs in without keys"),
        (
            {"kexalgorithms": "sntrup761x25519-sha512@openssh.com,curve25519-sha256"},
            "key exchange sntrup761x25519-sha512@openssh.com, which KexAlgorithms puts first",
        ),
        (
            {"stricthostkeychecking": "accept-new"},
            "StrictHostKeyChecking=accept-new: ssh may have to note a new host key",
        ),
        (
            {"stricthostkeychecking": "false"},
            "StrictHostKeyChecking=false: ssh may have to note a new host key",
        ),
    ],
)
def test_what_is_not_understood_is_left_to_ssh(changes, reason):
    assert reached(**changes) == Fallback(reason)


def test_any_host_key_is_taken_only_where_the_site_said_so_twice():
    found = reached(stricthostkeychecking="false", userknownhostsfile="/dev/null")
    assert isinstance(found, Link)
    assert found.known is None


@pytest.mark.parametrize(
    ("changes", "agent"),
    [
        ({}, "/run/agent"),
        ({"identityagent": "none"}, ""),
        ({"identityagent": "/run/other"}, "/run/other"),
        ({"identityagent": "$OTHER"}, "/run/third"),
        ({"identitiesonly": "yes"}, ""),
    ],
)
def test_the_agent_is_the_one_that_ssh_would_ask(changes, agent):
    found = reached({"SSH_AUTH_SOCK": "/run/agent", "OTHER": "/run/third"}, **changes)
    assert isinstance(found, Link)
    assert found.agent == agent


@pytest.mark.parametrize(
    ("argv", "text", "same"),
    [
        (["-o", "Port=22"], "", True),
        (["-o", "Port=22"], "Host *\n  User ops\n", True),
        (["-o", "UserKnownHostsFile=/k/%h"], "", False),
        ([], "Host web-*\n  User ops\n", False),
        ([], "  match exec true\n", False),
        ([], "Include conf.d/*\n", False),
        ([], "IdentityFile ~/.ssh/%r\n", False),
    ],
)
def test_one_question_answers_for_all_hosts_only_without_rules_for_single_hosts(argv, text, same):
    assert shared(argv, [text]) is same


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"loop": ["a"]}, "loop"),
        ({"loop_with": "items"}, "loop"),
        ({"until": ["x"]}, "until"),
        ({"when": ["x"]}, "when"),
        ({"async_val": 5}, "async"),
        ({"delegate_to": "localhost"}, "delegate_to"),
        ({"become": True}, "become"),
        ({"run_once": True}, "run_once"),
        ({"check_mode": True}, "check mode"),
        ({"environment": [{"A": "b"}]}, "environment"),
        ({"environment": [{}]}, ""),
        ({"args": {"_raw_params": "x", "chdir": "/"}}, "argument chdir"),
        ({"args": {}}, "no command"),
    ],
)
def test_a_task_is_left_to_ansible_with_the_reason(changes, reason):
    assert task_reason({**TASK, **changes}, {}) == reason


def test_a_host_that_becomes_or_logs_in_with_a_password_is_left_to_ansible():
    assert task_reason(TASK, {"ansible_become": True}) == "become"
    assert task_reason(TASK, {"ansible_password": "x"}) == "it logs in with a password"


def test_output_keeps_its_ends_and_names_the_gap():
    output = Bounded(half=4)
    for piece in (b"abc", b"def", b"0123456789" * 9, b"xyz"):
        output.add(piece)
    assert output.bytes() == "abcd\n[… 91 bytes left out …]\n9xyz".encode()
    assert output.size == 99


def test_short_output_is_whole():
    output = Bounded(half=4)
    output.add(b"abcdefgh")
    assert output.bytes() == b"abcdefgh"


def event(host: str, lane: str | None) -> dict[str, object]:
    result = {"rc": 0, **({"holdfast_lane": lane} if lane else {})}
    return {"event": "runner_on_ok", "event_data": {"host": host, "res": result}}


def test_a_host_was_on_the_bulk_lane_only_if_all_its_raw_tasks_were():
    results = Results()
    for host, lane in [
        ("a", "bulk"),
        ("a", None),
        ("b", "bulk"),
        ("b", "ordinary: become"),
        ("b", "bulk"),
        ("c", None),
    ]:
        results.take(event(host, lane))
    found = {raw.host: raw.lane for raw in results.raws(["a", "b", "c", "d"])}
    assert found == {"a": "bulk", "b": "ordinary: become", "c": "ordinary", "d": ""}


def test_lanes_are_counted_with_the_reasons():
    seen = {
        name: Seen(outcome=Outcome.VERIFIED, lane=lane)
        for name, lane in [("a", "bulk"), ("b", "ordinary: become"), ("c", "ordinary"), ("d", "")]
    }
    assert lanes(seen) == ({"bulk": 1, "ordinary": 2}, {"become": ["b"]})
