"""What `check` was asked to do: config, options, limits; and what is refused before an engine is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.image_findings import _context_use
from ci_budget.commands.preparation import prepared
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, UnmeasuredError

CONFIG = """\
version: 1
disk: {budget: 2GB}
images:
  web: {build_args: {A: one, B: two}, budgets: {image_size: 10MB}}
  worker: {dockerfile: worker.Dockerfile, disk: {budget: 3GB}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two images, the working directory."""
    found = tmp_path / "project"
    found.mkdir()
    (found / ".git").mkdir()
    (found / "Dockerfile").write_text("FROM scratch AS first\nFROM scratch AS second\n")
    (found / "worker.Dockerfile").write_text("FROM scratch\n")
    (found / "ci-budget.yml").write_text(CONFIG)
    monkeypatch.chdir(found)
    return found


def plan(**options: object) -> CheckPlan:
    """The plan of these options, outside of GitHub."""
    return plan_check(CheckOptions(**options), GitHubContext())  # type: ignore[arg-type]


def refusal(**options: object) -> str:
    """Why these options are refused."""
    with pytest.raises(ConfigError) as error:
        plan(**options)
    return str(error.value)


class TestHandingOut:
    """What cannot be handed out as asked is refused before anything is built."""

    @pytest.mark.parametrize(("option", "value"), [("push", "local/x:1"), ("export", Path("x.tar"))])
    def test_two_images_under_one_name(self, folder: Path, option: str, value: object) -> None:
        said = f"--{option} is about one image, and 2 were asked for; name it with --image"
        assert refusal(**{option: value}) == said
        assert len(plan(**{option: value, "images": ("web",)}).jobs) == 1

    def test_a_name_that_is_none(self, folder: Path) -> None:
        assert refusal(push="Bad//x", images=("web",)).startswith("--push Bad//x: invalid reference format")
        digest = "sha256:" + "a" * 64
        assert "an image is pushed under a tag" in refusal(push=f"local/x@{digest}", images=("web",))

    def test_a_folder_that_does_not_exist(self, folder: Path) -> None:
        assert refusal(export=Path("no/x.tar"), images=("web",)) == "--export no/x.tar: there is no folder no"


class TestImages:
    def test_all_of_the_config_in_its_order(self, folder: Path) -> None:
        found = plan()
        assert [(job.name, job.disk_budget) for job, _ in found.jobs] == [("web", 2 * 10**9), ("worker", 3 * 10**9)]
        assert [job.files.dockerfile for job, _ in found.jobs] == [folder / "Dockerfile", folder / "worker.Dockerfile"]
        assert found.folder == folder
        assert found.limits_changed == ()

    def test_only_those_that_were_named(self, folder: Path) -> None:
        assert [job.name for job, _ in plan(images=("worker",)).jobs] == ["worker"]

    def test_an_unknown_one(self, folder: Path) -> None:
        assert refusal(images=("wep",)) == (
            "ci-budget.yml: there is no image 'wep' in this config; did you mean 'web'?"
        )

    def test_from_a_folder_below(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "below").mkdir()
        monkeypatch.chdir(folder / "below")
        assert plan().folder == folder


class TestOptions:
    def test_they_go_before_the_config(self, folder: Path) -> None:
        ((job, _),) = plan(
            images=("web",), target="first", build_args=("B=other", "C", "D=with=sign"), disk_mode="host"
        ).jobs
        assert job.image.target == "first"
        assert job.image.build_args == {"A": "one", "B": "other", "C": "", "D": "with=sign"}
        assert job.disk.mode == "host"

    def test_limits_stay_those_of_the_config(self, folder: Path) -> None:
        ((_, decided),) = plan(images=("web",), target="first").jobs
        assert decided.limits.of("image_size").budget == 10 * 10**6

    def test_a_disk_budget(self, folder: Path) -> None:
        assert {job.disk_budget for job, _ in plan(disk_budget="1.5GB").jobs} == {1_500_000_000}
        assert "'lots' is not a size" in refusal(disk_budget="lots")
        for nothing in ("0", "0GB"):
            assert refusal(disk_budget=nothing).startswith("--disk-budget: ")

    def test_one_image_must_be_meant(self, folder: Path) -> None:
        assert "name it with --image" in refusal(target="first")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"target": "thrid"}, "'thrid'"),
            ({"target": "no stage!"}, "no stage!"),
            ({"build_args": ("1 bad=x",)}, "1 bad"),
            ({"file": Path("missing.Dockerfile")}, "missing.Dockerfile"),
            ({"context": Path("missing")}, "missing"),
            ({"context": Path("/")}, "--context / lies outside of the repository"),
        ],
    )
    def test_what_they_name_must_be_there(self, folder: Path, options: dict[str, object], said: str) -> None:
        assert said in refusal(images=("web",), **options)


class TestWithoutConfig:
    @pytest.mark.parametrize("name", ["app", "My App!", "ÄÖ", "-", "UPPER"])
    def test_any_folder_can_be_checked(self, folder: Path, name: str) -> None:
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text("FROM scratch\n")
        ((job, decided),) = plan(context=Path(name), disk_budget="1GB", target=None).jobs
        assert job.files.context == folder / name
        assert job.disk_budget == 10**9
        assert decided.baselines == ()

    def test_options_are_about_it(self, folder: Path) -> None:
        ((job, _),) = plan(file=Path("Dockerfile"), target="first", build_args=("A=1",), disk_budget="1GB").jobs
        assert (job.image.target, job.image.build_args) == ("first", {"A": "1"})

    def test_a_dockerfile_beside_the_context(self, folder: Path) -> None:
        (folder / "app").mkdir()
        ((job, _),) = plan(context=Path("app"), file=Path("Dockerfile"), disk_budget="1GB").jobs
        assert (job.files.context, job.files.dockerfile) == (folder / "app", folder / "Dockerfile")

    def test_its_disk_budget_must_be_given(self, folder: Path) -> None:
        said = refusal(context=Path())
        assert "has no disk budget: nothing says how much disk its build may use" in said
        assert "--disk-budget" in said

    def test_host_mode_needs_none(self, folder: Path) -> None:
        ((job, _),) = plan(context=Path(), disk_mode="host").jobs
        assert job.disk_budget is None


class TestPullRequest:
    def test_a_base_that_is_not_known_is_no_pass(self, folder: Path) -> None:
        with pytest.raises(UnmeasuredError):
            plan_check(CheckOptions(), GitHubContext(in_actions=True, proposes=True))


class TestSparseCheckouts:
    """Only the images that are asked for must be there, and those that share their context."""

    def test_others_may_lack_their_files(self, folder: Path) -> None:
        for name in ("api", "docs", "old"):
            (folder / name).mkdir()
        (folder / "api" / "Dockerfile").write_text("FROM scratch\n")
        (folder / "docs" / "Dockerfile").write_text("FROM scratch\nCOPY a\n")
        (folder / "old" / "Dockerfile").write_text("FROM scratch\n")
        (folder / "ci-budget.yml").write_text(
            "version: 1\ndisk: {budget: 2GB}\nimages:\n  api: {context: api}\n  gone: {context: gone}\n"
            "  docs: {context: docs}\n  old: {context: old, target: none}\n"
        )
        assert [job.name for job, _ in plan(images=("api",)).jobs] == ["api"]
        assert "images.gone.context: the folder 'gone' does not exist" in refusal(images=("api", "gone"))
        assert "docs/Dockerfile:2: " in refusal(images=("docs",))
        assert "images.old.target: old/Dockerfile has no stage 'none'" in refusal(images=("old",))
        (folder / "docs" / "Dockerfile").write_text("FROM scratch\n")
        told = refusal()
        assert "images.gone.context" in told
        assert "images.old.target" in told

    def test_one_of_the_same_context_must_be_known(self, folder: Path) -> None:
        """What it uses of the context is not ballast."""
        (folder / "worker.Dockerfile").unlink()
        assert "images.worker.dockerfile: 'worker.Dockerfile' does not exist" in refusal(images=("web",))


class TestNamesOfFiles:
    """Reports, SARIF and annotations name files from the repository's root, wherever the command was given."""

    @pytest.mark.parametrize("place", [".", "services", "services/api", "services/api/src"])
    def test_from_any_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        service = folder / "services" / "api"
        (service / "src").mkdir(parents=True)
        (service / "Dockerfile").write_text("FROM scratch\nCOPY src/x /\n")
        (service / "src" / "x").write_text("x")
        config = "version: 1\ndisk: {budget: 2GB}\nimages: {api: {context: %s}}\n"
        (folder / "ci-budget.yml").write_text(config % "services/api")
        monkeypatch.chdir(folder / place)
        ((job, _),) = plan().jobs
        assert job.files.parsed.file == "services/api/Dockerfile"
        (service / "ci-budget.yml").write_text(config % ".")
        ((job, _),) = plan(config=Path(os.path.relpath(service / "ci-budget.yml"))).jobs
        assert job.files.parsed.file == "services/api/Dockerfile"
        with prepared(job, platform="linux/amd64", refreshed=False) as image:
            use = _context_use(image)
        assert use is not None
        assert use.ignore_file == "services/api/.dockerignore"

    def test_an_ignore_file_beside_the_dockerfile(self, folder: Path) -> None:
        (folder / "build").mkdir()
        (folder / "app").mkdir()
        (folder / "build" / "Dockerfile").write_text("FROM scratch\nCOPY x /\n")
        (folder / "build" / "Dockerfile.dockerignore").write_text("y\n")
        (folder / "ci-budget.yml").write_text(
            "version: 1\ndisk: {budget: 2GB}\nimages: {api: {context: app, dockerfile: ../build/Dockerfile}}\n"
        )
        ((job, _),) = plan().jobs
        with prepared(job, platform="linux/amd64", refreshed=False) as image:
            use = _context_use(image)
        assert use is not None
        assert (job.files.parsed.file, use.ignore_file) == ("build/Dockerfile", "build/Dockerfile.dockerignore")
