"""What one command costs, from its start to its end. All take turns, in an order that chance makes anew each round."""

import contextlib
import random

from lab import ENTRIES
from run import run
from stats import key, median, percentile, value

# Behind the entries that are there.
FIRST_NEW = 10_000


def measure(lab, board):
    rounds = lab.scaled(300, 10)
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(lab.opened(rival)) for rival in lab.rivals]
        report(board, "get", read(stores, rounds))
        report(board, "set", write(stores, rounds))
    with contextlib.ExitStack() as stack:
        able = lab.able(board, ["set_durable"])
        stores = [stack.enter_context(lab.opened(rival, durable=True)) for rival in able]
        for name, measured in write(stores, rounds).items():
            board.put("set_durable", name, median(measured), runs=rounds)


def read(stores, rounds):
    """Has all of them read entries, and looks whether these were printed."""

    def command(store, turn):
        return store.get(key(turn % ENTRIES))

    def right(store, turn, output):
        return store.lacks("answer") == "" or value(turn % ENTRIES).encode() in output

    return hold(stores, rounds, command, right)


def write(stores, rounds):
    """Has all of them write new entries, and looks whether these are there afterwards."""

    def command(store, turn):
        return store.set(key(FIRST_NEW + turn), value(turn))

    times = hold(stores, rounds, command, lambda *_: True)
    written = {key(FIRST_NEW + turn): value(turn) for turn in range(rounds)}
    for store in stores:
        if store.lacks("own_lost") is None and not written.items() <= store.entries().items():
            raise RuntimeError(f"{store.name}: what one command after the other has written is not there")
    return times


def hold(stores, rounds, command, right):
    """Runs the command of each store once a round; every one of them has to succeed."""
    dice, times = random.Random(rounds), {store.name: [] for store in stores}
    for turn in range(rounds):
        for store in dice.sample(stores, len(stores)):
            done = run(command(store, turn))
            if done.status != 0 or not right(store, turn, done.output):
                raise RuntimeError(f"{store.name}: exit code {done.status}, {done.output[:200]}")
            times[store.name].append(done.took)
    return times


def report(board, what, times):
    nothing = times.get("/bin/true")
    for name, measured in times.items():
        percentiles = {f"p{percent}": percentile(measured, percent) for percent in (10, 90)}
        board.put(f"{what}_median", name, median(measured), **percentiles, runs=len(measured))
        board.put(f"{what}_p99", name, percentile(measured, 99))
        if nothing:
            board.put(f"{what}_times", name, median(measured) / median(nothing))
