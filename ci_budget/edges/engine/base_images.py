"""Base images: found on the host's engine, else pulled; brought into the sandbox before anything is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ci_budget.core.measurement.samples import LEAST_FREE
from ci_budget.core.stages.platforms import fits
from ci_budget.core.stages.references import parse_reference
from ci_budget.core.text.units import format_size
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.processes import run, running
from ci_budget.errors import GateError, UnmeasuredError

_TRANSFER_TIMEOUT = 3600.0


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """An external image that the build needs. `image_id`: None where the host has none and it must be pulled."""

    reference: str
    platform: str | None
    image_id: str | None
    line: int | None
    from_host: str | None = None

    @property
    def context_name(self) -> str:
        """What the engine calls it where it looks for a named context."""
        return parse_reference(self.reference).familiar

    @property
    def local_name(self) -> str:
        """Its name in the sandbox: a loaded image cannot be given a digest, so pinned ones get another name."""
        if "@" not in self.reference:
            return self.reference
        return f"ci-budget.local/base:{hashlib.sha256(self.reference.encode()).hexdigest()[:16]}"


class BasesTooLargeError(GateError):
    """The bases alone exceed the budget: no build can pass."""

    def __init__(self, *, size: int | None, budget: int) -> None:
        shown = "more" if size is None else format_size(size)
        super().__init__(
            f"the base images alone take {shown} of the sandbox; the disk budget is {format_size(budget)}",
            mend="Raise disk.budget, or build from a smaller base.",
        )


def find_bases(
    references: Mapping[str, int | None],
    *,
    platform: str | None,
    host: DockerEngine | None,
    platforms: Mapping[str, str] | None = None,
) -> list[BaseImage]:
    """The bases (reference to Dockerfile line), with their identity where the host's engine has them.

    `platform` is the build's (None: the engine's own), `platforms` that of references whose FROM names another. An
    image of the host that was made for another platform is none.
    """
    found = []
    for reference, line in sorted(references.items()):
        wanted = (platforms or {}).get(reference, platform)
        facts = host.image(reference) if host is not None else None
        if host is not None and facts is not None and not fits(facts.platform, wanted or host.facts().platform):
            facts = None
        found.append(
            BaseImage(
                reference=reference,
                platform=wanted,
                image_id=facts.id if facts else None,
                line=line,
                from_host=host.docker_host if host is not None and facts else None,
            )
        )
    return found


def context_overrides(bases: Sequence[BaseImage]) -> dict[str, str]:
    """Named contexts that lead a digest-pinned reference to the image of another name in the sandbox."""
    return {
        base.context_name: f"docker-image://{base.local_name}" for base in bases if base.local_name != base.reference
    }


def ensure_present(base: BaseImage, engine: DockerEngine) -> ImageFacts:
    """The base on `engine`, pulled where it is missing. Raises UnmeasuredError when it is not to be had."""
    facts = engine.image(base.reference)
    if facts is None:
        _pull(base, engine.docker_host)
        facts = engine.image(base.reference)
    if facts is None:
        raise UnmeasuredError(f"the base image {base.reference} was pulled and yet is not there")
    wanted = base.platform or engine.facts().platform
    if not fits(facts.platform, wanted):  # pulling would take the name away from the image that the user has
        raise UnmeasuredError(
            f"the base image {base.reference} on this engine is for {facts.platform}; the build needs it for {wanted}",
            mend=f"docker pull --platform {wanted} {base.reference}",
        )
    return facts


def bring_in(
    bases: Sequence[BaseImage], docker_host: str, mount: Path, budget: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Load or pull every base into the engine at `docker_host`; returns local name to image id.

    Raises UnmeasuredError when an image is not to be had, BasesTooLargeError when the sandbox ran full.
    """
    engine = DockerEngine(docker_host)
    try:
        identities = {}
        for base in bases:
            say(f"bringing in {base.reference}")
            try:
                if base.image_id is not None and base.from_host is not None:
                    copy_image(base.image_id, base.from_host, docker_host)
                    engine.tag(base.image_id, base.local_name)
                else:
                    _pull(base, docker_host)
                    if base.local_name != base.reference:
                        engine.tag(base.reference, base.local_name)
            except UnmeasuredError as error:
                if read_usage(mount).free <= LEAST_FREE or "no space left" in error.what:
                    raise BasesTooLargeError(size=None, budget=budget) from error
                raise
            facts = engine.image(base.local_name)
            if facts is None:
                raise UnmeasuredError(f"the base image {base.reference} did not arrive in the sandbox")
            identities[base.local_name] = facts.id
        return identities
    finally:
        engine.close()


def copy_image(image: str, source: str, target: str) -> None:
    """Stream an image from one engine to another. Raises UnmeasuredError with what either side complained of."""
    with running(["docker", "--host", source, "save", image]) as saving:
        with running(["docker", "--host", target, "load", "--quiet"], stdin=saving.stdout) as loading:
            saving.stdout.close()  # so that save ends when load does
            if loading.wait(_TRANSFER_TIMEOUT) != 0:
                raise UnmeasuredError(f"loading the image {image} failed: {_complaint(loading.stderr)}")
        if saving.wait(30.0) != 0:
            raise UnmeasuredError(f"saving the image {image} failed: {_complaint(saving.stderr)}")


def _pull(base: BaseImage, docker_host: str) -> None:
    words = ["docker", "--host", docker_host, "pull", "--quiet"]
    if base.platform:
        words += ["--platform", base.platform]
    done = run([*words, base.reference], check=False, timeout=_TRANSFER_TIMEOUT)
    if done.exit_code != 0:
        wanted = f" for {base.platform}" if base.platform else ""
        option = f"--platform {base.platform} " if base.platform else ""
        raise UnmeasuredError(
            f"the base image {base.reference}{wanted} is not to be had: neither the host's engine nor a registry gave "
            f"it ({done.complaint.splitlines()[-1] if done.complaint else 'no reason given'})",
            mend=f"Pull it on the runner (`docker pull {option}{base.reference}`), or log in to its registry.",
        )


def _complaint(stream: IO[bytes]) -> str:
    return stream.read(4000).decode("utf-8", "replace").strip() or "no reason given"
