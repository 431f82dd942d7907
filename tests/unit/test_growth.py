"""What is said of a size that changed: by the inventory that the baseline names, wherever it lies, or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.growth import explain_growth
from ci_budget.core.gate.judgement import GateOptions, judge_run
from ci_budget.core.inventory.changes import REST, compare
from ci_budget.core.inventory.model import ContextRecord, FileRecord, InstructionRecord, Inventories, Inventory
from ci_budget.core.inventory.storage import render_inventories, render_inventory
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import (
    ContextMetric,
    Finding,
    ImageReport,
    LayersMetric,
    Metric,
    Metrics,
    PeakMetric,
    StepReport,
)
from ci_budget.core.render.comparison import (
    Comparison,
    render_comparison_json,
    render_comparison_markdown,
    render_comparison_text,
)
from ci_budget.core.render.growth import tell_changes, tell_split
from ci_budget.core.render.headline import headline
from ci_budget.core.render.json_text import render_json
from ci_budget.edges.files.baseline_inventories import InventoryPlace, read_baseline_inventory
from ci_budget.errors import ConfigError
from tests.unit.golden_reports import HOSTILE
from tests.unit.inventory_samples import Image, service
from tests.unit.report_samples import MB, SANDBOX, STARTED, entry, fingerprint, measured
from tests.unit.test_git import command

BEFORE = service().add("venv/torch/lib.so", 900 * MB, "torch", "2.13.0").inventory()
AFTER = service().add("venv/torch/lib.so", 2800 * MB, "torch", "2.14.1").inventory()
STORED = render_inventory(BEFORE)
FILE = "linux-amd64-sandbox-a5d28574.zst"
HASH = hashlib.sha256(STORED).hexdigest()


def judged(baseline: int = BEFORE.size, now: int = AFTER.size, tolerance: int = 0) -> ImageReport:
    size = Metric(value=now, baseline=baseline, delta=now - baseline, tolerance=tolerance, unit="bytes")
    return measured(metrics=Metrics(image_size=size))


def recorded(inventory: str | None = HASH) -> list[BaselineEntry]:
    return [entry({"image_size": BEFORE.size}, inventory=inventory)]


def place(folder: Path, revision: str | None = None) -> InventoryPlace:
    return InventoryPlace(folder=folder, baseline=".ci-budget/baseline.json", revision=revision)


def store(folder: Path, data: bytes = STORED, name: str = "app.zst") -> Path:
    file = folder / ".ci-budget" / "inventory" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def explain(
    folder: Path, image: ImageReport | None = None, inventory: str | None = HASH, now: Inventory | None = AFTER
) -> ImageReport:
    return explain_growth(image or judged(), now, baselines=recorded(inventory), places=[place(folder)])


class TestExplaining:
    def test_by_the_inventory_beside_the_baseline(self, tmp_path: Path) -> None:
        store(tmp_path)
        found = explain(tmp_path)
        assert [(item.name, item.delta) for item in found.contributors] == [("torch 2.13.0 -> 2.14.1", 1900 * MB)]
        assert found.notes == []

    def test_a_prefix_of_the_hash_is_allowed(self, tmp_path: Path) -> None:
        store(tmp_path)
        assert len(explain(tmp_path, inventory=f"sha256:{HASH}").contributors) == 1

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (None, "there is no .ci-budget/inventory/app.zst"),
            (
                b"damaged",
                ".ci-budget/inventory/app.zst is not the one that the baseline names (its hash is another)",
            ),
            (
                STORED[:5],
                ".ci-budget/inventory/app.zst is not the one that the baseline names (its hash is another)",
            ),
        ],
    )
    def test_an_inventory_that_is_not_there_is_said(self, tmp_path: Path, data: bytes | None, said: str) -> None:
        if data is not None:
            store(tmp_path, data)
        found = explain(tmp_path)
        assert found.contributors == []
        assert found.notes == [
            f"what changed since the baseline cannot be told: {said}. "
            "`ci-budget baseline update` stores it beside the baseline; commit both."
        ]
        assert found.model_copy(update={"notes": []}) == judged(), "the verdict stands"

    @pytest.mark.parametrize("data", [b"no zstd", STORED[:200], render_inventory(BEFORE)[:-1], b""])
    def test_a_damaged_one_of_the_right_hash(self, tmp_path: Path, data: bytes) -> None:
        store(tmp_path, data)
        found = explain(tmp_path, inventory=hashlib.sha256(data).hexdigest())
        assert found.contributors == []
        (note,) = found.notes
        assert note.startswith("what changed since the baseline cannot be told: ")
        assert ".ci-budget/inventory/app.zst: this inventory " in note
        assert note.endswith(
            ". Restore the file, or record it anew: `ci-budget check`, then `ci-budget baseline update`."
        )

    def test_a_baseline_without_one(self, tmp_path: Path) -> None:
        found = explain(tmp_path, inventory=None)
        assert found.notes == [
            "what changed since the baseline cannot be told: the baseline was recorded without an inventory. "
            "`ci-budget baseline update --report FOLDER` stores one with the accepted values; commit both."
        ]
        assert explain(tmp_path, judged(tolerance=2 * AFTER.size), inventory=None).notes == [], "nobody asks"

    @pytest.mark.parametrize(
        ("known", "why"),
        [
            (entry({"layers": 3, "context_size": 1}), "the baseline has no image_size, so no inventory belongs to it"),
            (
                entry({"image_size": 1, "context_size": 1}, at=fingerprint(platform="linux/arm64")),
                "the baseline is of another setup (platform is linux/amd64, the baseline's linux/arm64)",
            ),
        ],
    )
    def test_why_there_is_none(self, known: BaselineEntry, why: str) -> None:
        context = ContextMetric(value=9, baseline=1, delta=8, tolerance=0, unit="bytes")
        image = measured(metrics=Metrics(context_size=context))
        found = explain_growth(image, AFTER, baselines=[known], places=[])
        assert found.notes == [
            f"what changed since the baseline cannot be told: {why}. `ci-budget baseline update --report FOLDER` "
            "stores one with the accepted values; commit both."
        ]

    def test_findings_know_what_was_found_before(self) -> None:
        finding = Finding(rule="bytecode", severity="note", bytes=7 * MB, message="m", mend="m")
        image = judged().model_copy(update={"findings": [finding, finding, finding.model_copy(update={"rule": "x"})]})
        before = BEFORE.model_copy(update={"finding_bytes": {"bytecode": 9 * MB}})
        found = explain_growth(image, AFTER, baselines=[], places=[], before=before)
        assert [one.delta for one in found.findings] == [5 * MB, 5 * MB, 7 * MB]
        peak = PeakMetric(value=9, baseline=5, delta=4, unit="bytes")
        alone = image.model_copy(update={"metrics": Metrics(peak_disk=peak)})
        found = explain_growth(alone, AFTER, baselines=[], places=[], before=before)
        assert [one.delta for one in found.findings] == [5 * MB, 5 * MB, 7 * MB]
        assert explain_growth(alone, AFTER, baselines=[], places=[]) == alone
        unknown = explain_growth(image, AFTER, baselines=[], places=[], before=BEFORE)
        assert [one.delta for one in unknown.findings] == [None, None, None]

    @pytest.mark.parametrize("image", [judged(now=BEFORE.size), measured(metrics=Metrics())])
    def test_nothing_to_tell(self, tmp_path: Path, image: ImageReport) -> None:
        assert explain(tmp_path, image) == image

    def test_an_image_that_could_not_be_read(self, tmp_path: Path) -> None:
        assert explain(tmp_path, now=None) == judged()

    def test_another_platform_s_baseline_says_nothing_of_this_one(self, tmp_path: Path) -> None:
        store(tmp_path)
        arm = SANDBOX.model_copy(update={"platform": "linux/arm64"})
        found = explain_growth(
            judged(), AFTER, baselines=[entry({"image_size": 1}, inventory=HASH, at=arm)], places=[place(tmp_path)]
        )
        assert found.contributors == []

    def test_they_add_up_to_the_accepted_value_and_say_so(self, tmp_path: Path) -> None:
        store(tmp_path)
        found = explain(tmp_path, judged(baseline=BEFORE.size - 7 * MB))
        assert [(item.name, item.delta) for item in found.contributors] == [
            ("torch 2.13.0 -> 2.14.1", 1900 * MB),
            (REST, 7 * MB),
        ]
        assert found.notes == [
            "the inventory of the baseline is of an image of 940 MB, its accepted value is 933 MB: "
            "the difference stands under 'other files'"
        ]

    def test_the_other_revision_s_inventory_needs_no_file(self, tmp_path: Path) -> None:
        found = explain_growth(judged(), AFTER, baselines=[], places=[], before=BEFORE)
        assert len(found.contributors) == 1

    def test_a_peak_is_told_by_what_keeps_more(self) -> None:
        """At most two instructions of the Dockerfile; the build's own steps have their texts."""

        def side(*kept: int) -> Inventory:
            records = [
                InstructionRecord(
                    stage="app", line=line, text_sha256=str(line), own_sha256=str(line), inputs_sha256=str(line),
                    command="RUN" if line else "FROM", kept=size * MB,
                )
                for line, size in enumerate(kept)
            ]  # fmt: skip
            return BEFORE.model_copy(update={"instructions": records})

        peak = PeakMetric(value=9, baseline=5, delta=30 * MB, unit="bytes", message="much")
        step = StepReport(name="[app 2/2] RUN make", stage="app", line=2, start_ms=0, end_ms=1)
        image = measured(metrics=Metrics(peak_disk=peak), steps=[step])
        for after, told in (
            (side(1, 1, 21, 11), "`RUN make` in app/Dockerfile:2 (stage app) keeps 20.0 MB more, "
             "the RUN in app/Dockerfile:3 (stage app) keeps 10.0 MB more"),
            (side(1, 10, 12, 11), "`RUN make` in app/Dockerfile:2 (stage app) keeps 11.0 MB more, "
             "the RUN in app/Dockerfile:3 (stage app) keeps 10.0 MB more, and 1 more"),
        ):  # fmt: skip
            found = explain_growth(image, after, baselines=[], places=[], before=side(1, 1, 1, 1)).metrics.peak_disk
            assert found is not None
            assert found.message == f"much; what changed: {told}"

    def test_layers_and_context_are_told_in_their_own_words(self) -> None:
        after = service().add("venv/torch/lib.so", 900 * MB, "torch", "2.13.0").step("RUN make").inventory()
        kept = {"size": 9, "folder_depth": 0}
        sides = [
            side.model_copy(update={"context": ContextRecord(**kept, files=[FileRecord(path="a", size=size, layer=0)])})
            for side, size in ((BEFORE, 5000), (after, 90_000))
        ]
        metrics = Metrics(
            layers=LayersMetric(value=3, baseline=2, delta=1, tolerance=0, unit="count", message="3 is too many"),
            context_size=ContextMetric(
                value=90_000, baseline=5000, delta=85_000, tolerance=0, unit="bytes", message="too large"
            ),
        )
        found = explain_growth(measured(metrics=metrics), sides[1], baselines=[], places=[], before=sides[0])
        assert {name: metric.message for name, metric in found.metrics.named()} == {
            "layers": "3 is too many; what changed: line 12 brings one (`RUN make`)",
            "context_size": "too large; what changed: +85.0 kB a",
        }
        assert headline(found) == "context_size +85.0 kB: +85.0 kB a"


