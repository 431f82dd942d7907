"""The history, in SQLite or PostgreSQL; with `history_tables` the only user of SQLAlchemy."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Table, and_, create_engine, event, func, inspect, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ci_budget.core.history.measurement import Measurement, Released, Run
from ci_budget.core.history.trend import Release, Row
from ci_budget.core.records.metrics import METRIC_NAMES
from ci_budget.edges.history.address import Address
from ci_budget.edges.history.faults import WAIT, fault
from ci_budget.edges.history.tables import (
    BUILDS,
    IMAGES,
    MEASUREMENTS,
    RELEASES,
    RUNS,
    SCHEMA,
    TEXTS,
    VERSION,
    migrate,
)
from ci_budget.errors import UnmeasuredError

_CHUNK: Final = 500
_ROWS_AT_A_TIME: Final = 2000
_MIGRATION_LOCK: Final = 0x_C1_B0_D6_E7
_Value = TypeVar("_Value")


class History:
    """An open history of one repository (empty: a local one). All methods raise UnmeasuredError, with what to do."""

    def __init__(self, connection: Connection, address: Address, repository: str) -> None:
        self._connection = connection
        self._address = address
        self._repository = repository
        self._numbers: dict[tuple[str, ...], int] = {}

    def record(self, run: Run, measurements: Sequence[Measurement], builds: Mapping[str, bytes]) -> int:
        """Keep a run's measurements, and of each image the build view in `builds` when it is the latest.

        Returns how many measurements were new: the same run and image again changes nothing.
        """
        number = self._number(
            RUNS, {"repository": self._repository, "ident": run.ident},
            {"started": run.started, "commit_id": run.commit, "tool": run.tool},
        )  # fmt: skip
        rows = []
        for found in sorted(measurements, key=lambda row: row.image):  # in order: two writers never wait in a circle
            image = self._image(found.image)
            setup, budgets, bases = (self._text(shared) for shared in (found.setup, found.budgets, found.bases))
            values = {name: found.metrics.get(name) for name in METRIC_NAMES}
            rows.append(
                {"image": image, "started": run.started, "run": number, "setup": setup, "verdict": found.verdict,
                 "budgets": budgets, "bases": bases, "image_id": found.image_id, **values}
            )  # fmt: skip
            if found.image in builds:
                self._keep_build(image, run.started, builds[found.image])
        return self._insert(MEASUREMENTS, rows) if rows else 0

    def record_releases(self, releases: Sequence[Released]) -> None:
        """Keep what was released. The same tag again replaces what was kept."""
        for one in sorted(releases, key=lambda found: found.image):
            metrics = json.dumps(one.metrics, sort_keys=True)
            values = {"released": one.released, "image_id": one.image_id, "metrics": metrics}
            key = {"image": self._image(one.image), "platform": one.platform, "tag": one.tag}
            if not self._insert(RELEASES, [{**key, **values}]):
                self._connection.execute(RELEASES.update().where(*_equal(RELEASES, key)).values(**values))

    def rows(self, since: int, images: Sequence[str] = ()) -> Iterator[tuple[str, list[Row]]]:
        """Every image's rows from `since` (seconds since 1970) on, in the order of time. `images` empty: all."""
        table = MEASUREMENTS.c
        names = self._names(images)
        found = select(
            table.image, table.started, table.run, table.setup, table.verdict, table.budgets, table.bases,
            table.peak_disk, table.image_size, table.layers, table.context_size,
        )  # fmt: skip
        chosen = found.where(table.started >= since, table.image.in_(select(IMAGES.c.id).where(self._mine(images))))
        ordered = chosen.order_by(table.image, table.started, table.run)
        result = self._connection.execution_options(yield_per=_ROWS_AT_A_TIME).execute(ordered)
        for image, rows in groupby(result, key=itemgetter(0)):
            yield names[image], [tuple(row[1:]) for row in rows]

    def texts(self) -> dict[int, str]:
        """The shared texts by number: setups, budgets, bases."""
        return {row[0]: row[1] for row in self._connection.execute(select(TEXTS.c.id, TEXTS.c.text))}

    def commits(self, runs: Iterable[int]) -> dict[int, str]:
        """The commits of these runs, by number; empty where a run knew none."""
        return self._looked_up(RUNS.c.id, RUNS.c.commit_id, runs)

    def builds(self, images: Sequence[str]) -> dict[str, bytes]:
        """The build views of these images, by name."""
        found = self._names(images)
        data = self._looked_up(BUILDS.c.image, BUILDS.c.data, found)
        return {found[number]: bytes(blob) for number, blob in data.items()}

    def releases(self) -> dict[str, dict[str, Release]]:
        """The last release of each image, by name and platform."""
        table = RELEASES.c
        chosen = select(table.image, table.platform, table.tag, table.released, table.metrics)
        mine = chosen.where(table.image.in_(select(IMAGES.c.id).where(self._mine(()))))
        names = self._names(())
        found: dict[str, dict[str, Release]] = {}
        for image, platform, tag, released, metrics in self._connection.execute(mine.order_by(table.released)):
            last = Release(tag=tag, released=released, metrics=json.loads(metrics))
            found.setdefault(names[image], {})[platform] = last
        return found

    def images(self) -> list[str]:
        """The names of the repository's images."""
        return sorted(self._names(()).values())

    def repositories(self) -> list[str]:
        """The repositories that this database holds."""
        return [
            row[0] for row in self._connection.execute(select(IMAGES.c.repository).distinct().order_by("repository"))
        ]

    def _mine(self, images: Sequence[str]) -> Any:
        mine = IMAGES.c.repository == self._repository
        return and_(mine, IMAGES.c.name.in_(images)) if images else mine

    def _names(self, images: Sequence[str]) -> dict[int, str]:
        rows = self._connection.execute(select(IMAGES.c.id, IMAGES.c.name).where(self._mine(images)))
        return {row[0]: row[1] for row in rows}

    def _looked_up(self, key: Any, value: Any, wanted: Iterable[int]) -> dict[int, Any]:
        numbers = sorted(wanted)
        found: dict[int, Any] = {}
        for start in range(0, len(numbers), _CHUNK):
            chunk = numbers[start : start + _CHUNK]
            found.update((row[0], row[1]) for row in self._connection.execute(select(key, value).where(key.in_(chunk))))
        return found

    def _image(self, name: str) -> int:
        return self._number(IMAGES, {"repository": self._repository, "name": name}, {})

    def _text(self, shared: str) -> int:
        return self._number(TEXTS, {"hash": hashlib.sha256(shared.encode()).hexdigest()}, {"text": shared})

    def _number(self, table: Table, key: Mapping[str, str], values: Mapping[str, Any]) -> int:
        """The id of the row with `key`; made with `values` when there is none."""
        name = (table.name, *key.values())
        if name not in self._numbers:
            wanted = select(table.c.id).where(*_equal(table, key))
            found = self._connection.execute(wanted).scalar()
            if found is None:
                self._insert(table, [{**key, **values}])
                found = self._connection.execute(wanted).scalar_one()
            self._numbers[name] = int(found)
        return self._numbers[name]

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> int:
        """How many rows are new; one whose key is there stays as it is: another process may be faster."""
        insert = _insert_of(self._connection)(table).on_conflict_do_nothing()
        insert = insert.returning(table.primary_key.columns[0])
        return len(self._connection.execute(insert, rows).all())

    def _keep_build(self, image: int, started: int, data: bytes) -> None:
        if not self._insert(BUILDS, [{"image": image, "started": started, "data": data}]):
            older = BUILDS.update().where(BUILDS.c.image == image, BUILDS.c.started <= started)
            self._connection.execute(older.values(started=started, data=data))


