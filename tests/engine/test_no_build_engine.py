"""`check --no-build`: the gate on an image as it lies in a registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from ci_budget.edges.layers.image_archives import ImageContents
from ci_budget.edges.web.registry_images import read_registry_image
from tests.engine.projects import Project, Result
from tests.engine.registry import Manifest, Registry, layer_of, registry

pytestmark = pytest.mark.beside

BASE = layer_of({"etc/passwd": b"root\n", "lib/c.so": b"c" * 90_000})
APP = layer_of({"app/main": b"m" * 10_000, "etc/passwd": b"root\nuser\n"})
SIZE = 90_000 + 5 + 10_000 + 10
FROM_IT = "FROM scratch AS tools\nCOPY a /a\nFROM scratch\nCOPY a /a\n"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry."""
    with registry(tmp_path_factory.mktemp("images")) as found:
        yield found


@pytest.fixture(scope="module")
def put(images: Registry) -> Manifest:
    """An image of two layers."""
    return images.put_image("team/web", "1", [BASE, APP])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose image is not built; the engine is not even asked."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return Project(folder=tmp_path / "project")


class Check(Protocol):
    """Checks the image `team/web` of the registry."""

    def __call__(self, *arguments: str, reference: str = ...) -> Result:
        """With these arguments."""


@pytest.fixture
def check(project: Project, images: Registry, put: Manifest, capsys: pytest.CaptureFixture[str]) -> Check:
    """`check --no-build` of the image in the registry."""
    usual = f"registry://{images.address}/team/web:1"

    def run(*arguments: str, reference: str = usual) -> Result:
        return project.check_here(capsys, "--no-build", reference, *arguments)

    return run


def compressed(images: Registry) -> int:
    _, manifest = images.document("team/web", "1")
    return sum(layer["size"] for layer in manifest["layers"])


def test_its_layers_are_searched_for_what_is_to_be_done(project: Project, check: Check, images: Registry) -> None:
    images.put_image("team/model", "1", [BASE, layer_of({"srv/model.onnx": b"o" * 1_200_000})])
    project.write(FROM_IT, budgets={"image_size": 2_000_000})
    done = check("--sarif", reference=f"registry://{images.address}/team/model:1")
    assert done.exit_code == 0, done.stdout + done.stderr
    found = [(one["rule"], one["bytes"], one["file"], one["line"]) for one in done.image["findings"]]
    assert found == [("model-weights", 1_200_000, None, None)]


def test_what_a_registry_tells_is_gated(project: Project, check: Check, images: Registry, put: Manifest) -> None:
    size = compressed(images)
    budgets = {"image_size": SIZE, "layers": 2, "compressed_size": size, "wasted_bytes": 5}
    project.write(FROM_IT, budgets=budgets)
    done = check()
    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.image["verdict"] == "pass"
    assert (done.image["image_id"], done.image["manifest_digest"]) == (put.config_digest, put.digest)
    assert {name: done.metric(name)["value"] for name in budgets} == budgets
    for name in ("peak_disk", "context_size"):
        metric = done.metric(name)
        assert (metric["value"], metric["verdict"], metric["gated"]) == (None, "not-measured", False)
    assert done.image["disk"] is None
    assert f"{images.address}/team/web@{put.digest}" in done.image["notes"][0]

    for name, limit in budgets.items():
        project.write(FROM_IT, budgets={name: limit - 1})
        done = check()
        assert (done.exit_code, done.metric(name)["verdict"]) == (1, "fail"), name


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"budgets": {"peak_disk": "1GB"}}, "peak_disk"),
        ({"budgets": {"context_size": "1GB"}}, "context_size"),
        ({"stages": {"tools": {"budgets": {"image_size": "1GB"}}}}, "tools"),
    ],
)
def test_a_budget_on_what_only_a_build_tells_is_no_pass(
    project: Project, check: Check, images: Registry, put: Manifest, limits: dict[str, object], name: str
) -> None:
    project.write(FROM_IT, **limits)
    done = check()
    assert done.exit_code == 3, done.stdout + done.stderr
    metric = done.stage("tools")["metrics"]["image_size"] if name == "tools" else done.metric(name)
    assert (metric["verdict"], metric["gated"]) == ("not-measured", True)
    assert "nothing was built (--no-build); a budget on it is for runs that build" in metric["message"]


def test_baselines_gate_what_a_registry_tells_and_no_more(
    project: Project, check: Check, images: Registry, put: Manifest
) -> None:
    project.write(FROM_IT)
    fingerprint = {
        "platform": "linux/amd64", "disk_mode": "sandbox", "storage_driver": "overlay2", "filesystem": "ext4",
        "block_size": 4096, "order": "sequential", "cache": "cold", "method": 1,
    }  # fmt: skip
    entry = {
        "fingerprint": fingerprint, "recorded": "2026-11-01T00:00:00Z", "commit": None,
        "metrics": {"peak_disk": 5_000_000, "context_size": 9, "image_size": SIZE, "layers": 2},
        "stages": {"tools": {"image_size": 9}},
    }  # fmt: skip
    file = project.folder / ".ci-budget" / "baseline.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"schema_version": 1, "images": {"web": [entry]}}))
    done = check()
    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.metric("image_size")["verdict"] == "pass"

    entry["metrics"] = {"image_size": SIZE - 2000}
    file.write_text(json.dumps({"schema_version": 1, "images": {"web": [entry]}}))
    assert check().exit_code == 1


def test_what_cannot_be_read_is_no_pass(project: Project, check: Check, images: Registry, put: Manifest) -> None:
    project.write(FROM_IT, budgets={"image_size": "1GB"})
    missing = check(reference=f"registry://{images.address}/team/web:none")
    assert missing.exit_code == 3, missing.stdout
    assert missing.image["failure"]["kind"] == "environment"
    assert f"has no tag 'none' of {images.address}/team/web" in missing.image["failure"]["message"]

    project.write(FROM_IT, budgets={"image_size": "1GB"}, platform="linux/arm64")
    other = check()
    assert other.exit_code == 3
    assert "is an image for linux/amd64, not for linux/arm64" in other.image["failure"]["message"]


def test_a_tag_that_moves_meanwhile_is_no_pass(
    project: Project, check: Check, images: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = images.put_image("team/web", "moving", [BASE, APP])

    def read(*arguments: Any, **options: Any) -> ImageContents:
        contents = read_registry_image(*arguments, **options)
        images.put_image("team/web", "moving", [BASE])
        return contents

    monkeypatch.setattr("ci_budget.commands.no_build.read_registry_image", read)
    project.write(FROM_IT, budgets={"image_size": "1GB"})
    done = check(reference=f"registry://{images.address}/team/web:moving")
    assert done.exit_code == 3, done.stdout
    moved = done.image["failure"]
    assert f"team/web:moving moved meanwhile: it named {first.digest} when it was read, and names" in moved["message"]
    assert f"team/web@{first.digest}" in moved["mend"]
    images.put_image("team/web", "moving", [BASE, APP])
    assert check(reference=f"registry://{images.address}/team/web@{first.digest}").exit_code == 0


def test_options_for_a_build_are_refused(project: Project, check: Check, images: Registry) -> None:
    project.write(FROM_IT)
    for options in (["--warm"], ["--push", "x/y:1"], ["--against", "HEAD"], ["--disk-mode", "host"]):
        done = check(*options)
        assert done.exit_code == 2
        assert f"{options[0]} is for a build, and --no-build builds nothing" in done.stderr
    wrong = check(reference="registry://Team/Web")
    assert wrong.exit_code == 2
    assert "names no image in a registry" in wrong.stderr
