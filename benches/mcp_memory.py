#!/usr/bin/env python3
"""Many agents remember at once: `prontodb mcp --memory` beside the reference memory server of the Model Context Protocol.

    benches/mcp_memory.py PRONTODB [REFERENCE_INDEX_JS] [--clients 50] [--writes 10]

Each agent has a server process of its own, as MCP clients start them, and all servers share one memory. Every agent adds
entities of its own and observations of one that all share, one call after the other. Counted is what was acknowledged, and
what of that is there afterwards. The reference comes with `npm install @modelcontextprotocol/server-memory`.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time


class Agent:
    def __init__(self, process):
        self.process = process
        self.id = 0

    async def ask(self, method, params):
        self.id += 1
        frame = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        await self.process.stdin.drain()
        while True:
            line = await self.process.stdout.readline()
            if not line:
                raise RuntimeError("the server has ended")
            answer = json.loads(line)
            if answer.get("id") == self.id:
                return answer

    async def call(self, tool, **arguments):
        """Whether it was acknowledged, and the answer."""
        answer = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        result = answer.get("result", {})
        return "error" not in answer and not result.get("isError"), result

    async def end(self):
        self.process.stdin.close()
        await self.process.wait()


async def begin(command, environment):
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment, limit=1 << 26
    )
    agent = Agent(process)
    client = {"name": "bench", "version": "1"}
    await agent.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
    process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    return agent


async def work(agent, number, writes, tally):
    for write in range(writes):
        name = f"agent {number} thing {write}"
        entity = {"name": name, "entityType": "thing", "observations": ["made"]}
        for kind, tool, arguments in [
            ("entities", "create_entities", {"entities": [entity]}),
            ("observations", "add_observations", {"observations": [{"entityName": "shared", "contents": [name]}]}),
        ]:
            acknowledged, _ = await agent.call(tool, **arguments)
            if acknowledged:
                tally[kind].add(name)
            else:
                tally["refused"] += 1


async def run(title, command, environment, clients, writes):
    first = await begin(command, environment)
    shared = {"name": "shared", "entityType": "thing", "observations": []}
    await first.call("create_entities", entities=[shared])
    agents = [await begin(command, environment) for _ in range(clients)]
    tally = {"entities": set(), "observations": set(), "refused": 0}
    begun = time.monotonic()
    await asyncio.gather(*(work(agent, number, writes, tally) for number, agent in enumerate(agents)))
    seconds = time.monotonic() - begun
    for agent in agents:
        await agent.end()
    readable, result = await first.call("read_graph")
    await first.end()
    graph = result.get("structuredContent") or {"entities": []}
    names = {entity["name"] for entity in graph["entities"]}
    known = {text for entity in graph["entities"] if entity["name"] == "shared" for text in entity["observations"]}
    entities, observations = tally["entities"], tally["observations"]
    print(title)
    print(f"  calls: {clients * writes * 2}, refused: {tally['refused']}, seconds: {seconds:.1f}")
    print(f"  entities: {len(entities)} acknowledged, {len(entities & names)} there")
    print(f"  observations of the shared entity: {len(observations)} acknowledged, {len(observations & known)} there")
    print(f"  the memory can be read: {'yes' if readable else 'no'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("prontodb")
    parser.add_argument("reference", nargs="?")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--writes", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        path = os.environ["PATH"]
        command = [os.path.abspath(given.prontodb), "mcp", "--memory"]
        asyncio.run(run("prontodb mcp --memory", command, {"HOME": home, "PATH": path}, given.clients, given.writes))
        if given.reference:
            environment = {"HOME": home, "PATH": path, "MEMORY_FILE_PATH": os.path.join(home, "memory.jsonl")}
            command = ["node", os.path.abspath(given.reference)]
            asyncio.run(run("the reference server", command, environment, given.clients, given.writes))


main()
