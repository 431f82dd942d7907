"""What made an image larger: packages, paths and steps, and whose doing it is."""

from __future__ import annotations

from array import array

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextFolder, ContextMeasure
from ci_budget.core.inventory.changes import REST, compare
from ci_budget.core.inventory.context_record import record_context
from ci_budget.core.inventory.model import BaseRecord, Inventory
from ci_budget.core.inventory.other_changes import tell_context, tell_layers
from ci_budget.core.records.report import Cause, Contributor
from ci_budget.core.render.growth import tell_contributor
from tests.unit.inventory_samples import MB, Image, service


def said(found: list[Contributor]) -> list[tuple[str, str, int, int | None]]:
    return [(item.kind, item.name, item.delta, item.line) for item in found]


def test_an_upgrade_is_named_with_both_versions() -> None:
    before = service().add("venv/torch/lib.so", 900 * MB, "torch", "2.13.0").inventory()
    after = service().add("venv/torch/lib.so", 2800 * MB, "torch", "2.14.1").inventory()
    (found,) = compare(before, after)
    assert found == Contributor(
        kind="dependency-drift",
        name="torch 2.13.0 -> 2.14.1",
        before=900 * MB,
        after=2800 * MB,
        delta=1900 * MB,
        stage="app",
        line=11,
    )


def test_the_same_text_with_other_files_is_this_change() -> None:
    before = service().add("venv/torch/lib.so", 900 * MB, "torch", "2.13.0").inventory()
    image = Image().step("base", inherited=True).add("usr/lib/libc.so", 40 * MB, "libc6", "2.36-9")
    image.step("RUN pip install -r requirements.txt", inputs="pip with other requirements")
    after = image.add("venv/torch/lib.so", 2800 * MB, "torch", "2.14.1").inventory()
    assert said(compare(before, after)) == [("this-change", "torch 2.13.0 -> 2.14.1", 1900 * MB, 11)]


@pytest.mark.parametrize(
    ("contexts", "copies", "kind"),
    [
        (("a", "a"), True, "dependency-drift"),
        (("a", "b"), True, "this-change"),
        (("a", "b"), False, "dependency-drift"),
        ((None, None), True, "this-change"),
        ((None, None), False, "dependency-drift"),
    ],
)
def test_where_inputs_are_not_known_the_context_decides(
    contexts: tuple[str | None, str | None], copies: bool, kind: str
) -> None:
    sides = []
    for context, size in zip(contexts, (5 * MB, 9 * MB), strict=True):
        image = Image(context=context)
        if copies:
            image.step("COPY requirements.txt .")
        sides.append(image.step("RUN pip install x").add("venv/x.so", size, "x", str(size)).inventory())
    assert [item.kind for item in compare(*sides)] == [kind]


def test_another_base_under_the_same_name_is_drift_and_under_another_name_a_change() -> None:
    def on(base: str, size: int, version: str) -> Inventory:
        image = Image(base=base).step("base", inherited=True).add("usr/lib/libc.so", size, "libc6", version)
        return image.step("RUN true").add("app", MB).inventory()

    before = on("python:3.11", 40 * MB, "2.36-9")
    assert said(compare(before, on("python:3.11", 60 * MB, "2.36-10"))) == [
        ("base-drift", "libc6 2.36-9 -> 2.36-10", 20 * MB, 1)
    ]
    assert said(compare(before, on("python:3.12", 60 * MB, "2.41"))) == [
        ("this-change", "libc6 2.36-9 -> 2.41", 20 * MB, 1)
    ]


def test_another_base_beside_another_image_to_copy_from_is_still_drift() -> None:
    def on(size: int, *images: str) -> Inventory:
        image = Image().step("base", inherited=True).add("usr/lib/libc.so", size, "libc6", str(size))
        found = image.step("RUN true").inventory()
        first, *others = found.instructions
        first = first.model_copy(update={"images": ["docker.io/library/python:3.11"]})
        bases = [*found.bases, *(BaseRecord(reference=name) for name in images)]
        return found.model_copy(update={"instructions": [first, *others], "bases": bases})

    assert [item.kind for item in compare(on(MB), on(9 * MB, "docker.io/library/alpine:latest"))] == ["base-drift"]


