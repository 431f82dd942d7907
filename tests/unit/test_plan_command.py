"""`plan` in a real repository: what git says, what the ignore files leave, and which base counts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.plan import make_plan
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, UnmeasuredError

CONFIG = """\
version: 1
images:
  api: {context: services/api, build_contexts: {libs: libs}}
  web: {context: web-link, dockerfile: ../docker/web.Dockerfile}
"""
APPROVAL = "approvals: [{image: web, metric: layers, ceiling: 9, reason: x, until: 2030-01-01}]\n"
DOCKERFILE = "FROM scratch\nCOPY . /\n"


class Repository:
    """A small git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=dev", "-c", "user.email=dev@example", "-c", "protocol.file.allow=always"]
        command = ["git", *identity, *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None]) -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    (made.folder / "services" / "web").mkdir(parents=True)
    (made.folder / "web-link").symlink_to("services/web")
    made.commit(
        {
            "ci-budget.yml": CONFIG,
            "README.md": "hello\n",
            "libs/shared.py": "1\n",
            "docs/Dockerfile": DOCKERFILE,
            "services/api/Dockerfile": DOCKERFILE,
            "services/api/.dockerignore": "docs\n!docs/kept.md\n",
            "services/api/main.py": "1\n",
            "services/web/main.py": "1\n",
            "docker/web.Dockerfile": DOCKERFILE,
            "docker/web.Dockerfile.dockerignore": "*.md\n",
        }
    )
    return made


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({"README.md": "hi\n"}, []),
        ({"services/api/main.py": "2\n"}, ["api"]),
        ({"services/api/main.py": None}, ["api"]),
        ({"services/api/docs/a.md": "ignored\n"}, []),
        ({"services/api/docs/kept.md": "not ignored\n"}, ["api"]),
        ({"services/api/.dockerignore": "docs\n"}, ["api"]),
        ({"libs/shared.py": "2\n"}, ["api"]),
        ({"services/web/main.py": "2\n"}, ["web"]),
        ({"services/web/notes.md": "ignored\n"}, []),
        ({"docker/web.Dockerfile": f"{DOCKERFILE}# more\n"}, ["web"]),
        ({"docker/web.Dockerfile.dockerignore": None}, ["web"]),
        ({"ci-budget.yml": f"{CONFIG}require_baseline: true\n"}, ["api", "web"]),
        ({".ci-budget/baseline.json": "{}"}, ["api", "web"]),
        ({"ci-budget.yml": CONFIG.replace("api: {", "api: {build_args: {A: b}, ")}, ["api"]),
        ({"ci-budget.yml": CONFIG.replace("libs: libs", "libs: docs")}, ["api"]),
        ({"ci-budget.yml": CONFIG.replace("web-link,", "web-link, budgets: {layers: 9},")}, ["web"]),
        ({"ci-budget.yml": f"{CONFIG}  new: {{context: docs}}\n"}, ["new"]),
        ({"ci-budget.yml": f"# a remark\n{CONFIG}"}, []),
        ({"ci-budget.yml": f"{CONFIG}release: {{budgets: {{web: {{layers: 9}}}}}}\n"}, ["web"]),
        ({".ci-budget/approvals.yml": APPROVAL}, ["web"]),
    ],
)
def test_what_a_commit_touches(
    repository: Repository, change: Mapping[str, str | None], touched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository.git("rev-parse", "HEAD")
    repository.commit(change)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository.folder)
        assert main(["plan", "--base", base, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["touched"] == touched


def test_an_image_that_is_gated_no_more_is_named(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository.git("rev-parse", "HEAD")
    repository.commit({"ci-budget.yml": CONFIG.replace("  web:", "  # web:")})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository.folder)
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
        assert main(["plan", "--base", base, "--format", "github"]) == 0
    assert "  gone   web: the config names it no more, and nothing gates it\n" in capsys.readouterr().out
    assert (tmp_path / "summary").read_text().endswith("\n- no longer gated: `web`\n")


def test_a_context_that_becomes_another_folder_is_touched(repository: Repository) -> None:
    base = repository.git("rev-parse", "HEAD")
    (repository.folder / "web-link").unlink()
    (repository.folder / "web-link").symlink_to("services/api")
    repository.commit({})
    plan = make_plan(repository.folder, config=None, base=base, everything=False, context=GitHubContext())
    assert [(image.name, image.reason) for image in plan.touched] == [("web", "web-link changed (its context)")]


def test_a_submodule_in_the_context_touches_it(repository: Repository, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library")
    library.commit({"a": "1\n"})
    repository.git("submodule", "--quiet", "add", str(library.folder), "services/api/vendor")
    base = repository.commit({})
    library.commit({"a": "2\n"})
    repository.git("-C", "services/api/vendor", "pull", "--quiet", "origin", "main")
    repository.commit({})
    plan = make_plan(repository.folder, config=None, base=base, everything=False, context=GitHubContext())
    assert [image.name for image in plan.touched] == ["api"]


def pull_request(repository: Repository, **more: object) -> GitHubContext:
    merge = repository.git("rev-parse", "HEAD")
    return GitHubContext(
        in_actions=True,
        event_name="pull_request",
        proposes=True,
        ref="refs/pull/7/merge",
        **{"sha": merge, **more},  # type: ignore[arg-type]
    )


def test_a_pull_request_is_compared_with_what_github_merged_it_into(repository: Repository) -> None:
    old = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "change")
    repository.commit({"services/web/main.py": "2\n"})
    repository.git("checkout", "--quiet", "main")
    main_now = repository.commit({"services/api/main.py": "somebody else's change\n"})
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    context = pull_request(repository, base_sha=old)
    plan = make_plan(repository.folder, config=None, base=None, everything=False, context=context)
    assert (plan.base, [image.name for image in plan.touched]) == (main_now, ["web"])
    # the branch itself is checked out: only what the payload says is believed
    repository.git("checkout", "--quiet", "change")
    plan = make_plan(repository.folder, config=None, base=None, everything=False, context=context)
    assert (plan.base, [image.name for image in plan.touched]) == (old, ["web"])


def test_a_shallow_clone_with_two_commits_is_enough(repository: Repository, tmp_path: Path) -> None:
    repository.git("checkout", "--quiet", "-b", "change")
    repository.commit({"services/web/main.py": "2\n"})
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=2", f"file://{repository.folder}", str(clone))
    context = pull_request(repository)
    plan = make_plan(clone, config=None, base=None, everything=False, context=context)
    assert [image.name for image in plan.touched] == ["web"]
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow))
    with pytest.raises(UnmeasuredError, match="fetch-depth: 2"):
        make_plan(shallow, config=None, base=None, everything=False, context=context)


