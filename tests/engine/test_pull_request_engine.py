"""A pull request held to its base revision's limits: a repository, the event as GitHub gives it, a build."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project, Result, run_tool

pytestmark = pytest.mark.beside

SMALL = "FROM test/busybox\nRUN dd if=/dev/zero of=/a bs=1M count=5\n"
LARGE = SMALL + "RUN dd if=/dev/zero of=/b bs=1M count=20\n"


class Repository:
    """A project in git, and pull requests against its branch `main`."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.folder = project.folder
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words: str) -> str:
        """Run git in it; its standard output."""
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        done = subprocess.run(["git", "-C", self.folder, *who, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def propose(self, change: Callable[[], None]) -> dict[str, str]:
        """A pull request with what `change` does, checked out as its merge; the variables of its job."""
        base = self.git("rev-parse", "main")
        self.git("checkout", "--quiet", "-b", "proposal", "main")
        change()
        head = self.commit("proposal")
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "merge", "proposal")
        return self.event(base, head)

    def event(self, base: str, head: str) -> dict[str, str]:
        """The variables of a pull request's job on the commit that is checked out."""
        repository = {"full_name": "team/web"}
        payload = {
            "pull_request": {
                "number": 7,
                "base": {"sha": base, "repo": repository},
                "head": {"sha": head, "repo": repository},
            }
        }
        file = self.folder.with_name("event.json")
        file.write_text(json.dumps(payload))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(file),
            "GITHUB_REPOSITORY": "team/web",
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_REF": "refs/pull/7/merge",
        }


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """A project of one small image whose limits are tight."""
    made = Project(folder=tmp_path / "project")
    made.write(SMALL, budgets={"image_size": "10MB", "layers": 2})
    _rewrite(made.folder / "ci-budget.yml", lambda data: data.update(history={"url": f"sqlite:///{tmp_path}/history"}))
    return made


@pytest.fixture
def repository(project: Project) -> Repository:
    """The project, committed."""
    made = Repository(project)
    made.commit("base")
    return made


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory, busybox_base: str) -> bytes:
    """The baseline file that a run of that project left, accepted."""
    project = Project(folder=tmp_path_factory.mktemp("accepted") / "project")
    project.write(SMALL)
    first = project.check()
    assert first.exit_code == 0, first.stdout + first.stderr
    done = run_tool(project.folder, "baseline", "update", "--report", first.folder)
    assert done.returncode == 0, done.stderr
    return (project.folder / ".ci-budget" / "baseline.json").read_bytes()


@pytest.fixture
def repository_with_baseline(project: Project, accepted: bytes) -> Repository:
    """The project with an accepted baseline, committed."""
    (project.folder / ".ci-budget").mkdir()
    (project.folder / ".ci-budget" / "baseline.json").write_bytes(accepted)
    made = Repository(project)
    made.commit("base")
    return made


