"""Where it is measured: the rivals that can be had, and a folder for each."""

import contextlib
import os
import shutil
import sys
from typing import NamedTuple

import rivals
from stats import rows

# Entries that are there before anything is measured. Some rivals read all of them for each answer.
ENTRIES = 1000
# What a rival, or our asking it, fails with.
FAILURES = (RuntimeError, OSError, ValueError)


class Tools(NamedTuple):
    """What is not found by its name alone."""

    prontodb: str
    npm: str


class Lab:
    def __init__(self, tools, folder, quick, wanted):
        self.tools, self.folder, self.quick = tools, folder, quick
        chosen = [rival for rival in rivals.ALL if not wanted or rival.name in wanted]
        self.left_out = {rival.name: why for rival in chosen if (why := rival.missing(tools))}
        self.rivals = [rival for rival in chosen if rival.name not in self.left_out]

    def scaled(self, full, quick):
        """`full`, or what stands for it in a quick run."""
        return quick if self.quick else full

    @contextlib.contextmanager
    def opened(self, rival, durable=False, entries=ENTRIES):
        """A rival with so many entries, in an empty folder that is gone afterwards."""
        folder = os.path.join(self.folder, rival.__name__)
        shutil.rmtree(folder, ignore_errors=True)
        store = rival(self.tools, folder, durable)
        try:
            store.open()
            if entries:
                store.load(rows(entries))
            yield store
        finally:
            store.close()
            shutil.rmtree(folder, ignore_errors=True)

    def able(self, board, lines):
        """The rivals that have something for some of the lines; what is lacking is noted."""
        able = []
        for rival in self.rivals:
            lacking = {line: why for line in lines if (why := rival.lacks(line)) is not None}
            for line, why in lacking.items():
                board.lack(line, rival.name, why)
            if len(lacking) < len(lines):
                able.append(rival)
        return able

    def attempt(self, board, rival, lines, work):
        """What `work` returns; a rival that fails has that in its cells, and the others go on."""
        try:
            return work()
        except FAILURES as error:
            print(f"failed: {rival.name}; {error}")
            print(f"scoreboard: {rival.name} failed; {error}", file=sys.stderr)
            for line in lines:
                if rival.lacks(line) is None:
                    board.lack(line, rival.name, "failed")
            return None