def test_of_two_new_copies_the_upper_one_counts() -> None:
    before = service().step("RUN make").add("venv/x", 9 * MB).inventory()
    image = service().step("COPY --from=b /venv /venv").add("venv/x", 9 * MB).step("RUN chown -R app /venv")
    after = image.add("venv/x", 9 * MB).inventory()
    assert said(compare(before, after)) == [("this-change", "/venv/x", 9 * MB, 13)]


def test_new_and_removed_things() -> None:
    before = service().step("RUN make").add("opt/old/a.bin", 30 * MB).inventory()
    after = service().step("RUN make all").add("opt/new/b.bin", 70 * MB).add("venv/x.so", 5 * MB, "x").inventory()
    found = compare(before, after)
    assert said(found) == [
        ("this-change", "/opt/new/b.bin", 70 * MB, 12),
        ("this-change", "x 1.0", 5 * MB, 12),
        ("this-change", "/opt/old/a.bin", -30 * MB, None),
    ]
    assert [(item.before, item.after) for item in found] == [(None, 70 * MB), (None, 5 * MB), (30 * MB, None)]


def test_what_large_moves_stand_beside_is_still_told() -> None:
    before = service().step("COPY a /srv/").add("srv/x", 9 * MB).add("srv/y", 3 * MB).inventory()
    after = service().step("COPY a /opt/app/").add("opt/app/x", 9 * MB).add("opt/app/y", 3 * MB)
    found = compare(before, after.step("RUN make").add("n", MB).inventory())
    assert ("this-change", "/n", MB, 13) in said(found)


def test_many_small_files_are_told_by_their_folder() -> None:
    before, after = service(), service().step("COPY . /app")
    for number in range(300):
        after.add(f"app/tests/{number % 30}/{number}.json", 40_000)
    (found,) = compare(before.inventory(), after.inventory())
    assert said([found]) == [("this-change", "/app/tests/", 12 * MB, 12)]


def test_a_copy_of_what_a_lower_layer_has_counts_where_it_was_made() -> None:
    before = service().step("COPY model /").add("app/model.bin", 80 * MB).inventory()
    image = service().step("COPY model /").add("app/model.bin", 80 * MB).step("RUN chown -R app /app")
    after = image.add("app/model.bin", 80 * MB).inventory()
    assert said(compare(before, after)) == [("this-change", "/app/model.bin", 80 * MB, 13)]


class TestWhatALaterStepHidesOfALowerLayer:
    """The lower layer is the same on both sides, and only what is visible is a package's."""

    @staticmethod
    def sides(*steps: str, hides: int, packages: int) -> tuple[Image, Inventory]:
        """Two packages in the base, and the image without and with `steps`; the first file is hidden by the last."""
        image = Image().step("base", inherited=True)
        image.add("usr/lib/a/one.so", hides, "libc6").add("usr/lib/a/two.so", packages, "libc6")
        before = image.add("usr/lib/b/x.so", 5 * MB, "bash").step("RUN true").inventory()
        for step in steps:
            image.step(step)
        image.files[0] = (*image.files[0][:3], None)
        return image, before

    def test_deleted_files_of_a_package_make_no_difference(self) -> None:
        image, before = self.sides("RUN rm /usr/lib/a/one.so", hides=40 * MB, packages=9 * MB)
        assert said(compare(before, image.add("a", 4 * MB).inventory())) == [("this-change", "/a", 4 * MB, 12)]
        assert said(compare(image.inventory(), before)) == [("this-change", "/a", -4 * MB, None)]

    def test_nor_does_a_package_that_is_uninstalled(self) -> None:
        image, before = self.sides("RUN apt-get purge libc6", hides=40 * MB, packages=0)
        del image.packages["libc6"]
        assert said(compare(before, image.add("a", 4 * MB).inventory())) == [("this-change", "/a", 4 * MB, 12)]

    def test_files_of_a_package_that_are_written_again_are_the_later_steps(self) -> None:
        image, before = self.sides("RUN chmod -R g+w /usr/lib", hides=40 * MB, packages=9 * MB)
        after = image.add("usr/lib/a/one.so", 40 * MB, "libc6").inventory()
        assert said(compare(before, after)) == [("this-change", "/usr/lib/a/", 40 * MB, 12)]
        assert said(compare(after, before)) == [("this-change", "/usr/lib/a/", -40 * MB, None)]

    def test_so_are_those_of_an_upgrade(self) -> None:
        image, before = self.sides("RUN apt-get upgrade", hides=40 * MB, packages=9 * MB)
        after = image.add("usr/lib/a/one.so", 43 * MB, "libc6", "1.1").inventory()
        assert said(compare(before, after)) == [
            ("this-change", "/usr/lib/a/", 40 * MB, 12),
            ("this-change", "libc6 1.0 -> 1.1", 3 * MB, 12),
        ]


