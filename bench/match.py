"""How long a crash takes to match against many runbooks, and what the index costs.

``python -m bench.match [COUNT …]``: the sizes of the libraries, 1000 and 10000 by default. They are
made up with a fixed seed: functions and globs of subsystems, modules, titles, messages, kernel ranges,
architectures, taint, labels, ``any``, ``all`` and ``not``, in about the proportions that people use.
Times are CPU time. Exit status 1 says that something is above what is promised.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psutil
import re2

from bench import one_by_one
from bot import crash
from bot.crash.report import CrashReport, Kind
from bot.runbook.clause import Clause
from bot.runbook.match import Matches, match
from bot.runbook.model import Library, Runbook


def _words(text: str) -> list[str]:
    return text.split()


SYSTEMS = _words(
    "tcp udp ip ipv6 skb nf_ct nft sctp rds tipc ax25 can xfrm ext4 xfs btrfs f2fs nfs cifs ceph fuse "
    "overlay nvme scsi blk dm md loop bio mm slab kmem vma shmem memcg bpf perf ftrace kprobe futex "
    "sched rcu timer irq kvm vhost virtio drm i915 amdgpu usb xhci hid snd tty pci acpi mce edac mlx5 "
    "ixgbe i40e bnxt e1000 iwl ath10k keyctl crypto aead io_uring aio pipe epoll inotify cgroup"
)
VERBS = _words(
    "get put alloc free init exit open close read write send recv queue dequeue insert remove lookup "
    "find update change set clear flush sync commit abort map unmap lock unlock attach detach probe "
    "release destroy create parse validate resize grow shrink poll wake wait run work start stop "
    "reset resume suspend submit complete cancel register unregister transmit receive handle process"
)
NOUNS = _words(
    "sock skb page node inode dentry extent block chunk bucket entry table list tree hash key ring "
    "buffer frame packet header option request response command event group task thread context "
    "state timer work queue item slot index range region segment link path route rule chain element "
    "filter class policy device port channel stream session connection counter stats"
)
CRASHES = [Kind.NULL_DEREF, Kind.PAGE_FAULT, Kind.GPF, Kind.BUG, Kind.WARNING, Kind.SANITIZER]
HANGS = [Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL, Kind.HUNG_TASK]
ROUNDS = 2000
HOSTILE = 1_000_000


class Maker:
    """Makes up names, clauses and crash texts that look like real ones, from one seed."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)

    def function(self) -> str:
        one = self.pick.choice
        parts = [one(SYSTEMS), one(VERBS), one(NOUNS)][: self.pick.choice([2, 3, 3])]
        if self.pick.random() < 0.3:
            parts.insert(1, one(NOUNS))
        return ("__" if self.pick.random() < 0.1 else "") + "_".join(parts)

    def glob(self) -> str:
        one = self.pick.choice
        return one(
            [
                f"{one(SYSTEMS)}_{one(VERBS)}_*",
                f"{one(SYSTEMS)}_*_{one(NOUNS)}",
                f"*_{one(NOUNS)}_{one(VERBS)}",
                f"{self.function()}*",
            ]
        )

    def kernel(self) -> str:
        major, minor = self.pick.randint(4, 6), self.pick.randint(0, 19)
        return self.pick.choice(
            [
                f"< {major}.{minor}",
                f">= {major}.{minor}",
                f">= {major - 1}.{minor} < {major}.{minor}.{self.pick.randint(1, 200)}",
                f"< {major}.{minor}.0-{self.pick.randint(20, 400)}",
            ]
        )

    def message(self) -> str:
        one = self.pick.choice
        return one(
            [
                rf"{self.function()}\+0x",
                rf"({self.function()}|{self.function()})\+0x[0-9a-f]+",
                rf"kernel BUG at [a-z/]+/{self.function()}\.c:\d+",
                rf"{one(SYSTEMS)}\d*: {one(VERBS)} {one(NOUNS)} (failed|timed out)",
                rf"(?i){one(SYSTEMS)}.*{one(NOUNS)} corrupt",
                rf"\b{self.function()}\b.* refcount",
                rf"{one(SYSTEMS)} {one(NOUNS)} \d+ (is stuck|leaked)",
                rf"{one(SYSTEMS)}-\d+: .*{one(VERBS)} error -\d+",
            ]
        )

    def narrowed(self, clause: dict[str, Any]) -> dict[str, Any]:
        chance = self.pick.random
        if chance() < 0.35:
            clause["kernel"] = self.kernel()
        if chance() < 0.05:
            clause["arch"] = self.pick.choice(["x86_64", "arm64", "s390x"])
        if chance() < 0.05:
            clause["taint"] = self.pick.choice(["P", "O", "E"])
        if chance() < 0.05:
            clause["labels"] = {"rack": f"r{self.pick.randint(1, 40)}*"}
        if chance() < 0.1:
            clause["not"] = {"message": self.message()}
        return clause

    def clause(self) -> dict[str, Any]:
        """Return the match of one runbook; the weights are those of the shapes below."""
        pick = self.pick
        kinds = [k.value for k in pick.sample(CRASHES, pick.randint(1, 3))]
        shapes: list[tuple[int, Callable[[], dict[str, Any]]]] = [
            (30, lambda: {"kind": kinds, "function": self.function()}),
            (15, lambda: {"function": [self.function() for _ in range(pick.randint(1, 3))]}),
            (12, lambda: {"kind": kinds, "function": self.glob()}),
            (10, lambda: {"kind": kinds, "function": self.function(), "message": self.message()}),
            (
                8,
                lambda: {
                    "kind": kinds,
                    "module": pick.choice([*SYSTEMS, "nf_conntrack*", "snd_*"]),
                },
            ),
            (8, lambda: {"kind": pick.choice(HANGS).value, "message": self.message()}),
            (7, lambda: {"message": self.message()}),
            (4, lambda: {"title": rf"in {self.function()}$"}),
            (
                4,
                lambda: {
                    "any": [
                        {"function": self.function()},
                        {"kind": pick.choice(HANGS).value, "message": self.message()},
                    ]
                },
            ),
            (
                2,
                lambda: {"all": [{"module": pick.choice(SYSTEMS)}, {"message": self.message()}]},
            ),
        ]
        makes = [make for _, make in shapes]
        return self.narrowed(pick.choices(makes, [weight for weight, _ in shapes])[0]())

    def text(self, size: int) -> str:
        """Return the console text of an oops, some log before it, cut or filled to ``size``."""
        pick, function = self.pick, self.function()
        stamp = pick.uniform(10, 1e5)
        said = [
            f"{pick.choice(SYSTEMS)}{pick.randint(0, 3)}: {pick.choice(VERBS)} "
            f"{pick.choice(NOUNS)} {pick.randint(0, 999)}"
            for _ in range(12)
        ]
        said += [
            f"BUG: kernel NULL pointer dereference, address: {pick.randrange(1 << 16):016x}",
            "#PF: supervisor read access in kernel mode",
            "Oops: 0000 [#1] SMP PTI",
            f"CPU: {pick.randint(0, 63)} PID: {pick.randint(1, 32768)} Comm: nginx Tainted: G  O  "
            f"{pick.randint(4, 6)}.{pick.randint(0, 19)}.{pick.randint(0, 99)}-{pick.randint(1, 99)}-generic #1",
            f"RIP: 0010:{function}+0x{pick.randrange(4096):x}/0x1200 [{pick.choice(SYSTEMS)}]",
            "Call Trace:",
        ]
        lines = [f"[{stamp + n / 1e6:12.6f}] {line}" for n, line in enumerate(said)]
        text = "\n".join(lines) + "\n"
        while len(text) < size:
            text += f"[{stamp:12.6f}]  {self.function()}+0x{pick.randrange(4096):x}/0x1200\n"
        return text[:size]


