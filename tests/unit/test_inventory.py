"""What is kept of an image: packages by their managers' records, folder sums, the bound on its size, its storage."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.inventory import building, same_content, storage
from ci_budget.core.inventory.building import BuildFacts, build_inventory, describe_instructions, shown_path
from ci_budget.core.inventory.model import (
    FolderRecord,
    Inventories,
    Inventory,
    LayerRecord,
    Manager,
    PackageRecord,
    SameContent,
    StepRecord,
    WasteGroup,
    WasteSums,
)
from ci_budget.core.inventory.packages import is_package_record, survey_packages
from ci_budget.core.inventory.same_content import SameContents, find_same_content
from ci_budget.core.inventory.storage import (
    parse_inventories,
    parse_inventory,
    render_inventories,
    render_inventory,
)
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Kind, Layer
from ci_budget.core.layers.waste import survey
from ci_budget.core.records.baseline import Baseline
from ci_budget.core.records.baseline_update import accept_report
from ci_budget.errors import ConfigError
from tests.unit.report_samples import STARTED, limits, measured, metrics

MIB = 2**20


def image(*layers: dict[str, bytes | int], inherited: int = 0) -> tuple[ImageLayers, dict[tuple[int, str], bytes]]:
    """An image from the contents (or only the sizes) of its files; None is not meant to be here."""
    contents: dict[tuple[int, str], bytes] = {}
    made = []
    for index, files in enumerate(layers):
        entries = []
        for path, content in sorted(files.items()):
            if path.startswith("!"):
                entries.append(Entry(path[1:], Kind.WHITEOUT))
                continue
            entries.append(Entry(path, Kind.FILE, content if isinstance(content, int) else len(content)))
            if isinstance(content, bytes):
                contents[index, path] = content
        made.append(Layer(f"sha256:{index:064x}", tuple(entries)))
    history = tuple(HistoryStep(f"RUN step {index}", index, "app", index + 1) for index in range(len(layers)))
    return ImageLayers("sha256:" + "1" * 64, tuple(made), history, inherited), contents


def packages(*layers: dict[str, bytes | int]) -> list[tuple[str, str, str, int, int]]:
    found, contents = image(*layers)
    visible, _ = survey(found)
    listed = survey_packages(found, visible, lambda layer, path: contents.get((layer, path)))[0]
    return [(str(one.manager), one.name, one.version, one.size, one.layer) for one in listed]


class TestPackages:
    """Names, versions, visible bytes and the layer that brought each."""

    def test_dpkg(self) -> None:
        status = b"Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.2-3\n\n"
        more = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n\n"
        gone = b"Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
        below: dict[str, bytes | int] = {
            "var/lib/dpkg/status": more,
            "var/lib/dpkg/info/libc6:amd64.list": b"/.\n/lib\n/lib/libc.so\n",
            "usr/lib/libc.so": 1000,
        }
        above: dict[str, bytes | int] = {
            "var/lib/dpkg/status": more + status + gone,
            "var/lib/dpkg/info/curl.list": b"/usr/bin/curl\n/usr/share/doc/curl\n",
            "usr/bin/curl": 300,
        }
        assert packages(below, above) == [
            ("dpkg", "libc6", "2.36", 1000 + 21, 0),
            ("dpkg", "curl", "1.2-3", 300 + 34, 1),
        ]

    def test_dpkg_without_lists(self) -> None:
        """Distroless images have one file a package."""
        record = b"Package: tzdata\nArchitecture: all\nVersion: 2024a\n"
        assert packages({"var/lib/dpkg/status.d/tzdata": record}) == [("dpkg", "tzdata", "2024a", len(record), 0)]

    def test_apk_by_the_layer_from_which_on_it_is_there(self) -> None:
        first = b"P:musl\nV:1.2.4-r0\nF:lib\nR:libc.so\n\n"
        second = first + b"P:curl\nV:8-r1\nF:usr/bin\nR:curl\n\n"
        found = packages(
            {"lib/apk/db/installed": first, "lib/libc.so": 5000},
            {"lib/apk/db/installed": second, "usr/bin/curl": 700},
            {"lib/apk/db/installed": second + b"\n"},
        )
        assert [(one[1], one[2], one[4]) for one in found] == [("musl", "1.2.4-r0", 0), ("curl", "8-r1", 1)]
        assert found[0][3] >= 5000 and found[1][3] == 700

    def test_pip_by_the_visible_files_of_its_record(self) -> None:
        record = b'Torch_CPU/__init__.py,sha256=x,1\r\n../../../bin/torch,,\n"odd,name.py",,\nmissing.py,,\n'
        site = "usr/lib/python3.11/site-packages"
        found = packages(
            {
                f"{site}/Torch_CPU-2.1.0+cu121.dist-info/RECORD": record,
                f"{site}/Torch_CPU/__init__.py": 4000,
                "usr/bin/torch": 20,
                f"{site}/odd,name.py": 3,
            },
            {f"!{site}/odd,name.py": 0},
        )
        assert found == [("pip", "torch-cpu", "2.1.0+cu121", 4000 + 20 + len(record), 0)]

    @pytest.mark.parametrize(
        ("title", "named"),
        [
            ("torch-cpu-2.0", ("torch-cpu", "2.0")),
            ("x-1.0-beta", ("x", "1.0-beta")),
            ("x-unknown", ("x", "unknown")),
            ("x", ("x", "")),
        ],
    )
    def test_a_python_package_is_named_as_its_folder(self, title: str, named: tuple[str, str]) -> None:
        assert [one[1:3] for one in packages({f"v/{title}.dist-info/RECORD": b"a.py,,\n"})] == [named]

    def test_a_layer_that_only_copied_the_record_did_not_bring_the_package(self) -> None:
        """`chmod -R` and `chown -R` write every file again."""
        record, path = b"a.py,,\n", "v/a-1.dist-info/RECORD"
        layers: list[dict[str, bytes | int]] = [{}, {path: record}, {path: record}, {"x": 1}]
        assert [one[4] for one in packages(*layers)] == [1]
        assert [one[4] for one in packages(*layers, {path: record + b"b.py,,\n"})] == [4]
        assert [one[4] for one in packages(*layers, {f"!{path}": 0}, {path: record})] == [5]

    def test_a_python_package_that_dpkg_brought_is_dpkgs(self) -> None:
        folder = "usr/lib/python3/dist-packages/six-1.16.0.dist-info"
        found = packages(
            {
                "var/lib/dpkg/status": b"Package: python3-six\nStatus: install ok installed\nVersion: 1.16.0-4\n",
                "var/lib/dpkg/info/python3-six.list": f"/{folder}/RECORD\n".encode(),
                f"{folder}/RECORD": b"six.py,,\n",
            }
        )
        assert [(one[0], one[1]) for one in found] == [("dpkg", "python3-six")]

    def test_conda(self) -> None:
        meta = json.dumps({"name": "mkl", "version": "2024.0", "files": ["lib/libmkl.so"]}).encode()
        found = packages({"opt/conda/conda-meta/mkl-2024.0-0.json": meta, "opt/conda/lib/libmkl.so": 900})
        assert found == [("conda", "mkl", "2024.0", 900 + len(meta), 0)]

    def test_npm_each_file_in_the_innermost_package(self) -> None:
        outer = b'{"name": "@scope/outer", "version": "1.0.0"}'
        inner = b'{"name": "inner", "version": "2.0.0"}'
        found = packages(
            {
                "app/node_modules/@scope/outer/package.json": outer,
                "app/node_modules/@scope/outer/lib/index.js": 100,
                "app/node_modules/@scope/outer/lib/package.json": b'{"name": "no", "version": "0"}',
                "app/node_modules/@scope/outer/node_modules/inner/package.json": inner,
                "app/node_modules/@scope/outer/node_modules/inner/index.js": 1000,
            }
        )
        assert found == [
            ("npm", "inner", "2.0.0", 1000 + len(inner), 0),
            ("npm", "@scope/outer", "1.0.0", 100 + 30 + len(outer), 0),
        ]

    @pytest.mark.parametrize(
        "path",
        ["var/lib/dpkg/status", "lib/apk/db/installed", "a/node_modules/b/package.json", "x/conda-meta/a-1-0.json"],
    )
    def test_broken_records_give_no_package(self, path: str) -> None:
        for content in (b"", b"\xff\x00" * 50, b"[" * 5000, b'{"name": 1}', b"{}"):
            assert packages({path: content}) == []

    def test_which_files_are_read(self) -> None:
        assert is_package_record("usr/lib/python3/dist-packages/six-1.dist-info/RECORD")
        for path in (
            "RECORD",
            "etc/status",
            "node_modules/package.json",
            "a/conda-meta/history",
            "x.dist-info/METADATA",
        ):
            assert not is_package_record(path), path


def test_whose_the_larger_files_are() -> None:
    """By the package's place in the list, which is by size."""
    found, contents = image(
        {
            "var/lib/dpkg/status": b"Package: libc6\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n",
            "var/lib/dpkg/info/libc6:amd64.list": b"/usr/lib/libc.so\n/usr/lib/small\n",
            "usr/lib/libc.so": 90_000,
            "usr/lib/small": 900,
        },
        {
            "v/a/lib.so": 80_000,
            "v/a-1.dist-info/RECORD": b"a/lib.so,,\n",
            "n/node_modules/b/package.json": b'{"name": "b", "version": "1"}',
            "n/node_modules/b/b.node": 300_000,
            "n/node_modules/b/node_modules/c/package.json": b'{"name": "c", "version": "1"}',
            "n/node_modules/b/node_modules/c/c.node": 70_000,
            "nobody": 100_000,
        },
    )
    visible, waste = survey(found)
    listed, owned, owners = survey_packages(found, visible, lambda layer, path: contents.get((layer, path)))
    inventory = build_inventory(found, listed, waste=waste, facts=BuildFacts(), owned=owned, owners=owners)
    whose = {one.path: None if one.package is None else listed[one.package].name for one in inventory.files}
    assert whose == {
        "usr/lib/libc.so": "libc6",
        "v/a/lib.so": "a",
        "n/node_modules/b/b.node": "b",
        "n/node_modules/b/node_modules/c/c.node": "c",
        "nobody": None,
    }


