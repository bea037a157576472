"""Pictures of the scoreboard: horizontal bars in SVG, readable on light and on dark pages."""

import os
from html import escape

from lines import show

WIDTH, LEFT, BAR, GAP, TOP = 760, 180, 20, 8, 58
# As long as a bar may be: what it says stands behind it.
LONGEST = 330

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.note { fill: #59636e; }
.bar { fill: #8c959f; } .ours { fill: #0969da; } .bad { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #656c76; } .ours { fill: #4493f8; } .bad { fill: #f85149; }
}
"""


def draw(title, note, bars):
    """A picture; each bar is its name, a number, what is written behind it, and whether that is bad."""
    longest = max((number for _, number, _, _ in bars), default=0) or 1
    height = TOP + len(bars) * (BAR + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
        f'<text class="note" x="8" y="42">{escape(note)}</text>',
    ]
    for place, (name, number, says, bad) in enumerate(bars):
        parts.append(draw_bar(TOP + place * (BAR + GAP), name, number / longest, says, bad))
    return "\n".join([*parts, "</svg>", ""])


def draw_bar(top, name, part, says, bad):
    kind = "ours" if name.startswith("prontodb") else "bar"
    width = max(2, round(part * LONGEST))
    line = top + BAR - 6
    behind = f' class="{"bad" if bad else "note"}"'
    return "\n".join([
        f'<text x="{LEFT - 8}" y="{line}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{width}" height="{BAR}" rx="2"/>',
        f'<text{behind} x="{LEFT + width + 8}" y="{line}">{escape(says)}</text>',
    ])


def cold(board, what, title):
    line = f"{what}_median"
    times = [(name, board.value(line, name)) for name in board.rivals]
    bars = [(name, time, show("time", time), False) for name, time in times if time]
    return draw(title, "Median time from start to end of one command, in turns. Shorter is better.", bars)


def contention(board):
    bars = []
    for name in board.rivals:
        rate, lost, failed = (board.value(f"counter_{what}", name) for what in ("rate", "lost", "failed"))
        if rate is not None and lost:
            says = f"{rate:,.0f} a second, {lost[0]:,} lost, {failed[0]:,} failed"
            bars.append((name, rate, says, bool(lost[0] or failed[0])))
    note = "Acknowledged a second; longer is better. diskcache and the memories stay running, others start each time."
    return draw("32 processes add to one counter", note, bars)


def claims(board):
    bars = []
    for name in board.rivals:
        one, most = board.value("claims_one", name), board.value("claims_most", name)
        if one:
            right, tasks = one
            says = f"{right} of {tasks}" + (f", up to {most} winners" if most > 1 else "")
            bars.append((name, right, says, right < tasks))
    return draw("8 processes race for each task", "Tasks that exactly one of them was given. Longer is better.", bars)


def draw_all(board):
    """All pictures that there are figures for, by their names."""
    pictures = {
        "cold-get.svg": ("get_median", lambda: cold(board, "get", "Reading one entry by a command")),
        "cold-set.svg": ("set_median", lambda: cold(board, "set", "Writing one entry by a command")),
        "contention.svg": ("counter_rate", lambda: contention(board)),
        "claims.svg": ("claims_one", lambda: claims(board)),
    }
    measured = {line for line, _ in board.cells}
    return {name: make() for name, (line, make) in pictures.items() if line in measured}


def write_all(board, folder):
    os.makedirs(folder, exist_ok=True)
    for name, picture in draw_all(board).items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(picture)
