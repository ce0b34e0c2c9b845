"""Two workers that propose at the same moment, on each database: one of them sees the other."""

import threading
from typing import Any

from bot.proposal.content import digest
from bot.service import knobs
from bot.service.site import Site, refold
from bot.store import SqlStore
from bot.timeline.entry import Draft
from tests.contract.conftest import NOON, HandClock
from tests.contract.test_store import opened
from tests.fakes import EVERYBODY, Sources


def content(incident: str, value: str) -> dict[str, Any]:
    return {
        "incident": incident,
        "requester": "holdfast",
        "purpose": "mitigate",
        "rollback_of": None,
        "knobs": {"net.x": value},
        "hosts": {"a": {"exposure": "exposed"}},
        "expires_at": NOON.isoformat(),
    }


def test_of_two_that_propose_at_once_one_is_refused(store: SqlStore) -> None:
    site = Site(store=store, clock=HandClock(), sources=Sources("a"), people=EVERYBODY)
    gate, made, refused = threading.Barrier(6), [], []

    def propose(incident: str, value: str) -> None:
        whole = content(incident, value)
        gate.wait()
        with store.transaction(incident, knobs.LOCK) as tx:
            met = knobs.others(site, tx, refold(tx, incident), whole)
            if met:
                refused.append(knobs.refusal(whole, met[0]))
                return
            name = f"P-{tx.number('proposal')}"
            tx.claim_knob("net.x", incident, name)
            data = {"proposal": name, "digest": digest(whole), "content": whole}
            tx.append(incident, Draft(key=name, kind="proposal.made", text=name, data=data))
            made.append(name)

    names = [opened(store, Draft(key="n", kind="note.added", text="n")) for _ in range(6)]
    threads = [
        threading.Thread(target=propose, args=(name, str(number)))
        for number, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["P-1"]
    assert len(refused) == 5
    assert all("P-1 of INC-" in said for said in refused)
