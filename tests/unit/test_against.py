"""`check --against REF`: what the other revision's images are, and what the gate makes of their values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_budget.commands.against import OtherSide, OtherTree, find_other, judge_with, notes_on, other_tree
from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions, contradiction
from ci_budget.commands.preparation import ImageJob
from ci_budget.core.gate.judgement import GateOptions, judge_run
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.records.report import Failure, ImageReport, Metrics, OtherRevision, Verdict
from ci_budget.core.render.comment import render_comment
from ci_budget.core.render.markdown import render_markdown
from ci_budget.core.render.text import render_text
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, TerminatedRunError, UnmeasuredError
from tests.unit.report_samples import MB, STARTED, entry, limits, measured, metrics
from tests.unit.test_git import command

CONFIG = "version: 1\ndisk: {budget: 2GB}\nimages:\n  web: {context: app, secrets: ['id=token,src=token.txt']}\n"


class Repository:
    """A repository whose first commit `main` differs from what is checked out."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self.state = folder, state
        self.write({"ci-budget.yml": CONFIG, "app/Dockerfile": "FROM scratch\nCOPY . /\n", "app/file": "old"})
        command(folder, "init", "-q", "-b", "main", ".")
        (folder / ".git" / "info" / "exclude").write_text("token.txt\n")
        self.write({"token.txt": "a secret is in no commit"})

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def commit(self) -> str:
        command(self.folder, "add", "-A")
        command(self.folder, "commit", "-q", "--allow-empty", "-m", "any")
        return command(self.folder, "rev-parse", "HEAD")

    def sides(self, *, after: Any = None, **options: Any) -> tuple[list[ImageJob], OtherSide]:
        """What is measured of the other side, and what comes of it. `after`: is given the tree meanwhile."""
        given = CheckOptions(against="main", **options)
        plan: CheckPlan = plan_check(given, GitHubContext())
        seen: list[ImageJob] = []

        def measure(job: ImageJob) -> ImageReport:
            seen.append(job)
            if after is not None:
                after(job)
            return measured(job.name)

        with other_tree(find_other(given, plan), given, plan, self.state, STARTED) as other:
            assert isinstance(other, OtherTree)
            side = other.measure(plan.jobs[0][0], measure)
        return seen, side


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    (tmp_path / "project").mkdir()
    found = Repository(tmp_path / "project", tmp_path / "state")
    monkeypatch.chdir(found.folder)
    yield found
    left = [path for path in found.state.rglob("*") if path.is_file()]
    assert left == [], "the work tree is gone"


