"""The sqlite3 program, as scripts call it: told to wait for others, and not."""

import csv
import os

from run import Command, found, must, run

from .base import Rival

SCHEMA = """PRAGMA journal_mode = WAL;
CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT);
INSERT INTO counters VALUES ('c', 0);"""
UPSERT = "INSERT INTO entries VALUES ('{}', '{}') ON CONFLICT DO UPDATE SET value = excluded.value"
INCREMENT = "UPDATE counters SET value = value + 1 WHERE name = 'c' RETURNING value"
CLAIM = "UPDATE tasks SET owner = '{}' WHERE id = {} AND owner IS NULL RETURNING id"


def tasks(count):
    return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count}) " \
        "INSERT INTO tasks SELECT i, NULL FROM n"


class PatientSqlite(Rival):
    name = "sqlite3"
    settings = "WAL, synchronous=NORMAL (power cuts: FULL), .timeout 5000"
    needs = ("sqlite3",)
    without = {"memory_service": "no service", "answer_tools": "no MCP"}
    waits = ("-cmd", ".timeout 5000")

    def __init__(self, tools, folder, durable=False):
        super().__init__(tools, folder, durable)
        self.file = os.path.join(folder, "store.db")

    def sql(self, text, *options):
        return Command([found("sqlite3"), *self.waits, *options, self.file, text])

    def change(self, text):
        """SQL that writes; reading has no use for the pragma, and would pay for it."""
        level = "FULL" if self.durable else "NORMAL"
        return self.sql(text, "-cmd", f"PRAGMA synchronous = {level}")

    def version(self):
        return must(Command([found("sqlite3"), "--version"])).output.decode().split()[0]

    def open(self):
        must(self.sql(SCHEMA))

    def get(self, key):
        return self.sql(f"SELECT value FROM entries WHERE key = '{key}'")

    def set(self, key, value):
        return self.change(UPSERT.format(key, value))

    def increment(self):
        return self.change(INCREMENT)

    def add_tasks(self, count):
        must(self.change(tasks(count)))

    def claim(self, task, who):
        return self.change(CLAIM.format(who, task))

    def has_won(self, run):
        return run.status == 0 and bool(run.output.strip())

    def listing(self):
        return self.sql("SELECT key, value FROM entries")

    def entries(self):
        lines = must(self.listing()).output.decode().splitlines()
        return dict(line.split("|", 1) for line in lines)

    def counter(self):
        return int(must(self.sql("SELECT value FROM counters")).output)

    def whole(self):
        return run(self.sql("PRAGMA integrity_check")).output.strip() == b"ok"

    def prepare(self, rows, file):
        with open(file, "w", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(rows)

    def bulk_in(self, file):
        return self.change(f".import --csv {file} entries")

    def program(self):
        return [found("sqlite3")]


class HastySqlite(PatientSqlite):
    name = "sqlite3 (no timeout)"
    settings = "the same without .timeout, as the program comes"
    waits = ()
