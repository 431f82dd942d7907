"""Seeds: kept, found, refused when somebody changed them, and thrown away in the order of their last use.

The filesystems are real and small; nothing is mounted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.processes import run
from ci_budget.edges.sandbox.loop_filesystem import fill_from, make_filesystem, reserve_file
from ci_budget.edges.sandbox.seeds import DamagedSeedError, SeedFacts, SeedStore

SIZE = 96 * 2**20  # of the smallest filesystem that has the inodes of a sandbox
GENEROUS = 10**9


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox's filesystem, with 2 MB of content."""
    folder = tmp_path_factory.mktemp("disk")
    file = folder / "disk.ext4"
    reserve_file(file, SIZE)
    make_filesystem(file, 20_000_000)
    (folder / "content").write_bytes(os.urandom(2_000_000))
    run(["debugfs", "-w", "-R", f"write {folder}/content content", file])
    return file


@pytest.fixture
def store(tmp_path: Path) -> SeedStore:
    """An empty store with room for everything."""
    return SeedStore(tmp_path, limit=GENEROUS, reserve=0)


def facts(used: int = 2_000_000) -> SeedFacts:
    """Facts of the filesystem above."""
    return SeedFacts(
        empty_used=100_000, empty_inodes=11, bases={"test/base:1": "sha256:aa"}, bases_used=used, file_size=SIZE
    )


def key(name: str) -> str:
    """A key that differs with `name`."""
    return SeedStore.key(bases={"test/base:1": name}, file_size=SIZE, inodes=1000, engine="28")


def used_at(root: Path, name: str, seconds: int) -> None:
    """As if the seed had been used so long after the epoch."""
    os.utime(root / "seeds" / f"{key(name)}.json", (seconds, seconds))


def test_a_kept_seed_is_found_with_its_facts_and_its_content(store: SeedStore, disk: Path, tmp_path: Path) -> None:
    assert store.find(key("a")) is None
    assert store.keep(key("a"), disk, facts()) is None

    seed = store.find(key("a"))

    assert seed is not None
    assert seed.facts == facts().model_copy(update={"written": seed.disk.stat().st_mtime_ns})
    assert seed.disk.stat().st_blocks * 512 < 6_000_000, "only what is in use is kept"
    copy = tmp_path / "copy.ext4"
    reserve_file(copy, SIZE)
    fill_from(seed.disk, copy)
    assert copy.stat().st_blocks * 512 >= SIZE, "the copy is reserved in full"
    run(["e2fsck", "-n", "-f", copy])
    assert run(["debugfs", "-R", "cat content", copy]).stdout == (disk.parent / "content").read_bytes()
    assert list(store.sizes()) == [key("a")]
    assert sorted(path.suffix for path in (tmp_path / "seeds").iterdir() if not path.name.startswith(".")) == [
        ".ext4",
        ".json",
    ]


@pytest.mark.parametrize(
    "changed",
    [{"bases": {"test/base:1": "sha256:bb"}}, {"bases": {}}, {"file_size": SIZE + 1}, {"inodes": 7}, {"engine": "29"}],
    ids=["image", "no-base", "size", "inodes", "engine"],
)
def test_whatever_matters_makes_another_key(changed: dict[str, object]) -> None:
    parts = {"bases": {"test/base:1": "sha256:aa"}, "file_size": SIZE, "inodes": 1000, "engine": "28"}
    assert SeedStore.key(**parts) == SeedStore.key(**parts)  # type: ignore[arg-type]
    assert SeedStore.key(**parts) != SeedStore.key(**{**parts, **changed})  # type: ignore[arg-type]


