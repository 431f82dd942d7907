"""The shards of a matrix put together: one report, one verdict. What no shard reported on has not passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci_budget import __version__
from ci_budget.core.gate.judgement import run_verdict
from ci_budget.core.records.report import Failure, ImageReport, LimitChange, Report, Verdict
from ci_budget.errors import ConfigError, ExitCode, worst

MOST_POINTS = 100_000
"""Points of all timelines together that a merged report keeps; they are in the shards' own reports as well."""

_MISSING = "no shard reported on this image, so nothing is known of it"
_MEND = "Look at its job: it was cancelled, ran out of time, or broke before it could write a report."


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A report, and where it was found."""

    place: str
    report: Report


def merge_shards(
    shards: Sequence[Shard], *, expected: Sequence[str], broken: Sequence[str] = (), started: str
) -> Report:
    """One report of all shards, images in the expected order, others after them.

    `expected`: the names of the images that were to be built; one without a report is not measured (exit 3).
    `broken`: what is wrong with shards that could not be read; then nothing has passed either. `started` is used
    where there is no shard. Raises ConfigError where two shards speak of the same image on the same setup, or
    of different commits.
    """
    _check_commits(shards)
    found = _by_name(shards)
    images: list[ImageReport] = []
    for name in dict.fromkeys(expected):
        images += found.pop(name, [_missing(name)])
    extra = list(found)
    for others in found.values():
        images += others
    points = sum(len(image.timeline) for image in images)
    if points > MOST_POINTS:
        images = [image.model_copy(update={"timeline": []}) for image in images]
    codes = list(_codes(shards, images))
    if broken or not images:
        codes.append(ExitCode.UNMEASURED)
    commits = [shard.report.commit for shard in shards if shard.report.commit is not None]
    found_codes = [*codes, *(_code(image.exit_code) for image in images)]
    return Report(
        ci_budget=__version__,
        verdict=run_verdict(images, worst(found_codes)),
        exit_code=int(worst(codes)),
        commit=commits[0] if commits else None,
        started=min((shard.report.started for shard in shards), default=started),
        against=shards[0].report.against if shards else None,
        images=images,
        limits_changed=list(_limit_changes(shards)),
        notes=[
            *broken,
            *([f"not in the plan, and counted all the same: {', '.join(extra)}"] if extra else []),
            *([f"the timelines ({points:,} points) are in the shards' own reports"] if points > MOST_POINTS else []),
            *dict.fromkeys(note for shard in shards for note in shard.report.notes),
            *([] if images else ["there is no shard and no expected image, so nothing is known"]),
        ],
    )


def _check_commits(shards: Sequence[Shard]) -> None:
    first: dict[str | None, str] = {}
    for shard in shards:
        first.setdefault(shard.report.commit, shard.place)
    if len(first) > 1:
        said = ", ".join(f"{(commit or 'none')[:12]} in {place}" for commit, place in list(first.items())[:5])
        raise ConfigError(
            f"the shards are not of one run: they speak of different commits: {said}",
            mend="Give only the reports of this run; take the others away.",
        )


def _by_name(shards: Sequence[Shard]) -> dict[str, list[ImageReport]]:
    found: dict[str, list[ImageReport]] = {}
    places: dict[tuple[object, ...], str] = {}
    for shard in shards:
        for image in shard.report.images:
            setup = image.fingerprint
            key = (image.name, *((setup.platform, setup.disk_mode) if setup is not None else ()))
            if key in places:
                raise ConfigError(
                    f"the image '{image.name}' is reported on twice: in {places[key]} and in {shard.place}",
                    mend="Give each shard's newest report only.",
                )
            places[key] = shard.place
            found.setdefault(image.name, []).append(image)
    return found


def _codes(shards: Sequence[Shard], images: Sequence[ImageReport]) -> Iterator[ExitCode]:
    """A run's own code says whether a broken limit counts (--exit-zero); everything else its images say too."""
    for shard in shards:
        yield _code(shard.report.exit_code)
        if not shard.report.images:
            yield ExitCode.UNMEASURED
    for image in images:
        code = _code(image.exit_code)
        if code not in (ExitCode.OK, ExitCode.GATE):
            yield code


def _code(number: int) -> ExitCode:
    return ExitCode(number) if number in ExitCode.__members__.values() else ExitCode.BUG


def _missing(name: str) -> ImageReport:
    failure = Failure(kind="environment", message=_MISSING, mend=_MEND)
    return ImageReport(
        name=name,
        verdict=Verdict.NOT_MEASURED,
        exit_code=int(ExitCode.UNMEASURED),
        dockerfile="(no report)",
        failure=failure,
    )


def _limit_changes(shards: Sequence[Shard]) -> Iterator[LimitChange]:
    """What changes for the run as a whole, which every shard lists, once."""
    seen: set[tuple[object, ...]] = set()
    for shard in shards:
        for change in shard.report.limits_changed:
            key = (change.path, change.base, change.head)
            if key not in seen:
                seen.add(key)
                yield change
