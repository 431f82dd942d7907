"""What a context's record keeps, what two of them have in common, and what that says of a change."""

from __future__ import annotations

from array import array

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextFolder, ContextMeasure
from ci_budget.core.inventory.context_record import record_context, smallest_recorded, was_ignored
from ci_budget.core.inventory.model import ContextRecord, FileRecord, FolderRecord
from ci_budget.core.inventory.other_changes import no_longer_ignored, tell_context, tell_layers
from tests.unit.inventory_samples import MB, Image, service


def measure(*files: tuple[str, int]) -> ContextMeasure:
    held: dict[str, list[tuple[str, int]]] = {}
    for path, size in files:
        folder, _, name = path.rpartition("/")
        held.setdefault(folder, []).append((name, size))
    folders = tuple(
        ContextFolder(
            path=folder, joined="/".join(name for name, _ in found), sizes=array("q", [size for _, size in found])
        )
        for folder, found in sorted(held.items())
    )
    return ContextMeasure(size=sum(size for _, size in files), files=len(files), folders=folders)


def told(before: ContextRecord, after: ContextRecord) -> str:
    sides = [Image().inventory().model_copy(update={"context": one}) for one in (before, after)]
    return tell_context(*sides)


class TestRecords:
    """As much as a thousand folders and files hold."""

    def test_sums_and_files(self) -> None:
        found = record_context(measure(("a/b/large", 5000), ("a/small", 10), ("top", 4096), ("under", 4095)))
        assert found == ContextRecord(
            size=13_201,
            folder_depth=12,
            folders=[
                FolderRecord(path="", layer=0, size=13_201, files=4),
                FolderRecord(path="a", layer=0, size=5010, files=2),
                FolderRecord(path="a/b", layer=0, size=5000, files=1),
            ],
            files=[FileRecord(path="a/b/large", size=5000, layer=0), FileRecord(path="top", size=4096, layer=0)],
        )

    def test_no_deeper_than_12_folders(self) -> None:
        found = record_context(measure(("a/" * 14 + "f", 5000)))
        assert (found.folder_depth, len(found.folders), found.folders[-1].path) == (12, 13, "/".join("a" * 12))

    def test_an_empty_one(self) -> None:
        assert record_context(measure()).folders == [FolderRecord(path="", layer=0, size=0, files=0)]

    @pytest.mark.parametrize(("folders", "depth"), [(999, 1), (1000, 0)])
    def test_no_more_than_a_thousand_folders(self, folders: int, depth: int) -> None:
        found = record_context(measure(*((f"d{number:04}/x/f", 1) for number in range(folders))))
        assert (found.folder_depth, len(found.folders)) == (depth, folders * depth + 1)

    @pytest.mark.parametrize(("files", "smallest"), [(999, 4096), (1000, 5002), (1001, 5003)])
    def test_from_which_size_on_files_are_recorded(self, files: int, smallest: int) -> None:
        """One that is full may have left out another file as large as its smallest."""
        found = record_context(measure(*((f"f{number}", 5001 + number) for number in range(files))))
        assert smallest_recorded(found) == smallest


class TestTheFinerOfTwo:
    """Else what only one of them has a record of would look like a change."""

    FILES = (("a/b/c/x", 50_000), ("a/b/y", 9000), ("z", 5000))

    def test_folders_as_deep_as_both_have(self) -> None:
        fine = record_context(measure(*self.FILES))
        coarse = fine.model_copy(
            update={"folder_depth": 1, "folders": [one for one in fine.folders if "/" not in one.path], "files": []}
        )
        full = [FileRecord(path=f"z{number}", size=10**9, layer=0) for number in range(1000)]
        coarse = coarse.model_copy(update={"files": full})
        grown = record_context(measure(*self.FILES, ("a/b/c/d/new", 700_000)))
        assert told(coarse, grown) == told(grown, coarse).replace("-", "+") == "+700 kB a/"

    def test_files_as_small_as_both_have(self) -> None:
        """One has a thousand larger ones, and so no room for `y`."""
        many = tuple((f"m{number}", 20_000) for number in range(1000))
        small = tuple((f"m{number}", 20_000) for number in range(900))
        before, after = record_context(measure(*many, ("y", 9000))), record_context(measure(*small, ("y", 9000)))
        assert "y" not in {file.path for file in before.files}
        assert "y" not in told(before, after)
        assert told(before, after) == "-2.00 MB in small files"


