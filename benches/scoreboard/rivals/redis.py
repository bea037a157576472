"""redis-cli, and a redis-server of our own on a socket."""

import os
import shutil
import tempfile

from run import Command, found, must, run

from .base import Rival
from .server import Server

# Keys of one MGET.
TOGETHER = 1000


def protocol(*words):
    """A command as the protocol of Redis writes it."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Redis(Rival):
    name = "redis"
    settings = "appendonly yes, appendfsync everysec (power cuts: always); a socket of the file system"
    needs = ("redis-server", "redis-cli")
    without = {"answer_tools": "no MCP"}

    def __init__(self, tools, folder, durable=False):
        super().__init__(tools, folder, durable)
        # The path of a socket may have 107 bytes.
        self.socket_folder = tempfile.mkdtemp(prefix="board")
        self.socket = os.path.join(self.socket_folder, "s")
        self.server = Server(self.start_command(), folder)

    def start_command(self):
        sync = "always" if self.durable else "everysec"
        return [
            found("redis-server"), "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", sync,
        ]

    def command(self, *args, stdin=b""):
        return Command([found("redis-cli"), "-s", self.socket, "-e", *args], stdin)

    def version(self):
        return must(Command([found("redis-server"), "--version"])).output.decode().split()[2].removeprefix("v=")

    def open(self):
        self.reopen()
        must(self.command("SET", "counter", "0"))

    def reopen(self):
        self.server.start(lambda: run(self.command("PING")).output.strip() == b"PONG")

    def close(self):
        self.server.stop()
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def kill(self):
        self.server.kill()

    def get(self, key):
        return self.command("GET", f"e:{key}")

    def set(self, key, value):
        return self.command("SET", f"e:{key}", value)

    def increment(self):
        return self.command("INCR", "counter")

    def claim(self, task, who):
        return self.command("SETNX", f"t:{task}", who)

    def has_won(self, run):
        return run.output.strip() == b"1"

    def listing(self):
        """Keys come by `--scan`, values by MGET, a thousand at a time; no command prints both."""
        both = 'printf "%s\\n" "$@"; "$CLI" -s "$SOCKET" MGET "$@"'
        script = f"\"$CLI\" -s \"$SOCKET\" --scan --pattern 'e:*' | xargs -n {TOGETHER} sh -c '{both}' sh"
        return self.shell(script)

    def shell(self, script):
        return Command(["/bin/sh", "-c", script], b"", {"CLI": found("redis-cli"), "SOCKET": self.socket})

    def entries(self):
        return self.pairs(must(self.listing()).output)

    def pairs(self, output):
        """Of a listing; a scan may tell of a key twice."""
        lines, there = output.decode().splitlines(), {}
        for begin in range(0, len(lines), 2 * TOGETHER):
            block = lines[begin:begin + 2 * TOGETHER]
            half = len(block) // 2
            there.update(zip((key.removeprefix("e:") for key in block[:half]), block[half:]))
        return there

    def count_out(self, file):
        with open(file, "rb") as listing:
            return len(self.pairs(listing.read()))

    def counter(self):
        return int(must(self.command("GET", "counter")).output)

    def whole(self):
        """That it has started says that it has read its file to the end."""
        return run(self.command("DBSIZE")).status == 0

    def prepare(self, rows, file):
        with open(file, "wb") as out:
            for key, value in rows:
                out.write(protocol("SET", f"e:{key}", value))

    def bulk_in(self, file):
        return self.shell(f"\"$CLI\" -s \"$SOCKET\" --pipe <'{file}'")

    def service(self):
        return self.server.pid

    def program(self):
        return [found("redis-server"), found("redis-cli")]
