"""Stages, steps, lines, images and context paths as we see them, against those of the engine, on the whole corpus.

What the stages are, `--call=targets` says. Which steps run, the build's own events say. Where they stand, and which
paths of the context a build can use, its provenance says (`BUILDX_METADATA_PROVENANCE=max`).
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci_budget.core.dockerfile.frontend import detect_frontend, neutralise
from ci_budget.core.dockerfile.stage_copies import cut_after
from ci_budget.core.stages.planning import StagePlan
from ci_budget.core.stages.step_names import StepLocation, locate_step
from ci_budget.core.stages.targets import compare_targets, parse_targets
from ci_budget.errors import ConfigError
from tests.dockerfile_corpus import CONTEXT, Case, cases
from tests.engine_access import Engine

pytestmark = pytest.mark.beside

BUILT = cases("built")
REFUSED = cases("refused")
TRIGGERS = ["RUN echo trigger", "ENV TRIGGERED=1", "WORKDIR /triggered", "LABEL a=b"]
BASE = "test/stages-base:latest"
ONBUILD_BASE = "test/stages-onbuild:latest"
TOOL = "test/stages-tool:1"
# Where the engine counts wrongly: it names the line before the second directive.
BETTER_LINES = {"escape-twice": 2}
_STEP = re.compile(r"\[[^\]]*\d+/\d+\] ")
_LOOKUP = re.compile(r"\[(?:[a-z0-9/]+ )?internal\] load metadata for (\S+)")

Lines = tuple[int, int]


def _needs_copies(case: Case) -> bool:
    """Whether `--target` cannot have one of the stages to build, other than the last."""
    plan = case.plan()
    return any(stage.target_name is None for stage in plan.order if stage.index != len(plan.stages) - 1)


@dataclass(frozen=True, kw_only=True)
class Build:
    """What one build showed: exit code, standard error, its vertices by digest, and what its provenance says."""

    exit_code: int
    complaint: str
    names: dict[str, str]
    cached: set[str]
    lookups: set[str]
    lines: dict[str, set[Lines]]
    context_paths: set[str] | None

    @property
    def steps(self) -> dict[str, str]:
        """The names of the numbered steps by digest."""
        return {digest: name for digest, name in self.names.items() if _STEP.match(name)}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """For what runs no step."""
    with ThreadPoolExecutor(2) as executor:
        yield executor
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def queue() -> Iterator[ThreadPoolExecutor]:
    """For builds, one after the other: builds that share a step at the same time also share its name. So may those that
    follow at once: the engine takes a moment to forget the one before."""
    with ThreadPoolExecutor(1) as executor:
        yield executor
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def images(engine: Engine, busybox_base: str) -> Iterator[None]:
    """The images that the corpus names, removed afterwards."""
    engine.docker("tag", busybox_base, BASE)
    engine.docker("tag", busybox_base, TOOL)
    text = "\n".join([f"FROM {BASE}", *(f"ONBUILD {trigger}" for trigger in TRIGGERS)])
    engine.docker("buildx", "build", "--tag", ONBUILD_BASE, "--quiet", "-", stdin=text.encode())
    yield
    engine.docker("image", "rm", "--force", BASE, TOOL, ONBUILD_BASE)


@pytest.fixture(scope="module")
def targets(
    engine: Engine, images: None, pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[str]]:
    """What `--call=targets` prints, by name of the Dockerfile."""
    folder = tmp_path_factory.mktemp("targets")
    command = ("buildx", "build", "--call=targets,format=json")
    return {case.name: pool.submit(engine.docker, *command, *_options(case, folder)) for case in BUILT}


@pytest.fixture(scope="module")
def builds(
    engine: Engine,
    images: None,
    targets: dict[str, Future[str]],
    pool: ThreadPoolExecutor,
    queue: ThreadPoolExecutor,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Future[Build]]:
    """The builds of the whole corpus, by name of the Dockerfile."""
    folder = tmp_path_factory.mktemp("builds")
    found = {case.name: queue.submit(_build, engine, case, folder) for case in BUILT}
    return found | {case.name: pool.submit(_build, engine, case, folder) for case in REFUSED}


def test_the_corpus_is_large_enough() -> None:
    assert len(BUILT) >= 40


@pytest.mark.parametrize("case", BUILT, ids=lambda case: case.name)
def test_the_stages_are_those_of_the_engine(case: Case, targets: dict[str, Future[str]]) -> None:
    assert compare_targets(case.parse(), parse_targets(targets[case.name].result().encode())) == []


@pytest.mark.parametrize("case", BUILT, ids=lambda case: case.name)
def test_the_steps_are_those_of_the_engine(
    case: Case, engine: Engine, builds: dict[str, Future[Build]], queue: ThreadPoolExecutor, tmp_path: Path
) -> None:
    build, plan = builds[case.name].result(), case.plan()
    assert build.exit_code == 0, build.complaint
    if _step_differences(plan, build):
        build = queue.submit(
            _build, engine, case, tmp_path
        ).result()  # the engine may name it as the build before it did
    assert _step_differences(plan, build) == []


def _step_differences(plan: StagePlan, build: Build) -> list[object]:
    """Steps that are not located, that lie elsewhere, that are missing, and that are too many."""
    located = {digest: _locate(plan, name) for digest, name in build.steps.items()}
    unknown = [build.steps[digest] for digest, found in located.items() if found is None]
    astray = [
        (build.steps[digest], found, build.lines[digest])
        for digest, found in located.items()
        if found is not None and digest in build.lines and (found.line, found.end_line) not in build.lines[digest]
    ]
    shown = {(found.stage_index, found.line) for found in located.values() if found is not None}
    # Two stages may ask for the very same step: the engine runs it once, under one name, with the lines of both.
    merged = {lines[0] for digest in build.names for lines in build.lines.get(digest, set())}
    expected = set(_expected(plan))
    return [*unknown, *astray, *(step for step in expected - shown if step[1] not in merged), *(shown - expected)]


@pytest.mark.parametrize("case", BUILT, ids=lambda case: case.name)
def test_the_images_from_outside_are_those_the_engine_looks_up(case: Case, builds: dict[str, Future[Build]]) -> None:
    ours, engines = {external.reference for external in case.plan().externals}, builds[case.name].result().lookups
    assert engines <= ours
    # Builds that run at the same time share a look-up, and then only one of them shows it.
    assert ours - engines <= {name for other in builds.values() for name in other.result().lookups}


@pytest.mark.parametrize("case", BUILT, ids=lambda case: case.name)
def test_the_paths_of_the_context_are_those_the_engine_asks_for(case: Case, builds: dict[str, Future[Build]]) -> None:
    sources = case.plan().context_sources
    assert not any(source.unresolved for source in sources)
    ours = {source.path for source in sources}
    assert (None if "." in ours else ours) == builds[case.name].result().context_paths


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_the_engine_refuses_is_refused_before_a_build(case: Case, builds: dict[str, Future[Build]]) -> None:
    build = builds[case.name].result()
    assert build.exit_code != 0
    with pytest.raises(ConfigError) as caught:
        case.plan()
    named = re.search(r"^Dockerfile:(\d+)\n-----", build.complaint, re.MULTILINE)
    if named and caught.value.line is not None:
        assert caught.value.line == BETTER_LINES.get(case.name, int(named[1])), build.complaint


@pytest.mark.parametrize("case", [case for case in BUILT if _needs_copies(case)], ids=lambda case: case.name)
def test_a_cut_copy_has_the_same_steps_from_the_same_cache(
    case: Case, engine: Engine, builds: dict[str, Future[Build]], queue: ThreadPoolExecutor, tmp_path: Path
) -> None:
    original, plan = builds[case.name].result(), case.plan()
    arguments = {"TARGETSTAGE": plan.stage_argument} if plan.stage_argument else {}
    for stage in (stage for stage in plan.order if stage.target_name is None):
        file = tmp_path / str(stage.index)
        file.write_bytes(cut_after(case.text, stage))
        copy = Case(name="copy", file=file, build_args=case.build_args | arguments, contexts=case.contexts)
        there = {_locate(plan, name) for name in original.steps.values()}
        build = queue.submit(_build, engine, copy, tmp_path).result()
        if not {_locate(plan, name) for name in build.steps.values()} <= there:
            build = queue.submit(
                _build, engine, copy, tmp_path
            ).result()  # the engine may name it as the build before it did

        assert build.exit_code == 0, build.complaint
        assert {_locate(plan, name) for name in build.steps.values()} <= there
        fresh = [build.steps[digest] for digest in build.steps.keys() - build.cached]
        assert [name for name in fresh if " FROM " not in name] == []


def _expected(plan: StagePlan) -> Iterator[tuple[int, int]]:
    """The stage and first line of each step that the plan says will run."""
    for stage in plan.order:
        if stage.numbers_from:
            yield stage.index, stage.line
        for step in stage.steps:
            if step.numbered:
                yield stage.index, step.line


def _locate(plan: StagePlan, name: str) -> StepLocation | None:
    """Locate with the triggers of the base known, and require that not knowing them changes nothing."""
    outside = [stage.index for stage in plan.order if stage.image == ONBUILD_BASE.removesuffix(":latest")]
    found = locate_step(plan, name, dict.fromkeys(outside, TRIGGERS))
    assert found == locate_step(plan, name)
    return found


def _options(case: Case, folder: Path) -> list[str]:
    text = case.text
    file = folder / case.name / "Dockerfile"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(neutralise(text) if detect_frontend(text, {}) else text)
    options = ["--file", str(file)]
    if case.target is not None:
        options += ["--target", case.target]
    for name, value in case.build_args.items():
        options += ["--build-arg", f"{name}={value}"]
    for name, value in case.contexts.items():
        options += ["--build-context", f"{name}={value if ':' in value else CONTEXT / value}"]
    return [*options, str(CONTEXT)]


def _build(engine: Engine, case: Case, folder: Path) -> Build:
    metadata = folder / f"{case.name}.json"
    command = ["docker", "buildx", "build", "--progress=rawjson", "--output=type=cacheonly"]
    done = subprocess.run(
        [*command, "--metadata-file", str(metadata), *_options(case, folder)],
        env={**engine.env, "BUILDX_METADATA_PROVENANCE": "max"},
        capture_output=True,
        timeout=500,
        check=False,
    )
    names: dict[str, str] = {}
    cached: set[str] = set()
    rest: list[str] = []
    for line in done.stderr.decode("utf-8", "replace").splitlines():
        if not line.startswith("{"):
            rest.append(line)
            continue
        for vertex in json.loads(line).get("vertexes") or []:
            names[vertex["digest"]] = vertex["name"]
            if vertex.get("cached"):
                cached.add(vertex["digest"])
    provenance = json.loads(metadata.read_text()).get("buildx.build.provenance", {}) if metadata.exists() else {}
    return Build(
        exit_code=done.returncode,
        complaint="\n".join(rest),
        names=names,
        cached=cached,
        lookups={match[1] for name in names.values() if (match := _LOOKUP.match(name))},
        lines=_lines(provenance),
        context_paths=_context_paths(provenance),
    )


def _lines(provenance: dict[str, Any]) -> dict[str, set[Lines]]:
    """The places of each vertex, by digest: as many as stages ask for the same step."""
    metadata = provenance.get("metadata", {}).get("https://mobyproject.org/buildkit@v1#metadata", {})
    places = metadata.get("source", {}).get("locations", {})
    found: dict[str, set[Lines]] = {}
    for digest, step in provenance.get("buildConfig", {}).get("digestMapping", {}).items():
        for location in places.get(step, {}).get("locations", []):
            ranges = location.get("ranges", [])
            if ranges:
                lines = min(one["start"]["line"] for one in ranges), max(one["end"]["line"] for one in ranges)
                found.setdefault(digest, set()).add(lines)
    return found


def _context_paths(provenance: dict[str, Any]) -> set[str] | None:
    """The paths of the context that the build asks for, None for all of it."""
    for step in provenance.get("buildConfig", {}).get("llbDefinition", []):
        source = step.get("op", {}).get("Op", {}).get("source", {})
        if source.get("identifier") == "local://context":
            paths = source.get("attrs", {}).get("local.followpaths")
            return None if paths is None else set(json.loads(paths))
    return set()
