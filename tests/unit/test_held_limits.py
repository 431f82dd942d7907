"""A pull request that calls things by other names is held to what its base revision holds them to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.core.config.model import Config
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.gate.renamed_images import build_places, find_renamed
from ci_budget.core.records.baseline import Baseline, render_baseline
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import UnmeasuredError
from tests.unit.report_samples import MB, entry
from tests.unit.test_git import command

DOCKERFILE = "FROM scratch\n" + "".join(f"COPY part-{number} /\n" for number in range(30))
OTHER = "FROM scratch\n" + "".join(f"ADD --chmod=7{number:02d} piece.{number} /elsewhere/\n" for number in range(30))
BASE = """\
version: 1
disk: {budget: 2GB}
images:
  web: {context: app, budgets: {image_size: 10MB}, smoke: {command: [check]}}
release: {budgets: {web: {layers: 3}}}
"""
HEAD = BASE.replace("web", "site").replace("10MB", "90MB").replace("layers: 3", "layers: 9")
APPROVALS = "version: 1\napprovals:\n  - {image: web, metric: layers, ceiling: 9, reason: why not, until: 2999-01-01}\n"


class Proposal:
    """A repository whose base is committed; what is written afterwards is the proposal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command(folder, "init", "-q", "-b", "main", ".")
        self.write("app/Dockerfile", DOCKERFILE)
        self.write("ci-budget.yml", BASE)
        accepted = Baseline(images={"web": [entry({"layers": 2, "image_size": 9 * MB})]})
        self.write(".ci-budget/baseline.json", render_baseline(accepted))
        self.write(".ci-budget/approvals.yml", APPROVALS)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self) -> str:
        command(self.folder, "add", "-A")
        command(self.folder, "commit", "-q", "--allow-empty", "-m", "change")
        return command(self.folder, "rev-parse", "HEAD")

    def plan(self, base: str, **options: Any) -> CheckPlan:
        head = self.commit()
        context = GitHubContext(in_actions=True, proposes=True, base_sha=base, head_sha=head)
        return plan_check(CheckOptions(**options), context)

    def decided(self, base: str, name: str, **options: Any) -> DecidedLimits:
        return next(decided for job, decided in self.plan(base, **options).jobs if job.name == name)


@pytest.fixture
def proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proposal:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Proposal(folder)


def budget(decided: DecidedLimits) -> int | None:
    return decided.limits.of("image_size").budget


