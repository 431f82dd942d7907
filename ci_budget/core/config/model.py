"""The config, `ci-budget.yml`: what to build, and every limit that the gate compares with.

Sizes are integers in bytes, durations whole seconds, shares Decimal percents. Paths are relative
to the folder of the config. `off` instead of a budget or tolerance takes that metric out of the
gate (verdict `disabled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from ci_budget.core.config.amounts import (
    OFF,
    Factor,
    Off,
    PositiveSeconds,
    PositiveSize,
    Share,
    Size,
    Switch,
)
from ci_budget.core.config.limits import Budgets, PlacedError, Section, StageBudgets, StageTolerances, Tolerances
from ci_budget.core.config.names import (
    ArgumentName,
    ArgumentValue,
    Day,
    ImageName,
    Platform,
    RelativePath,
    SecretValue,
    StageName,
    Text,
    Word,
    joined_path,
    read_path,
)
from ci_budget.core.findings.names import RuleName
from ci_budget.core.text.suggestion import suggest
from ci_budget.core.text.units import Tolerance

CONFIG_VERSION: Final = 1

DEFAULT_TOLERANCES: Final[Mapping[str, Tolerance]] = {
    "peak_disk": Tolerance(percent=Decimal(2)),
    "image_size": Tolerance(percent=Decimal(1)),
    "layers": Tolerance(),
    "context_size": Tolerance(percent=Decimal(5)),
}

MetricName = Literal[
    "peak_disk",
    "image_size",
    "layers",
    "context_size",
    "compressed_size",
    "peak_inodes",
    "build_seconds",
    "wasted_bytes",
]


class DiskConfig(Section):
    """What a build may use, and what must stay free on the host."""

    mode: Literal["auto", "sandbox", "host"] = Field("auto", description="Where the build runs.")
    budget: PositiveSize | None = Field(None, description="What a build may use; in host mode the watchdog's limit.")
    reserve: Size = Field(5 * 10**9, description="Host space that must stay free.")
    free_factor: Factor = Field(Decimal(2), description="Free space needed before a build = factor x expected size.")
    order: Literal["sequential", "parallel"] = Field("sequential", description="Stage by stage, or one ordinary build.")
    sandbox_image: Text | None = Field(None, description="The tool's own image, for users who are not root.")
    seeds_limit: Size = Field(20 * 10**9, description="What all kept copies of base images may use on the host.")


class ImageDisk(Section):
    """An image's own disk budget."""

    budget: PositiveSize | None = Field(None, description="What this image's build may use.")


class StageConfig(Section):
    """Limits on one stage."""

    budgets: StageBudgets = StageBudgets()
    tolerance: StageTolerances = StageTolerances()


class Smoke(Section):
    """A command that must succeed in the built image, without network."""

    command: list[Text] = Field(description="Program and arguments, run without a shell.", min_length=1)
    gpu: Literal["auto", "required", "off"] = Field("off", description="Whether the command gets the GPU.")
    timeout: PositiveSeconds = Field(120, description="How long the command may take.")


class ImageConfig(Section):
    """What to build and what it may cost."""

    context: RelativePath = Field(".", description="The context folder, relative to the config's folder.")
    dockerfile: RelativePath = Field("Dockerfile", description="Relative to the context.")
    target: StageName | None = Field(None, description="The stage to build; the last one when left out.")
    build_args: dict[ArgumentName, ArgumentValue] = Field({}, description="Left empty: taken from the environment.")
    secret_build_args: list[ArgumentName] = Field([], description="Build arguments whose values are shown nowhere.")
    build_contexts: dict[Text, Text] = Field({}, description="Named contexts: a folder, docker-image://, https://.")
    platform: Platform | None = Field(None, description="Such as linux/arm64; the engine's own when left out.")
    secrets: list[SecretValue] = Field([], description="id=NAME,env=VARIABLE or id=NAME,src=FILE.")
    ssh: list[Text] = Field([], description="As docker buildx build --ssh takes it: default, or ID=SOCKET.")
    network: Literal["default", "none", "host"] = Field("default", description="The network of RUN steps.")
    timeout: PositiveSeconds = Field(7200, description="A build that takes longer is ended.")
    frontend: Literal["auto", "builtin"] = Field("auto", description="builtin: do not fetch the # syntax image.")
    builder: Word | None = Field(None, description="A buildx builder: size, layers and context only.")
    disk: ImageDisk = ImageDisk()
    budgets: Budgets = Budgets()
    tolerance: Tolerances = Tolerances()
    warn_at: Share | None = Field(None, description="Share of a limit from which the verdict is warn.")
    stages: dict[StageName, StageConfig] = Field({}, description="Limits on single stages, by name.")
    smoke: Smoke | None = None

    @property
    def context_path(self) -> str:
        """The context folder, relative to the config's folder."""
        return joined_path(self.context)

    @property
    def dockerfile_path(self) -> str:
        """The Dockerfile, relative to the config's folder."""
        return joined_path(self.context, self.dockerfile)

    def stage(self, name: str) -> StageConfig:
        """The limits on a stage; stage names count without case. An empty one where the config names none."""
        return next((stage for key, stage in self.stages.items() if key.lower() == name.lower()), StageConfig())

    @field_validator("context")
    @classmethod
    def _context_inside(cls, value: str) -> str:
        joined_path(value)
        return value

    @field_validator("build_contexts")
    @classmethod
    def _contexts_inside(cls, value: dict[str, str]) -> dict[str, str]:
        for name, source in value.items():
            if "://" not in source and not source.startswith("target:"):
                try:
                    joined_path(read_path(source))
                except ValueError as error:
                    raise PlacedError(str(error), name) from None
        return value

    @field_validator("stages")
    @classmethod
    def _stages_differ(cls, value: dict[str, StageConfig]) -> dict[str, StageConfig]:
        seen: dict[str, str] = {}
        for name in value:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise PlacedError(f"is the same stage as '{other}'; stage names count without case", name)
        return value

    @model_validator(mode="after")
    def _parts_agree(self) -> ImageConfig:
        try:
            joined_path(self.context, self.dockerfile)
        except ValueError as error:
            raise PlacedError(str(error), "dockerfile") from None
        for index, name in enumerate(self.secret_build_args):
            if name not in self.build_args:
                hint = suggest(name, self.build_args, kind="build arguments")
                raise PlacedError(f"'{name}' is not in build_args; {hint}", "secret_build_args", index)
        return self