def test_a_pull_request_without_a_known_base_is_an_error(repository: Repository) -> None:
    with pytest.raises(UnmeasuredError, match="the base of this pull_request is not known"):
        make_plan(repository.folder, config=None, base=None, everything=False, context=pull_request(repository))


def test_a_push_builds_every_image(repository: Repository) -> None:
    context = GitHubContext(in_actions=True, event_name="push")
    plan = make_plan(repository.folder, config=None, base=None, everything=False, context=context)
    assert [image.reason for image in plan.images] == ["'push' proposes no change to compare with"] * 2


def test_without_a_base_outside_of_ci(repository: Repository) -> None:
    with pytest.raises(ConfigError, match="there is nothing to compare with"):
        make_plan(repository.folder, config=None, base=None, everything=False, context=GitHubContext())
    plan = make_plan(repository.folder, config=None, base=None, everything=True, context=GitHubContext())
    assert [image.name for image in plan.touched] == ["api", "web"]


def test_the_outputs_for_a_workflow(repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = tmp_path / "outputs"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository.folder)
        for name, value in {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_OUTPUT": str(outputs),
            "CI_BUDGET_PLAN_ALL": "true",
            "CI_BUDGET_PLAN_BASE": "",
            "CI_BUDGET_PLAN_CONFIG": "",
        }.items():
            patch.setenv(name, value)
        assert main(["plan", "--format=github"]) == 0
    assert capsys.readouterr().out == (
        "2 of 2 images to build\n  build  api: every image was asked for\n  build  web: every image was asked for\n"
    )
    written = outputs.read_text().split(os.linesep)
    assert [line.split("<<")[0] for line in written if "<<" in line] == ["touched", "images", "matrix"]
    assert '{"include": [{"shard": "1", "image": "api"}, {"shard": "2", "image": "web"}]}' in written
