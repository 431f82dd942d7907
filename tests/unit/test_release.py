"""The release decision without a registry, and what a person reads of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ci_budget.core.config.model import Config
from ci_budget.core.gate.approvals import Approvals, Ruling
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import DiskReport, Failure, ImageReport, Verdict
from ci_budget.core.release.facts import LastRelease, ReleaseFacts, UsedReport
from ci_budget.core.release.judgement import Candidate, Earlier, Measured, ReleaseQuestion, decide
from ci_budget.core.render.release import render_release_json, render_release_markdown, render_release_text
from tests.unit.report_samples import GB, STARTED, fingerprint, measured

ONE, TWO, MANIFEST, INDEX = (f"sha256:{digit * 64}" for digit in "1234")
CHECKED = "2026-03-02T08:00:00Z"
DISK = DiskReport(mode="sandbox", reason="this user is root", enforced=True)
USED = UsedReport(
    file="report/report.json", sha256="a" * 64, started=STARTED, commit="b" * 40, verdict=Verdict.PASS, exit_code=0
)


def passed(image_id: str = ONE, **changes: Any) -> ImageReport:
    given = {"verdict": Verdict.PASS, "exit_code": 0, "image_id": image_id, "disk": DISK, **changes}
    return measured().model_copy(update=given)


def candidate(image_id: str = ONE, platform: str = "linux/amd64") -> Candidate:
    return Candidate(platform=platform, manifest_digest=MANIFEST, image_id=image_id, compressed=900_000_000)


def decision(
    *reported: ImageReport,
    candidates: tuple[Candidate, ...] = (candidate(),),
    budgets: dict[str, Any] | None = None,
    image: dict[str, Any] | None = None,
    approvals: list[dict[str, Any]] | None = None,
    earlier: tuple[Earlier, ...] | None = None,
) -> ReleaseFacts:
    config = Config.model_validate(
        {"version": 1, "images": {"app": image or {}}, "release": {"budgets": {"app": budgets or {}}}}
    )
    given = Approvals.model_validate({"approvals": approvals or []})
    question = ReleaseQuestion(
        candidate="registry.example.test/team/app:candidate",
        digest=INDEX,
        images=candidates,
        reports=[USED],
        measured=[Measured(report=0, image=one) for one in reported],
        last=None if earlier is None else LastRelease(reference="registry.example.test/team/app:v1", digest=TWO),
        earlier=earlier or (),
    )
    return decide(question, config, {"app": Ruling(given=given.of("app"), today=date(2026, 3, 2))}, checked=CHECKED)


def last(platform: str = "linux/amd64", *, name: str | None = None, **values: int) -> Earlier:
    entry = BaselineEntry(fingerprint=fingerprint(platform=platform), metrics=values, recorded="")
    return Earlier(name=name, entry=entry, metrics=tuple(values))


def outcome(facts: ReleaseFacts) -> tuple[int, str, str | None]:
    return facts.exit_code, facts.verdict.value, facts.images[0].refused


def test_only_the_measured_image_of_a_passed_report() -> None:
    other = "no report measured this image; it was rebuilt, or is another one; "
    assert outcome(decision(passed())) == (0, "no-baseline", None)
    assert outcome(decision(passed(), budgets={"image_size": "3GB"})) == (0, "pass", None)
    assert outcome(decision(passed(TWO))) == (1, "fail", f"{other}measured were: app {TWO}")
    assert outcome(decision()) == (1, "fail", f"{other}the reports measured no image")
    assert outcome(decision(passed(image_id=None))) == (1, "fail", f"{other}the reports measured no image")  # type: ignore[arg-type]
    failed = passed(failure=Failure(kind="smoke", message="exit 1"))
    assert outcome(decision(failed)) == (1, "fail", "app did not pass: its report says pass, exit 0")
    warm = passed(fingerprint=fingerprint(cache="warm"))
    quick = "app was checked with a warm cache (--warm), so the peak of its build was not measured"
    assert outcome(decision(warm)) == (1, "fail", quick)
    assert outcome(decision(failed, passed())) == (0, "no-baseline", None), "measured again, and passed"


def test_a_candidate_without_an_image_is_no_pass() -> None:
    facts = decision(passed(), candidates=())
    assert (facts.exit_code, facts.verdict) == (3, Verdict.NOT_MEASURED)


@pytest.mark.parametrize(
    ("budgets", "code", "verdict"),
    [
        ({"image_size": 2 * GB, "peak_disk": 5 * GB, "layers": 8, "compressed_size": 900_000_000}, 0, "pass"),
        ({"image_size": 2 * GB - 1}, 1, "fail"),
        ({"compressed_size": 900_000_000 - 1}, 1, "fail"),
        ({"wasted_bytes": 1}, 3, "not-measured"),
        ({"image_size": "off"}, 0, "no-baseline"),
    ],
)
def test_release_budgets(budgets: dict[str, Any], code: int, verdict: str) -> None:
    assert outcome(decision(passed(), budgets=budgets)) == (code, verdict, None)


def test_the_budgets_of_pull_requests_do_not_count() -> None:
    assert outcome(decision(passed(), image={"budgets": {"image_size": "1GB"}}))[0] == 0


def test_the_last_release_and_its_tolerances() -> None:
    def code(*earlier: Earlier, **more: Any) -> int:
        return decision(passed(), earlier=earlier, **more).exit_code

    assert code(last(image_size=2 * GB, layers=8)) == 0
    assert code(last(image_size=int(1.99 * GB))) == 0
    assert code(last(image_size=int(1.9 * GB))) == 1
    assert code(last(image_size=int(1.9 * GB)), image={"tolerance": {"image_size": "10%"}}) == 0
    accepted = [{"image": "app", "metric": "image_size", "ceiling": "3GB", "reason": "x", "until": date(2027, 1, 1)}]
    assert code(last(image_size=int(1.9 * GB)), approvals=accepted) == 0
    assert code(last("linux/arm64", image_size=GB)) == 0, "another platform is not compared"
    assert code(last(name="other", image_size=GB)) == 0, "nor another image"
    noted = decision(passed(), earlier=(last("linux/arm64", image_size=GB),)).images[0].notes
    assert noted == ["the last release has no image for linux/amd64 to compare it with"]


TEXT = """\
NO RELEASE (exit 1): registry.example.test/team/app:candidate
  sha256:4444444444444444444444444444444444444444444444444444444444444444

  app, linux/amd64: fail
    image     sha256:1111111111111111111111111111111111111111111111111111111111111111
    measured  2026-03-01T10:00:00Z at commit bbbbbbbbbbbb, report/report.json (sha256 aaaaaaaaaaaaaaaa…)
    peak_disk       no-baseline  5.00 GB, no budget
    image_size      fail         2.00 GB is 500 MB over the budget of 1.50 GB; the limit of 2.02 GB by \
