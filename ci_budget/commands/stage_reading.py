"""Reads, after the window, what the stages and bases of one image are: sizes, layers, identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ci_budget.commands.preparation import PreparedImage
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.core.records.report import Base
from ci_budget.core.stages.plan import EdgeKind, PlannedStage
from ci_budget.core.stages.targets import compare_targets, parse_targets
from ci_budget.edges.engine.base_images import BaseImage
from ci_budget.edges.engine.buildx import BuildRequest, Buildx, Cancel
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.engine.stage_images import StageImages
from ci_budget.edges.layers.image_archives import ImageContents
from ci_budget.errors import UnmeasuredError

REPOSITORY = "ci-budget.local/image"


@dataclass(frozen=True, kw_only=True)
class StageReader:
    """The images of one prepared image on one engine."""

    engine: DockerEngine
    buildx: Buildx
    request: BuildRequest
    prepared: PreparedImage
    bases: Sequence[BaseImage]

    def triggers(self) -> dict[int, tuple[str, ...]]:
        """The ONBUILD triggers that come with external bases, by stage index."""
        found = {}
        for stage in self.prepared.plan.stages:
            facts = self._external_base(stage)
            if facts is not None and facts.onbuild:
                found[stage.index] = facts.onbuild
        return found

    def check_targets(self) -> None:
        """What the stages are, the engine decides; where our reading differs, nothing is measured."""
        frontend, file = self.prepared.frontend, self.prepared.job.files.parsed.file
        try:
            answer = self.buildx.targets(self.request)
        except UnmeasuredError as error:
            if frontend is None:
                raise
            raise UnmeasuredError(
                f"the frontend {frontend.image} that this Dockerfile asks for could not be used: {error.what}",
                file=file,
                line=frontend.line,
                mend="Make it available to the engine, or write `frontend: builtin` in the config: the engine's own.",
            ) from error
        differences = compare_targets(self.prepared.job.files.parsed, parse_targets(answer))
        if differences:
            raise UnmeasuredError(
                f"ci-budget and the engine read this Dockerfile differently: {'; '.join(differences[:3])}",
                file=file,
                mend="Please report it with this Dockerfile.",
            )

    def read_stages(
        self, target_image: str, *, keep: bool
    ) -> tuple[dict[int, BuiltStage], ImageContents | UnmeasuredError]:
        """Sizes and layers by stage index: of the target, with all that is in it, then of the other stages, exported
        from the cache now.

        `keep`: leave the stages' names on the engine (a sandbox is thrown away anyway).
        """
        plan, images = self.prepared.plan, StageImages(self.engine)
        target = plan.stages[plan.target]
        stage_built, contents = images.read_contents(target_image, self._base_layers(target), is_package_record)
        built = {target.index: stage_built}
        for stage, wanted in zip(plan.order, self.prepared.targets, strict=True):
            if stage.index == plan.target:
                continue
            label = f"{REPOSITORY}-stage:{stage.index}"
            try:
                end = self.buildx.build(
                    replace(self.request, dockerfile=wanted.dockerfile),
                    target=wanted.target,
                    output=("--load", "--tag", label),
                    on_event=lambda *_: None,
                    cancel=Cancel(),
                )
                if end.succeeded:
                    built[stage.index] = images.read(label, self._base_layers(stage))
            finally:
                if not keep:
                    self.engine.remove_image(label)
        return built, contents

    def describe_bases(self) -> list[Base]:
        """The external images with identity and payload, for the report."""
        images, described = StageImages(self.engine), []
        for base in self.bases:
            facts = self.engine.image(base.local_name)
            described.append(
                Base(
                    reference=base.reference,
                    image_id=facts.id if facts else None,
                    size=images.size(facts) if facts else None,
                )
            )
        return described

    def _external_base(self, stage: PlannedStage) -> ImageFacts | None:
        for external in self.prepared.plan.externals:
            if external.kind is EdgeKind.FROM and external.stage_index == stage.index and external.used:
                names = {base.reference: base.local_name for base in self.bases}
                return self.engine.image(names.get(external.reference, external.reference))
        return None

    def _base_layers(self, stage: PlannedStage) -> tuple[str, ...]:
        """The diff ids of the external image at the bottom of a stage."""
        facts = self._external_base(stage)
        if facts is not None:
            return facts.diff_ids
        for edge in stage.edges:
            if edge.kind is EdgeKind.FROM:
                return self._base_layers(self.prepared.plan.stages[edge.source])
        return ()
