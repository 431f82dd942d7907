"""Everything about one image that can be known, and refused, before an engine is asked for anything."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ci_budget.commands.build_inputs import build_arguments, found_agents, found_contexts, found_secrets, redactor
from ci_budget.core.config.model import DiskConfig, IgnoredFinding, ImageConfig, Smoke
from ci_budget.core.context.measured import ContextMeasure, referenced_size
from ci_budget.core.dockerfile.frontend import Frontend, detect_frontend, neutralise, refuse_builtin
from ci_budget.core.dockerfile.stage_copies import cut_after
from ci_budget.core.inventory.building import shown_path
from ci_budget.core.measurement.measured_image import ContextFacts, StageFacts
from ci_budget.core.stages.plan import PlannedStage, StagePlan
from ci_budget.core.stages.planning import plan_stages
from ci_budget.core.stages.references import parse_reference
from ci_budget.edges.engine.buildx import BuildRequest
from ci_budget.edges.engine.stage_builds import Target
from ci_budget.edges.files.config_file import ImageFiles
from ci_budget.edges.files.context_files import find_ignore_file, measure_context, read_ignore_rules
from ci_budget.edges.sites.scratch import scratch_folder
from ci_budget.errors import UnmeasuredError

_DOCKER_IMAGE = "docker-image://"


@dataclass(frozen=True, kw_only=True)
class ImageJob:
    """One image to check. `folder` is what the config's paths are relative to; limits and smoke test are decided.

    `expected_size`: bytes of the image by its baseline, else its budget, None where neither tells; `expected_by` says
    which. `expected_inodes`: likewise of its build, else 0. `ignored`: findings that are not reported. `neighbours`:
    the Dockerfiles of other images that are built from the same context.
    """

    name: str
    image: ImageConfig
    files: ImageFiles
    folder: Path
    disk: DiskConfig
    disk_budget: int | None
    smoke: Smoke | None
    expected_size: int | None
    expected_by: str
    expected_inodes: int
    ignored: tuple[IgnoredFinding, ...] = ()
    neighbours: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """A job with its plan. `bases`: full references of all images from outside, with the line that needs each.

    `measure`: the context as it was before the build, `context` what the report says of it.
    """

    job: ImageJob
    plan: StagePlan
    request: BuildRequest
    targets: tuple[Target, ...]
    measure: ContextMeasure
    context: ContextFacts
    bases: Mapping[str, int | None]
    redact: Callable[[str], str]
    frontend: Frontend | None
    notes: tuple[str, ...]

    def stage_facts(self) -> list[StageFacts]:
        """The stages as the Dockerfile has them."""
        return [
            StageFacts(name=stage.name, index=stage.index, base=stage.base, line=stage.line, reached=stage.reached)
            for stage in self.plan.stages
        ]


@contextlib.contextmanager
def prepared(job: ImageJob, *, platform: str, refreshed: bool) -> Iterator[PreparedImage]:
    """The plan of an image, with copies of its Dockerfile where stages cannot be built from the original.

    `refreshed`: an engine with an older cache builds the stages, so each needs a name to be left out of it by.
    Raises ConfigError for what is the config's or the Dockerfile's fault, UnmeasuredError for a frontend that
    cannot be had.
    """
    image = job.image
    arguments = build_arguments(image)
    plan = plan_stages(
        job.files.parsed,
        target=image.target,
        build_args=arguments,
        platform=image.platform or platform,
        build_contexts=tuple(image.build_contexts),
        build_platform=platform,
    )
    secret = {name: value for name, value in arguments.items() if name in image.secret_build_args}
    given = {name: value for name, value in arguments.items() if name not in secret}
    if image.frontend == "builtin":
        given.pop("BUILDKIT_SYNTAX", None)  # the other way to ask for a frontend
    if plan.stage_argument is not None:
        given.setdefault("TARGETSTAGE", plan.stage_argument)
    measure = measure_context(job.files.context, read_ignore_rules(job.files.context, job.files.dockerfile))
    with scratch_folder() as scratch:
        copies = _Copies(job, arguments, scratch)
        dockerfile, notes = copies.whole()
        yield PreparedImage(
            job=job,
            plan=plan,
            request=BuildRequest(
                context=job.files.context,
                dockerfile=dockerfile,
                platform=image.platform,
                build_args=given,
                secret_build_args=secret,
                secrets=tuple(secret.flag for secret in found_secrets(image, job.folder)),
                ssh=found_agents(image, job.folder),
                build_contexts=found_contexts(image, job.folder),
                network=None if image.network == "default" else image.network,
            ),
            targets=tuple(_target(stage, plan, copies, dockerfile, refreshed) for stage in plan.order),
            measure=measure,
            context=_context_facts(measure, plan),
            bases=_bases(plan, image),
            redact=redactor(image, job.folder),
            frontend=None if notes else copies.frontend,
            notes=(*notes, *_unsendable(measure)),
        )


class _Copies:
    """Copies of the Dockerfile, each with the ignore file that belongs to it."""

    def __init__(self, job: ImageJob, arguments: Mapping[str, str], scratch: Path) -> None:
        self._job = job
        self._scratch = scratch
        self._text = job.files.dockerfile.read_bytes()
        self.frontend = detect_frontend(self._text, arguments)

    def whole(self) -> tuple[Path, list[str]]:
        """The Dockerfile to build from: itself, or a copy that the engine's own frontend reads."""
        wanted = self.frontend
        if wanted is None or self._job.image.frontend != "builtin":
            return self._job.files.dockerfile, []
        reason = refuse_builtin(wanted)
        if reason is not None:
            raise UnmeasuredError(
                f"`frontend: builtin` cannot be used: {reason}",
                file=self._job.files.parsed.file,
                line=wanted.line,
                mend="Make that frontend available to the engine, or build with docker/dockerfile:1.",
            )
        self._text = neutralise(self._text)
        return self._write("whole", self._text), [f"built with the engine's own frontend instead of {wanted.image}"]

    def until(self, stage: PlannedStage, *, alias: str | None = None) -> Path:
        """A copy that ends with `stage`, so that it is the last one; its FROM names it `alias`, where one is given."""
        lines = cut_after(self._text, stage).split(b"\n")
        if alias is not None:
            written = self._job.files.parsed.stages[stage.index]
            platform = f"--platform={written.platform} " if written.platform else ""
            lines[stage.line - 1] = f"FROM {platform}{written.base} AS {alias}".encode()
            lines[stage.line : stage.from_end_line] = [b""] * (stage.from_end_line - stage.line)
        return self._write(f"until-{stage.index}", b"\n".join(lines))

    def _write(self, name: str, text: bytes) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        copy = folder / self._job.files.dockerfile.name
        copy.write_bytes(text)
        ignore = find_ignore_file(self._job.files.context, self._job.files.dockerfile)
        if ignore is not None:
            shutil.copyfile(ignore, folder / f"{copy.name}.dockerignore")
        return copy