def test_a_package_s_files_count_for_the_package_alone() -> None:
    before = service().add("venv/lib/x.so", 10 * MB, "x").add("venv/lib/own.bin", 20 * MB)
    after = service().add("venv/lib/x.so", 90 * MB, "x").add("venv/lib/own.bin", 50 * MB)
    assert said(compare(before.inventory(), after.inventory())) == [
        ("dependency-drift", "x 1.0", 80 * MB, 11),
        ("dependency-drift", "/venv/lib/own.bin", 30 * MB, 11),
    ]


class TestPackagesOfOneName:
    """Those in one folder are held against each other; the others of a name as before, all together."""

    @staticmethod
    def installed(*packages: tuple[str, int, str]) -> Inventory:
        """The package `core` by folder, bytes and version, a step each."""
        image = service()
        for folder, size, version in packages:
            image.step(f"COPY {folder}").add(f"{folder}/core/x.so", size, f"{folder}-core", version)
        found = image.inventory()
        records = [
            one.model_copy(update={"name": "core", "path": f"{one.name[:-5]}/core-{one.version}.dist-info/RECORD"})
            if one.name.endswith("-core") else one
            for one in found.packages
        ]  # fmt: skip
        return found.model_copy(update={"packages": records})

    def test_one_of_two_that_grew(self) -> None:
        before = self.installed(("a", 9 * MB, "1"), ("b", 3 * MB, "1"))
        after = self.installed(("a", 9 * MB, "1"), ("b", 8 * MB, "2"))
        assert said(compare(before, after)) == [("dependency-drift", "core 1 -> 2", 5 * MB, 13)]

    def test_a_second_one(self) -> None:
        before = self.installed(("a", 9 * MB, "1"))
        after = self.installed(("a", 9 * MB, "1"), ("b", 9 * MB, "1"))
        (found,) = compare(before, after)
        assert tell_contributor(found) == "+9.00 MB core 1 (new, this change, line 13)"

    def test_one_that_moved(self) -> None:
        before, after = self.installed(("a", 9 * MB, "1")), self.installed(("b", 11 * MB, "2"))
        assert said(compare(before, after)) == [("this-change", "core 1 -> 2", 2 * MB, 12)]


class TestInsideAPackage:
    @staticmethod
    def torch(version: str = "2", **files: float) -> Inventory:
        image = service()
        for name, size in files.items():
            image.add(f"torch/{name}", round(size * MB), "torch", version)
        found = image.inventory()
        number = [one.name for one in found.packages].index("torch")
        records = [one.model_copy(update={"package": number if one.owned else None}) for one in found.files]
        return found.model_copy(update={"files": records})

    def test_the_files_that_differ_most(self) -> None:
        before, after = self.torch(a=1, b=9, c=5), self.torch(a=9, b=8, d=7, e=0.2)
        (found,) = compare(before, after)
        assert (found.name, found.delta) == ("torch 2", 9_200_000)
        assert [(one.name, one.delta) for one in found.inside] == [("/torch/a", 8 * MB), ("/torch/d", 7 * MB)]
        assert tell_contributor(found) == "+9.20 MB torch 2 (dependency drift, line 11, mostly in /torch/a)"
        (found,) = compare(after, before)
        assert [(one.name, one.delta) for one in found.inside] == [("/torch/a", -8 * MB), ("/torch/d", -7 * MB)]

    def test_of_another_version_it_is_all(self) -> None:
        assert compare(self.torch(a=1), self.torch("3", a=9))[0].inside == []

    def test_an_older_inventory_does_not_say_whose_files_are(self) -> None:
        before = self.torch(a=1)
        older = [one.model_copy(update={"package": None}) for one in before.files]
        assert compare(before.model_copy(update={"files": older}), self.torch(a=9))[0].inside == []


