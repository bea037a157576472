"""Drives `prontodb mcp` with the official client in Python: greet, list, call each tool, read resources, subscribe, end.

    client.py PRONTODB      in an empty HOME of its own; bin/test.sh runs it
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile

import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client

PROGRAM = os.path.abspath(sys.argv[1])


def environment(home):
    return {"HOME": home, "PATH": os.environ["PATH"], "USER": "tester"}


def parameters(home, *flags):
    return StdioServerParameters(command=PROGRAM, args=["mcp", *flags], env=environment(home))


def server(home, *flags):
    return stdio_client(parameters(home, *flags))


def write(home, key, value):
    subprocess.run([PROGRAM, "set", key, value], env=environment(home), check=True)


def text_of(result):
    [content] = result.content
    return content.text


async def call(session, tool, **arguments):
    result = await session.call_tool(tool, arguments)
    assert not failed(result), text_of(result)
    return json.loads(text_of(result))


def failed(result):
    # Releases of the client write it in either way.
    return getattr(result, "is_error", None) or getattr(result, "isError", None) or False


async def of_store(home):
    async with server(home) as (read, write), mcp.ClientSession(read, write) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        assert tools == ["get", "list", "set", "update", "delete", "txn", "lock", "queue"], tools
        version = (await call(session, "set", key="p.n.k", value="1"))["version"]
        assert await call(session, "get", key="p.n.k") == {"k": "p.n.k", "v": "1", "version": version}
        assert (await call(session, "update", key="p.n.k", add=41))["v"] == 42
        refused = await session.call_tool("set", {"key": "p.n.k", "value": "x", "if_version": version})
        assert failed(refused) and "conflict" in text_of(refused), text_of(refused)
        await call(session, "txn", ops=[{"op": "set", "key": "p.n.a", "value": "2"}, {"op": "delete", "key": "p.n.k"}])
        assert await call(session, "list", prefix="p.n") == {"entries": [{"k": "p.n.a"}], "next": None}
        assert (await call(session, "delete", key="p.n.a"))["deleted"]
        fence = (await call(session, "lock", action="acquire", name="deploy", ttl="1m"))["fence"]
        await call(session, "lock", action="release", name="deploy", fence=fence)
        await call(session, "queue", action="push", queue="p.jobs", value="work")
        claimed = await call(session, "queue", action="claim", queue="p.jobs", ttl="1m")
        assert claimed["v"] == "work", claimed
        await call(session, "queue", action="ack", queue="p.jobs", fence=claimed["fence"])
        await call(session, "set", key="p.n.äö", value="text")
        templates = await session.list_resource_templates()
        assert len(getattr(templates, "resource_templates", None) or templates.resourceTemplates) == 2
        listed = [str(resource.uri) for resource in (await session.list_resources()).resources]
        assert "prontodb:///p/n" in listed, listed
        [contents] = (await session.read_resource("prontodb:///p/n/%C3%A4%C3%B6")).contents
        assert contents.text == "text", contents
        await asyncio.gather(*(call(session, "update", key="p.n.sum", add=1) for _ in range(50)))
        assert (await call(session, "get", key="p.n.sum"))["v"] == "50"


async def of_scope(home):
    async with server(home, "-p", "p", "-n", "n", "--read-only") as (read, write):
        async with mcp.ClientSession(read, write) as session:
            await session.initialize()
            assert [tool.name for tool in (await session.list_tools()).tools] == ["get", "list"]
            assert (await call(session, "get", key="sum"))["v"] == "50"
            try:
                await session.call_tool("set", {"key": "sum", "value": "0"})
            except Exception as error:
                assert "only reads" in str(error), error
            else:
                raise AssertionError("a server that only reads has written")


async def of_subscriptions(home):
    told = asyncio.Queue()

    async def hear(message):
        # Releases of the client hand it over in either way.
        notification = getattr(message, "root", message)
        if getattr(notification, "method", "") == "notifications/resources/updated":
            await told.put(str(notification.params.uri))

    async with server(home, "-p", "p") as (read, writing):
        async with mcp.ClientSession(read, writing, message_handler=hear) as session:
            await session.initialize()
            await session.subscribe_resource("prontodb:///p/jobs?prefix=a")
            await session.subscribe_resource("prontodb:///p/n/k")
            write(home, "p.jobs.b", "1")
            write(home, "p.n.k", "1")
            assert await told.get() == "prontodb:///p/n/k"
            write(home, "p.jobs.a", "1")
            assert await told.get() == "prontodb:///p/jobs?prefix=a"
            await session.unsubscribe_resource("prontodb:///p/jobs?prefix=a")
            write(home, "p.jobs.a", "2")
            write(home, "p.n.k", "2")
            assert await told.get() == "prontodb:///p/n/k"
    assert told.empty(), told


async def of_listening(home):
    if not hasattr(mcp, "Client"):
        return
    async with mcp.Client(parameters(home)) as client:
        async with client.listen(resource_subscriptions=["prontodb:///p/n"]) as changes:
            assert list(changes.honored.resource_subscriptions) == ["prontodb:///p/n"], changes.honored
            # The first one says that it may have changed before it was watched.
            for value in "12":
                assert (await anext(changes)).uri == "prontodb:///p/n"
                [contents] = (await client.read_resource("prontodb:///p/n/%C3%A4%C3%B6")).contents
                assert contents.text == ("text" if value == "1" else "1"), contents
                write(home, "p.n.äö", value)


async def of_memory(home):
    async with server(home, "--memory") as (read, write), mcp.ClientSession(read, write) as session:
        await session.initialize()
        # The client checks each answer against the schema that the tool has.
        assert len((await session.list_tools()).tools) == 9
        ann = {"name": "Ann", "entityType": "person", "observations": ["sings"]}
        knows = {"from": "Ann", "to": "Bob", "relationType": "knows"}
        for tool, arguments in [
            ("create_entities", {"entities": [ann, {**ann, "name": "Bob"}]}),
            ("create_relations", {"relations": [knows]}),
            ("add_observations", {"observations": [{"entityName": "Ann", "contents": ["paints"]}]}),
            ("delete_observations", {"deletions": [{"entityName": "Ann", "observations": ["sings"]}]}),
            ("search_nodes", {"query": "PAINT"}),
            ("open_nodes", {"names": ["Bob"]}),
            ("delete_relations", {"relations": [knows]}),
            ("delete_entities", {"entityNames": ["Bob"]}),
            ("read_graph", {}),
        ]:
            result = await session.call_tool(tool, arguments)
            assert not failed(result), text_of(result)
        graph = {"entities": [{**ann, "observations": ["paints"]}], "relations": []}
        assert json.loads(text_of(result)) == graph, text_of(result)
        [contents] = (await session.read_resource("memory://knowledge-graph")).contents
        assert json.loads(contents.text) == graph


with tempfile.TemporaryDirectory() as home:
    for part in (of_store, of_scope, of_subscriptions, of_listening, of_memory):
        asyncio.run(asyncio.wait_for(part(home), timeout=60))
        print(f"{part.__name__}: ok")