class TestPlaces:
    def test_at_a_revision_whatever_the_working_tree_has(self, tmp_path: Path) -> None:
        command(tmp_path, "init", "-q", "-b", "main", ".")
        file = store(tmp_path)
        command(tmp_path, "add", "-A")
        command(tmp_path, "commit", "-q", "-m", "base")
        file.write_bytes(b"changed by the proposal")
        places = [place(tmp_path, "HEAD"), place(tmp_path)]
        assert read_baseline_inventory(places, "app", SANDBOX, HASH) == BEFORE
        with pytest.raises(ConfigError) as error:
            read_baseline_inventory(places, "app", SANDBOX, "0" * 64)
        assert ".ci-budget/inventory/app.zst at HEAD is not the one" in str(error.value)

    def test_a_new_image_has_it_in_the_working_tree(self, tmp_path: Path) -> None:
        command(tmp_path, "init", "-q", "-b", "main", ".")
        command(tmp_path, "commit", "-q", "--allow-empty", "-m", "base")
        store(tmp_path)
        assert read_baseline_inventory([place(tmp_path, "HEAD"), place(tmp_path)], "app", SANDBOX, HASH) == BEFORE

    def test_names(self, tmp_path: Path) -> None:
        here = place(tmp_path)
        assert here.paths("team/app", SANDBOX) == (
            ".ci-budget/inventory/team/app.zst",
            f".ci-budget/inventory/team/app/{FILE}",
        )
        strange = SANDBOX.model_copy(update={"platform": "../" * 90 + "x"})
        assert here.paths("app", strange)[1].startswith(".ci-budget/inventory/app/x-sandbox-")
        for name in ("a/../../b", "/etc/b", "a//b", ""):
            with pytest.raises(ConfigError):
                here.paths(name, SANDBOX)

    def test_each_setup_has_its_own(self, tmp_path: Path) -> None:
        here = place(tmp_path)
        setups = [SANDBOX.model_copy(update={"platform": "linux/arm64"}), SANDBOX.model_copy(update={"method": 2})]
        assert len({here.paths("app", setup)[1] for setup in [SANDBOX, *setups]}) == 3

    def test_an_image_with_another_name_there(self, tmp_path: Path) -> None:
        store(tmp_path)
        there = InventoryPlace(folder=tmp_path, baseline=".ci-budget/baseline.json", names={"new": "app"})
        assert read_baseline_inventory([there], "new", SANDBOX, HASH) == BEFORE

    def test_the_one_of_its_own_setup(self, tmp_path: Path) -> None:
        store(tmp_path, b"that of another setup")
        with pytest.raises(ConfigError) as error:
            read_baseline_inventory([place(tmp_path)], "app", SANDBOX, HASH)
        assert "inventory/app.zst is not the one that the baseline names (its hash is another)" in str(error.value)
        assert FILE not in str(error.value)
        store(tmp_path, name=f"app/{FILE}")
        assert read_baseline_inventory([place(tmp_path)], "app", SANDBOX, HASH) == BEFORE

    def test_a_folder_or_a_pipe_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / ".ci-budget" / "inventory" / "app.zst").mkdir(parents=True)
        with pytest.raises(ConfigError, match="is not a regular file"):
            read_baseline_inventory([place(tmp_path)], "app", SANDBOX, HASH)


