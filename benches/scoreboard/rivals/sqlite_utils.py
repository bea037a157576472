"""sqlite-utils of PyPI: SQLite for the command line, in Python."""

import json
import os

from run import Command, found, must, run

from . import python, sqlite3
from .base import Rival


class SqliteUtils(Rival):
    name = "sqlite-utils"
    settings = "WAL, synchronous=FULL, which its commands cannot change; waits 5 s, as Python's sqlite3 does"
    needs = ("sqlite3",)
    without = {"memory_service": "no service", "answer_tools": "no MCP"}

    def __init__(self, tools, folder, durable=False):
        super().__init__(tools, folder, durable)
        self.file = os.path.join(folder, "store.db")

    @classmethod
    def missing(cls, tools):
        return super().missing(tools) or python.missing("sqlite-utils")

    def command(self, *args):
        return Command([python.script("sqlite-utils"), *args])

    def query(self, sql, **named):
        parameters = [part for name, value in named.items() for part in ("-p", name, value)]
        return self.command("query", self.file, sql, *parameters)

    def version(self):
        return python.version("sqlite-utils")

    def open(self):
        must(Command([found("sqlite3"), self.file, sqlite3.SCHEMA]))

    def get(self, key):
        return self.query("SELECT value FROM entries WHERE key = :key", key=key)

    def set(self, key, value):
        return self.query(sqlite3.UPSERT.replace("'{}'", "{}").format(":key", ":value"), key=key, value=value)

    def increment(self):
        return self.query(sqlite3.INCREMENT)

    def add_tasks(self, count):
        must(Command([found("sqlite3"), self.file, sqlite3.tasks(count)]))

    def claim(self, task, who):
        return self.query(sqlite3.CLAIM.format(who, task))

    def has_won(self, run):
        return run.status == 0 and bool(json.loads(run.output))

    def listing(self):
        return self.command("rows", self.file, "entries")

    def entries(self):
        return {row["key"]: row["value"] for row in json.loads(must(self.listing()).output)}

    def counter(self):
        return json.loads(must(self.query("SELECT value FROM counters")).output)[0]["value"]

    def whole(self):
        checked = run(self.query("PRAGMA integrity_check"))
        return checked.status == 0 and json.loads(checked.output) == [{"integrity_check": "ok"}]

    def bulk_in(self, file):
        return self.command("insert", self.file, "entries", file, "--csv")

    def program(self):
        return [python.script("sqlite-utils"), *python.packages("sqlite-utils")]

    def surroundings(self):
        return python.interpreter()
