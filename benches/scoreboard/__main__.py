"""The scoreboard: the same work, done by ProntoDB and by others that anyone can install.

    bin/bench.sh scoreboard                              installs them, measures, and keeps what came of it
    python3 benches/scoreboard --write-docs RAW          puts a raw file into docs/performance.md, with pictures
    python3 benches/scoreboard PRONTODB NPM FOLDER       measures: the program, where npm put packages, where to work
"""

import argparse
import os
import signal
import sys

import docs
import measures
from board import Board
from lab import Lab, Tools

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(prog="scoreboard")
    parser.add_argument("paths", nargs="*", metavar="PRONTODB NPM FOLDER")
    parser.add_argument("--quick", action="store_true", help="everything smaller, to see that it works")
    parser.add_argument("--measures", type=names, default=[], help=f"only these: {','.join(measures.ALL)}")
    parser.add_argument("--rivals", type=names, default=[], help="only these, as the table names them")
    parser.add_argument("--write-docs", metavar="RAW", help="put the figures of this file into the documentation")
    given = parser.parse_args()
    if not given.write_docs and len(given.paths) != 3:
        parser.error("three paths are wanted")
    if unknown := set(given.measures) - set(measures.ALL):
        parser.error(f"there is no measure {unknown.pop()}")
    return given


def names(text):
    return text.split(",")


def measure(given):
    prontodb, npm, folder = (os.path.abspath(path) for path in given.paths)
    lab = Lab(Tools(prontodb, npm), folder, given.quick, given.rivals)
    for rival in lab.rivals:
        store = rival(lab.tools, os.path.join(folder, "asked"))
        print(f"rival: {rival.name} {store.version()}: {rival.settings}")
        store.close()
    for name, why in lab.left_out.items():
        print(f"left out: {name}; {why}")
    print(flush=True)
    board = Board([rival.name for rival in lab.rivals])
    for name, kind in measures.ALL.items():
        if not given.measures or name in given.measures:
            print(f"scoreboard: {name}", file=sys.stderr)
            kind.measure(lab, board)
    print(f"\n{board.table()}")


def main():
    given = arguments()
    # Whoever ends this program ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if given.write_docs:
        docs.write(given.write_docs, ROOT)
    else:
        measure(given)


main()
