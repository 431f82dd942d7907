"""After the window: what the built stages are as images, and handing out the very image that was measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.edges.engine.base_images import BaseImage, copy_image, ensure_present
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.layers.engine_layers import EngineLayers
from ci_budget.edges.layers.image_archives import ImageContents
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_PUSH_TIMEOUT = 3600.0


class StageImages:
    """Reads images of one engine; a layer that several stages share is walked once."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine
        self._layers = EngineLayers(engine)

    def read(self, image: str, base_layers: Sequence[str]) -> BuiltStage:
        """Size, layers and history of a local image. `base_layers`: diff ids of the external base below it.

        Raises UnmeasuredError when the engine has no such image or its layers cannot be read.
        """
        facts = self._built(image)
        history, sizes = self._layers.steps(facts)
        return replace(_stage(facts, sum(sizes), base_layers), history=history, layer_sizes=sizes)

    def read_contents(
        self, image: str, base_layers: Sequence[str], wanted: Callable[[str], bool]
    ) -> tuple[BuiltStage, ImageContents | UnmeasuredError]:
        """The same, with every name in the layers and the content of the files that `wanted` says; instead of them
        the error, where only they cannot be read."""
        facts = self._built(image)
        try:
            found = self._layers.read(facts, wanted)
        except UnmeasuredError as error:
            return _stage(facts, self.size(facts), base_layers), error
        sizes = tuple(layer.size for layer in found.layers.layers)
        stage = replace(
            _stage(facts, sum(sizes), base_layers), history=found.layers.history, layer_sizes=sizes
        )  # fmt: skip
        return stage, replace(found, layers=replace(found.layers, inherited=stage.inherited))

    def size(self, facts: ImageFacts) -> int:
        """Bytes of regular files over all layers of an image, hard links once per layer."""
        return self._layers.size(facts)

    def _built(self, image: str) -> ImageFacts:
        facts = self._engine.image(image)
        if facts is None:
            raise UnmeasuredError(f"the engine has no image {image} after building it")
        return facts


def _stage(facts: ImageFacts, size: int, base_layers: Sequence[str]) -> BuiltStage:
    inherited = 0
    while inherited < min(len(base_layers), len(facts.diff_ids)) and (
        base_layers[inherited] == facts.diff_ids[inherited]
    ):
        inherited += 1
    return BuiltStage(image_id=facts.id, size=size, layers=len(facts.diff_ids), inherited=inherited)


def bases_size(engine: DockerEngine, bases: Sequence[BaseImage]) -> int:
    """Payload of the bases on the host's engine; those that it lacks are pulled now, before the window."""
    images = StageImages(engine)
    present = {facts.id: facts for facts in (ensure_present(base, engine) for base in bases)}
    return sum(images.size(facts) for facts in present.values())


def load_into_host(image: str, sandbox_host: str, host: DockerEngine, name: str) -> None:
    """Load an image into the runner's engine under `name`."""
    if sandbox_host != host.docker_host:
        copy_image(image, sandbox_host, host.docker_host)
    host.tag(image, name)


def export_archive(image: str, docker_host: str, file: Path) -> None:
    """Write an image to an archive as `docker save` does; whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        done = run(
            ["docker", "--host", docker_host, "save", "--output", partial, image], check=False, timeout=_PUSH_TIMEOUT
        )
        if done.exit_code != 0:
            raise UnmeasuredError(f"the image cannot be written to {file}: {done.complaint}")
        partial.replace(file)
    except OSError as error:
        raise UnmeasuredError(f"the image cannot be written to {file}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def push_image(image: str, engine: DockerEngine, reference: str) -> str | None:
    """Push an image under `reference` with the user's own credentials; returns the manifest's digest."""
    engine.tag(image, reference)
    command = ["docker", "--host", engine.docker_host, "push", "--quiet", reference]
    done = run(command, check=False, timeout=_PUSH_TIMEOUT)
    if done.exit_code != 0:
        raise UnmeasuredError(
            f"the image cannot be pushed to {reference}: {done.complaint}",
            mend="Log in to that registry (`docker login`), and see that the name may be pushed to.",
        )
    facts = engine.image(reference)
    repository = reference.rpartition("@")[0] or reference
    name = repository.rpartition(":")[0] if "/" not in repository.rpartition(":")[2] else repository
    digests = [digest for digest in (facts.repo_digests if facts else ()) if digest.startswith(f"{name}@")]
    return digests[0].partition("@")[2] if digests else None
