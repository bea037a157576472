"""A program that does nothing: what starting one costs at the least."""

from run import Command

from .base import Rival


class Nothing(Rival):
    name = "/bin/true"
    settings = "does nothing; what starting a program costs"
    without = dict.fromkeys(
        [
            "set_durable", "own_failed", "own_lost", "counter", "claims", "crash", "bulk", "answer", "memory_service",
            "size",
        ],
        "",
    )

    def version(self):
        return "of this system"

    def get(self, key):
        return Command(["/bin/true"])

    def set(self, key, value):
        return Command(["/bin/true"])

    def load(self, rows):
        pass

    def entries(self):
        return {}
