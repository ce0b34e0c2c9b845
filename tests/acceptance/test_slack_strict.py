"""Slack by a server that is strict about scopes, names and channels, and a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from bot.chat.slack_call import check
from bot.config import SlackPart
from bot.demo import enclave as isolation
from bot.service.site import Site
from bot.timeline.entry import Draft
from tests.acceptance.test_alertmanager import alert, program
from tests.acceptance.test_slack_behaviours import door, opened, site
from tests.machine import free_port
from tests.slack_places import Emulate
from tests.slack_proxy import Fault
from tests.slack_server import until
from tests.slack_site import kinds
from tests.unit.events import OOPS

pytestmark = pytest.mark.slack
__all__ = ["site"]


@pytest.fixture(scope="module")
def place(enclave: isolation.Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulate]:
    found = Emulate(tmp_path_factory.mktemp("emulate"))
    yield found
    found.close()


def test_a_real_alertmanager_posts_into_the_channel_and_an_incident_is_opened_once(
    site: Site, place: Emulate, tmp_path: Path
) -> None:
    place.reset()
    url, hook = f"127.0.0.1:{free_port()}", "services/T000000001/B0PROM/X000000001"
    slack = {
        "api_url": f"http://127.0.0.1:{place.proxy.upstream}/{hook}",
        "channel": "alerts",
        "send_resolved": True,
        "title": "[{{ .Status | toUpper }}] {{ .CommonLabels.alertname }}",
        "text": "{{ range .Alerts }}host: {{ .Labels.instance }}\n{{ .Annotations.description }}{{ end }}",
    }
    route = {"receiver": "slack", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]}
    config = {"route": route, "receivers": [{"name": "slack", "slack_configs": [slack]}]}
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    command = [program(), f"--config.file={tmp_path / 'alertmanager.yml'}"]
    command += [f"--storage.path={tmp_path / 'data'}", f"--web.listen-address={url}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--cluster.listen-address="], stdout=log, stderr=log)
    try:
        with door(site, place) as found:
            until(lambda: found.health()["connected"], "the bot connects")
            until(lambda: _ready(url), "Alertmanager is ready")
            fires = alert("KernelOops", "web-01", {"description": OOPS})
            assert httpx.post(f"http://{url}/api/v2/alerts", json=[fires]).is_success
            until(site.store.incidents, "the incident is opened")
            over = {**fires, "endsAt": fires["startsAt"]}
            assert httpx.post(f"http://{url}/api/v2/alerts", json=[over]).is_success
            until(lambda: "alert.resolved" in kinds(site), "it is over")
    finally:
        process.kill()
        process.wait()
    (first,) = (e for e in site.store.entries("INC-1") if e.kind == "alert.received")
    assert (first.data["host"], first.data["known"]) == ("web-01", True)
    assert first.data["crash"]["function"] == "tcp_estats_update_mss"
    assert len(site.store.incidents()) == 1


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"http://{url}/-/ready").is_success
    except httpx.TransportError:
        return False


def test_an_incident_gets_its_own_channel_and_falls_back_to_a_thread(
    site: Site, place: Emulate
) -> None:
    place.reset()
    with door(site, place, own_channels=True, channel_prefix="n") as found:
        until(lambda: found.health()["connected"], "the bot connects")
        opened(site, place)
        until(lambda: "proposal.P-1" in site.store.posted("INC-1"), "the card is posted")
        until(lambda: "pinned" in site.store.posted("INC-1"), "the headline is pinned")
        until(lambda: "invited" in site.store.posted("INC-1"), "people are invited")
        posted = site.store.posted("INC-1")
        room = posted["headline"].channel
        info = place.upstream("conversations.info", channel=room)["channel"]
        assert info["name"] == "n-1-tcp-estats-update-mss"
        assert info["topic"]["value"].startswith("INC-1 · ")

        def members() -> list[str]:
            found: list[str] = place.upstream("conversations.members", channel=room)["members"]
            return found

        assert place.commander in members()
        said = {"role": "ops", "person": "robin"}
        with site.store.transaction("INC-1") as tx:
            given = Draft(key="ops", kind="incident.assigned", text="Robin is ops", data=said)
            tx.append("INC-1", given)
        until(lambda: "You are ops of INC-1" in place.told(place.oncall), "told alone")
        until(lambda: place.oncall in members(), "who has a role is in the channel")
        place.proxy.always("chat.update", Fault("refused", word="is_archived"))
        with site.store.transaction("INC-1") as tx:
            worse = {"severity": "sev1"}
            tx.append("INC-1", Draft(key="s", kind="incident.severity", text="s", data=worse))
        until(
            lambda: site.store.posted("INC-1")["headline"].channel == place.alerts,
            "the common channel takes over",
        )
    assert site.store.posted("INC-1")["channel"].content == "is_archived"


def test_a_name_that_is_taken_gets_a_number_and_a_missing_scope_a_thread(
    site: Site, place: Emulate
) -> None:
    place.reset()
    place.upstream("conversations.create", "xoxp-oncall", name="t-1-tcp-estats-update-mss")
    with door(site, place, own_channels=True, channel_prefix="t") as found:
        until(lambda: found.health()["connected"], "the bot connects")
        opened(site, place)
        until(lambda: "headline" in site.store.posted("INC-1"), "the headline is posted")
    assert site.store.posted("INC-1")["channel"].content == "t-1-tcp-estats-update-mss-2"


def test_without_the_scope_for_channels_there_is_a_thread(site: Site, place: Emulate) -> None:
    place.reset()
    place.proxy.always("conversations.create", Fault("refused", word="missing_scope"))
    with door(site, place, own_channels=True) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        opened(site, place)
        until(lambda: "proposal.P-1" in site.store.posted("INC-1"), "the card is posted")
    posted = site.store.posted("INC-1")
    card = next(m for m in place.messages() if m["ts"] == posted["proposal.P-1"].ref)
    assert card["thread_ts"] == posted["headline"].ref


def test_slack_check_says_what_is_missing_and_what_to_do(place: Emulate) -> None:
    place.reset()
    place.proxy.scopes = "chat:write,commands"
    place.proxy.groups = {"S0APPROVE": ("sre", [place.commander])}
    config = SlackPart(**{**place.config(), "alert_channels": [place.alerts, "nowhere"]})
    people = {"kim": place.commander, "gone": "U0NOBODY"}
    found = list(check(config, people, ["@sre", "@nobody"]))
    said = {one.what: one.next for one in found}
    text = json.dumps(said, ensure_ascii=False)
    assert "the scope reactions:read is missing" in text
    assert "Slack has no channel nowhere" in text
    assert "gone is U0NOBODY: Slack says user_not_found" in text
    assert said["user group @sre"] == ""
    assert said[f"channel {place.alerts}"] == "in Slack, say there: /invite @holdfast (alerts)"
    assert "Slack has no user group @nobody" in text
    place.proxy.always("auth.test", Fault("refused", word="invalid_auth"))
    (first, *_) = check(config, {}, [])
    assert first.what == "the bot token is refused: invalid_auth"
    assert "copy the bot token again" in first.next