registry.example.test/team/app:v1 (2.00 GB + 20.0 MB) holds
    layers          no-baseline  8, no budget
    context_size    no-baseline  400 kB, no budget
    compressed_size no-baseline  900 MB, no budget

  last release: registry.example.test/team/app:v1 \
(sha256:2222222222222222222222222222222222222222222222222222222222222222)
"""

MARKDOWN = """\
### ci-budget release: NO RELEASE (exit 1)

`registry.example.test/team/app:candidate`, `sha256:4444444444444444444444444444444444444444444444444444444444444444`

**unknown image, linux/amd64: fail**

- image `sha256:1111111111111111111111111111111111111111111111111111111111111111`
- **refused**: no report measured this image; it was rebuilt, or is another one; measured were: \
x&#124;&#60;img&#62; sha256:2222222222222222222222222222222222222222222222222222222222222222

no last release was named, so the candidate was compared with none
"""


def test_what_is_read_on_a_terminal() -> None:
    facts = decision(passed(), budgets={"image_size": "1.5GB"}, earlier=(last(image_size=2 * GB),))
    assert render_release_text(facts) == TEXT
    released = render_release_text(decision(passed()))
    assert released.startswith("RELEASE: registry.example.test/team/app:candidate\n")
    assert released.endswith(
        "  note: no last release was named, so the candidate was compared with none\n"
        "  tag it by its digest: docker buildx imagetools create --prefer-index=false --tag NAME:TAG "
        f"registry.example.test/team/app@{INDEX}\n"
    )


def test_what_is_read_on_github_is_escaped() -> None:
    facts = decision(passed(TWO, name="x|<img>"))
    assert render_release_markdown(facts) == MARKDOWN
    hostile = render_release_text(decision(passed(TWO, name="\x1b[2J\n::error::x")))
    assert "\x1b" not in hostile
    assert "\n::" not in hostile


def test_the_facts_can_be_read_again() -> None:
    facts = decision(passed(), earlier=(last(image_size=2 * GB),))
    assert ReleaseFacts.model_validate_json(render_release_json(facts)) == facts