class TestRenamedImage:
    def test_it_stays_held_to_all_that_it_was_held_to(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("ci-budget.yml", HEAD.replace("[check]", "['true']"))
        proposal.write(".ci-budget/baseline.json", render_baseline(Baseline()))
        proposal.write(".ci-budget/approvals.yml", APPROVALS.replace("web", "site").replace("9,", "99,"))
        plan = proposal.plan(base)
        ((job, decided),) = plan.jobs
        assert (job.name, budget(decided), decided.limits.new) == ("site", 10 * MB, False)
        assert job.smoke is not None
        assert job.smoke.command == ["check"]
        assert [one.metrics for one in decided.baselines] == [{"layers": 2, "image_size": 9 * MB}]
        assert [given.ceiling for given in decided.approvals] == [9]
        assert decided.notes == [
            "this is 'web' of the base revision by another name, so what that is held to counts; "
            "if it is another image, remove the old one in a change of its own first"
        ]
        listed = [(change.path, change.base, change.head) for change in decided.limits_changed]
        assert ("images.site.budgets.image_size", "10.0 MB", "90.0 MB") in listed
        assert ("approval of site: layers", "9 until 2999-01-01", "99 until 2999-01-01") in listed
        assert [change.path for change in plan.limits_changed] == ["release.budgets.site.layers"]

    def test_its_inventory_lies_under_its_old_name(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("ci-budget.yml", HEAD)
        there, here = proposal.plan(base).inventories
        assert (there.names, there.revision, here.names) == ({"site": "web"}, base, {})

    @pytest.mark.parametrize("text", [DOCKERFILE.replace("part-7 ", "part-70 "), OTHER], ids=["edited", "rewritten"])
    def test_its_dockerfile_moves_as_well(self, proposal: Proposal, text: str) -> None:
        base = proposal.commit()
        (proposal.folder / "app" / "Dockerfile").unlink()
        proposal.write("app/docker/Dockerfile", text)
        proposal.write("ci-budget.yml", HEAD.replace("app,", "app, dockerfile: docker/Dockerfile,"))
        assert budget(proposal.decided(base, "site")) == 10 * MB

    def test_its_folder_moves_as_well(self, proposal: Proposal) -> None:
        base = proposal.commit()
        command(proposal.folder, "mv", "app", "service")
        proposal.write("ci-budget.yml", HEAD.replace("app,", "service,"))
        assert budget(proposal.decided(base, "site")) == 10 * MB

    def test_its_old_name_goes_to_something_small(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("small/Dockerfile", "FROM scratch\n")
        proposal.write("ci-budget.yml", HEAD.replace("release", "  web: {context: small}\nrelease"))
        plan = proposal.plan(base)
        assert [(job.name, budget(decided)) for job, decided in plan.jobs] == [("site", 10 * MB), ("web", 10 * MB)]
        assert plan.jobs[1][1].notes == ()

    def test_its_dockerfile_goes_and_something_small_takes_its_place(self, proposal: Proposal) -> None:
        base = proposal.commit()
        command(proposal.folder, "mv", "app/Dockerfile", "app/real.Dockerfile")
        proposal.write("app/Dockerfile", "FROM scratch\n")
        site = HEAD.replace("app,", "app, dockerfile: real.Dockerfile,")
        proposal.write("ci-budget.yml", site.replace("release", "  web: {context: app}\nrelease"))
        assert budget(proposal.decided(base, "site")) == 10 * MB

    def test_a_second_image_of_the_same_dockerfile_is_new(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("ci-budget.yml", BASE.replace("release", "  cpu: {context: app}\nrelease"))
        decided = proposal.decided(base, "cpu")
        assert (budget(decided), decided.limits.new) == (None, True)

    def test_another_image_is_new_and_the_old_one_is_listed(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("other/Dockerfile", OTHER)
        proposal.write("ci-budget.yml", HEAD.replace("app", "other"))
        plan = proposal.plan(base)
        assert plan.jobs[0][1].limits.new
        assert [change.path for change in plan.limits_changed if change.loosened][:1] == ["images.web"]


def renamed(base: dict[str, Any], head: dict[str, Any], moved: dict[str, str] | None = None) -> dict[str, str]:
    there, here = (build_places(Config.model_validate({"version": 1, "images": side}), ".") for side in (base, head))
    return find_renamed(there, here, moved or {})


class TestFindingRenamed:
    def test_targets_tell_images_of_one_dockerfile_apart(self) -> None:
        base = {"a": {"target": "one"}, "b": {"target": "two"}}
        assert renamed(base, {"x": {"target": "Two"}, "y": {"target": "one"}}) == {"x": "b", "y": "a"}

    def test_a_target_that_got_another_name(self) -> None:
        assert renamed({"a": {"target": "one"}}, {"x": {"target": "main"}}) == {"x": "a"}

    def test_a_second_target_of_an_image_that_stays_is_new(self) -> None:
        assert renamed({"a": {}}, {"a": {}, "x": {"target": "tests"}}) == {}

    def test_where_a_context_alone_leaves_a_choice_none_is_made(self) -> None:
        base = {"a": {"dockerfile": "a"}, "b": {"dockerfile": "b"}}
        assert renamed(base, {"x": {"dockerfile": "x"}}) == {}
        assert renamed({"a": {"dockerfile": "a"}}, {"x": {"dockerfile": "x"}, "y": {"dockerfile": "y"}}) == {}
        assert renamed(base, {"b": {"dockerfile": "b"}, "x": {"dockerfile": "x"}}) == {"x": "a"}

    def test_an_image_is_taken_once(self) -> None:
        assert renamed({"a": {}}, {"x": {}, "y": {}}) == {"x": "a"}


class TestMovedConfig:
    @pytest.mark.parametrize("text", [BASE.replace("10MB", "90MB"), None], ids=["edited", "rewritten"])
    @pytest.mark.parametrize("place", ["limits.yml", "ci/limits.yml"])
    def test_its_limits_stay(self, proposal: Proposal, place: str, text: str | None) -> None:
        base = proposal.commit()
        command(proposal.folder, "rm", "-q", "ci-budget.yml")
        if text is None:
            text = 'version: "1"\nimages:\n  "web":\n    "context": "app"\n    "disk":\n      "budget": "9GB"\n'
        proposal.write(place, text)
        command(proposal.folder, "mv", "app", str(Path(place).parent / "app2"))
        proposal.write(str(Path(place).parent / "app" / "Dockerfile"), OTHER)
        decided = proposal.decided(base, "web", config=Path(place))
        assert (budget(decided), decided.limits.disk_budget, decided.limits.new) == (10 * MB, 2 * 10**9, False)
        assert [one.metrics["layers"] for one in decided.baselines] == [2]
        assert len(decided.approvals) == 1

    def test_something_else_takes_its_place(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("ci-budget.yml", "nothing: here\n")
        proposal.write("limits.yml", "version: 1\nimages: {web: {context: app, disk: {budget: 9GB}}}\n")
        assert budget(proposal.decided(base, "web", config=Path("limits.yml"))) == 10 * MB

    def test_into_a_folder_with_its_image_renamed(self, proposal: Proposal) -> None:
        base = proposal.commit()
        (proposal.folder / "ci").mkdir()
        command(proposal.folder, "mv", "app", "ci-budget.yml", "ci")
        proposal.write("ci/ci-budget.yml", HEAD)
        assert budget(proposal.decided(base, "site", config=Path("ci/ci-budget.yml"))) == 10 * MB

    def test_a_config_beside_another_is_new(self, proposal: Proposal) -> None:
        base = proposal.commit()
        proposal.write("new/app/Dockerfile", OTHER)
        proposal.write("new/ci-budget.yml", BASE)
        assert proposal.decided(base, "web", config=Path("new/ci-budget.yml")).limits.new

    def test_where_two_went_nothing_passes(self, proposal: Proposal) -> None:
        proposal.write("more/ci-budget.yml", BASE.replace("web", "more"))
        proposal.write("workflow.yml", "on: push\n")
        base = proposal.commit()
        command(proposal.folder, "rm", "-q", "ci-budget.yml", "more/ci-budget.yml", "workflow.yml")
        proposal.write("limits.yml", "version: 1\nimages: {web: {context: app, disk: {budget: 9GB}}}\n")
        with pytest.raises(UnmeasuredError, match=r"removes 2 configs \(ci-budget.yml, more/ci-budget.yml\)"):
            proposal.plan(base, config=Path("limits.yml"))


def test_of_two_images_the_one_that_stays_needs_no_name(proposal: Proposal) -> None:
    proposal.write("ci-budget.yml", BASE.replace("release", "  gone: {context: app}\nrelease"))
    base = proposal.commit()
    proposal.write("ci-budget.yml", BASE)
    plan = proposal.plan(base, no_build="registry://localhost:5000/web:1")
    assert [job.name for job, _ in plan.jobs] == ["web"]
    assert [change.path for change in plan.limits_changed] == ["images.gone"]
