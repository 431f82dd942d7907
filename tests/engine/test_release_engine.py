"""The release gate on a real registry: exactly the measured image, the last release, the release budgets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci_budget.__main__ import main
from ci_budget.core.records.report import DiskReport, ImageReport, Report, Verdict
from ci_budget.core.release.facts import ReleaseFacts
from ci_budget.core.release.judgement import decide
from ci_budget.core.render.json_text import render_json
from tests.engine.registry import OCI, Manifest, Registry, layer_of, registry
from tests.engine_access import Engine
from tests.unit.report_samples import STARTED, fingerprint, measured, metrics

pytestmark = pytest.mark.beside

SIZE = 80_000
LAYERS = [layer_of({"lib/c.so": bytes(range(256)) * 300}), layer_of({"app/main": b"m" * (SIZE - 256 * 300)})]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DISK = DiskReport(mode="sandbox", reason="this user is root", enforced=True, budget=10**9)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry with two releases of an image."""
    with registry(tmp_path_factory.mktemp("images")) as found:
        found.put_image("team/app", "v1", [LAYERS[0], layer_of({"app/main": b"m" * 1000})], created="2026-01-01")
        yield found


@pytest.fixture(scope="module")
def put(images: Registry) -> Manifest:
    """The candidate."""
    return images.put_image("team/app", "candidate", LAYERS, created="2026-03-01T00:00:00Z")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A checkout with a config and reports; `release` runs the command in it."""

    folder: Path
    images: Registry
    capsys: pytest.CaptureFixture[str]

    def config(self, **release: Any) -> None:
        document = {"version": 1, "images": {"app": {}, "other": {}}, "release": {"budgets": release}}
        (self.folder / "ci-budget.yml").write_text(yaml.safe_dump(document))

    def report(self, *reported: ImageReport, name: str = "report", code: int = 0) -> Path:
        verdict = reported[0].verdict
        report = Report(
            ci_budget="1.0", verdict=verdict, exit_code=code, started=STARTED, commit=COMMIT, images=list(reported)
        )
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "report.json").write_text(render_json(report))
        return folder

    def release(self, reference: str, *arguments: str) -> tuple[int, str, dict[str, Any]]:
        """Exit code, everything printed, and the facts."""
        code = main(["release", f"{self.images.address}/team/app{reference}", "--report", "report", *arguments])
        said = self.capsys.readouterr()
        file = self.folder / "report" / "release.json"
        return code, said.out + said.err, json.loads(file.read_text()) if file.exists() else {}


@pytest.fixture
def bench(
    tmp_path: Path, images: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    found = Bench(folder=tmp_path, images=images, capsys=capsys)
    found.config()
    return found


def passed(image_id: str, name: str = "app", **changes: Any) -> ImageReport:
    values = metrics(image_size=SIZE, layers=2, peak_disk=500_000, context_size=100)
    given = {"verdict": Verdict.PASS, "exit_code": 0, "image_id": image_id, "disk": DISK, "metrics": values, **changes}
    return measured(name).model_copy(update=given)


def stored(images: Registry, reference: str) -> int:
    _, manifest = images.document("team/app", reference)
    return sum(layer["size"] for layer in manifest["layers"])


def test_the_measured_image_is_released(bench: Bench, images: Registry, put: Manifest) -> None:
    size = stored(images, put.digest)
    bench.config(app={"image_size": SIZE, "compressed_size": size, "peak_disk": "1MB"})
    folder = bench.report(passed(put.config_digest))
    code, said, facts = bench.release(":candidate")
    assert code == 0, said
    assert said.splitlines()[:2] == [f"RELEASE: {images.address}/team/app:candidate", f"  {put.digest}"]
    assert f"--tag NAME:TAG {images.address}/team/app@{put.digest}" in said
    assert "no last release was named" in said
    assert (facts["verdict"], facts["exit_code"], facts["digest"]) == ("pass", 0, put.digest)
    (image,) = facts["images"]
    assert (image["name"], image["image_id"], image["manifest_digest"]) == ("app", put.config_digest, put.digest)
    assert image["metrics"]["compressed_size"]["value"] == size
    assert facts["reports"] == [
        {
            "file": "report/report.json", "sha256": hashlib.sha256((folder / "report.json").read_bytes()).hexdigest(),
            "started": STARTED, "commit": COMMIT, "verdict": "pass", "exit_code": 0,
        }
    ]  # fmt: skip

    bench.config(app={"compressed_size": size - 1})
    code, said, facts = bench.release(f"@{put.digest}")
    assert (code, facts["verdict"]) == (1, "fail"), said
    assert said.startswith("NO RELEASE (exit 1): ")


def test_a_rebuilt_image_is_refused(bench: Bench, images: Registry, engine: Engine, busybox_base: str) -> None:
    """The same Dockerfile built twice by the engine: another creation time is another image."""
    made = []
    name = f"{images.address}/team/app:built"
    for number in range(2):
        engine.docker("buildx", "build", "--builder", "default", "--quiet", "--no-cache", "--load", "--tag", name, "-",
                      stdin=f"FROM {busybox_base}\nRUN true\n".encode())  # fmt: skip
        try:
            engine.docker("push", "--quiet", name)
        finally:
            engine.docker("image", "rm", "--force", name)
        made.append(images.manifest("team/app", "built"))
        if number == 0:
            bench.report(passed(made[0].config_digest))
            code, said, _ = bench.release(":built")
            assert code == 0, said
    code, said, facts = bench.release(":built")
    assert made[0].config_digest != made[1].config_digest
    assert code == 1
    assert "no report measured this image; it was rebuilt, or is another one; measured were: app sha256:" in said
    assert facts["images"][0]["refused"].startswith("no report measured this image")
    assert facts["exit_code"] == 1
    code, said, _ = bench.release(f"@{made[0].digest}")
    assert code == 0, said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": Verdict.FAIL, "exit_code": 1}, "app did not pass: its report says fail, exit 1"),
        ({"verdict": Verdict.NOT_MEASURED, "exit_code": 3}, "app did not pass: its report says not-measured, exit 3"),
        (
            {"fingerprint": fingerprint(cache="warm")},
            "app was checked with a warm cache (--warm), so the peak of its build was not measured",
        ),
        ({"disk": None}, "app was not built by the run that reports it (--no-build), so its build was not measured"),
    ],
)
def test_a_report_that_is_no_pass_releases_nothing(
    bench: Bench, put: Manifest, changes: dict[str, Any], reason: str
) -> None:
    bench.report(passed(put.config_digest, **changes))
    code, said, facts = bench.release(":candidate")
    assert code == 1
    assert facts["images"][0]["refused"] == reason
    assert reason in said


def test_the_last_release_by_its_tag(bench: Bench, images: Registry, put: Manifest) -> None:
    bench.report(passed(put.config_digest))
    code, said, facts = bench.release(":candidate", "--last", "v1")
    assert code == 1, said
    metric = facts["images"][0]["metrics"]["image_size"]
    assert (metric["verdict"], metric["baseline"], metric["value"]) == ("fail", 76_800 + 1000, SIZE)
    assert f"{images.address}/team/app:v1" in metric["message"]
    assert facts["last"]["digest"] == images.manifest("team/app", "v1").digest
    assert facts["images"][0]["metrics"]["peak_disk"]["gated"] is False

    (bench.folder / ".ci-budget").mkdir()
    (bench.folder / ".ci-budget" / "approvals.yml").write_text(
        "version: 1\napprovals:\n- {image: app, metric: image_size, ceiling: 1MB, reason: fonts, until: 2999-01-01}\n"
    )
    code, said, facts = bench.release(":candidate", "--last", f"registry://{images.address}/team/app:v1")
    assert code == 0, said
    assert facts["images"][0]["approvals"][0]["state"] == "used"

    code, said, facts = bench.release(":candidate", "--last", "v0")
    assert (code, facts) == (3, {})
    assert f"has no tag 'v0' of {images.address}/team/app" in said


def test_the_last_release_by_its_report(bench: Bench, put: Manifest) -> None:
    bench.report(passed(put.config_digest))
    earlier = metrics(image_size=SIZE, layers=2, peak_disk=400_000, context_size=100)
    bench.report(passed("sha256:" + "1" * 64, metrics=earlier), name="last")
    code, _, facts = bench.release(":candidate", "--last", "last")
    assert code == 1
    found = facts["images"][0]["metrics"]
    assert {name: found[name]["verdict"] for name in ("peak_disk", "image_size", "layers", "context_size")} == {
        "peak_disk": "fail", "image_size": "pass", "layers": "pass", "context_size": "pass",
    }  # fmt: skip
    assert (
        facts["last"]["report_sha256"] == hashlib.sha256((bench.folder / "last/report.json").read_bytes()).hexdigest()
    )

    bench.report(passed("sha256:" + "1" * 64, metrics=earlier, fingerprint=fingerprint(disk_mode="host")), name="last")
    code, _, facts = bench.release(":candidate", "--last", "last/report.json")
    assert (code, facts["images"][0]["metrics"]["peak_disk"]["verdict"]) == (3, "incomparable")


def test_every_platform_of_an_index_must_have_been_measured(bench: Bench, images: Registry, put: Manifest) -> None:
    arm = images.put_image("team/app", "arm", LAYERS, architecture="arm64")
    kind = f"{OCI}.manifest.v1+json"
    index = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.index.v1+json",
        "manifests": [
            {"mediaType": kind, "size": 9, "digest": one.digest, "platform": {"os": "linux", "architecture": name}}
            for one, name in ((put, "amd64"), (arm, "arm64"))
        ],
    }
    digest = images.put_manifest("team/app", "both", index)
    bench.report(passed(put.config_digest))
    code, _, facts = bench.release(":both")
    assert (code, facts["digest"]) == (1, digest)
    assert [(image["platform"], image["verdict"]) for image in facts["images"]] == [
        ("linux/amd64", "no-baseline"),
        ("linux/arm64", "fail"),
    ]
    bench.report(passed(arm.config_digest, fingerprint=fingerprint(platform="linux/arm64")), name="arm")
    code, said, facts = bench.release(":both", "--report", "arm")
    assert code == 0, said
    assert [image["report"] for image in facts["images"]] == [0, 1]


def test_nothing_is_released_on_what_cannot_be_read(bench: Bench, put: Manifest) -> None:
    folder = bench.report(passed(put.config_digest))
    assert bench.release(":candidate")[0] == 0
    code, said, facts = bench.release(":none")
    assert (code, facts) == (3, {}), "and the earlier decision is gone"
    assert "has no tag 'none' of" in said
    whole = (folder / "report.json").read_text()
    (folder / "report.json").write_text(whole[:-20])
    assert bench.release(":candidate")[0] == 2
    (folder / "report.json").write_text(whole.replace('"name": "app"', '"name": "nobody"'))
    code, said, _ = bench.release(":candidate")
    assert code == 2
    assert "there is no image 'nobody' in this config" in said
    (folder / "report.json").write_text(whole)
    for last in ("no/such/report", "nothing.json", "two words"):
        assert bench.release(":candidate", "--last", last)[0] == 2
    assert main(["release", "Team/App", "--report", "report"]) == 2


def test_a_tag_that_moves_meanwhile_releases_nothing(
    bench: Bench, images: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = images.put_image("team/app", "moving", LAYERS)
    bench.report(passed(first.config_digest))

    def decided(*arguments: Any, **options: Any) -> ReleaseFacts:
        images.put_image("team/app", "moving", LAYERS[:1])
        return decide(*arguments, **options)

    monkeypatch.setattr("ci_budget.commands.release.decide", decided)
    code, said, facts = bench.release(":moving")
    assert (code, facts) == (3, {})
    assert f"team/app:moving moved meanwhile: it named {first.digest}" in said
    assert bench.release(f"@{first.digest}")[0] == 0


def test_a_workflow_gets_outputs_a_summary_and_annotations(
    bench: Bench, images: Registry, put: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(bench.folder / name))
    bench.report(passed(put.config_digest))
    code, said, _ = bench.release(":candidate", "--format", "github")
    assert (code, "::error" in said) == (0, False)
    outputs = (bench.folder / "GITHUB_OUTPUT").read_text()
    assert f"{images.address}/team/app@{put.digest}" in outputs
    assert "### ci-budget release: RELEASE" in (bench.folder / "GITHUB_STEP_SUMMARY").read_text()

    (bench.folder / "GITHUB_OUTPUT").unlink()
    bench.report(passed("sha256:" + "1" * 64, name="app"))
    code, said, _ = bench.release(":candidate", "--format", "github")
    assert code == 1
    assert "::error title=ci-budget release::no report measured this image" in said
    assert f"@{put.digest}" not in (bench.folder / "GITHUB_OUTPUT").read_text()
