"""The programs to compare: an adapter a file, all of one shape (`base.py`)."""

from .diskcache import DiskCache
from .etcd import Etcd
from .mcp_memory import OurMemory, ReferenceMemory
from .nothing import Nothing
from .prontodb import ProntoDB
from .redis import Redis
from .sqlite3 import HastySqlite, PatientSqlite
from .sqlite_utils import SqliteUtils

ALL = [
    Nothing, ProntoDB, PatientSqlite, HastySqlite, Redis, Etcd, SqliteUtils, DiskCache, OurMemory, ReferenceMemory
]