def compared(name: str = "web", against: str = "archive://old.tar", image: Image | None = None) -> Comparison:
    after = AFTER if image is None else image.inventory()
    other = after.model_copy(update={"image_id": "sha256:after"})
    return Comparison(name=name, against=against, after=other, before=BEFORE, contributors=compare(BEFORE, other))


class TestComparison:
    def test_text(self) -> None:
        assert render_comparison_text(compared()) == (
            "web against archive://old.tar\n"
            "  image_size 940 MB -> 2.84 GB: +1.90 GB (+202.1 %)\n"
            "  layers 2 -> 2\n"
            "  dependency drift +1.90 GB\n"
            "\n"
            "What changed\n"
            "  +1.90 GB torch 2.13.0 -> 2.14.1 (dependency drift, line 11)\n"
        )

    def test_markdown_and_json(self) -> None:
        assert render_comparison_markdown(compared()) == (
            "## `web` against `archive://old.tar`\n"
            "\n"
            "- image_size 940 MB -&#62; 2.84 GB: +1.90 GB (+202.1 %)\n"
            "- layers 2 -&#62; 2\n"
            "- dependency drift +1.90 GB\n"
            "\n"
            "### What changed\n"
            "\n"
            "- &#43;1.90 GB torch 2.13.0 -&#62; 2.14.1 (dependency drift, line 11)\n"
        )
        assert json.loads(render_comparison_json(compared())) == {
            "schema_version": 1,
            "image": "web",
            "against": "archive://old.tar",
            "image_size": {"before": 940 * MB, "after": 2840 * MB, "delta": 1900 * MB},
            "layers": {"before": 2, "after": 2},
            "contributors": [
                {
                    "kind": "dependency-drift",
                    "name": "torch 2.13.0 -> 2.14.1",
                    "before": 900 * MB,
                    "after": 2800 * MB,
                    "delta": 1900 * MB,
                    "stage": "app",
                    "line": 11,
                    "cause": None,
                    "changed_line": None,
                    "changed": None,
                    "was_ignored": False,
                    "inside": [],
                }
            ],
        }

    def test_hostile_names_stay_text(self) -> None:
        image = service().add(f"venv/{HOSTILE}", 10**9)
        text = render_comparison_text(compared(HOSTILE, HOSTILE, image), ascii_only=True)
        assert not [char for char in text if not char.isprintable() and char != "\n"]
        assert "##[" not in text
        assert "##[" not in render_comparison_json(compared(HOSTILE, HOSTILE, image))

    def test_what_is_cut_off_keeps_its_sum(self) -> None:
        image = service().add("venv/torch/lib.so", 900 * MB, "torch", "2.13.0")
        for number in range(5):
            image.add(f"venv/{number}.so", (number + 1) * 100 * MB, f"p{number}")
        found = compared(image=image).contributors
        assert tell_split(found) == "dependency drift +1.50 GB"
        assert tell_changes(found, 3) == [
            "+500 MB p4 1.0 (new, dependency drift, line 11)",
            "+400 MB p3 1.0 (new, dependency drift, line 11)",
            "+600 MB in 3 more",
        ]


