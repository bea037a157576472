"""The memory server of the Model Context Protocol from npm, and `prontodb mcp --memory`, which has the same tools.

Each worker has a server process of its own, as MCP clients start them, and all servers share one memory.
"""

import glob
import json
import os
import subprocess

from run import Command, found, must

from . import frames
from .base import Rival

COLD = "a command is a whole conversation: start, greeting, one call, end"


def entity(name, *observations):
    return {"name": name, "entityType": "entry", "observations": list(observations)}


class Memory(Rival):
    """What both have in common: the tools."""

    without = {"bulk": "no bulk call"}

    def server(self):
        """How it is started."""
        raise NotImplementedError

    def ask(self, tool, **arguments):
        command = self.server()
        return command._replace(stdin=frames.call(tool, **arguments))

    def answer(self, tool, **arguments):
        answer = json.loads(frames.answer(must(self.ask(tool, **arguments)).output))
        if not frames.succeeded(answer):
            raise RuntimeError(f"{self.name}: {answer}")
        return answer["result"]["structuredContent"]

    def open(self):
        self.answer("create_entities", entities=[entity("counter")])

    def load(self, rows):
        self.answer("create_entities", entities=[entity(key, value) for key, value in rows])

    def get(self, key):
        return self.ask("open_nodes", names=[key])

    def set(self, key, value):
        return self.ask("create_entities", entities=[entity(key, value)])

    def listing(self):
        return self.ask("read_graph")

    def graph(self):
        return {item["name"]: item["observations"] for item in self.answer("read_graph")["entities"]}

    def entries(self):
        return {name: told[0] for name, told in self.graph().items() if name != "counter"}

    def counter(self):
        return len(self.graph().get("counter", []))

    def whole(self):
        return "counter" in self.graph()

    def answer_size(self):
        return len(frames.answer(must(self.listing()).output))

    def worker(self):
        return Worker(self.server())

    def service(self):
        self.idle = Worker(self.server())
        return self.idle.process.pid

    def close(self):
        if idle := self.__dict__.pop("idle", None):
            idle.end()

    def tools_list(self):
        return frames.answer(must(self.server()._replace(stdin=frames.begun("tools/list", {}))).output)


class ReferenceMemory(Memory):
    name = "MCP memory"
    settings = f"as it comes: its file is written anew by each call, not synced; {COLD}"
    needs = ("node",)
    without = {**Memory.without, "set_durable": "no such setting"}
    package = "node_modules/@modelcontextprotocol/server-memory"

    @classmethod
    def missing(cls, tools):
        there = os.path.exists(os.path.join(tools.npm, cls.package, "dist/index.js"))
        return super().missing(tools) or (None if there else "the package could not be installed from npm")

    def server(self):
        main = os.path.join(self.tools.npm, self.package, "dist/index.js")
        return Command([found("node"), main], b"", {"MEMORY_FILE_PATH": os.path.join(self.folder, "memory.jsonl")})

    def version(self):
        with open(os.path.join(self.tools.npm, self.package, "package.json")) as file:
            version = json.load(file)["version"]
        return f"{version} (node {must(Command([found('node'), '--version'])).output.decode().strip()})"

    def program(self):
        files = glob.glob(os.path.join(self.tools.npm, "node_modules/**"), recursive=True)
        return [file for file in files if os.path.isfile(file)]

    def surroundings(self):
        return [os.path.realpath(found("node"))]


class OurMemory(Memory):
    name = "prontodb mcp --memory"
    settings = f"as prontodb, with the tools of MCP memory; {COLD}"

    def server(self):
        durable = ["--durable"] if self.durable else []
        store = os.path.join(self.folder, "store.prdb")
        return Command([self.tools.prontodb, "-d", store, *durable, "mcp", "--memory"])

    def version(self):
        return must(Command([self.tools.prontodb, "--version"])).output.decode().split()[1]

    def program(self):
        return [self.tools.prontodb]


class Worker:
    """An agent, with a server that runs as long as it does."""

    def __init__(self, server):
        pipe = subprocess.PIPE
        environment = {**os.environ, **server.environment}
        self.process = subprocess.Popen(
            server.argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
        )
        self.number = 1
        self.process.stdin.write(frames.greeting())
        self.process.stdin.flush()
        self.process.stdout.readline()

    def call(self, tool, **arguments):
        """The answer; None for a refusal."""
        self.number += 1
        self.process.stdin.write(frames.frame(self.number, "tools/call", {"name": tool, "arguments": arguments}))
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            answer = json.loads(line)
            if answer.get("id") == self.number:
                return answer["result"] if frames.succeeded(answer) else None
        return None

    def set(self, key, value):
        return self.call("create_entities", entities=[entity(key, value)]) is not None

    def increment(self, serial):
        added = {"entityName": "counter", "contents": [serial]}
        return self.call("add_observations", observations=[added]) is not None

    def claim(self, task, who):
        """Whoever is told that the entity was made by this call has the task."""
        told = self.call("create_entities", entities=[entity(f"task {task}", who)])
        return bool(told and told["structuredContent"]["entities"])

    def end(self):
        self.process.stdin.close()
        self.process.wait()
