"""Budgets and tolerances by metric, as they stand in a config."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from ci_budget.core.config.amounts import (
    Off,
    limit_schema,
    read_limit,
    read_tolerance,
    tolerance_schema,
    write_tolerance,
)
from ci_budget.core.records.metrics import Unit
from ci_budget.core.text.units import Tolerance


class PlacedError(ValueError):
    """A wrong value below the section that was being checked; `path` leads there."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values never change after reading."""

    # Deferred: a model that only ever stands inside another one needs no validator of its own.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _limit(unit: Unit) -> tuple[Any, Any]:
    return PlainValidator(lambda value: read_limit(value, unit)), WithJsonSchema(limit_schema(unit))


def _tolerance(unit: Unit) -> tuple[Any, Any, Any]:
    return (
        PlainValidator(lambda value: read_tolerance(value, unit)),
        PlainSerializer(write_tolerance),
        WithJsonSchema(tolerance_schema(unit)),
    )


BytesLimit = Annotated[int | Off, *_limit("bytes")]
CountLimit = Annotated[int | Off, *_limit("count")]
SecondsLimit = Annotated[int | Off, *_limit("seconds")]
BytesTolerance = Annotated[Tolerance | Off, *_tolerance("bytes")]
CountTolerance = Annotated[Tolerance | Off, *_tolerance("count")]
SecondsTolerance = Annotated[Tolerance | Off, *_tolerance("seconds")]


class ByMetric(Section):
    """Something for each metric; `named` holds what the config gives."""

    def named(self) -> dict[str, Any]:
        """The values that were given, by metric, in the order of the design."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value is not None}


class Budgets(ByMetric):
    """Absolute limits on an image's metrics: bytes, counts, seconds; `off` takes the metric out of the gate."""

    peak_disk: BytesLimit | None = Field(None, description="Highest disk use of the build.")
    image_size: BytesLimit | None = Field(None, description="Uncompressed size of the image.")
    layers: CountLimit | None = Field(None, description="Number of layers, the base's included.")
    context_size: BytesLimit | None = Field(None, description="Size of the build context after the ignore file.")
    compressed_size: BytesLimit | None = Field(None, description="Size of the layers in a registry.")
    peak_inodes: CountLimit | None = Field(None, description="Highest number of inodes in use.")
    build_seconds: SecondsLimit | None = Field(None, description="Duration of the build.")
    wasted_bytes: BytesLimit | None = Field(None, description="Payload that later layers overwrite or delete.")

    def of(self, metric: str) -> int | Off | None:
        """The budget on a metric of `METRIC_NAMES`; None where none was given."""
        value: int | Off | None = getattr(self, metric)
        return value


class StageBudgets(ByMetric):
    """Absolute limits on a stage's metrics."""

    peak_disk: BytesLimit | None = Field(None, description="Highest disk use while this stage was built.")
    added_disk: BytesLimit | None = Field(None, description="Disk use that the stage keeps afterwards.")
    image_size: BytesLimit | None = Field(None, description="Uncompressed size of the stage.")
    layers: CountLimit | None = Field(None, description="Number of the stage's layers.")
    build_seconds: SecondsLimit | None = Field(None, description="Duration of the stage's build.")

    def of(self, metric: str) -> int | Off | None:
        """The budget on a metric of `STAGE_METRIC_NAMES`; None where none was given."""
        value: int | Off | None = getattr(self, metric)
        return value


class Tolerances(ByMetric):
    """How far above its baseline a metric of an image passes."""

    peak_disk: BytesTolerance | None = None
    image_size: BytesTolerance | None = None
    layers: CountTolerance | None = None
    context_size: BytesTolerance | None = None
    compressed_size: BytesTolerance | None = None
    peak_inodes: CountTolerance | None = None
    build_seconds: SecondsTolerance | None = None
    wasted_bytes: BytesTolerance | None = None

    def of(self, metric: str) -> Tolerance | Off | None:
        """The tolerance of a metric of `METRIC_NAMES`; None where none was given."""
        value: Tolerance | Off | None = getattr(self, metric)
        return value


class StageTolerances(ByMetric):
    """How far above its baseline a metric of a stage passes."""

    peak_disk: BytesTolerance | None = None
    added_disk: BytesTolerance | None = None
    image_size: BytesTolerance | None = None
    layers: CountTolerance | None = None
    build_seconds: SecondsTolerance | None = None

    def of(self, metric: str) -> Tolerance | Off | None:
        """The tolerance of a metric of `STAGE_METRIC_NAMES`; None where none was given."""
        value: Tolerance | Off | None = getattr(self, metric)
        return value
