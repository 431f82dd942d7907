"""Images in a registry: what a reference leads to, and the layers as a stream; no engine, no build."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from ci_budget.core.layers.image_config import ImageConfig, parse_image_config
from ci_budget.core.layers.manifest import IndexedImage, Manifest, choose_image, parse_document
from ci_budget.core.stages.references import ImageReference, parse_reference
from ci_budget.edges.engine.host_engine import open_host_engine
from ci_budget.edges.layers.forward_streams import Source
from ci_budget.edges.layers.image_archives import ImageContents, Through, as_it_is, assemble
from ci_budget.edges.layers.layer_archives import LIMITS, ArchiveLimits, Kept, ReadLayer, read_layer
from ci_budget.edges.web.registry import Registry
from ci_budget.errors import CiBudgetError, ConfigError, UnmeasuredError

SCHEME = "registry://"


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """One image for one platform. `digest`: of its manifest; `config.image_id`: of its config."""

    digest: str
    manifest: Manifest
    config: ImageConfig

    @property
    def platform(self) -> str:
        """As the config says; empty where it does not."""
        return self.config.platform


@dataclass(frozen=True, kw_only=True)
class StoredReference:
    """What a reference leads to: `digest` of the manifest or of the index, and the images in it."""

    reference: ImageReference
    digest: str
    images: tuple[StoredImage, ...]

    @property
    def pinned(self) -> str:
        """The name by digest, which cannot be moved to something else."""
        return f"{self.reference.name}@{self.digest}"


def parse_registry_reference(text: str) -> ImageReference:
    """`registry://host/name:tag`, or the same without the scheme. Raises ConfigError."""
    try:
        return parse_reference(text.removeprefix(SCHEME))
    except ValueError as error:
        raise ConfigError(
            f"'{text[:200]}' names no image in a registry: {error}", mend=f"Write {SCHEME}HOST/NAME:TAG."
        ) from None


def find_images(reference: ImageReference, platform: str | None = None) -> StoredReference:
    """The images that a reference leads to: the one for `platform`, or all of its index where that is None.

    Attestations are none. Raises UnmeasuredError when one of them cannot be had.
    """
    with _registry(reference) as registry, _named(reference):
        digest, data = registry.document(reference.digest or reference.tag or "latest")
        found = parse_document(data)
        if isinstance(found, Manifest):
            image = _image(registry, digest, found)
            return StoredReference(reference=reference, digest=digest, images=(image,))
        chosen = found if platform is None else (choose_image(found, platform),)
        images = tuple(_indexed(registry, one) for one in chosen)
        return StoredReference(reference=reference, digest=digest, images=images)


def require_unmoved(found: StoredReference) -> None:
    """Raises UnmeasuredError when its tag names another image by now: whoever goes on by the tag takes that one."""
    reference = found.reference
    if reference.digest is not None:
        return
    with _registry(reference) as registry, _named(reference):
        now, _ = registry.document(reference.tag or "latest")
    if now != found.digest:
        raise UnmeasuredError(
            f"the tag of {reference} moved meanwhile: it named {found.digest} when it was read, and names {now} now",
            mend=f"Run again, or name it by digest: {SCHEME}{found.pinned}.",
        )


def read_registry_image(
    reference: ImageReference,
    image: StoredImage,
    wanted: Callable[[str], bool],
    *,
    limits: ArchiveLimits = LIMITS,
    say: Callable[[str], None] = lambda _: None,
    through: Through = as_it_is,
) -> ImageContents:
    """The layers of an image, streamed: nothing is stored. Raises UnmeasuredError where one cannot be read whole."""
    kept = Kept(wanted=wanted, limits=limits)
    layers: dict[str, ReadLayer] = {}
    with _registry(reference) as registry, _named(reference):
        for number, blob in enumerate(image.manifest.layers, 1):
            if blob.digest not in layers:
                say(f"reading layer {number} of {len(image.manifest.layers)} from {registry.host}")
                with registry.open_blob(blob) as stream:
                    layers[blob.digest] = read_layer(through(cast("Source", stream)), kept)
                    stream.finish()
        return assemble(image.config, [layers[blob.digest] for blob in image.manifest.layers], kept, "a registry")


def _indexed(registry: Registry, entry: IndexedImage) -> StoredImage:
    digest, data = registry.document(entry.digest)
    found = parse_document(data)
    if not isinstance(found, Manifest):
        raise UnmeasuredError("its index names another index as an image")
    return _image(registry, digest, found)


def _image(registry: Registry, digest: str, manifest: Manifest) -> StoredImage:
    config = parse_image_config(registry.blob(manifest.config))
    if len(config.diff_ids) != len(manifest.layers):
        raise UnmeasuredError(
            f"its manifest has {len(manifest.layers)} layers, and its config names {len(config.diff_ids)}"
        )
    return StoredImage(digest=digest, manifest=manifest, config=config)


def _registry(reference: ImageReference) -> Registry:
    return Registry(reference, insecure=_insecure_registries)


def _insecure_registries() -> tuple[str, ...]:
    """What the runner's own engine is told to reach by plain http; nothing where none answers."""
    engine, _ = open_host_engine()
    if engine is None:
        return ()
    with contextlib.closing(engine), contextlib.suppress(CiBudgetError):
        return engine.insecure_registries()
    return ()


@contextlib.contextmanager
def _named(reference: ImageReference) -> Iterator[None]:
    """Every error says which image it is about."""
    try:
        yield
    except UnmeasuredError as error:
        raise UnmeasuredError(f"the image {reference} cannot be read: {error.what}", mend=error.mend) from error
