"""A million entries in no order, in one go, into an empty store; then all of them out, into a file."""

import os

from run import must
from stats import median, random_rows

# What takes longer is not repeated.
LONG = 60
LINES = ["bulk_in", "bulk_out"]


def measure(lab, board):
    count = lab.scaled(1_000_000, 10_000)
    times = {rival: [] for rival in lab.able(board, LINES)}
    for _ in range(lab.scaled(3, 1)):
        for rival in list(times):
            if any(sum(both) > LONG for both in times[rival]):
                continue
            if both := lab.attempt(board, rival, LINES, lambda: move(lab, rival, count)):
                times[rival].append(both)
            else:
                del times[rival]
    for rival, measured in times.items():
        for line, seconds in zip(LINES, zip(*measured)):
            board.put(line, rival.name, count / median(seconds), rows=count, runs=len(seconds))


def move(lab, rival, count):
    """Seconds in, and seconds out."""
    with lab.opened(rival, entries=0) as store:
        given, taken = (os.path.join(store.folder, name) for name in ("given", "taken"))
        store.prepare(random_rows(count), given)
        into = must(store.bulk_in(given)).took
        out = must(store.bulk_out(), stdout=taken).took
        if (there := store.count_out(taken)) != count:
            raise RuntimeError(f"{rival.name}: {there} of {count} entries came out")
        return into, out
