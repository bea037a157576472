"""Memory while at work and while idle; the size of the program, and of all that it needs to run."""

import os
import re
import time

from run import Command, found, peak_memory, run
from stats import key

# Parts of Python that programs do not need.
NEEDLESS = {"test", "tests", "__pycache__", "site-packages", "dist-packages"}


def measure(lab, board):
    for rival in lab.able(board, ["memory_command", "memory_service", "size_program", "size_all"]):
        with lab.opened(rival) as store:
            weigh(board, store)


def weigh(board, store):
    peak = peak_memory(store.get(key(1)), store.folder)
    if peak:
        board.put("memory_command", store.name, peak)
    else:
        board.lack("memory_command", store.name, "there is no GNU time")
    if store.lacks("memory_service") is None:
        pid = store.service()
        time.sleep(1)
        board.put("memory_service", store.name, resident(pid))
    if store.lacks("size_program") is None:
        program, needed = files_of(store.program()), files_of(store.surroundings())
        board.put("size_program", store.name, size(program))
        board.put("size_all", store.name, size(program | needed | libraries(program | needed)))


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024


def files_of(paths):
    """The files themselves, and those of folders."""
    files = set()
    for path in paths:
        files.add(os.path.realpath(path))
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name not in NEEDLESS]
            files |= {os.path.realpath(os.path.join(folder, name)) for name in names}
    return {file for file in files if os.path.isfile(file)}


def size(files):
    return sum(os.path.getsize(file) for file in files)


def libraries(files):
    """What the programs among the files are linked with, as the loader finds it."""
    linked = set()
    for file in files:
        if is_program(file):
            told = run(Command([found("ldd"), file])).output.decode()
            linked |= {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", told)}
    return linked


def is_program(file):
    with open(file, "rb") as start:
        return start.read(4) == b"\x7fELF"