def report_folder(folder: Path, image: ImageReport, inventory: Inventory) -> Path:
    """A folder as `check` leaves it."""
    folder.mkdir()
    report = judge_run([image], started=STARTED, commit=None, options=GateOptions())
    (folder / "report.json").write_text(render_json(report))
    (folder / "inventory.json.zst").write_bytes(render_inventories(Inventories(images={image.name: inventory})))
    return folder


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = report_folder(tmp_path / "old", measured("web"), BEFORE)
    new = report_folder(tmp_path / "new", measured("web"), AFTER.model_copy(update={"image_id": "sha256:after"}))
    assert main(["explain", str(new), "--against", str(old)]) == 0
    assert capsys.readouterr().out.startswith(f"{new} against {old}\n  image_size 940 MB -> 2.84 GB: +1.90 GB")
    assert main(["explain", str(new), "--against", str(old), "--format", "json", "--output", str(tmp_path / "o")]) == 0
    assert json.loads((tmp_path / "o").read_text())["image_size"]["delta"] == 1900 * MB
    assert main(["explain", str(old), "--against", str(old)]) == 0
    assert "the same image, 940 MB" in capsys.readouterr().out
    assert main(["explain", str(new), "--against", str(tmp_path / "none")]) == 2
    assert main(["explain", str(new), "--against", str(old), "--fix-ignore"]) == 2
