"""DiskCache of PyPI: a library for Python on SQLite. Workers use it in their own process, as programs do."""

import sys

from run import Command

from . import python
from .base import Rival

OPEN = "import sys, diskcache; cache = diskcache.Cache(sys.argv[1], eviction_policy='none', sqlite_synchronous={})"
IN = """
import csv
with cache.transact(), open(sys.argv[2]) as file:
    for key, value in csv.reader(file):
        cache.set(key, value)
"""
OUT = """
for key in cache:
    if key.startswith("e:"):
        print(key[2:], cache[key], sep="=")
"""


class DiskCache(Rival):
    name = "diskcache"
    settings = (
        "as it comes: WAL, synchronous=NORMAL (power cuts: FULL), waits 60 s; evicts nothing; "
        "a library, used in process"
    )
    without = {"memory_service": "no service", "answer_tools": "no MCP"}

    @classmethod
    def missing(cls, tools):
        return python.missing("diskcache")

    def level(self):
        return 2 if self.durable else 1

    def code(self, text, *args):
        """A script that opens the cache, as there is no program for it."""
        return Command([sys.executable, "-c", f"{OPEN.format(self.level())}\n{text}", self.folder, *args])

    def cache(self):
        import diskcache

        return diskcache.Cache(self.folder, eviction_policy="none", sqlite_synchronous=self.level())

    def version(self):
        return python.version("diskcache")

    def open(self):
        with self.cache() as cache:
            cache.set("counter", 0)

    def get(self, key):
        return self.code("print(cache[sys.argv[2]])", f"e:{key}")

    def set(self, key, value):
        return self.code("cache[sys.argv[2]] = sys.argv[3]", f"e:{key}", value)

    def listing(self):
        return self.code(OUT)

    def entries(self):
        with self.cache() as cache:
            return {key[2:]: cache[key] for key in cache if key.startswith("e:")}

    def counter(self):
        with self.cache() as cache:
            return cache["counter"]

    def whole(self):
        with self.cache() as cache:
            return not cache.check()

    def worker(self):
        return Worker(self.cache())

    def prepare(self, rows, file):
        with open(file, "w") as out:
            out.writelines(f"e:{key},{value}\n" for key, value in rows)

    def bulk_in(self, file):
        return self.code(IN, file)

    def program(self):
        return python.packages("diskcache")

    def surroundings(self):
        return python.interpreter()


class Worker:
    """A program that has the cache open."""

    def __init__(self, cache):
        self.cache = cache
        from diskcache import Timeout

        self.timeout = Timeout

    def set(self, key, value):
        return self.acknowledged(lambda: self.cache.set(f"e:{key}", value))

    def increment(self, _serial):
        return self.acknowledged(lambda: self.cache.incr("counter"))

    def claim(self, task, who):
        return self.acknowledged(lambda: self.cache.add(f"t:{task}", who))

    def acknowledged(self, work):
        try:
            return bool(work())
        except self.timeout:
            return False

    def end(self):
        self.cache.close()
