"""The lines of the scoreboard, and how their figures are written."""

from typing import NamedTuple


class Line(NamedTuple):
    id: str
    text: str
    unit: str


LINES = [
    Line("get_median", "`get` by a command: median", "time"),
    Line("get_p99", "… 99th percentile", "time"),
    Line("get_times", "… median, times `/bin/true`", "times"),
    Line("set_median", "`set` by a command: median", "time"),
    Line("set_p99", "… 99th percentile", "time"),
    Line("set_times", "… median, times `/bin/true`", "times"),
    Line("set_durable", "… median, when no power cut may undo it", "time"),
    Line("own_rate", "32 processes write entries of their own: a second", "count"),
    Line("own_worst", "… longest wait", "time"),
    Line("own_failed", "… failures", "of"),
    Line("own_lost", "… acknowledged and not there", "of"),
    Line("counter_rate", "32 processes add to one counter: a second", "count"),
    Line("counter_worst", "… longest wait", "time"),
    Line("counter_failed", "… failures", "of"),
    Line("counter_lost", "… acknowledged and not there", "of"),
    Line("claims_one", "8 processes race for each task: tasks with one winner", "of"),
    Line("claims_none", "… with none", "of"),
    Line("claims_most", "… most winners of a task (1 is right)", "count"),
    Line("crash_lost", "`kill -9` in the middle of writing: acknowledged and not there", "of"),
    Line("crash_whole", "… whole when opened again", "of"),
    Line("bulk_in", "many entries in: a second", "count"),
    Line("bulk_out", "many entries out: a second", "count"),
    Line("answer_listing", "bytes printed for 1,000 entries of 116 bytes", "count"),
    Line("answer_tools", "bytes of `tools/list`", "count"),
    Line("memory_command", "memory of a `get`", "bytes"),
    Line("memory_service", "memory of an idle service", "bytes"),
    Line("size_program", "size of the program", "bytes"),
    Line("size_all", "… with what it needs to run", "bytes"),
]


def show(unit, value):
    """A figure as people read it."""
    return SHOW[unit](value)


def show_time(seconds):
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def show_bytes(count):
    megabytes = count / 1e6
    return f"{megabytes:.1f} MB" if megabytes < 100 else f"{megabytes:.0f} MB"


def show_of(pair):
    part, whole = pair
    return f"{part:,} of {whole:,}"


SHOW = {
    "time": show_time,
    "times": lambda value: f"{value:.2f}",
    "count": lambda value: f"{value:,.0f}",
    "bytes": show_bytes,
    "of": show_of,
}
