"""The shape of an adapter."""

import csv
import os

from run import found, must, run


class Rival:
    """A program that keeps entries in a folder of its own.

    Whatever is done once is a `Command`; whatever many processes do at the same time is asked of a `worker`, of which
    each process has one.
    """

    name = ""
    # What it was told about the disk, and what else a reader needs to judge the figures.
    settings = ""
    # Programs without which it is left out.
    needs = ()
    # Beginnings of the lines (`lines.py`) that it has nothing for, and what their cells say.
    without = {}

    def __init__(self, tools, folder, durable=False):
        self.tools, self.folder, self.durable = tools, folder, durable
        os.makedirs(folder, exist_ok=True)

    @classmethod
    def missing(cls, tools):
        """Why it cannot be had here, or None."""
        absent = [program for program in cls.needs if not found(program)]
        return f"there is no {' and no '.join(absent)}" if absent else None

    @classmethod
    def lacks(cls, line):
        """What the cell of a line says that it has nothing for, else None."""
        return next((why for begin, why in cls.without.items() if line.startswith(begin)), None)

    def version(self):
        raise NotImplementedError

    def open(self):
        """Makes an empty store, with a counter at 0, and starts the server if there is one."""

    def close(self):
        """Stops the server."""

    def kill(self):
        """Kills the server, as a crash would."""

    def reopen(self):
        """Starts the server again."""

    # Commands
    def get(self, key):
        raise NotImplementedError

    def set(self, key, value):
        raise NotImplementedError

    def increment(self):
        raise NotImplementedError

    def claim(self, task, who):
        raise NotImplementedError

    def listing(self):
        """Prints all entries."""
        raise NotImplementedError

    # What the commands have answered
    def has_set(self, run):
        return run.status == 0

    def has_won(self, run):
        raise NotImplementedError

    def entries(self):
        """All entries there are, as a dictionary."""
        raise NotImplementedError

    def counter(self):
        raise NotImplementedError

    def whole(self):
        """Whether its own check, or whatever reads all of it, finds nothing wrong."""
        raise NotImplementedError

    def worker(self):
        return CommandWorker(self)

    # Many entries at once
    def add_tasks(self, count):
        """Makes tasks to be claimed, where that needs more than their names."""

    def prepare(self, rows, file):
        """Writes rows down in the form that `bulk_in` reads; that is not measured."""
        with open(file, "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["key", "value"])
            writer.writerows(rows)

    def bulk_in(self, file):
        raise NotImplementedError

    def bulk_out(self):
        return self.listing()

    def count_out(self, file):
        """How many entries `bulk_out` has printed."""
        with open(file, "rb") as lines:
            return sum(1 for _ in lines)

    def load(self, rows):
        """Has it take up rows, by the quickest way."""
        file = os.path.join(self.folder, "rows")
        self.prepare(rows, file)
        must(self.bulk_in(file))
        os.remove(file)

    # What it weighs
    def answer_size(self):
        """Bytes of a listing of all entries."""
        return len(must(self.listing()).output)

    def service(self):
        """The process of an idle service, or None."""

    def tools_list(self):
        """The answer to `tools/list`."""
        raise NotImplementedError

    def program(self):
        """Its own files."""
        raise NotImplementedError

    def surroundings(self):
        """Files and folders besides libraries that it cannot run without."""
        return []


class CommandWorker:
    """A script that starts one command after the other."""

    def __init__(self, rival):
        self.rival = rival

    def set(self, key, value):
        return self.rival.has_set(run(self.rival.set(key, value)))

    def increment(self, _serial):
        return self.rival.has_set(run(self.rival.increment()))

    def claim(self, task, who):
        return self.rival.has_won(run(self.rival.claim(task, who)))

    def end(self):
        pass
