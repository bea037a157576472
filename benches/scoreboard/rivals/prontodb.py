"""ProntoDB, by its one-shot commands."""

import os

from run import Command, must, run

from . import frames
from .base import Rival


class ProntoDB(Rival):
    name = "prontodb"
    settings = "as it comes: WAL, synchronous=NORMAL; power cuts: --durable"
    without = {"memory_service": "no service"}

    def __init__(self, tools, folder, durable=False):
        super().__init__(tools, folder, durable)
        self.file = os.path.join(folder, "store.prdb")

    def command(self, *args):
        durable = ["--durable"] if self.durable else []
        return Command([self.tools.prontodb, "-d", self.file, *durable, *args])

    def version(self):
        return must(Command([self.tools.prontodb, "--version"])).output.decode().split()[1]

    def open(self):
        must(self.command("set", "board.counters.c", "0"))

    def get(self, key):
        return self.command("get", f"board.entries.{key}")

    def set(self, key, value):
        return self.command("set", f"board.entries.{key}", value)

    def increment(self):
        return self.command("incr", "board.counters.c")

    def claim(self, task, who):
        return self.command("set", f"board.tasks.{task}", who, "--if-absent")

    def has_won(self, run):
        return run.status == 0

    def listing(self):
        return self.command("scan", "board.entries")

    def entries(self):
        lines = must(self.listing()).output.decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def counter(self):
        return int(must(self.command("get", "board.counters.c")).output)

    def whole(self):
        return run(self.command("admin", "check")).status == 0

    def bulk_in(self, file):
        return self.command("import", "board.entries", file, "--format", "csv")

    def tools_list(self):
        command = self.command("mcp")
        return frames.answer(must(command._replace(stdin=frames.begun("tools/list", {}))).output)

    def program(self):
        return [self.tools.prontodb]
