"""What a client of the Model Context Protocol sends, and what comes back."""

import json

ASKED = 2


def frame(number, method, params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def greeting():
    client = {"name": "scoreboard", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    return frame(1, "initialize", hello) + b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


def begun(method, params):
    """All that a client sends that asks one thing."""
    return greeting() + frame(ASKED, method, params)


def call(tool, **arguments):
    return begun("tools/call", {"name": tool, "arguments": arguments})


def answer(output):
    """The line that answers what was asked."""
    for line in output.splitlines():
        if json.loads(line).get("id") == ASKED:
            return line
    raise RuntimeError("the server has not answered")


def succeeded(answer):
    return "error" not in answer and not answer.get("result", {}).get("isError")