class TestWords:
    """Of each change its size, name, and whether it is new."""

    def test_no_more_than_three(self) -> None:
        before = record_context(measure(("a", 5000)))
        after = record_context(measure(("a", 5000), *((f"n{number}", 10_000 * (9 - number)) for number in range(5))))
        assert told(before, after) == "+90.0 kB n0 (new), +80.0 kB n1 (new), +70.0 kB n2 (new)"
        assert told(after, before) == "-90.0 kB n0 (gone), -80.0 kB n1 (gone), -70.0 kB n2 (gone)"

    def test_what_moves_the_other_way_is_left_out(self) -> None:
        before = record_context(measure(("up", 5000), ("down", 90_000)))
        after = record_context(measure(("up", 405_000), ("down", 5000)))
        assert told(before, after) == "+400 kB up"
        assert told(after, before) == "-400 kB up"

    @pytest.mark.parametrize(("small", "said"), [(1053, "+20.0 kB a, +1.05 kB in small files"), (1052, "+20.0 kB a")])
    def test_small_files_from_a_twentieth_on(self, small: int, said: str) -> None:
        before = record_context(measure(("a", 5000), ("s", 1)))
        assert told(before, record_context(measure(("a", 25_000), ("s", 1 + small)))) == said

    def test_a_folder_of_many(self) -> None:
        before = record_context(measure(("a", 5000)))
        after = record_context(measure(("a", 5000), *((f"d/{number}", 5000) for number in range(9))))
        assert told(before, after) == "+45.0 kB d/ (new)"


class TestIgnored:
    """What the ignore file of before left out."""

    def record(self, patterns: list[str], *files: tuple[str, int]) -> ContextRecord:
        return record_context(measure(*files), IgnoreRules.from_patterns(patterns))

    def test_patterns_are_kept(self) -> None:
        assert self.record(["a", "!a/b"]).ignored == ["a", "!a/b"]
        assert record_context(measure()).ignored is None

    def test_too_many_or_too_long_ones_are_not(self) -> None:
        assert len(self.record([f"p{number}" for number in range(500)]).ignored or ()) == 500
        assert self.record([f"p{number}" for number in range(501)]).ignored is None
        assert self.record(["p" * 1000]).ignored == ["p" * 1000]
        assert self.record(["p" * 1001, "a"]).ignored is None

    def test_whether_they_hide_a_path(self) -> None:
        record = self.record(["a", "!a/b"])
        assert [was_ignored(record, path) for path in ("a", "a/x", "a/b", "c")] == [True, True, False, False]
        assert was_ignored(record_context(measure()), "a") is False
        assert was_ignored(self.record([]), "a") is False
        assert was_ignored(ContextRecord(size=0, folder_depth=0, ignored=["[a"]), "a") is False

    def test_only_what_is_new(self) -> None:
        before = self.record(["d"], ("d", 5000), ("e", 5000))
        after = record_context(measure(("d", 9000), ("e", 5000), ("n", 5000)))
        sides = [Image().inventory().model_copy(update={"context": one}) for one in (before, after)]
        assert no_longer_ignored(*sides) == []
        before = self.record(["d"], ("e", 5000))
        sides[0] = sides[0].model_copy(update={"context": before})
        assert [(one.path, one.after) for one in no_longer_ignored(*sides)] == [("d", 9000)]
        assert (
            no_longer_ignored(Image().inventory(), sides[1]) == no_longer_ignored(sides[0], Image().inventory()) == []
        )


class TestLayers:
    """Which came and went."""

    def test_many(self) -> None:
        before, after = service(), service()
        for number in range(5):
            before.step(f"RUN old {number}")
            after.step(f"RUN /bin/sh -c new {number} # buildkit")
        assert tell_layers(before.inventory(), after.inventory()) == (
            "line 12 brings one (`RUN new 0`), line 13 brings one (`RUN new 1`), line 14 brings one (`RUN new 2`), "
            "`RUN old 0` is gone, `RUN old 1` is gone, `RUN old 2` is gone, 4 more came or went"
        )

    def test_the_base(self) -> None:
        one, three = Image().step("a", inherited=True), Image()
        for name in "abc":
            three.step(name, inherited=True)
        assert tell_layers(three.inventory(), one.inventory()) == "the base image has 2 fewer"
        assert tell_layers(one.inventory(), three.inventory()) == "the base image has 2 more"

    def test_a_step_without_a_line_and_one_of_many_words(self) -> None:
        image = service().step("COPY " + "x" * 70)
        after = image.inventory()
        steps = [*after.steps[:-1], after.steps[-1].model_copy(update={"line": None, "stage": None})]
        after = after.model_copy(update={"steps": steps})
        said = "a step brings one (`COPY " + "x" * 52 + "...`)"
        assert tell_layers(service().inventory(), after) == said

    def test_text_of_an_image_stays_on_one_line(self) -> None:
        after = service().step("RUN a\n\x1b[31m\u2028b").add("x", MB).inventory()
        assert tell_layers(service().inventory(), after) == "line 12 brings one (`RUN a \\x1b[31m b`)"
