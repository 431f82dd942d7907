"""workflows/pr-check.yml, run whole by act with a real engine: it passes, fails, and stays out of the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_budget.core.records.report import Report
from ci_budget.core.render.comment import render_comment
from tests.action.conftest import REPOSITORY, Act, Job, Project
from tests.github_api.server import TOKEN, StandIn, serving

pytestmark = [pytest.mark.engine, pytest.mark.beside]

CONFIG = """\
version: 1
disk: {budget: 200MB, reserve: 100MB}
images:
  app:
    context: app
    budgets: {peak_disk: 100MB, image_size: 6MB, layers: 8}
"""

DOCKERFILE = """\
FROM test/busybox:latest AS build
RUN mkdir /out && head -c 1000000 /dev/urandom > /out/data
FROM test/busybox:latest
COPY --from=build /out /out
COPY main.sh /main.sh
"""

RUN = "https://github.com/acme/widgets/actions/runs/1"

HOSTILE = """\
RUN echo '::error::injected by the build' \\
 && echo '::set-output name=verdict::hacked' \\
 && echo '  ::add-path::/hacked' \\
 && echo '::stop-commands::hacked' \\
 && echo '##[error]injected by the build' \\
 && printf 'progress\\r::error::injected by the build\\n' >&2
"""


@pytest.fixture
def widgets(project: Project, busybox_base: str) -> Project:
    """The project before the change: one image within its budgets, and documents that no image holds."""
    assert busybox_base == "test/busybox:latest"
    workflow = (REPOSITORY / "workflows" / "pr-check.yml").read_text()
    project.commit(
        {
            ".github/workflows/pr-check.yml": workflow,
            "ci-budget.yml": CONFIG,
            "app/Dockerfile": DOCKERFILE,
            "app/.dockerignore": "*.md\n",
            "app/main.sh": "echo hello\n",
            "README.md": "# widgets\n",
        },
        "start",
    )
    return project


def uploaded(job: Job) -> Path:
    return job.artifacts / "ci-budget-report"


def test_a_change_within_the_budgets_passes_and_its_log_stays_text(widgets: Project, act: Act) -> None:
    widgets.propose({"app/Dockerfile": DOCKERFILE + HOSTILE})
    job = act(widgets)
    assert job.exit_code == 0, job.text
    assert job.steps == {
        "Check out the merge commit and its base": "success",
        "What does the change touch?": "success",
        "Build, measure, compare": "success",
        "Keep the report and the build logs": "success",
    }
    outputs = job.outputs()
    assert outputs["touched"] == "true"
    assert outputs["images"] == "app"
    assert (outputs["verdict"], outputs["exit-code"], outputs["image"]) == ("pass", "0", "app")
    assert 1_000_000 < int(outputs["image-size"]) < 6_000_000
    assert 2_000_000 < int(outputs["peak-disk"]) < 100_000_000
    assert outputs["context-size"] == str(len(DOCKERFILE + HOSTILE) + len("*.md\n") + len("echo hello\n"))
    report = json.loads((uploaded(job) / "report.json").read_text())
    metrics = report["images"][0]["metrics"]
    assert outputs["image-size"] == str(metrics["image_size"]["value"])
    assert json.loads(outputs["metrics-json"])["app"]["metrics"]["layers"]["value"] == int(outputs["layers"])
    assert job.summaries().strip() == (uploaded(job) / "report.md").read_text().strip()
    # one group a stage, in which the lines that the build wrote are text
    assert [name for name in job.commands("group") if name.startswith("app: ")] == [
        "app: stage build",
        "app: stage stage-1",
    ]
    assert "| ::error::injected by the build" in job.text
    assert "| ::stop-commands::hacked" in job.text
    assert "# #[error]injected by the build" in job.text
    # act obeyed the commands that are ours, and none of the build's
    assert [text for text in job.commands("error") if "injected" in text] == []
    assert "hacked" not in outputs.values()
    assert [text for text in job.commands("add-path") if "hacked" in text] == []
    logs = "".join(path.read_text() for path in sorted(uploaded(job).rglob("*.log")))
    assert "| ::error::injected by the build" in logs


def test_a_regression_fails_the_job_although_the_change_raises_its_own_budget(widgets: Project, act: Act) -> None:
    workflow = widgets.folder / ".github" / "workflows" / "pr-check.yml"
    plain, image = workflow.read_text(), "          image: ${{ steps.plan.outputs.images }}\n"
    assert image in plain
    widgets.commit({str(workflow): plain.replace(image, f"{image}          comment: true\n")}, "comment as well")
    grown = DOCKERFILE.replace("head -c 1000000", "head -c 9000000")
    widgets.propose({"app/Dockerfile": grown, "ci-budget.yml": CONFIG.replace("image_size: 6MB", "image_size: 60MB")})
    github = StandIn()
    github.add_pull(7, widgets.git("rev-parse", "HEAD^2"))
    with serving(github) as address:
        there = ("--env", f"CI_BUDGET_COMMENT_API_URL={address}", "--secret", f"GITHUB_TOKEN={TOKEN}")
        job = act(widgets, options=there)
    assert job.exit_code == 1, job.text
    assert job.steps == {
        "Check out the merge commit and its base": "success",
        "What does the change touch?": "success",
        "Build, measure, compare": "failure",
        "Keep the report and the build logs": "success",
    }
    outputs = job.outputs()
    assert (outputs["verdict"], outputs["exit-code"], outputs["image"]) == ("fail", "1", "app")
    assert int(outputs["image-size"]) > 9_000_000
    metric = json.loads((uploaded(job) / "report.json").read_text())["images"][0]["metrics"]["image_size"]
    assert (metric["verdict"], metric["budget"], metric["value"]) == ("fail", 6_000_000, int(outputs["image-size"]))
    assert "image_size" in job.summaries()
    assert "fail" in job.summaries()
    assert [text for text in job.commands("error") if metric["message"] in text] != []
    report = Report.model_validate_json((uploaded(job) / "report.json").read_bytes())
    assert github.bodies(7) == [render_comment(report, address=RUN, folder=outputs["report"])]


def test_an_untouched_image_is_a_quick_green(widgets: Project, act: Act) -> None:
    widgets.propose({"README.md": "# widgets, explained\n", "app/NOTES.md": "ignored by the ignore file\n"})
    job = act(widgets)
    assert job.exit_code == 0, job.text
    assert job.steps == {
        "Check out the merge commit and its base": "success",
        "What does the change touch?": "success",
    }
    assert job.outputs() == {"touched": "false", "images": "", "matrix": '{"include": []}'}
    assert job.summaries().strip() == "### ci-budget: nothing to build\n\nThe change touches no image of the config."
    assert not job.artifacts.exists()


def test_a_fork_is_refused_before_anything_of_it_is_checked_out(widgets: Project, act: Act) -> None:
    widgets.propose({"app/Dockerfile": DOCKERFILE + HOSTILE})
    job = act(widgets, head_repository="mallory/widgets")
    assert job.exit_code == 1, job.text
    assert job.steps == {"Refuse a fork on a self-hosted runner": "failure"}
    assert "CI_BUDGET_ALLOW_FORKS" in job.summaries()


def test_a_fork_is_built_where_the_repository_allows_it(widgets: Project, act: Act) -> None:
    widgets.propose({"README.md": "# widgets, explained\n"})
    job = act(widgets, head_repository="mallory/widgets", options=["--var", "CI_BUDGET_ALLOW_FORKS=true"])
    assert job.exit_code == 0, job.text
    assert job.steps == {
        "Check out the merge commit and its base": "success",
        "What does the change touch?": "success",
    }