class Defaults(Section):
    """What holds for every image that says nothing else."""

    tolerance: Tolerances = Tolerances()
    warn_at: Share = Field(OFF, description="Share of a limit from which the verdict is warn.")


class IgnoredFinding(Section):
    """A finding that is not reported, why, and until when."""

    rule: RuleName = Field(description="The rule's name.")
    reason: Text = Field(description="Why it is ignored.")
    until: Day | None = Field(None, description="The last day on which it is ignored.")


class FindingsConfig(Section):
    """What is done about advice."""

    ignore: list[IgnoredFinding] = Field([], description="Findings that are not reported.")


class HistoryConfig(Section):
    """Where measurements are kept."""

    url: Text | None = Field(None, description="A database URL; SQLite in the state directory when left out.")


class ReleaseConfig(Section):
    """Budgets of the release gate."""

    budgets: dict[ImageName, Budgets] = Field({}, description="Limits of a release, by image.")


class Config(Section):
    """A whole `ci-budget.yml`."""

    version: Annotated[int, Field(ge=CONFIG_VERSION, le=CONFIG_VERSION)] = Field(description="The format's version: 1.")
    disk: DiskConfig = DiskConfig()
    defaults: Defaults = Defaults()
    images: dict[ImageName, ImageConfig] = Field(description="The images to gate, by name.", min_length=1)
    require_baseline: Switch = Field(False, description="A gated metric without a baseline is an error (exit 3).")
    gate_warm: list[MetricName] = Field(
        ["image_size", "layers", "context_size"], description="The metrics that a --warm run gates."
    )
    limits_from: Literal["base", "head"] = Field("base", description="The revision whose limits count in a PR.")
    findings: FindingsConfig = FindingsConfig()
    history: HistoryConfig = HistoryConfig()
    release: ReleaseConfig = ReleaseConfig()

    @model_validator(mode="after")
    def _release_names_images(self) -> Config:
        for name in self.release.budgets:
            if name not in self.images:
                hint = suggest(name, self.images, kind="images")
                raise PlacedError(f"is not an image of this config; {hint}", "release", "budgets", name)
        return self

    def disk_budget_of(self, name: str) -> int | None:
        """The disk that the image's build may use, in bytes.

        The image's `disk.budget`, else `disk.budget`, else its own `peak_disk` budget (a build within it fits),
        else None. A stage's `peak_disk` budget is a limit of the gate alone: the other stages may need more.
        """
        image = self.images[name]
        given = image.disk.budget or self.disk.budget
        if given is not None:
            return given
        peak = image.budgets.peak_disk
        return peak if isinstance(peak, int) and peak > 0 else None

    def budget_of(self, name: str, metric: str, stage: str | None = None) -> int | Off | None:
        """The budget on a metric of an image, or of one of its stages; None where there is none."""
        image = self.images[name]
        return image.budgets.of(metric) if stage is None else image.stage(stage).budgets.of(metric)

    def tolerance_of(self, name: str, metric: str, stage: str | None = None) -> Tolerance | Off | None:
        """The tolerance of a metric: the stage's, else the image's, else that of `defaults`, else the built-in one.

        None where no tolerance is known for the metric (it is then compared with no baseline).
        """
        image = self.images[name]
        given = image.stage(stage).tolerance.of(metric) if stage is not None else None
        if metric in Tolerances.model_fields:
            given = given or image.tolerance.of(metric) or self.defaults.tolerance.of(metric)
        return given or DEFAULT_TOLERANCES.get(metric)

    def is_disabled(self, name: str, metric: str, stage: str | None = None) -> bool:
        """Whether the metric is out of the gate.

        It is where its budget is `off`, or its tolerance is `off` and it has no budget in numbers. A
        stage with neither a budget nor a tolerance of its own follows its image.
        """
        budget = self.budget_of(name, metric, stage)
        if stage is not None and budget is None and metric in Budgets.model_fields:
            own = self.images[name].stage(stage).tolerance.of(metric)
            return own == OFF if own is not None else self.is_disabled(name, metric)
        return budget == OFF or (budget is None and self.tolerance_of(name, metric, stage) == OFF)

    def warn_share_of(self, name: str) -> Decimal | None:
        """The share of a limit, in percent, from which an image's metrics warn; None: never."""
        share = self.images[name].warn_at or self.defaults.warn_at
        return None if share == OFF else share
