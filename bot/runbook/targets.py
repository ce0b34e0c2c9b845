"""The word ``targets`` of a mitigation, turned into names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def chosen(
    word: str, names: Sequence[str], crashed: Collection[str], pools: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the hosts that are asked, in the order of ``names``; the probe tells who is exposed."""
    if word == "crashed":
        return [host for host in names if host in crashed]
    if word == "pool":
        hit = [members for members in pools.values() if not set(members).isdisjoint(crashed)]
        wanted = {host for members in hit for host in members}
        return [host for host in names if host in wanted]
    return list(names)