def _rewrite(file: Path, change: Callable[[Any], None]) -> None:
    """Change a YAML or JSON file in place."""
    data = yaml.safe_load(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def _changes(done: Result) -> dict[str, tuple[str | None, str | None, bool]]:
    listed = [*done.report["limits_changed"], *done.image["limits_changed"]]
    return {change["path"]: (change["base"], change["head"], change["loosened"]) for change in listed}


def test_a_pull_request_that_raises_its_own_limits_still_fails(
    repository_with_baseline: Repository, leftovers: LeftoverWatch
) -> None:
    repository = repository_with_baseline
    project, folder = repository.project, repository.folder
    accepted = json.loads((folder / ".ci-budget" / "baseline.json").read_text())["images"]["web"][0]["metrics"]

    def raise_everything() -> None:
        project.write(
            LARGE,
            budgets={"image_size": "100MB", "layers": 9},
            tolerance={"image_size": "500%", "layers": 5, "peak_disk": "900%"},
        )

        def double(baseline: Any) -> None:
            metrics = baseline["images"]["web"][0]["metrics"]
            for name in metrics:
                metrics[name] *= 10

        _rewrite(folder / ".ci-budget" / "baseline.json", double)

    done = project.check(env=repository.propose(raise_everything))

    assert done.exit_code == 1, done.stdout + done.stderr
    size, layers, peak = (done.metric(name) for name in ("image_size", "layers", "peak_disk"))
    assert (size["verdict"], size["budget"], size["baseline"]) == ("fail", 10 * MB, accepted["image_size"])
    assert size["delta"] == 20 * MIB
    assert (layers["verdict"], layers["budget"], layers["baseline"]) == ("fail", 2, 2)
    assert (peak["verdict"], peak["baseline"], peak["budget"]) == ("fail", accepted["peak_disk"], None)
    changes = _changes(done)
    assert changes["images.web.budgets.image_size"] == ("10.0 MB", "100 MB", True)
    assert changes["images.web.budgets.layers"] == ("2", "9", True)
    assert changes["images.web.tolerance.image_size"] == ("1 %", "500 %", True)
    assert {path: loosened for path, (_, _, loosened) in changes.items() if path.startswith("baseline of web: ")} == {
        f"baseline of web: {name}": True
        for name, value in accepted.items()
        if value  # nothing is wasted, whatever the factor
    }
    assert "imits changed here" in done.stdout
    report = (done.folder / "report.md").read_text()
    assert "images.web.budgets.image_size" in report.replace("\\", "")
    assert not (folder.parent / "history").exists()  # a proposal writes none


@pytest.mark.parametrize("way", ["other name", "link", "nearer"])
def test_another_config_file_does_not_hide_the_limits_in_force(
    repository: Repository, leftovers: LeftoverWatch, way: str
) -> None:
    project, folder = repository.project, repository.folder
    (folder / "nearer").mkdir()
    (folder / "nearer" / "note").write_text("so that git keeps the folder")
    repository.commit("a folder")

    def loosen() -> None:
        project.write(LARGE, budgets={"image_size": "100MB"})
        config = folder / "ci-budget.yml"
        if way == "other name":
            config.rename(folder / "ci-budget.yaml")
        elif way == "link":
            config.rename(folder / "loose.yml")
            config.symlink_to("loose.yml")
        else:
            shutil.copy(folder / "Dockerfile", folder / "nearer" / "Dockerfile")
            config.rename(folder / "nearer" / "ci-budget.yml")

    env = repository.propose(loosen)
    if way == "nearer":
        project.folder = folder / "nearer"
    done = project.check("--report", str(folder.with_name("report")), env=env)
    done = Project(folder=folder.with_name("report-reader")).result(done.exit_code, done.stdout, done.stderr)

    assert done.exit_code == 1, done.stdout + done.stderr
    assert "image_size" in done.stdout
    assert "images.web.budgets.image_size" in done.words


def test_a_new_image_is_held_to_its_own_limits_and_marked(repository: Repository, leftovers: LeftoverWatch) -> None:
    project, folder = repository.project, repository.folder

    def add() -> None:
        (folder / "second").mkdir()
        (folder / "second" / "Dockerfile").write_text(LARGE)
        _rewrite(
            folder / "ci-budget.yml",
            lambda config: config["images"].update(
                second={"context": "second", "budgets": {"image_size": "50MB", "layers": 2}}
            ),
        )

    done = project.check(env=repository.propose(add))

    assert done.exit_code == 1, done.stdout + done.stderr
    web, second = done.report["images"]
    assert (web["verdict"], web["new"]) == ("pass", False)
    assert (second["verdict"], second["new"]) == ("fail", True)
    assert second["metrics"]["image_size"]["verdict"] == "pass"
    assert second["metrics"]["layers"]["verdict"] == "fail"
    assert [change["path"] for change in second["limits_changed"]] == ["images.second"]
    assert any("new at this revision" in note for note in second["notes"])


def test_the_base_may_let_a_pull_request_set_its_limits(project: Project, leftovers: LeftoverWatch) -> None:
    repository = Repository(project)
    config = project.folder / "ci-budget.yml"
    _rewrite(config, lambda data: data.update(limits_from="head"))
    repository.commit("base")

    def loosen() -> None:
        (project.folder / "Dockerfile").write_text(LARGE)
        _rewrite(config, lambda data: data["images"]["web"].update(budgets={"image_size": "50MB"}))

    done = project.check(env=repository.propose(loosen))

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.metric("image_size")["budget"] == 50 * MB
    assert any("limits_from: head" in note for note in done.image["notes"])


def test_only_the_base_may_say_so(repository: Repository, leftovers: LeftoverWatch) -> None:
    def loosen() -> None:
        (repository.folder / "Dockerfile").write_text(LARGE)

        def say(data: Any) -> None:
            data["limits_from"] = "head"
            data["images"]["web"]["budgets"] = {"image_size": "50MB"}

        _rewrite(repository.folder / "ci-budget.yml", say)

    done = repository.project.check(env=repository.propose(loosen))

    assert done.exit_code == 1, done.stdout + done.stderr
    assert done.metric("image_size")["budget"] == 10 * MB
    assert _changes(done)["limits_from"] == ("base", "head", True)


def test_without_the_base_revision_nothing_passes(repository: Repository, leftovers: LeftoverWatch) -> None:
    env = repository.propose(lambda: None)
    shallow = repository.folder.with_name("shallow")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{repository.folder}", shallow], check=True)

    done = Project(folder=shallow).check(env=env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert "fetch-depth: 2" in done.stderr
    assert "building stage" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_event_that_cannot_be_read_passes_nothing(repository: Repository, leftovers: LeftoverWatch) -> None:
    env = repository.propose(lambda: None)
    repository.git("checkout", "--quiet", "proposal")
    env |= {"GITHUB_EVENT_PATH": "/no/such/file", "GITHUB_SHA": repository.git("rev-parse", "HEAD")}

    done = repository.project.check(env=env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert "its base revision is not known" in done.stderr


@pytest.mark.parametrize("damage", ["cut", "version"])
@pytest.mark.parametrize("where", ["base", "head"])
def test_a_damaged_baseline_builds_nothing(
    repository_with_baseline: Repository, leftovers: LeftoverWatch, damage: str, where: str
) -> None:
    repository = repository_with_baseline
    file = repository.folder / ".ci-budget" / "baseline.json"

    def spoil() -> None:
        if damage == "cut":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        else:
            _rewrite(file, lambda data: data.update(schema_version=999))

    if where == "base":
        sound = file.read_bytes()
        spoil()
        repository.commit("spoilt")

        def mend() -> None:
            file.write_bytes(sound)

        env = repository.propose(mend)
    else:
        env = repository.propose(spoil)

    done = repository.project.check(env=env)

    assert done.exit_code == 2, done.stdout + done.stderr
    assert ".ci-budget/baseline.json" in done.stderr
    assert ("format 999" in done.stderr or "version 999" in done.stderr) == (damage == "version"), done.stderr
    assert "building stage" not in done.stderr
    assert "Traceback" not in done.stderr
