"""The history's tables and how an older database becomes the present one. Beside `history_database`, the only module
that knows SQLAlchemy.

Texts that many rows share (fingerprints, budgets, bases) are stored once, in `ci_budget_texts`, so that a row of
measurements stays small: 1,000 images of 365 nights are about 50 MB.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.engine import Connection

from ci_budget.core.records.metrics import METRIC_NAMES

_METADATA = MetaData()
_KEY = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite

SCHEMA: Final = Table("ci_budget_schema", _METADATA, Column("version", Integer, nullable=False))

TEXTS: Final = Table(
    "ci_budget_texts",
    _METADATA,
    Column("id", _KEY, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("text", Text, nullable=False),
)
IMAGES: Final = Table(
    "ci_budget_images",
    _METADATA,
    Column("id", _KEY, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("name", Text, nullable=False),
    Unique("repository", "name"),
)
RUNS: Final = Table(
    "ci_budget_runs",
    _METADATA,
    Column("id", _KEY, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("ident", String(64), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("commit_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Unique("repository", "ident"),
)
# The key holds the rows of an image in the order of time. `started` follows from the run, so that a row is one by
# image, run and setup (one run of two machines may measure an image on two platforms).
MEASUREMENTS: Final = Table(
    "ci_budget_measurements",
    _METADATA,
    Column("image", ForeignKey(IMAGES.c.id), primary_key=True),
    Column("started", BigInteger, primary_key=True),
    Column("run", ForeignKey(RUNS.c.id), primary_key=True),
    Column("setup", ForeignKey(TEXTS.c.id), primary_key=True),
    Column("verdict", String(20), nullable=False),
    Column("budgets", ForeignKey(TEXTS.c.id), nullable=False),
    Column("bases", ForeignKey(TEXTS.c.id), nullable=False),
    Column("image_id", Text, nullable=False),
    *(Column(name, BigInteger) for name in METRIC_NAMES),
    sqlite_with_rowid=False,
)
BUILDS: Final = Table(
    "ci_budget_builds",
    _METADATA,
    Column("image", ForeignKey(IMAGES.c.id), primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
RELEASES: Final = Table(
    "ci_budget_releases",
    _METADATA,
    Column("image", ForeignKey(IMAGES.c.id), primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("released", BigInteger, nullable=False),
    Column("image_id", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Index("ci_budget_releases_by_time", "image", "released"),
)

_STEPS: Final = (
    (TEXTS, IMAGES, RUNS, MEASUREMENTS),  # 1: what was measured
    (BUILDS,),  # 2: the last build of each image, for its timeline
    (RELEASES,),  # 3: what was released, for the drift since then
)
"""What each version added. A later step that changes a table is written as its ALTER, never by editing an older one."""

VERSION: Final = len(_STEPS)


def migrate(connection: Connection, found: int) -> None:
    """Bring a database of version `found` (0: an empty one) to VERSION, within the caller's transaction."""
    if found == 0:
        SCHEMA.create(connection)
        connection.execute(SCHEMA.insert().values(version=0))
    for tables in _STEPS[found:]:
        for table in tables:
            table.create(connection)
    connection.execute(SCHEMA.update().values(version=VERSION))
