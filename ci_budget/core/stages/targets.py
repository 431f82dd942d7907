"""The engine's own list of stages, `docker buildx build --call=targets,format=json`, and how it differs from ours.

Format: `List` of github.com/moby/buildkit/frontend/subrequests/targets, as printed by buildx >= 0.15.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ci_budget.core.dockerfile.instructions import MAX_STAGES, Dockerfile
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.errors import UnmeasuredError

_MOST_BYTES = 16 * 1024 * 1024


class _Printed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Position(_Printed):
    """A line of the Dockerfile, 1-based."""

    line: int = 0


class Range(_Printed):
    """Lines from `start` to `end`."""

    start: Position = Position()
    end: Position = Position()


class Location(_Printed):
    """Where a FROM stands: one range, or one for each of its lines."""

    ranges: tuple[Range, ...] = ()


class Target(_Printed):
    """A stage as the engine lists it. An unnamed one has no name; `base` and `platform` are as written."""

    name: str = ""
    default: bool = False
    description: str = ""
    base: str = ""
    platform: str = ""
    location: Location = Location()

    @property
    def lines(self) -> tuple[int, int] | None:
        """First and last line of the FROM, None where the engine names none."""
        ranges = self.location.ranges
        if not ranges:
            return None
        return min(found.start.line for found in ranges), max(found.end.line for found in ranges)


class Targets(_Printed):
    """The list, in the order of the Dockerfile."""

    targets: tuple[Target, ...] = Field(max_length=MAX_STAGES)


def parse_targets(text: bytes) -> Targets:
    """Read what the engine printed on standard output. Raises UnmeasuredError where it is no such list."""
    if len(text) > _MOST_BYTES:
        raise UnmeasuredError("the engine's list of stages is larger than 16 MiB")
    try:
        return Targets.model_validate_json(text)
    except ValidationError as error:
        shown = shorten(one_line(text[:200].decode("utf-8", "replace")), 120)
        what = f"the engine's list of stages (--call=targets) is not as expected: {shown}"
        raise UnmeasuredError(what, mend="update docker buildx (>= 0.15) and the engine (>= 23)") from error


def compare_targets(dockerfile: Dockerfile, targets: Targets) -> list[str]:
    """How our stages differ from the engine's, one sentence each; empty where they agree.

    Compared are number and order, name, base, platform, lines of the FROM, and which stage is the default.
    """
    found: list[str] = []
    ours, theirs = dockerfile.stages, targets.targets
    if len(ours) != len(theirs):
        found.append(f"we found {len(ours)} stages, the engine {len(theirs)}")
    for stage, target in zip(ours, theirs, strict=False):
        pairs: list[tuple[str, object, object]] = [
            ("name", stage.name if stage.named else "", target.name),
            ("base", stage.base, target.base),
            ("platform", stage.platform or "", target.platform),
            ("default", stage.index == len(ours) - 1, target.default),
        ]
        if target.lines is not None:
            pairs.append(("lines", (stage.line, stage.from_end_line), target.lines))
        found += [
            f"stage {stage.index}: {what} is {our!a} for us, {their!a} for the engine"
            for what, our, their in pairs
            if our != their
        ]
    return found
