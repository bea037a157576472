"""What is measured: a file for each kind of lines."""

from . import answers, bulk, claims, cold, contention, crash, footprint

ALL = {
    "cold": cold, "contention": contention, "claims": claims, "crash": crash, "bulk": bulk, "answers": answers,
    "footprint": footprint,
}