class TestTriggersOfTheBase:
    """Their steps have no line; they come with the FROM."""

    @staticmethod
    def triggered(text: str, size: int, context: str = "context", base: str = "python:3.11") -> Inventory:
        image = Image(base=base, context=context).step("base", inherited=True).step(text).add("trigger", size)
        found = image.step("RUN make").inventory()
        steps = [one.model_copy(update={"line": None, "stage": None}) if one.created_by == text else one
                 for one in found.steps]  # fmt: skip
        return found.model_copy(update={"steps": steps})

    @pytest.mark.parametrize(
        ("text", "context", "base", "kind"),
        [
            ("RUN two", "context", "python:3.11", "base-drift"),
            ("RUN two", "context", "python:3.12", "this-change"),
            ("COPY . /app", "other", "python:3.11", "this-change"),
            ("COPY . /app", "context", "python:3.11", "dependency-drift"),
        ],
    )
    def test_whose_doing_it_is(self, text: str, context: str, base: str, kind: str) -> None:
        before = self.triggered("RUN one" if text == "RUN two" else text, MB)
        after = self.triggered(text, 9 * MB, context, base)
        assert said(compare(before, after)) == [(kind, "/trigger", 8 * MB, 1)]


def test_equal_images_have_nothing_to_tell() -> None:
    assert compare(service().inventory(), service().inventory()) == []


def test_what_is_too_small_goes_into_one_line() -> None:
    before, after = service(), service().add("venv/torch.so", 1000 * MB, "torch")
    for number in range(20):
        after.add(f"venv/small{number}.so", 200_000, f"small{number}")
    found = compare(before.inventory(), after.inventory())
    assert said(found) == [
        ("dependency-drift", "torch 1.0", 1000 * MB, 11),
        ("dependency-drift", REST, 4 * MB, None),
    ]


def context(**files: int) -> ContextMeasure:
    """A context of files in `src/deep` and, where the name has a capital, at its root."""
    deep = {name: size for name, size in sorted(files.items()) if name.islower()}
    top = {name: size for name, size in sorted(files.items()) if not name.islower()}
    folders = [
        ContextFolder(path=path, joined="/".join(found), sizes=array("q", found.values()))
        for path, found in (("", top), ("src/deep", deep))
        if found
    ]
    return ContextMeasure(size=sum(files.values()), files=len(files), folders=tuple(folders))


MANY = {f"f{number}": 5000 for number in range(1000)}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": 5000}, {"a": 5000, "b": 9000}, "+9.00 kB src/deep/b (new)"),
        ({"a": 5000, "b": 9000}, {"a": 5000}, "-9.00 kB src/deep/b (gone)"),
        ({"A": 5000}, {"A": 70_000}, "+65.0 kB A"),
        ({"A": 10}, {"A": 30}, "+20 B in small files"),
        ({"A": 5000}, {"A": 5000}, ""),
        ({"A": 5000}, {"B": 9000, "a": 8000}, "+9.00 kB B (new), +8.00 kB src/deep/a (new)"),
        (MANY, {**MANY, "b": 9000}, "+9.00 kB src/deep/b (new)"),  # one of the others has no record any more
    ],
)
def test_what_a_context_gained_or_lost(before: dict[str, int], after: dict[str, int], said: str) -> None:
    sides = [
        Image().inventory().model_copy(update={"context": record_context(context(**files))})
        for files in (before, after)
    ]
    assert tell_context(*sides) == said