def _insert_of(connection: Connection) -> Any:
    """The dialect's own INSERT."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # slow to load, with drivers that are not used

    return postgresql.insert


@contextlib.contextmanager
def open_history(address: Address, repository: str, *, write: bool) -> Iterator[History]:
    """The history within one transaction, which is undone when the block raises.

    With `write` a missing one is made, and an older one is brought to the present version; without, a missing one is
    an error that names what to do. Raises UnmeasuredError when the database is locked, read-only, full, damaged,
    unreachable, or of a newer version.
    """
    if not write and address.file is not None and not address.file.exists():
        raise _nothing_yet(address)
    try:
        if write and address.file is not None:
            address.file.parent.mkdir(parents=True, exist_ok=True)
        engine = _engine(address, write=write)
        _prepare(engine, address, write=write)
        with engine.begin() as connection:
            yield History(connection, address, repository)
    except DBAPIError as error:
        raise fault(address, error.orig or error) from None
    except (SQLAlchemyError, OSError) as error:
        raise fault(address, error) from None


def _prepare(engine: Engine, address: Address, *, write: bool) -> None:
    with engine.begin() as connection:
        found = _version(connection)
    if found == VERSION:
        return
    if found > VERSION:
        raise UnmeasuredError(
            f"the history {address.shown} was written by a newer ci-budget: its schema is version {found}, and this "
            f"one knows version {VERSION}",
            mend="Upgrade ci-budget to the release that wrote it.",
        )
    if found == 0 and not write:
        raise _nothing_yet(address)
    writing = engine if write else _engine(address, write=True)
    with writing.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        present = _version(connection)  # somebody else may have been faster
        if present < VERSION:
            migrate(connection, present)


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(SCHEMA.name):
        return 0
    return int(connection.execute(select(SCHEMA.c.version)).scalar_one())


def _engine(address: Address, *, write: bool) -> Engine:
    if address.file is None:
        engine = create_engine(
            address.url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": WAIT}
        )
        event.listen(engine, "connect", _bound_postgresql)
        return engine
    mode = "rwc" if write else "rw"  # rw: read-only where the file is
    place = f"file:{quote(str(address.file.absolute()))}?mode={mode}"
    engine = create_engine(
        "sqlite://",
        poolclass=NullPool,
        hide_parameters=True,
        creator=lambda: sqlite3.connect(place, uri=True, timeout=WAIT, isolation_level=None),
    )
    # The driver itself would begin transactions late, and none for CREATE TABLE (SQLAlchemy: "pysqlite", transactions).
    begin = "BEGIN IMMEDIATE" if write else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.execute(text(begin)))
    return engine


def _bound_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{WAIT}s'; SET statement_timeout = '120s'")
    connection.commit()


def _equal(table: Table, key: Mapping[str, _Value]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def _nothing_yet(address: Address) -> UnmeasuredError:
    return UnmeasuredError(
        f"the history {address.shown} does not exist yet: no run was recorded",
        mend="`ci-budget check` records into it; `ci-budget report --import FOLDER` takes kept report.json files in.",
    )