class TestBuilding:
    """The inventory of an image."""

    def test_whole(self) -> None:
        found, _ = image({"usr/lib/a.so": 70_000, "usr/b": 10}, {"usr/lib/a.so": 80_000, "top": 5}, inherited=1)
        _, waste = survey(found)
        inventory = build_inventory(found, [], waste=waste, facts=BuildFacts(platform="linux/amd64"))
        assert inventory.size == 150_015
        assert [(one.size, one.files, one.inherited, one.step) for one in inventory.layers] == [
            (70_010, 2, True, 0),
            (80_005, 2, False, 1),
        ]
        assert [(one.path, one.size, one.layer, one.hidden) for one in inventory.files] == [
            ("usr/lib/a.so", 70_000, 0, True),
            ("usr/lib/a.so", 80_000, 1, False),
        ]
        assert [(one.path, one.layer, one.size, one.files) for one in inventory.folders] == [
            ("", 0, 70_010, 2), ("usr", 0, 70_010, 2), ("usr/lib", 0, 70_000, 1),
            ("", 1, 80_005, 2), ("usr", 1, 80_000, 1), ("usr/lib", 1, 80_000, 1),
        ]  # fmt: skip
        assert inventory.waste is not None
        assert (inventory.waste.overwritten, inventory.waste.total) == (70_000, 70_000)
        assert inventory.dive is not None
        assert inventory.dive.wasted_bytes == 150_000

    def test_it_stays_small_with_less_detail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(building, "LARGEST_INVENTORY", 130_000)
        dice = random.Random(1)
        files: dict[str, bytes | int] = {
            f"{dice.randrange(9)}/{dice.randbytes(150).hex()}": dice.randrange(4 * MIB) for _ in range(900)
        }
        found, _ = image(files)
        _, waste = survey(found)
        inventory = build_inventory(found, [], waste=waste, facts=BuildFacts())
        assert 10_000 < len(render_inventory(inventory)) <= 130_000
        assert inventory.smallest_file > 64 * 1024
        assert inventory.folders[0].size == inventory.size == sum(one for one in files.values() if isinstance(one, int))
        assert min(one.size for one in inventory.files) >= inventory.smallest_file

    def test_text_that_json_cannot_hold(self) -> None:
        """Bytes of file names, and lone surrogates that a hostile config or package.json may hold."""
        manifest = b'{"name": "a\\ud800", "version": "\\udfff1"}'
        found, contents = image({"n/node_modules/a/package.json": manifest, "\udcff\ud801": 70_000})
        found = replace(found, history=(HistoryStep("RUN \ud800", 0),))
        visible, waste = survey(found)
        listed = survey_packages(found, visible, lambda layer, path: contents.get((layer, path)))[0]
        inventory = build_inventory(found, listed, waste=waste, facts=BuildFacts(platform="linux/\ud800"))
        assert parse_inventory(render_inventory(inventory), "f") == inventory
        assert (listed[0].name, inventory.steps[0].created_by) == ("a\\ud800", "RUN \\ud800")
        assert shown_path("a\udcffé") == "a\\xffé"

    def test_instructions_by_their_text(self) -> None:
        old = parse_dockerfile(b"FROM a AS x\nRUN one \\\n  two\nFROM x\nCOPY . .\n", "Dockerfile")
        new = parse_dockerfile(b"FROM a AS x\n\nRUN one \\\n  two\nFROM x\nCOPY . /app\n", "Dockerfile")
        before, after = describe_instructions(old), describe_instructions(new)
        assert [(one.stage, one.line) for one in after] == [("x", 1), ("x", 3), ("stage-1", 5), ("stage-1", 6)]
        same = [one.text_sha256 == other.text_sha256 for one, other in zip(before, after, strict=True)]
        assert same == [True, True, True, False]

    def test_same_content_only_where_it_is(self) -> None:
        found, contents = image(
            {"a": b"x" * MIB, "b": b"x" * MIB, "c": b"x" * (MIB - 1) + b"y", "d": b"x" * 100, "e": b"x" * 100}
        )
        visible, _ = survey(found)
        same, read = compared(visible, contents)
        assert [(one.size, one.files, one.paths) for one in same.groups] == [(MIB, 1, ["a", "b"])]
        assert sorted(read) == [(path, sampled) for path in ("a", "b", "c") for sampled in (False, True)]
        assert same.unread == 0

    def test_of_many_files_of_one_size_no_gigabytes_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(same_content, "MOST_READ", 2 * MIB)
        files = {f"m{number}": bytes([number]) + b"x" * MIB for number in range(9)}
        copies = dict.fromkeys(("c", "d"), b"y" * 2 * MIB)
        found, contents = image({**files, **copies, "e": b"z" * MIB, "f": b"z" * MIB})
        same, read = compared(survey(found)[0], contents)
        assert sorted(path for path, sampled in read if not sampled) == ["e", "f"]
        assert [(one.size, one.paths) for one in same.groups] == [(MIB, ["e", "f"])]
        assert same.unread == 4 * MIB

    def test_a_folder_of_small_files_that_came_twice(self) -> None:
        small = {f"pkg/d{number % 3}/f{number}": bytes([number]) * (50_000 + number) for number in range(30)}
        here, there = ({f"{root}/{name}": data for name, data in small.items()} for root in ("opt/app", "srv"))
        there["srv/pkg/d0/f0"] = b"!" * 50_000  # of the same size
        size = sum(len(data) for data in small.values()) - 50_000
        there["srv/pkg/d0/more"] = b"1"
        elsewhere = {"a/f1": bytes([1]) * 50_001, "b/f2": b"?" * 50_002}
        found, contents = image({**here, **elsewhere}, there)
        same, _ = compared(survey(found)[0], contents)
        assert [(one.size, one.files, one.paths) for one in same.groups] == [
            (size, 29, ["opt/app/pkg/", "srv/pkg/"])
        ]  # fmt: skip
        owned = dict.fromkeys([*here, *there], Manager.DPKG)
        assert compared(survey(found)[0], contents, owned)[0].groups == ()
        owned = dict.fromkeys(here, Manager.DPKG)
        assert len(compared(survey(found)[0], contents, owned)[0].groups) == 1

    def test_what_two_distribution_packages_bring_alike_is_theirs(self) -> None:
        found, contents = image({"usr/a": b"x" * MIB, "usr/b": b"x" * MIB})
        owned = dict.fromkeys(["usr/a", "usr/b"], Manager.APK)
        assert compared(survey(found)[0], contents, owned)[0].groups == ()


