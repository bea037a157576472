"""etcdctl, and an etcd of our own on free ports."""

import base64
import json
import os
import time

from run import Command, found, must, run

from .base import CommandWorker, Rival
from .server import Server, free_port

# Entries of a transaction; the server is told to allow so many.
TOGETHER = 5000
# As long as the other programs wait for their turn.
PATIENCE = 5.0


def transaction(condition, puts):
    """What `etcdctl txn` reads: what must hold, what is done then, what is done otherwise."""
    conditions = f"{condition}\n" if condition else ""
    return f"{conditions}\n{puts}\n\n\n\n".encode()


class Etcd(Rival):
    name = "etcd"
    settings = "as it comes: each write is synced; one member; an increment is a read and a transaction, tried for 5 s"
    needs = ("etcd", "etcdctl")
    without = {"answer_tools": "no MCP"}

    def __init__(self, tools, folder, durable=False):
        super().__init__(tools, folder, durable)
        self.client, self.peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.server = Server(self.start_command(), folder)

    def start_command(self):
        return [
            found("etcd"), "--data-dir", os.path.join(self.folder, "data"), "--max-txn-ops", str(TOGETHER),
            "--quota-backend-bytes", str(8 << 30), "--log-level", "error", "--listen-client-urls", self.client,
            "--advertise-client-urls", self.client, "--listen-peer-urls", self.peer,
            "--initial-advertise-peer-urls", self.peer, "--initial-cluster", f"default={self.peer}",
        ]

    def command(self, *args, stdin=b""):
        argv = [found("etcdctl"), "--endpoints", self.client, *args]
        return Command(argv, stdin, {"ETCDCTL_API": "3"})

    def version(self):
        return must(Command([found("etcd"), "--version"])).output.decode().split()[2]

    def open(self):
        self.reopen()
        must(self.command("put", "counter", "0"))

    def reopen(self):
        self.server.start(lambda: run(self.command("endpoint", "health")).status == 0)

    def close(self):
        self.server.stop()

    def kill(self):
        self.server.kill()

    def get(self, key):
        return self.command("get", f"e/{key}")

    def set(self, key, value):
        return self.command("put", f"e/{key}", value)

    def claim(self, task, who):
        return self.command("txn", stdin=transaction(f'create("t/{task}") = "0"', f"put t/{task} {who}"))

    def has_won(self, run):
        return run.output.startswith(b"SUCCESS")

    def listing(self):
        return self.command("get", "--prefix", "e/")

    def bulk_out(self):
        """All at once takes longer than the five seconds that etcdctl waits for an answer."""
        return self.command("get", "--prefix", "e/", "--command-timeout", "600s")

    def entries(self):
        lines = must(self.listing()).output.decode().splitlines()
        return dict(zip((key.removeprefix("e/") for key in lines[::2]), lines[1::2]))

    def count_out(self, file):
        return super().count_out(file) // 2

    def counter(self):
        return self.read_counter()[0]

    def read_counter(self):
        """The counter, and the revision that it has since."""
        told = json.loads(must(self.command("get", "counter", "-w", "json")).output)["kvs"][0]
        return int(base64.b64decode(told["value"])), told["mod_revision"]

    def whole(self):
        return run(self.command("endpoint", "health")).status == 0

    def worker(self):
        return Worker(self)

    def prepare(self, rows, file):
        """A script for the shell: one transaction after the other."""
        rows = list(rows)
        ctl = " ".join(self.command("txn").argv)
        with open(file, "w") as out:
            for begin in range(0, len(rows), TOGETHER):
                puts = "\n".join(f"put e/{key} {value}" for key, value in rows[begin:begin + TOGETHER])
                out.write(f"ETCDCTL_API=3 {ctl} <<'END'\n{transaction('', puts).decode()}END\n")

    def bulk_in(self, file):
        return Command(["/bin/sh", "-e", file])

    def service(self):
        return self.server.pid

    def program(self):
        return [found("etcd"), found("etcdctl")]


class Worker(CommandWorker):
    def increment(self, _serial):
        """Reads, and writes if nobody else has in between, until that succeeds or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.step():
                return True
        return False

    def step(self):
        etcd = self.rival
        try:
            value, revision = etcd.read_counter()
        except RuntimeError:
            return False
        change = transaction(f'mod("counter") = "{revision}"', f"put counter {value + 1}")
        return etcd.has_won(run(etcd.command("txn", stdin=change)))
