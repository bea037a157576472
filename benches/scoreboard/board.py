"""What was measured: a line of JSON for each figure, printed as soon as it is known, and the table of all."""

import json

from lines import LINES, show


class Board:
    """Figures, by line and rival."""

    def __init__(self, rivals, printing=True):
        self.rivals, self.printing, self.cells = rivals, printing, {}

    def put(self, line, rival, value, **more):
        """Notes a figure; `more` is what was measured beside it."""
        self.note({"line": line, "rival": rival, "value": value, **more})

    def lack(self, line, rival, why):
        """Notes that a rival has nothing for a line."""
        self.note({"line": line, "rival": rival, "none": why})

    def note(self, cell):
        self.cells[cell["line"], cell["rival"]] = cell
        if self.printing:
            print(json.dumps(cell), flush=True)

    def value(self, line, rival):
        """A figure, or None where there is none."""
        return self.cells.get((line, rival), {}).get("value")

    def text(self, line, rival):
        cell = self.cells.get((line.id, rival), {"none": "not measured"})
        return show(line.unit, cell["value"]) if "value" in cell else cell["none"]

    def table(self):
        """All of it in Markdown, as wide as need be."""
        lines = [line for line in LINES if any((line.id, rival) in self.cells for rival in self.rivals)]
        rows = [["", *self.rivals]]
        rows += [[line.text, *(self.text(line, rival) for rival in self.rivals)] for line in lines]
        widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(table_line(row, widths) for row in [rows[0], rule, *rows[1:]])


def table_line(row, widths):
    first, *others = zip(row, widths)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return f"| {' | '.join(cells)} |"


def read(text):
    """The board that a raw file tells of."""
    cells = [json.loads(line) for line in text.splitlines() if line.startswith('{"line"')]
    board = Board(list(dict.fromkeys(cell["rival"] for cell in cells)), printing=False)
    for cell in cells:
        board.note(cell)
    return board
