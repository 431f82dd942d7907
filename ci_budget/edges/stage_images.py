"""After the window: what the built stages are as images, and handing out the very image that was measured."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.edges.base_images import BaseImage, copy_image, ensure_present
from ci_budget.edges.docker_engine import DockerEngine, ImageFacts
from ci_budget.edges.layer_files import LayerFolders, measure_saved
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_PUSH_TIMEOUT = 3600.0


class StageImages:
    """Reads images of one engine; a layer that several stages share is walked once."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine
        self._folders = LayerFolders()

    def read(self, image: str, base_layers: Sequence[str]) -> BuiltStage:
        """Size and layers of a local image. `base_layers`: diff ids of the external base below it.

        Raises UnmeasuredError when the engine has no such image or its layers cannot be read.
        """
        facts = self._engine.image(image)
        if facts is None:
            raise UnmeasuredError(f"the engine has no image {image} after building it")
        inherited = 0
        while inherited < min(len(base_layers), len(facts.diff_ids)) and (
            base_layers[inherited] == facts.diff_ids[inherited]
        ):
            inherited += 1
        return BuiltStage(image_id=facts.id, size=self.size(facts), layers=len(facts.diff_ids), inherited=inherited)

    def size(self, facts: ImageFacts) -> int:
        """Bytes of regular files over all layers of an image, hard links once per layer."""
        folders = facts.layer_folders
        if folders is not None and len(folders) == len(facts.diff_ids):
            with contextlib.suppress(UnmeasuredError):  # not root, say: the stream tells the same
                return sum(layer.size for layer in self._folders.measure(folders))
        return sum(layer.size for layer in measure_saved(self._engine.docker_host, facts.id))


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
