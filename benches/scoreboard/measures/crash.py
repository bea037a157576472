"""A writer, and the server where there is one, killed at random moments: is what was acknowledged there?

One writer, since what many do to each other is measured elsewhere. What was acknowledged is told to a pipe, outside of
what is killed.
"""

import itertools
import random
import time

from crowd import Doomed
from lab import FAILURES
from stats import value

LINES = ["crash_lost", "crash_whole"]
# For how many seconds what was killed may be in the way of a reader.
PATIENCE = 10


def measure(lab, board):
    kills = lab.scaled(100, 5)
    for rival in lab.able(board, LINES):
        if came := lab.attempt(board, rival, LINES, lambda: kill_often(lab, rival, kills)):
            for line, figure in zip(LINES, came):
                board.put(line, rival.name, figure)


def kill_often(lab, rival, kills):
    """What of the acknowledged entries was lost, and after how many kills it could be opened and was whole."""
    dice, acknowledged, lost, whole = random.Random(kills), set(), set(), 0
    with lab.opened(rival) as store:
        for number in range(kills):
            acknowledged |= crash(store, number, dice)
            there = opened_again(store)
            lost |= {key for key in acknowledged if there is None or there.get(key) != value(number_of(key))}
            if there is None:
                return [len(lost), len(acknowledged)], [whole, number + 1]
            whole += store.whole()
    return [len(lost), len(acknowledged)], [whole, kills]


def crash(store, number, dice):
    """Kills everything at some moment after the first write, and returns what was acknowledged."""

    def write(tell):
        worker = store.worker()
        for serial in itertools.count():
            key = f"c{number}n{serial}"
            if worker.set(key, value(serial)):
                tell(key)

    begun = time.monotonic()
    doomed = Doomed(write)
    words = doomed.first_words()
    time.sleep(dice.uniform(0, max(0.05, 2 * (time.monotonic() - begun))))
    doomed.kill()
    store.kill()
    words += doomed.last_words()
    if not words:
        raise RuntimeError(f"{store.name}: nothing was written within a minute")
    return set(words.decode().split())


def opened_again(store):
    """The entries that are there, or None when it does not open."""
    try:
        store.reopen()
        return entries(store)
    except FAILURES:
        return None


def entries(store):
    """The entries; what was killed may hold a lock for a moment longer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return store.entries()
        except FAILURES:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def number_of(key):
    return int(key.rpartition("n")[2])
