"""Everything about one image that can be known, and refused, before an engine is asked for anything."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ci_budget.core.config.model import DiskConfig, IgnoredFinding, ImageConfig, Smoke
from ci_budget.core.config.names import Secret
from ci_budget.core.context.measured import ContextMeasure, referenced_size
from ci_budget.core.dockerfile.frontend import Frontend, detect_frontend, neutralise, refuse_builtin
from ci_budget.core.dockerfile.stage_copies import cut_after
from ci_budget.core.measurement.measured_image import ContextFacts, StageFacts
from ci_budget.core.stages.plan import PlannedStage, StagePlan
from ci_budget.core.stages.planning import plan_stages
from ci_budget.core.stages.references import parse_reference
from ci_budget.edges.engine.buildx import BuildRequest
from ci_budget.edges.engine.stage_builds import Target
from ci_budget.edges.files.config_file import ImageFiles
from ci_budget.edges.files.context_files import find_ignore_file, measure_context, read_ignore_rules
from ci_budget.edges.sites.scratch import scratch_folder
from ci_budget.errors import ConfigError, UnmeasuredError

_DOCKER_IMAGE = "docker-image://"
_LONGEST_SECRET = 64 * 1024
_SHORTEST_SECRET = 4


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
    arguments = {name: value for name, value in _arguments(image).items() if value is not None}
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
                secrets=tuple(_secret(one, job.folder).flag for one in image.secrets),
                ssh=tuple(image.ssh),
                build_contexts=_contexts(image, job.folder),
                network=None if image.network == "default" else image.network,
            ),
            targets=tuple(_target(stage, plan, copies, dockerfile, refreshed) for stage in plan.order),
            measure=measure,
            context=_context_facts(measure, plan),
            bases=_bases(plan, image),
            redact=_redactor(secret, image, job.folder),
            frontend=None if notes else copies.frontend,
            notes=tuple(notes),
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


def _arguments(image: ImageConfig) -> dict[str, str | None]:
    """Build arguments; one without a value takes it from the environment, and is left out where that has none."""
    found: dict[str, str | None] = {}
    for name, value in image.build_args.items():
        found[name] = str(value) if value not in (None, "") else os.environ.get(name)
    return found


def environment_names(image: ImageConfig) -> list[str]:
    """The environment variables that an image's build takes values from."""
    arguments = [name for name, value in image.build_args.items() if value in (None, "")]
    return [*arguments, *(secret.env or secret.id for secret in image.secrets if secret.src is None)]


def secret_files(job: ImageJob) -> list[Path]:
    """The files that an image's secrets come from."""
    found = [_secret(secret, job.folder).src for secret in job.image.secrets]
    return [Path(source) for source in found if source is not None]


def _contexts(image: ImageConfig, folder: Path) -> dict[str, str]:
    found = {}
    for name, source in image.build_contexts.items():
        path = folder / source
        if "://" not in source and not path.is_dir():
            raise ConfigError(f"the named context '{name}' is '{source}', which is no folder")
        found[name] = source if "://" in source else str(path.resolve())
    return found


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


def _secret(secret: Secret, folder: Path) -> Secret:
    """A secret with its source, as buildx finds it where none is named: the variable of its name, else the file.

    A file is relative to the config's folder, as every path in the config.
    """
    if secret.env is not None or (secret.src is None and secret.id in os.environ):
        return replace(secret, env=secret.env or secret.id)
    return replace(secret, src=str(folder / (secret.src or secret.id)))


def _secret_texts(image: ImageConfig, folder: Path) -> dict[str, str]:
    """The secrets' contents by id, as far as they can be read here."""
    found = {}
    for secret in (_secret(one, folder) for one in image.secrets):
        if secret.env is not None:
            found[secret.id] = os.environ.get(secret.env, "")
        elif secret.src is not None:
            with contextlib.suppress(OSError), Path(secret.src).open("rb") as handle:
                found[secret.id] = handle.read(_LONGEST_SECRET).decode("utf-8", "replace")
    return found


def _redactor(arguments: Mapping[str, str], image: ImageConfig, folder: Path) -> Callable[[str], str]:
    """Replaces secret values in anything that is logged or reported; the longest first.

    A file's lines count one by one, and those that are shorter than any secret say nothing. Raises ConfigError for a
    secret that short: it stands in ordinary text as well, and so could not be kept out of logs.
    """
    texts = {**_secret_texts(image, folder), **arguments}
    short = [name for name, text in texts.items() if 0 < len(text.strip()) < _SHORTEST_SECRET]
    if short:
        raise ConfigError(
            f"the secret {short[0]} has fewer than {_SHORTEST_SECRET} characters, too short to be kept out of logs: "
            "ordinary text holds it too",
            mend="Take a longer one, or pass it as an ordinary build argument if it is no secret.",
        )
    lines = {line.strip() for text in texts.values() for line in text.splitlines()}
    known = sorted((line for line in lines if len(line) >= _SHORTEST_SECRET), key=len, reverse=True)

    def redact(text: str) -> str:
        for value in known:
            text = text.replace(value, "***")
        return text

    return redact
