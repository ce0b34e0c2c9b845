"""What is taken out of a run's words, and what a dry run says."""

from __future__ import annotations

from pathlib import Path

from bot.fleet.inventory import Group, Inventory
from bot.rollout.preview import cannot_preview, would
from bot.runner.ansible import Results
from bot.runner.redact import Redactor, secrets

FLEET = Inventory(
    hosts={},
    own={"w1": {"ansible_password": "host-secret", "user": "not-a-secret"}},
    groups={
        "web": Group(
            variables={
                "api_key": "key-of-web",
                "tokens": ["first-token", {"x": 12345678}],
                "db_password": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6135"},
            }
        )
    },
)


def test_variables_with_the_name_of_a_secret_are_secrets():
    assert sorted(secrets(FLEET)) == ["12345678", "first-token", "host-secret", "key-of-web"]


def test_secrets_go_from_every_depth_also_in_json_texts_and_short_words_stay():
    redactor = Redactor(["AKIA[0-9A-Z]{4}"], ['se"cret', "long-secret", "long-secret-er", "cat"])
    event = {"res": {"stdout": 'cat {"x": "se\\"cret"}', "l": ["AKIA1234", 5, None]}}
    assert redactor.value(event) == {
        "res": {"stdout": 'cat {"x": "[redacted]"}', "l": ["[redacted]", 5, None]}
    }
    assert redactor.text("long-secret-er long-secret") == "[redacted] [redacted]"


def test_a_short_secret_goes_where_it_stands_alone():
    redactor = Redactor([], ["root", "a.b1", "db1", "True", "null"])
    assert redactor.value({"root": ["root", "rootfs", "to-root!", "_root_", "xroot"]}) == {
        "[redacted]": ["[redacted]", "rootfs", "to-[redacted]!", "_[redacted]_", "xroot"]
    }
    assert redactor.text("a.b1 aXb1 db1 true null") == "[redacted] aXb1 db1 true null"


def test_an_answer_is_understood_whatever_its_words_are_secrets():
    """Redacted first, it would be no JSON any more, or say nothing: the host would be unknown."""
    words = ["apply", "applicable", "false,", "s3cr3t", "persisted"]
    results = Results(redactor=Redactor([], words))
    said = '{"holdfast":1,"phase":"apply","applicable":true,"safe":false,"value":"s3cr3t"}'
    res = {"stdout": f"hello s3cr3t\n{said}\n"}
    results.take({"event": "runner_on_ok", "event_data": {"host": "a", "res": res}})
    (fact,) = results.facts["a"]
    assert fact["phase"] == "apply"
    assert (fact["applicable"], fact["safe"], fact["value"]) == (True, False, "[redacted]")
    broken = {"stdout": '{"holdfast": s3cr3t'}
    results.take({"event": "runner_on_ok", "event_data": {"host": "b", "res": broken}})
    assert results.messages["b"] == 'unreadable answer: {"holdfast": [redacted]'


def test_an_event_is_redacted_before_anything_is_taken_from_it(tmp_path):
    results = Results(redactor=Redactor([], ["host-secret"]), output=tmp_path / "stdout")
    event = {
        "event": "runner_on_failed",
        "stdout": "fatal: host-secret",
        "event_data": {"host": "w1", "res": {"msg": "cannot log in with host-secret"}},
    }
    assert not results.take(event)
    results.close()
    assert results.messages == {"w1": "cannot log in with [redacted]"}
    assert "host-secret" not in str(event)
    assert (tmp_path / "stdout").read_text() == "fatal: [redacted]\n"


def test_a_host_that_is_named_like_a_secret_keeps_its_name_and_a_full_disk_its_result():
    plain = Results()
    assert not plain.take({"event": "runner_on_ok", "event_data": {"host": "a", "res": {}}})
    assert plain.status == {"a": "ok"}
    results = Results(redactor=Redactor([], ["web-01.secret"]), output=Path("/dev/full"))
    event = {
        "event": "runner_on_ok",
        "stdout": "ok: [web-01.secret]",
        "event_data": {"host": "web-01.secret", "res": {}},
    }
    assert not results.take(event)
    results.close()
    assert results.status == {"web-01.secret": "ok"}
    assert event["stdout"] == "ok: [[redacted]]"


def test_a_dry_run_shows_diffs_of_every_form_and_names_what_changes_without_one():
    text = {"before": "a\nb\n", "after": "a\nc\n", "after_header": "/etc/x"}
    told = would("Write (copy)", {"changed": True, "diff": [text]})
    assert told == [
        "would change: Write (copy)",
        "--- before",
        "+++ /etc/x",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
    state = {"before": {"mode": "0644"}, "after": {"mode": "0600"}}
    assert "+mode: 0600" in would("x", {"changed": True, "diff": state})
    assert would("x", {"changed": True, "diff": {"prepared": "p\n" * 2}})[1:] == ["p", "p"]
    assert would("Restart (service)", {"changed": True}) == ["would change: Restart (service)"]
    assert would("x", {"changed": False, "diff": [text]}) == []


def test_only_tasks_without_check_mode_cannot_be_previewed():
    assert cannot_preview('skipping: [a] => {"changed": false, "skipped": true}')
    assert cannot_preview(
        'skipping: [a] => {"msg": "remote module (x) does not support check mode"}'
    )
    assert not cannot_preview('skipping: [a] => {"skip_reason": "Conditional result was False"}')
    assert not cannot_preview('skipping: [a] => {"skipped_reason": "No items in the list"}')
