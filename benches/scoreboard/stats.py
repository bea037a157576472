"""Medians, percentiles, and the entries that are measured with."""

import random


def percentile(numbers, percent):
    """The number that so many percent do not exceed; always one that was measured."""
    ordered = sorted(numbers)
    return ordered[round((len(ordered) - 1) * percent / 100)]


def median(numbers):
    return percentile(numbers, 50)


def key(number):
    """A key of 16 bytes."""
    return f"key{number:013}"


def value(number):
    """A value of 100 bytes, never the same for two numbers."""
    return f"{number:0100}"


def rows(count):
    """Entries in the order of their keys."""
    return [(key(number), value(number)) for number in range(count)]


def random_rows(count):
    """Entries in no order, the same in every run."""
    dice = random.Random(1)
    for number in range(count):
        yield f"k{dice.getrandbits(60):015x}", value(number)
