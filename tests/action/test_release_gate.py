"""workflows/release-gate.yml, run whole by act with a real engine and a real registry that wants a login."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.action.conftest import REPOSITORY, Act, Job, Project
from tests.engine.registry import PASSWORD, USER, Registry, basic_auth, registry
from tests.engine_access import Engine

pytestmark = [pytest.mark.engine, pytest.mark.beside]

CONFIG = """\
version: 1
disk: {budget: 200MB, reserve: 100MB}
images:
  app: {context: app, budgets: {image_size: 60MB}}
release:
  budgets: {app: {image_size: 12MB, compressed_size: 50MB}}
"""
DOCKERFILE = "FROM test/busybox:latest\nRUN head -c 1000000 /dev/urandom > /data\n"


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Registry]:
    """A registry that wants a login for everything."""
    folder = tmp_path / "registry"
    folder.mkdir()
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with registry(folder, auth=basic_auth(folder), headers={"Authorization": f"Basic {pair}"}) as found:
        yield found


class Release:
    """Pushes version tags."""

    def __init__(self, *, project: Project, act: Act, config: Path) -> None:
        self.project, self.act, self.config = project, act, config

    def __call__(self, tag: str, dockerfile: str) -> tuple[Job, str]:
        commit = self.project.commit({"app/Dockerfile": dockerfile}, tag)
        self.project.git("tag", tag)
        job = self.act.run(
            self.project,
            "push",
            {"ref": f"refs/tags/{tag}", "after": commit},
            options=["--actor", USER, "--secret", f"GITHUB_TOKEN={PASSWORD}"],
            environment={"DOCKER_CONFIG": str(self.config)},
        )
        return job, commit


@pytest.fixture
def release(project: Project, act: Act, engine: Engine, images: Registry, tmp_path: Path) -> Release:
    """The project with the workflow, whose runner has a docker config of its own."""
    workflow = (REPOSITORY / "workflows" / "release-gate.yml").read_text()
    ours = f"REPOSITORY: {images.address}/acme/widgets "
    workflow = workflow.replace("REPOSITORY: ghcr.io/acme/widgets ", ours)
    assert ours in workflow
    project.commit({".github/workflows/release-gate.yml": workflow, "ci-budget.yml": CONFIG}, "start")
    config = tmp_path / "docker"
    config.mkdir()
    plugins = Path(engine.env.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
    if plugins.is_dir():
        shutil.copytree(plugins, config / "cli-plugins")
    return Release(project=project, act=act, config=config)


def test_only_what_passed_is_tagged(release: Release, images: Registry, busybox_base: str) -> None:
    first, commit = release("v1.0", DOCKERFILE)
    assert first.exit_code == 0, first.text
    assert set(first.steps.values()) == {"success"}
    candidate = images.manifest("acme/widgets", f"candidate-{commit}")
    assert images.manifest("acme/widgets", "v1.0") == candidate, "the very manifest, not a copy"
    facts = json.loads((first.artifacts / "ci-budget-release" / "release.json").read_text())
    report = json.loads((first.artifacts / "ci-budget-release" / "report.json").read_text())
    (image,) = facts["images"]
    assert (facts["verdict"], facts["digest"], facts["last"]) == ("pass", candidate.digest, None)
    assert image["image_id"] == report["images"][0]["image_id"] == candidate.config_digest
    assert facts["reports"][0]["commit"] == report["commit"] == commit
    compressed = report["images"][0]["metrics"]["compressed_size"]["value"]
    assert image["metrics"]["compressed_size"]["value"] == compressed > 1_000_000
    assert "### ci-budget release: RELEASE" in first.summaries()
    assert json.loads((release.config / "config.json").read_text()).get("auths", {}) == {}, "logged out"

    shutil.rmtree(first.artifacts)
    second, commit = release("v1.1", DOCKERFILE.replace("1000000", "11000000"))
    assert second.exit_code == 1, second.text
    assert second.steps["Build, measure, push what passed as a candidate"] == "success"
    assert second.steps["Is it the measured image, within what a release may cost?"] == "failure"
    assert "Tag what passed" not in second.steps
    assert "v1.1" not in images.tags("acme/widgets")
    facts = json.loads((second.artifacts / "ci-budget-release" / "release.json").read_text())
    assert facts["last"]["digest"] == images.manifest("acme/widgets", "v1.0").digest
    size = facts["images"][0]["metrics"]["image_size"]
    assert (size["verdict"], size["budget"]) == ("fail", 12_000_000)
    assert size["baseline"] == image["metrics"]["image_size"]["value"]
    assert [text for text in second.commands("error") if size["message"] in text] != []