def _target(stage: PlannedStage, plan: StagePlan, copies: _Copies, dockerfile: Path, refreshed: bool) -> Target:
    ambiguous = stage.target_name is None or any(
        other.name == stage.name for other in plan.stages if other.index != stage.index
    )
    alone = stage.index == 0 and len(plan.stages) > 1
    if refreshed and ambiguous:
        alias = f"ci-budget-stage-{stage.index}"
        copy = copies.until(stage, alias=alias)
        return Target(name=stage.name, index=stage.index, target=alias, dockerfile=copy, alone=alone, alias=alias)
    if stage.index == len(plan.stages) - 1:
        return Target(name=stage.name, index=stage.index, target=None, dockerfile=dockerfile)
    if stage.target_name is not None:
        return Target(name=stage.name, index=stage.index, target=stage.target_name, dockerfile=dockerfile)
    return Target(name=stage.name, index=stage.index, target=None, dockerfile=copies.until(stage), alone=alone)


def _unsendable(measure: ContextMeasure) -> list[str]:
    path = measure.undecodable
    if path is None:
        return []
    return [
        f"names of the context are no UTF-8, such as {shown_path(path)}: a builder that is to send one fails with "
        "'invalid UTF-8'; rename it, or name it in the ignore file"
    ]


def _bases(plan: StagePlan, image: ImageConfig) -> dict[str, int | None]:
    bases: dict[str, int | None] = {}
    for external in plan.externals:
        bases.setdefault(external.reference, external.line)
    for name in plan.contexts:
        source = image.build_contexts.get(name, "")
        if source.startswith(_DOCKER_IMAGE):
            bases.setdefault(str(parse_reference(source.removeprefix(_DOCKER_IMAGE))), None)
    return bases


def _context_facts(measure: ContextMeasure, plan: StagePlan) -> ContextFacts:
    sources = plan.context_sources
    known = not any(source.unresolved for source in sources)
    referenced = referenced_size(measure, sources if known else ["."])
    return ContextFacts(size=measure.size, files=measure.files, referenced=referenced)
