"""What a history must do in whatever database; run on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, text

from ci_budget.core.history.measurement import Released
from ci_budget.core.history.trend import DAY, Release
from ci_budget.edges.history.address import Address
from ci_budget.edges.history.database import open_history
from ci_budget.edges.history.tables import _STEPS, SCHEMA, VERSION
from tests.unit.history_samples import DAY_ONE, GB, built, commit, night, recorded
from tests.unit.report_samples import fingerprint, metrics


def rows_come_back_as_they_were(address: Address) -> None:
    missing = built("none", metrics=metrics(peak_disk=None, image_size=None), fingerprint=None)
    with open_history(address, "acme/shop", write=True) as history:
        assert history.record(*recorded(night(0, built("web", size=GB, budget=3 * GB), missing))) == 2
        assert history.record(*recorded(night(1, built("web", size=2 * GB)))) == 1
    with open_history(address, "acme/shop", write=False) as history:
        found = dict(history.rows(0))
        texts = history.texts()
        commits = history.commits(row[1] for row in found["web"])
    assert set(found) == {"web", "none"}
    first, second = found["web"]
    assert first[0] == DAY_ONE * DAY + 7200
    assert (first[3], texts[first[4]], texts[first[5]]) == (
        "pass", f'{{"image_size": {3 * GB}}}', '{"python:3.11": "sha256:base"}',
    )  # fmt: skip
    assert (first[6:], second[6:]) == ((2 * GB, GB, 8, 400_000), (4 * GB, 2 * GB, 8, 400_000))
    assert [commits[row[1]] for row in found["web"]] == [commit(0), commit(1)]
    assert (texts[found["none"][0][2]], found["none"][0][6:]) == ("", (None, None, 8, 400_000))


def the_same_run_and_image_again_changes_nothing(address: Address) -> None:
    web, api = built("web"), built("api")
    arm = built("web", fingerprint=fingerprint(platform="linux/arm64"))
    with open_history(address, "", write=True) as history:
        assert history.record(*recorded(night(0, web))) == 1
        assert history.record(*recorded(night(0, web))) == 0
        assert history.record(*recorded(night(0, web, api))) == 1  # the same run, a shard with one image more
        assert history.record(*recorded(night(0, arm))) == 1  # and one on another platform
    with open_history(address, "", write=False) as history:
        assert {name: len(rows) for name, rows in history.rows(0)} == {"web": 2, "api": 1}


def repositories_do_not_mix(address: Address) -> None:
    for repository, size in (("acme/shop", GB), ("acme/bank", 2 * GB)):
        with open_history(address, repository, write=True) as history:
            history.record(*recorded(night(0, built("web", size=size))))
    with open_history(address, "acme/bank", write=False) as history:
        assert [row[7] for _, rows in history.rows(0) for row in rows] == [2 * GB]
        assert (history.images(), history.repositories()) == (["web"], ["acme/bank", "acme/shop"])


def the_window_and_the_images_are_respected(address: Address) -> None:
    with open_history(address, "", write=True) as history:
        for index in range(3):
            history.record(*recorded(night(index, built("web"), built("api"))))
    with open_history(address, "", write=False) as history:
        since = (DAY_ONE + 1) * DAY
        assert {name: len(rows) for name, rows in history.rows(since, ["api"])} == {"api": 2}


def the_latest_build_is_kept(address: Address) -> None:
    with open_history(address, "", write=True) as history:
        for index, data in ((1, b"second"), (0, b"first"), (1, b"second again")):
            run, measured, _ = recorded(night(index, built("web")))
            history.record(run, measured, {"web": data})
        assert history.builds(["web", "unknown"]) == {"web": b"second again"}


def releases_are_replaced_by_tag_and_the_last_one_is_found(address: Address) -> None:
    with open_history(address, "", write=True) as history:
        for tag, moment, size in (("v2", 200, 20), ("v1", 100, 10), ("v2", 200, 22)):
            released = Released(
                image="web", platform="linux/amd64", tag=tag, released=moment, image_id="", metrics={"image_size": size}
            )
            history.record_releases([released])
        assert history.releases() == {
            "web": {"linux/amd64": Release(tag="v2", released=200, metrics={"image_size": 22})}
        }


def what_raises_leaves_nothing(address: Address) -> None:
    with open_history(address, "", write=True) as history:
        history.record(*recorded(night(0, built("web"))))
    try:
        with open_history(address, "", write=True) as history:
            history.record(*recorded(night(1, built("web"))))
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with open_history(address, "", write=False) as history:
        assert [len(rows) for _, rows in history.rows(0)] == [1]


def an_older_database_is_brought_up(address: Address) -> None:
    """A database of version 1 with a row in it, as the first release left it."""
    engine = create_engine(address.url or f"sqlite:///{address.file}")
    with engine.begin() as connection:
        for table in (SCHEMA, *_STEPS[0]):
            table.create(connection)
        connection.execute(SCHEMA.insert().values(version=1))
        connection.execute(text("INSERT INTO ci_budget_images (id, repository, name) VALUES (1, '', 'web')"))
    engine.dispose()
    with open_history(address, "", write=False) as history:
        assert (history.images(), history.builds(["web"]), history.releases()) == (["web"], {}, {})
    with engine.begin() as connection:
        assert connection.execute(SCHEMA.select()).scalar_one() == VERSION
        connection.execute(SCHEMA.update().values(version=VERSION + 1))
    engine.dispose()


def many_writers_at_once_lose_nothing(address: Address, writers: int = 6) -> None:
    """Shards of one run that end together, into a database that none of them found there."""

    def write(index: int) -> int:
        with open_history(address, "", write=True) as history:
            return history.record(*recorded(night(0, built(f"web-{index}"), built("shared"))))

    with ThreadPoolExecutor(writers) as pool:
        new = list(pool.map(write, range(writers)))
    assert sum(new) == writers + 1
    with open_history(address, "", write=False) as history:
        assert len(history.images()) == writers + 1


ALL = (
    rows_come_back_as_they_were,
    the_same_run_and_image_again_changes_nothing,
    repositories_do_not_mix,
    the_window_and_the_images_are_respected,
    the_latest_build_is_kept,
    releases_are_replaced_by_tag_and_the_last_one_is_found,
    what_raises_leaves_nothing,
    many_writers_at_once_lose_nothing,
)
