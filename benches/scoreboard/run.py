"""Runs programs to their end, at the least cost: `posix_spawn`, and output into memory that is read afterwards."""

import os
import shutil
import time
from typing import NamedTuple


class Command(NamedTuple):
    """A program with its arguments, and what it reads."""

    argv: list
    stdin: bytes = b""
    environment: dict = {}


class Run(NamedTuple):
    """A program that has run."""

    took: float
    status: int
    output: bytes
    errors: bytes


def found(program):
    """The path of a program, or None."""
    return shutil.which(program)


def run(command, stdout=None):
    """Runs a command; what it prints is kept in memory, or put into the file `stdout`."""
    out = os.open(stdout, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) if stdout else os.memfd_create("out")
    into = os.memfd_create("in") if command.stdin else os.open(os.devnull, os.O_RDONLY)
    errors = os.memfd_create("errors")
    try:
        if command.stdin:
            write_all(into, command.stdin)
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate([into, out, errors])]
        environment = {**os.environ, **command.environment}
        begun = time.perf_counter()
        child = os.posix_spawn(command.argv[0], command.argv, environment, file_actions=actions)
        _, status = os.waitpid(child, 0)
        took = time.perf_counter() - begun
        output = b"" if stdout else content(out)
        return Run(took, os.waitstatus_to_exitcode(status), output, content(errors))
    finally:
        for fd in (out, into, errors):
            os.close(fd)


def content(fd):
    return os.pread(fd, os.fstat(fd).st_size, 0)


def write_all(fd, text):
    """Writes to a file of memory, and goes back to its beginning."""
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(text)
    os.lseek(fd, 0, os.SEEK_SET)


def must(command, stdout=None):
    """Runs a command that has to succeed."""
    done = run(command, stdout)
    if done.status != 0:
        said = done.errors.decode(errors="replace").strip().partition("\n")[0]
        raise RuntimeError(f"{' '.join(command.argv)[:200]}: exit code {done.status}; {said[:200]}")
    return done


def peak_memory(command, folder):
    """The most memory that a command has used, in bytes; None without GNU time.

    Asked of GNU time, since the kernel counts from the fork, and this program is large.
    """
    timer = found("time")
    if not timer:
        return None
    told = os.path.join(folder, "peak")
    must(command._replace(argv=[timer, "-f", "%M", "-o", told, *command.argv]))
    with open(told) as file:
        return int(file.read()) * 1024