def compared(
    visible: list[tuple[Entry, int]],
    contents: Mapping[tuple[int, str], bytes],
    owned: Mapping[str, Manager] | None = None,
) -> tuple[SameContents, list[tuple[str, bool]]]:
    """What is the same, and what was read for it."""
    read: list[tuple[str, bool]] = []

    def digest(layer: int, path: str, sampled: bool) -> str:
        read.append((path, sampled))
        data = contents[layer, path]
        return str(hash(data[:10] if sampled else data))

    return find_same_content(visible, digest, owned or {}), read


class TestStorage:
    """zstd JSON, read with suspicion."""

    def sample(self) -> Inventory:
        layer = LayerRecord(diff_id="sha256:2", size=3, files=1, inherited=False, step=None)
        return Inventory(
            image_id="sha256:1", size=3, layers=[layer], same_content=[SameContent(size=1, sha256="2", paths=["\\xff"])]
        )

    def test_there_and_back(self) -> None:
        assert parse_inventory(render_inventory(self.sample()), "f") == self.sample()
        both = Inventories(images={"a": self.sample()})
        assert parse_inventories(render_inventories(both), "f") == both
        assert render_inventory(self.sample()) == render_inventory(self.sample())

    def refused(self, data: bytes) -> str:
        with pytest.raises(ConfigError) as caught:
            parse_inventory(data, "app.zst")
        return str(caught.value)

    def test_what_is_refused(self) -> None:
        whole = render_inventory(self.sample())
        mend = "\n  Restore the file, or record it anew: `ci-budget check`, then `ci-budget baseline update`."
        assert self.refused(b"") == f"app.zst: this inventory is empty: it was cut off, or never written{mend}"
        assert self.refused(b"no zstd").startswith("app.zst: this inventory is no whole zstd file: ")
        assert self.refused(whole[:-9]).startswith("app.zst: this inventory is")
        newer = zstandard.compress(b'{"schema_version": 2}')
        assert "was written by a newer ci-budget" in self.refused(newer)
        negative = zstandard.compress(zstandard.decompress(whole, 10**6).replace(b'"size":3', b'"size":-3'))
        assert "size: Input should be greater than or equal to 0" in self.refused(negative)

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"size": 4}, "its size is 4 bytes, and its layers have 3"),
            ({"steps": [StepRecord(created_by="RUN a", layer=1)]}, "it names layer 1 of 1, counted from 0"),
            (
                {"packages": [PackageRecord(manager=Manager.PIP, name="a", version="1", size=1, layer=7, path="a")]},
                "it names layer 7 of 1, counted from 0",
            ),
            (
                {"layers": [LayerRecord(diff_id="sha256:2", size=3, files=1, inherited=False, step=0)]},
                "it names step 0 of 0, counted from 0",
            ),
            (
                {"folders": [FolderRecord(path="", layer=0, size=2, files=1)]},
                "layer 0 has 3 bytes, and its folders have 2",
            ),
            (
                {"folders": [FolderRecord(path="", layer=0, size=3, files=1, owned=4)]},
                "the packages in / are larger than all that it holds",
            ),
            (
                {"waste": WasteSums(overwritten=0, deleted=1, hidden=0, groups=[WasteGroup(
                    cause="deleted", wrote=0, hid=1, size=1, files=1, largest="a")])},
                "it names layer 1 of 1, counted from 0",
            ),
        ],
    )  # fmt: skip
    def test_what_contradicts_itself(self, change: dict[str, Any], what: str) -> None:
        edited = self.sample().model_copy(update=change)
        mend = "\n  Restore the file, or record it anew: `ci-budget check`, then `ci-budget baseline update`."
        assert self.refused(render_inventory(edited)) == f"app.zst: this inventory contradicts itself: {what}{mend}"
        with pytest.raises(ConfigError) as caught:
            parse_inventories(render_inventories(Inventories(images={"web": edited})), "all.zst")
        assert str(caught.value) == f"all.zst: the inventory of 'web' contradicts itself: {what}{mend}"

    def test_a_bomb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "LARGEST_FILE", 2_000_000)
        bomb = zstandard.compress(b" " * 2_000_001)
        assert len(bomb) < 1000
        assert self.refused(bomb).startswith("app.zst: this inventory would be 2,000,001 bytes and is not read")
        silent = zstandard.ZstdCompressor(write_content_size=False).compress(b" " * 2_000_001)
        assert self.refused(silent).startswith("app.zst: this inventory is no whole zstd file: ")


class TestBaseline:
    """`baseline update` keeps the inventory of the image that the accepted values are of, and no other."""

    def accepted(self, before: Baseline, raised: tuple[str, ...] = (), **values: int) -> tuple[Baseline, str | None]:
        image = judge_image(measured(metrics=metrics(**values)), limits=limits(), baselines=[], options=GateOptions())
        report = judge_run([image], started=STARTED, commit="f" * 40, options=GateOptions())
        name = f"hash of {values['image_size']}"
        after, _ = accept_report(before, report, raise_metrics=raised, inventories={image.name: name})
        return after, after.images[image.name][0].inventory

    def test_with_the_values_that_are_accepted(self) -> None:
        first, kept = self.accepted(Baseline(), image_size=500, layers=5)
        assert kept == "hash of 500"
        assert self.accepted(first, image_size=600, layers=5)[1] == "hash of 500"
        assert self.accepted(first, image_size=400, layers=6)[1] == "hash of 500"
        assert self.accepted(first, image_size=400, layers=5)[1] == "hash of 400"
        assert self.accepted(first, ("image_size",), image_size=600, layers=5)[1] == "hash of 600"