def test_what_the_ignore_file_kept_out_before() -> None:
    rules = IgnoreRules.parse(b"src\n!src/deep/b\n")
    old = record_context(context(A=5000, b=1), rules)
    before = service().step("COPY . /app", inputs="one").add("app/A", 5000).inventory()
    before = before.model_copy(update={"context": old})
    image = service().step("COPY . /app", inputs="other").add("app/A", 5000).add("app/src/deep/a", 9 * MB)
    now = record_context(context(A=5000, a=9 * MB, b=1), IgnoreRules())
    after = image.inventory().model_copy(update={"context": now})
    assert tell_context(before, after) == "+9.00 MB src/deep/a (no longer ignored)"
    (found,) = compare(before, after)
    assert tell_contributor(found) == "+9.00 MB /app/src/deep/a (new, this change, line 12, no longer ignored)"
    unknown = before.model_copy(update={"context": old.model_copy(update={"ignored": None})})
    assert tell_context(unknown, after) == "+9.00 MB src/deep/a (new)"
    assert not compare(unknown, after)[0].was_ignored


def test_a_context_that_is_not_known() -> None:
    assert tell_context(Image().inventory(), Image().inventory()) == ""


def test_a_large_context_is_kept_as_far_as_there_is_room() -> None:
    folders = tuple(
        ContextFolder(path=f"a/b/{number}", joined="file", sizes=array("q", [5000 + number])) for number in range(1500)
    )
    found = record_context(ContextMeasure(size=1, files=1500, folders=folders))
    assert (found.folder_depth, len(found.folders), len(found.files)) == (2, 3, 1000)
    assert found.files[0].path == "a/b/1499/file"
    assert found.folders[0].size == sum(5000 + number for number in range(1500))


def test_which_steps_came_and_went() -> None:
    before = service().step("RUN make").step("COPY a /a")
    after = Image().step("base", inherited=True).step("more", inherited=True)
    after.step("RUN pip install -r requirements.txt", inputs="pip").step("COPY a /a").step("RUN make all")
    assert tell_layers(before.inventory(), after.inventory()) == (
        "line 14 brings one (`RUN make all`), `RUN make` is gone, the base image has 1 more"
    )
    assert tell_layers(before.inventory(), before.inventory()) == ""


def known(image: Image) -> Inventory:
    """With what each instruction is given, as a build leaves it."""
    found = image.inventory()
    records = [
        one.model_copy(update={"own_sha256": one.text_sha256, "command": one.text_sha256.split()[0]})
        for one in found.instructions
    ]  # fmt: skip
    return found.model_copy(update={"instructions": records})


def test_what_is_gone_stands_at_the_step_in_the_place_of_its_own() -> None:
    before = service().step("RUN make all").add("opt/x", 3 * MB).add("opt/junk", 9 * MB).step("COPY a /a")
    after = service().step("RUN make").add("opt/x", 3 * MB).step("COPY a /a")
    assert said(compare(known(before), known(after))) == [("this-change", "/opt/junk", -9 * MB, 12)]


def test_what_is_gone_with_its_step() -> None:
    before = service().step("RUN make").add("opt/junk", 9 * MB).step("COPY a /a")
    (found,) = compare(known(before), known(service().step("COPY a /a")))
    assert said([found]) == [("this-change", "/opt/junk", -9 * MB, None)]
    assert found.cause == Cause(stage="app", line=None, command="RUN", change="gone", after=11)
    assert tell_contributor(found) == "-9.00 MB /opt/junk (gone, this change, by a RUN of app that is gone)"


def test_what_is_gone_where_one_step_became_two() -> None:
    before = service().step("RUN make").add("opt/junk", 9 * MB).step("COPY a /a")
    after = service().step("RUN one").step("RUN two").step("COPY a /a")
    (found,) = compare(known(before), known(after))
    assert (found.line, found.cause) == (None, None)
