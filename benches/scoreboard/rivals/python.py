"""What adapters of programs in Python share. They lie in the environment that the scoreboard itself runs in."""

import os
import platform
import re
import sqlite3
import sys
import sysconfig
from importlib import metadata


def missing(package):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"{package} could not be installed from PyPI"


def version(package):
    return f"{metadata.version(package)} (Python {platform.python_version()}, SQLite {sqlite3.sqlite_version})"


def script(name):
    return os.path.join(os.path.dirname(sys.executable), name)


def packages(package, seen=None):
    """The files of a package, and of all packages that it requires."""
    seen = set() if seen is None else seen
    if package in seen:
        return []
    seen.add(package)
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return []
    files = [str(file.locate()) for file in distribution.files or []]
    for requirement in distribution.requires or []:
        if "extra ==" not in requirement:
            files += packages(re.match(r"[\w.-]+", requirement)[0], seen)
    return [file for file in files if "__pycache__" not in file and os.path.isfile(file)]


def interpreter():
    """Python itself with its standard library, but for its tests and what it compiles."""
    return [os.path.realpath(sys.executable), sysconfig.get_paths()["stdlib"]]