def library(clauses: Sequence[dict[str, Any]]) -> Library:
    """Return a library of runbooks with these matches, as if read from files."""
    return Library(
        runbooks=tuple(
            Runbook.model_validate(
                {
                    "id": f"book-{number:05}",
                    "title": "made up",
                    "summary": "made up",
                    "match": clause,
                    "no_knob": {"reason": "made up"},
                }
            )
            for number, clause in enumerate(clauses)
        )
    )


def measure(count: int, limit: float) -> bool:
    """Print the figures for ``count`` runbooks; p99 is to be at most ``limit`` milliseconds."""
    maker = Maker(seed=count)
    books = library([maker.clause() for _ in range(count)])
    memory, begun = _memory(), time.process_time()
    _ = books.index
    built = time.process_time() - begun
    print(f"{count:,} runbooks: index made in {built * 1e3:.0f} ms, {_memory() - memory:.1f} MB")

    known = [book.match.function for book in books.runbooks if book.match.function]
    texts = [maker.text(4096) for _ in range(ROUNDS)]
    # Half of the crashes are in a function that a runbook names.
    reports = [crash.read(text)[0] for text in texts]
    reports = [
        replace(report, function=maker.pick.choice(known)[0].replace("*", "x"))
        if number % 2
        else report
        for number, report in enumerate(reports)
    ]
    first = _timed(match, books, reports[0], texts[0])
    times = [_timed(match, books, r, t) for r, t in zip(reports, texts, strict=True)]
    whole = [_timed(_read_and_match, books, t) for t in texts[:500]]
    print(f"  4 KB, report already read: first {first:.2f} ms, {_spread(times)}")
    print(f"  4 KB, reading the text too: {_spread(whole)}")
    few = list(zip(reports, texts, strict=True))[: 20_000 // len(books.runbooks)]
    tried = [_timed(one_by_one.match, books, r, t) for r, t in few]
    same = all(_answer(match(books, r, t)) == one_by_one.match(books, r, t) for r, t in few)
    print(f"  trying every runbook: {_spread(tried)}; {'the same' if same else 'OTHER'} answers")
    found = [match(books, r, t) for r, t in zip(reports, texts, strict=True)]
    hits = sum(bool(one.best) for one in found)
    print(f"  {hits} of {len(found)} crashes match a runbook")
    worst = _hostile(books, reports[0], maker)
    return _rank(times, 0.99) <= limit and worst <= 50 and same


def _read_and_match(books: Library, text: str) -> Matches:
    return match(books, crash.read(text)[0], text)


def _hostile(books: Library, report: CrashReport, maker: Maker) -> float:
    patterns = [c.message for book in books.runbooks for c in _inside(book.match) if c.message]
    words = [pattern.replace("\\+", "+").replace("\\", "") for pattern in patterns]
    chance = maker.pick
    texts = {
        "one letter": "a" * HOSTILE,
        "letters": "".join(chance.choices("abcdefghijklmnopqrstuvwxyz_ \n", k=HOSTILE)),
        "frames": maker.text(HOSTILE),
        "beginnings of the patterns": "".join(
            word[: chance.randint(1, 20)] for word in chance.choices(words, k=HOSTILE // 8)
        )[:HOSTILE],
        "all words of all patterns": ("\n".join(words) * (HOSTILE // sum(map(len, words)) + 1))[
            :HOSTILE
        ],
        "all words on one line": (" ".join(words) * (HOSTILE // sum(map(len, words)) + 1))[
            :HOSTILE
        ],
    }
    took = {
        name: max(_timed(match, books, report, t) for _ in range(3)) for name, t in texts.items()
    }
    for name, milliseconds in took.items():
        print(f"  hostile 1 MB, {name}: {milliseconds:.1f} ms")
    return max(took.values())


def _inside(clause: Clause) -> list[Clause]:
    parts = [*(clause.any_of or ()), *(clause.all_of or ())]
    parts += [clause.none_of] if clause.none_of else []
    return [clause, *(inner for part in parts for inner in _inside(part))]


def automaton(count: int) -> None:
    """Print what one re2 Set over all messages would take for texts that it has not seen."""
    maker = Maker(seed=count)
    patterns = sorted({maker.message() for _ in range(count)})
    options = re2.Options()
    options.log_errors, options.max_mem = False, 1 << 29
    together = re2.Set.SearchSet(options)
    for pattern in patterns:
        together.Add(pattern)
    together.Compile()
    times = [_timed(together.Match, t) for t in (maker.text(4096) for _ in range(200))]
    print(f"one re2 Set of {len(patterns):,} messages instead, new texts of 4 KB: {_spread(times)}")


def _answer(found: Matches) -> one_by_one.Answer:
    return [(c.runbook, c.score) for c in found.best], [(n.runbook, n.clause) for n in found.near]


def _timed(work: Callable[..., object], *given: object) -> float:
    begun = time.process_time()
    work(*given)
    return (time.process_time() - begun) * 1e3


def _rank(times: Sequence[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


def _spread(times: Sequence[float]) -> str:
    return f"median {_rank(times, 0.5):.2f} ms, p99 {_rank(times, 0.99):.2f} ms, most {max(times):.2f} ms"


def _memory() -> float:
    return psutil.Process().memory_info().rss / 1e6


LIMITS = {1000: 1.0, 10_000: 5.0}


def main(words: list[str]) -> int:
    """Measure the libraries of the named sizes."""
    counts = [int(word) for word in words] or list(LIMITS)
    fine = [measure(count, LIMITS.get(count, 5.0)) for count in counts]
    for count in counts:
        automaton(count)
    print("everything as promised" if all(fine) else "above what is promised")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
