"""`builder: NAME`: what is measured of an image that a buildx builder builds elsewhere, and what is not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.engine.far_builder import FarBuilder, far_builder
from tests.engine.projects import Project, Result
from tests.engine_access import Engine

pytestmark = pytest.mark.beside

DOCKERFILE = """\
FROM scratch AS parts
COPY big /big
FROM scratch
COPY small /small
COPY --from=parts /big /big
"""


@pytest.fixture(scope="module")
def builder(engine: Engine) -> Iterator[FarBuilder]:
    """A remote builder."""
    with tempfile.TemporaryDirectory() as folder, far_builder(engine, Path(folder)) as found:
        yield found


@pytest.fixture
def check(
    project: Project, builder: FarBuilder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """`check` of the project, with the docker config that knows the builder."""
    for name, value in builder.env.items():
        monkeypatch.setenv(name, value)
    return partial(project.check_here, capsys)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two stages that copy files."""
    found = Project(folder=tmp_path / "project")
    (found.folder / "big").write_bytes(b"b" * 50_000)
    (found.folder / "small").write_bytes(b"s" * 700)
    return found


def test_size_layers_and_context_are_measured(
    project: Project, builder: FarBuilder, check: Callable[..., Result]
) -> None:
    budgets = {"image_size": 50_700, "layers": 2, "context_size": "1MB", "wasted_bytes": 0}
    project.write(DOCKERFILE, builder=builder.name, budgets=budgets)
    done = check()
    assert done.exit_code == 0, done.stdout + done.stderr
    assert {name: done.metric(name)["value"] for name in ("image_size", "layers")} == {
        "image_size": 50_700,
        "layers": 2,
    }
    assert done.metric("context_size")["value"] == sum(
        (project.folder / name).stat().st_size for name in ("big", "small", "Dockerfile", "ci-budget.yml")
    )
    assert (done.image["disk"]["mode"], done.image["disk"]["enforced"]) == ("remote", False)
    assert done.image["image_id"].startswith("sha256:")
    peak = done.metric("peak_disk")
    assert (peak["value"], peak["verdict"], peak["gated"]) == (None, "not-measured", False)
    assert "on the builder 'far', whose disk cannot be watched from here" in peak["message"]
    assert done.stage("parts")["metrics"]["image_size"]["message"].endswith("is sent by the builder 'far'")
    assert [step["added"] for step in done.image["steps"]] == [None] * len(done.image["steps"])
    assert {step["line"] for step in done.image["steps"]} >= {2, 4, 5}

    project.write(DOCKERFILE, builder=builder.name, budgets={"peak_disk": "1GB"})
    unmeasured = check()
    assert (unmeasured.exit_code, unmeasured.metric("peak_disk")["verdict"]) == (3, "not-measured")
    assert unmeasured.metric("image_size")["value"] == 50_700


def test_a_build_that_fails_there_is_a_failed_build(
    project: Project, builder: FarBuilder, check: Callable[..., Result]
) -> None:
    project.write(DOCKERFILE + "COPY nothing /\n", builder=builder.name)
    done = check()
    assert done.exit_code == 4, done.stdout + done.stderr
    assert done.image["failure"]["line"] == 6


def test_what_needs_an_engine_is_refused(project: Project, builder: FarBuilder, check: Callable[..., Result]) -> None:
    project.write(DOCKERFILE, builder=builder.name, smoke={"command": ["true"]})
    smoke = check()
    assert smoke.exit_code == 3
    assert "web has a smoke test, and its image is on the builder 'far'" in smoke.image["failure"]["message"]
    project.write(DOCKERFILE, builder=builder.name)
    pushed = check("--push", "localhost:1/x:1")
    assert pushed.exit_code == 2
    assert "images.web is built on the builder 'far'" in pushed.stderr
    project.write(DOCKERFILE, builder="nobody")
    unknown = check()
    assert unknown.exit_code == 3
    assert 'no builder "nobody" found' in unknown.image["failure"]["message"]