class TestTheOtherRevision:
    def test_its_config_its_dockerfile_its_files_and_this_run_s_disk(self, repository: Repository) -> None:
        commit = repository.commit()
        repository.write(
            {
                "ci-budget.yml": CONFIG.replace("2GB", "3GB").replace("{context: app,", "{context: app, target: new,"),
                "app/Dockerfile": "FROM scratch AS new\n",
                "app/file": "new",
            }
        )

        def look(job: ImageJob) -> None:
            assert (job.files.context / "file").read_text() == "old"
            assert job.files.dockerfile.read_text() == "FROM scratch\nCOPY . /\n"

        (job,), side = repository.sides(after=look)
        assert (job.name, job.image.target, job.disk_budget, job.smoke) == ("web", None, 3 * 10**9, None)
        assert job.image.secrets[0].src == f"{repository.folder}/token.txt", "a secret is in no commit"
        assert not job.files.context.is_relative_to(repository.folder)
        assert side.shown == f"main ({commit[:12]})"
        assert side.entry is not None
        assert side.entry.commit == commit
        assert side.entry.metrics == {
            "peak_disk": 5 * 10**9,
            "image_size": 2 * 10**9,
            "layers": 8,
            "context_size": 400_000,
        }
        assert (side.new, side.notes) == (False, ())

    def test_options_hold_for_both(self, repository: Repository) -> None:
        repository.write({"app/Dockerfile": "FROM scratch AS first\nFROM scratch\n"})
        repository.commit()
        (job,), _ = repository.sides(images=("web",), target="first", build_args=("A=1",))
        assert (job.image.target, job.image.build_args) == ("first", {"A": "1"})

    def test_from_a_folder_below_and_with_a_config_that_has_moved(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (repository.folder / "ci-budget.yml").rename(repository.folder / "ci-budget.yaml")
        repository.commit()
        (repository.folder / "ci-budget.yaml").rename(repository.folder / "ci-budget.yml")
        monkeypatch.chdir(repository.folder / "app")
        (job,), side = repository.sides()
        assert (job.name, side.new) == ("web", False)

    def test_without_a_config(self, repository: Repository) -> None:
        repository.commit()
        repository.write({"app/Dockerfile": "FROM scratch AS new\n"})
        (job,), side = repository.sides(context=Path("app"), disk_budget="1GB")
        assert (job.name, job.disk_budget, side.new) == ("app", 10**9, False)
        assert job.files.parsed.stages[0].named is False

    @pytest.mark.parametrize(("ignore", "copied"), [("", True), (".git\n", False)])
    def test_git_is_in_both_contexts_or_in_none(self, repository: Repository, ignore: str, copied: bool) -> None:
        repository.write({"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": ignore})
        repository.commit()

        def look(job: ImageJob) -> None:
            assert (job.files.context / ".git" / "HEAD").exists() == copied

        seen, _ = repository.sides(after=look, context=Path(), disk_budget="1GB")
        assert len(seen) == 1

    def test_git_is_copied_where_only_the_other_revision_sends_it(self, repository: Repository) -> None:
        repository.write({"Dockerfile": "FROM scratch\nCOPY . /\n"})
        repository.commit()
        repository.write({".dockerignore": ".git\n"})

        def look(job: ImageJob) -> None:
            assert (job.files.context / ".git" / "HEAD").exists()

        repository.sides(after=look, context=Path(), disk_budget="1GB")


class TestWhatIsNotThere:
    def test_an_image(self, repository: Repository) -> None:
        commit = repository.commit()
        repository.write({"ci-budget.yml": CONFIG.replace("web:", "api:")})
        seen, side = repository.sides()
        assert (seen, side.new, side.entry) == ([], True, None)
        assert side.notes == (
            f"the config at main ({commit[:12]}) has no image 'api': the image is new here, only its budgets count",
        )

    def test_a_config(self, repository: Repository) -> None:
        (repository.folder / "ci-budget.yml").unlink()
        commit = repository.commit()
        repository.write({"ci-budget.yml": CONFIG})
        _, side = repository.sides()
        assert side.notes == (
            f"there is no ci-budget.yml at main ({commit[:12]}): the image is new here, only its budgets count",
        )

    def test_a_dockerfile_without_a_config(self, repository: Repository) -> None:
        commit = repository.commit()
        repository.write({"other/Dockerfile": "FROM scratch\n"})
        _, side = repository.sides(file=Path("other/Dockerfile"), context=Path("app"), disk_budget="1GB")
        assert side.new
        assert side.notes[0].startswith(f"there is no other/Dockerfile at main ({commit[:12]}): ")

    def test_a_dockerfile_that_the_other_config_names_is_no_pass(self, repository: Repository) -> None:
        (repository.folder / "app" / "Dockerfile").unlink()
        commit = repository.commit()
        repository.write({"app/Dockerfile": "FROM scratch\n"})
        seen, side = repository.sides()
        assert (seen, side.new, side.entry) == ([], False, None)
        assert side.notes == (
            f"main ({commit[:12]}) cannot be compared with: ci-budget.yml:4: images.web.dockerfile: "
            "'app/Dockerfile' does not exist; it is relative to the context",
        )

    def test_a_named_context_is_of_its_revision_and_a_key_is_not(self, repository: Repository) -> None:
        config = CONFIG.replace("app,", "app, ssh: [key=token.txt], build_contexts: {more: more},")
        repository.write({"ci-budget.yml": config})
        commit = repository.commit()
        repository.write({"more/file": "only here"})
        seen, side = repository.sides()
        assert seen == []
        assert side.notes == (
            f"main ({commit[:12]}) cannot be compared with: ci-budget.yml:4: images.web.build_contexts.more: "
            "the folder 'more' does not exist",
        )
        repository.commit()
        (job,), _ = repository.sides()
        assert job.image.ssh == [f"key={repository.folder}/token.txt"]

    def test_a_build_that_fails_there_is_no_pass(self, repository: Repository) -> None:
        commit = repository.commit()
        given = CheckOptions(against="main")
        plan = plan_check(given, GitHubContext())
        failure = Failure(kind="build", message="`RUN false` failed", line=2)
        with other_tree(find_other(given, plan), given, plan, repository.state, STARTED) as other:
            assert other is not None
            side = other.measure(plan.jobs[0][0], lambda job: measured(job.name, failure=failure, metrics=Metrics()))
        assert (side.new, side.entry) == (False, None)
        assert side.notes == (
            f"main ({commit[:12]}) cannot be compared with: build (line 2 there): `RUN false` failed",
        )

    def test_what_both_sides_cannot_have_is_said(self, repository: Repository, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        command(other, "init", "-q", "-b", "main", ".")
        command(other, "commit", "-q", "--allow-empty", "-m", "any")
        command(repository.folder, "submodule", "--quiet", "add", str(other), "vendored")
        commit = repository.commit()
        given = CheckOptions(against="main")
        plan = plan_check(given, GitHubContext())
        assert notes_on(find_other(given, plan), plan, given) == []
        command(repository.folder, "submodule", "--quiet", "deinit", "--force", "vendored")
        shown = f"main ({commit[:12]})"
        submodules = f"submodules that this checkout has no commit of are empty folders at {shown}: vendored"
        assert notes_on(find_other(given, plan), plan, given) == [submodules]
        repository.write({"app/new": "new", "app/file": "changed"})
        changes = f"this side is the working tree, with 2 changes that main ({commit[:12]}) cannot have"
        assert notes_on(find_other(given, plan), plan, given) == [changes, submodules]
        assert notes_on(None, plan, given) == []

    def test_images_that_are_here_no_more(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        repository.write({"ci-budget.yml": CONFIG + "  old: {context: app}\n  older: {context: app}\n"})
        commit = repository.commit()
        repository.write({"ci-budget.yml": CONFIG})
        command(repository.folder, "commit", "-qam", "two images are gone")
        gone = (
            f"images of main~1 ({commit[:12]}) that the config here has no more, so nothing is said of them: 'old', "
            "'older'"
        )

        def notes(**options: Any) -> list[str]:
            given = CheckOptions(against="main~1", **options)
            plan = plan_check(given, GitHubContext())
            return notes_on(find_other(given, plan), plan, given)

        assert notes() == [gone]
        assert notes(images=("web",)) == [], "only this one is asked about"
        assert notes(context=Path("app"), disk_budget="1GB") == [], "there is no config"
        monkeypatch.chdir(repository.folder / "app")
        assert notes() == [gone]

    def test_a_signal_ends_the_run_and_takes_the_files_along(self, repository: Repository) -> None:
        repository.commit()

        def end(_job: ImageJob) -> None:
            raise TerminatedRunError("terminated")

        with pytest.raises(TerminatedRunError):
            repository.sides(after=end)
        assert list((repository.state / "worktrees").iterdir()) == []

    def test_the_revision_itself(self, repository: Repository, tmp_path: Path) -> None:
        repository.commit()
        with pytest.raises(UnmeasuredError, match="no such commit was fetched"):
            find_other(CheckOptions(against="gone"), plan_check(CheckOptions(), GitHubContext()))
        with pytest.raises(ConfigError, match="is no revision"):
            find_other(CheckOptions(against="--upload-pack=x"), plan_check(CheckOptions(), GitHubContext()))

    def test_the_revision_in_a_shallow_clone(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = repository.commit()
        repository.commit()
        command(tmp_path, "clone", "-q", "--depth=1", f"file://{repository.folder}", "clone")
        monkeypatch.chdir(tmp_path / "clone")
        Path("token.txt").write_text("a secret is in no commit")
        with pytest.raises(UnmeasuredError) as error:
            find_other(CheckOptions(against=first), plan_check(CheckOptions(), GitHubContext()))
        assert "this clone is shallow" in str(error.value)
        assert f"git fetch --depth=1 origin {first}" in str(error.value)

    def test_no_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "Dockerfile").write_text("FROM scratch\n")
        monkeypatch.chdir(tmp_path)
        plan = plan_check(CheckOptions(context=Path(), disk_budget="1GB"), GitHubContext())
        with pytest.raises(UnmeasuredError, match="is no git repository"):
            find_other(CheckOptions(against="main"), plan)


def decided(**budgets: int) -> DecidedLimits:
    return DecidedLimits(config=None, limits=limits(budgets), baselines=[entry()])  # type: ignore[arg-type]


class TestTheGate:
    SHOWN = "main (0123456789ab)"

    def judge(self, side: OtherSide, found: ImageReport, **budgets: int) -> ImageReport:
        return judge_with(decided(**budgets), GateOptions(), side)(found)

    def test_the_difference_is_gated_not_the_baseline(self) -> None:
        side = OtherSide(shown=self.SHOWN, entry=entry({"image_size": 100 * MB}))
        judged = self.judge(side, measured(metrics=metrics(image_size=102 * MB, peak_disk=None)))
        size = judged.metrics.image_size
        assert size is not None
        assert (size.verdict, size.baseline, size.message) == (
            Verdict.FAIL,
            100 * MB,
            "102 MB is 1.00 MB over the limit of 101 MB by main (0123456789ab) (100 MB + 1.00 MB)",
        )

    def test_a_value_that_the_other_side_lacks_has_not_passed(self) -> None:
        side = OtherSide(shown=self.SHOWN, entry=entry({"image_size": 2000 * MB, "layers": 8, "context_size": 400_000}))
        judged = self.judge(side, measured())
        peak = judged.metrics.peak_disk
        assert peak is not None
        assert (peak.verdict, peak.message) == (
            Verdict.NO_BASELINE,
            "5.00 GB; main (0123456789ab) has no value to compare it with",
        )
        assert judged.exit_code == 3

    def test_an_other_side_that_failed_passes_nothing(self) -> None:
        judged = self.judge(OtherSide(shown=self.SHOWN, notes=("it failed there",)), measured())
        assert (judged.exit_code, judged.verdict, judged.notes) == (3, Verdict.NO_BASELINE, ["it failed there"])

    def test_a_budget_still_counts_there(self) -> None:
        judged = self.judge(OtherSide(shown=self.SHOWN), measured(), image_size=MB)
        assert judged.exit_code == 1

    def test_a_new_image_is_held_to_its_budgets_alone(self) -> None:
        new = OtherSide(shown=self.SHOWN, new=True, notes=("new",))
        assert self.judge(new, measured()).exit_code == 0
        judged = self.judge(new, measured(), image_size=MB)
        assert (judged.exit_code, judged.new) == (1, True)

    def test_the_report_says_what_was_compared_with(self) -> None:
        revision = OtherRevision(revision="main", commit="0123456789abcdef0123456789abcdef01234567")
        report = judge_run([], started=STARTED, commit=None, options=GateOptions(), against=revision)
        assert report.against is not None
        assert report.against.shown == self.SHOWN
        assert OtherRevision(revision="0123456", commit=revision.commit).shown == "0123456789ab"


def test_it_excludes_a_baseline() -> None:
    assert contradiction(CheckOptions(against="main", baseline=Path("x"))) is not None
    assert contradiction(CheckOptions(against="main")) is None


def test_every_rendering_says_what_was_compared_with() -> None:
    revision = OtherRevision(revision="main", commit="0123456789abcdef0123456789abcdef01234567")
    judged = judge_with(decided(), GateOptions(), OtherSide(shown=revision.shown, entry=entry()))(
        measured(metrics=metrics(image_size=3000 * MB))
    )
    report = judge_run([judged], started=STARTED, commit=None, options=GateOptions(), against=revision)
    said = "Compared with main (0123456789ab), built in this run under the same conditions, instead of a baseline."
    assert render_text(report, width=140).startswith(f"{said}\napp: fail\n")
    assert f"\n\n{said}\n\n" in render_markdown(report)
    assert f"\n\n{said}\n\n" in render_comment(report)
    assert "baseline update" not in render_text(report), "what is accepted is compared with the baseline"
