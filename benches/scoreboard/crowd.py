"""Processes that work at the same time, as scripts and agents do."""

import multiprocessing
import os
import select
import signal
import traceback

FORK = multiprocessing.get_context("fork")


class Gate:
    """Where all wait for the last one, as often as wanted."""

    def __init__(self, count):
        self.barrier = FORK.Barrier(count)

    def meet(self):
        self.barrier.wait(120)


def all_at_once(count, work):
    """Has so many processes do `work(number, gate)`, and hands on what each has returned."""
    gate = Gate(count)
    pipes, processes = [], []
    for number in range(count):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=child, args=(work, number, gate, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    answers = [answer_of(pipe) for pipe in pipes]
    for process in processes:
        process.join()
    return answers


def child(work, number, gate, pipe):
    pipe.send(work(number, gate))


def answer_of(pipe):
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a process of the crowd has died; what it said stands above") from None


class Doomed:
    """A process that writes what it has done to a pipe, until it is killed with all that it has started."""

    def __init__(self, work):
        self.told, inlet = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            labour(work, inlet)
        os.close(inlet)

    def first_words(self):
        """Waits until something has been done, and returns what was told of it."""
        ready, _, _ = select.select([self.told], [], [], 60)
        return os.read(self.told, 1 << 16) if ready else b""

    def kill(self):
        os.killpg(self.process, signal.SIGKILL)

    def last_words(self):
        """What was told before the end."""
        os.waitpid(self.process, 0)
        words = b""
        while more := os.read(self.told, 1 << 16):
            words += more
        os.close(self.told)
        return words


def labour(work, inlet):
    """Works in a process group of its own; never returns."""
    try:
        os.setsid()
        work(lambda line: os.write(inlet, line.encode() + b"\n"))
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(1)
