"""Puts the figures of a raw file into docs/performance.md, and pictures of them beside it."""

import os
import re

import board
import pictures

BEGIN, END = "<!-- scoreboard: what bin/bench.sh writes -->", "<!-- scoreboard: end -->"
ALTERNATIVES = {
    "cold-get.svg": "Reading one entry by a command: times, as in the table",
    "cold-set.svg": "Writing one entry by a command: times, as in the table",
    "contention.svg": "32 processes add to one counter: speed and losses, as in the table",
    "claims.svg": "8 processes race for each task: tasks with one winner, as in the table",
}


def write(raw, root):
    """Replaces the block of the page by the figures of the file `raw`."""
    with open(raw) as file:
        told = file.read()
    page = os.path.join(root, "docs/performance.md")
    with open(page) as file:
        text = file.read()
    changed = replaced(text, block(told, os.path.basename(raw)))
    measured = board.read(told)
    pictures.write_all(measured, os.path.join(root, "docs/pictures"))
    with open(page, "w") as file:
        file.write(changed)


def replaced(text, block):
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit("scoreboard: docs/performance.md has no place for the figures; its two marks are gone")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def block(told, name):
    """When and on what it was measured, the table, what was left out, and the pictures."""
    measured = board.read(told)
    date = name[:10]
    parts = [f"Measured on {date}, on {head(told, 'processor')} ([raw](../benches/runs/{name})):", measured.table()]
    if settings := "\n".join(re.findall(r"^(?:rival|left out): .*$", told, re.MULTILINE)):
        parts.append(bullets(settings))
    parts += [f"![{ALTERNATIVES[picture]}](pictures/{picture})" for picture in pictures.draw_all(measured)]
    return "\n".join(["", "\n\n".join(parts), ""])


def bullets(settings):
    lines = [line.removeprefix("rival: ") for line in settings.splitlines()]
    return "\n".join(f"- {line}" for line in lines)


def head(told, name):
    """What the head of a raw file says of the machine."""
    line = re.search(rf"^{name}: (.*)$", told, re.MULTILINE)
    return line[1] if line else "a machine that is not described"