class TestDamage:
    """What is not as it was kept is refused."""

    @pytest.fixture
    def seed(self, store: SeedStore, disk: Path, tmp_path: Path) -> tuple[SeedStore, Path, Path]:
        """A store with one seed, its disk and its facts."""
        assert store.keep(key("a"), disk, facts()) is None
        return store, tmp_path / "seeds" / f"{key('a')}.ext4", tmp_path / "seeds" / f"{key('a')}.json"

    def refuse(self, store: SeedStore, why: str) -> None:
        """The seed is refused for this reason, and gone after `drop`."""
        with pytest.raises(DamagedSeedError) as caught:
            store.find(key("a"))
        assert caught.value.what.startswith(why)
        store.drop(key("a"))
        assert store.find(key("a")) is None
        assert store.sizes() == {}

    def test_one_byte_of_content_overwritten(self, seed: tuple[SeedStore, Path, Path], disk: Path) -> None:
        """No filesystem check would see this: it is inside a file."""
        store, copy, _ = seed
        content = (disk.parent / "content").read_bytes()
        place = copy.read_bytes().index(content[:4096])
        with copy.open("r+b") as handle:
            handle.seek(place + 100)
            handle.write(bytes([content[100] ^ 1]))
        run(["e2fsck", "-n", "-f", copy])
        self.refuse(store, "somebody wrote to it")

    def test_cut_off(self, seed: tuple[SeedStore, Path, Path]) -> None:
        os.truncate(seed[1], SIZE // 2)
        self.refuse(seed[0], "its size or format is not what it was")

    def test_facts_cut_off(self, seed: tuple[SeedStore, Path, Path]) -> None:
        os.truncate(seed[2], 20)
        self.refuse(seed[0], "its facts cannot be read")

    def test_facts_of_another_format(self, seed: tuple[SeedStore, Path, Path]) -> None:
        seed[2].write_text(json.dumps({**json.loads(seed[2].read_text()), "format": 99}))
        self.refuse(seed[0], "its size or format is not what it was")

    def test_endless_facts(self, seed: tuple[SeedStore, Path, Path]) -> None:
        seed[2].write_text(" " * 1_000_001)
        self.refuse(seed[0], "its facts are too large")

    def test_facts_gone(self, seed: tuple[SeedStore, Path, Path]) -> None:
        seed[2].unlink()
        self.refuse(seed[0], "it cannot be read: No such file or directory")

    def test_disk_gone(self, seed: tuple[SeedStore, Path, Path]) -> None:
        seed[1].unlink()
        self.refuse(seed[0], "it cannot be read: No such file or directory")


class TestRoom:
    """Never more than the limit, never into the host's reserve."""

    def test_the_longest_unused_goes_first(self, store: SeedStore, disk: Path, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            assert store.keep(key(name), disk, facts()) is None
        one = max(store.sizes().values())
        for name, seconds in (("a", 1000), ("b", 2000), ("c", 3000)):
            used_at(tmp_path, name, seconds)
        assert store.find(key("a")) is not None  # a use: now b is the longest unused
        assert list(store.sizes()) == [key("b"), key("c"), key("a")]

        room_for_three = SeedStore(tmp_path, limit=int(3.5 * one), reserve=0)
        assert room_for_three.keep(key("d"), disk, facts(one - 100_000)) is None

        assert set(store.sizes()) == {key("a"), key("c"), key("d")}
        assert store.find(key("b")) is None

    def test_a_limit_of_nothing_keeps_nothing_and_says_so(self, disk: Path, tmp_path: Path) -> None:
        store = SeedStore(tmp_path, limit=0, reserve=0)
        assert store.keep(key("a"), disk, facts()) == "the bases take more than the 0 bytes that seeds may take"
        assert store.sizes() == {}
        assert store.find(key("a")) is None

    def test_a_seed_larger_than_the_limit_costs_no_other_its_place(
        self, store: SeedStore, disk: Path, tmp_path: Path
    ) -> None:
        assert store.keep(key("a"), disk, facts()) is None
        small = SeedStore(tmp_path, limit=5_000_000, reserve=0)
        assert small.keep(key("b"), disk, facts(5_000_000)) is not None
        assert list(store.sizes()) == [key("a")]

    def test_the_hosts_reserve_is_left_alone(self, disk: Path, tmp_path: Path) -> None:
        available = read_usage(tmp_path).available
        store = SeedStore(tmp_path, limit=2**60, reserve=2 * available)
        assert store.keep(key("a"), disk, facts()) == "the host has no room for it beside its reserve"
        assert store.sizes() == {}

    def test_what_a_killed_run_left_half_written_goes(self, store: SeedStore, disk: Path, tmp_path: Path) -> None:
        (tmp_path / "seeds").mkdir()
        (tmp_path / "seeds" / "dead.partial").write_bytes(b"x")
        assert store.keep(key("a"), disk, facts()) is None
        assert not (tmp_path / "seeds" / "dead.partial").exists()

    def test_a_copy_that_fails_leaves_nothing(self, store: SeedStore, tmp_path: Path) -> None:
        broken = tmp_path / "no-filesystem"
        broken.write_bytes(b"x" * 100_000)
        assert (store.keep(key("a"), broken, facts()) or "").startswith("it could not be written (`e2image -ra ")
        assert [path.name for path in (tmp_path / "seeds").iterdir()] == [".lock"]
