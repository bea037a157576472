"""Many processes that write at once: entries of their own, or one counter that all add to."""

import time
from typing import NamedTuple

from crowd import all_at_once
from stats import median, value

PROCESSES = 32


class Rush(NamedTuple):
    """What came of one round."""

    rate: float
    worst: float
    failed: int
    acknowledged: int
    lost: int


def measure(lab, board):
    for kind, work, count_lost in [("own", write_own, lost_entries), ("counter", add, lost_steps)]:
        lines = [f"{kind}_{what}" for what in ("rate", "worst", "failed", "lost")]
        rushes = {rival: [] for rival in lab.able(board, lines)}
        for _ in range(lab.scaled(3, 1)):
            for rival in list(rushes):
                if came := lab.attempt(board, rival, lines, lambda: in_lab(lab, rival, work, count_lost)):
                    rushes[rival].append(came)
                else:
                    del rushes[rival]
        for rival, came in rushes.items():
            report(board, kind, rival, came)


def in_lab(lab, rival, work, count_lost):
    with lab.opened(rival) as store:
        return rush(store, lab.scaled(10, 2), work, count_lost)


def rush(store, seconds, work, count_lost):
    """Has all processes write for so long; each ends what it has begun."""

    def labour(number, gate):
        worker = store.worker()
        gate.meet()
        begun = time.monotonic()
        attempts = []
        while time.monotonic() < begun + seconds:
            tried = time.monotonic()
            written = work(worker, number, len(attempts))
            attempts.append((written, time.monotonic() - tried))
        ended = time.monotonic()
        worker.end()
        return begun, ended, attempts

    told = all_at_once(PROCESSES, labour)
    took = max(ended for _, ended, _ in told) - min(begun for begun, _, _ in told)
    attempts = [attempt for _, _, attempts in told for attempt in attempts]
    acknowledged = sum(written for written, _ in attempts)
    return Rush(
        rate=acknowledged / took,
        worst=max(wait for _, wait in attempts),
        failed=len(attempts) - acknowledged,
        acknowledged=acknowledged,
        lost=count_lost(store, [attempts for _, _, attempts in told]),
    )


def name(number, serial):
    return f"w{number}n{serial}"


def write_own(worker, number, serial):
    return worker.set(name(number, serial), value(serial))


def lost_entries(store, attempts):
    """Acknowledged entries that are not there, or not as they were written."""
    there = store.entries()
    written = [
        (name(number, serial), value(serial))
        for number, own in enumerate(attempts) for serial, (success, _) in enumerate(own) if success
    ]
    return sum(there.get(key) != content for key, content in written)


def add(worker, number, serial):
    return worker.increment(name(number, serial))


def lost_steps(store, attempts):
    return max(0, sum(success for own in attempts for success, _ in own) - store.counter())


def report(board, kind, rival, rushes):
    acknowledged = sum(rush.acknowledged for rush in rushes)
    failed = sum(rush.failed for rush in rushes)
    figures = {
        "rate": median([rush.rate for rush in rushes]),
        "worst": max(rush.worst for rush in rushes),
        "failed": [failed, acknowledged + failed],
        "lost": [sum(rush.lost for rush in rushes), acknowledged],
    }
    for what, figure in figures.items():
        if rival.lacks(f"{kind}_{what}") is None:
            board.put(f"{kind}_{what}", rival.name, figure)
