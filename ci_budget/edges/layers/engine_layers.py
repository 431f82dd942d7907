"""A local image's layers: from the engine's own directories where they can be read, else from its archive."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ci_budget.core.layers.image_config import LARGEST_DOCUMENT, ImageConfig, parse_image_config
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Layer
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.layers.image_archives import ImageContents, Through, as_it_is, read_saved
from ci_budget.edges.layers.layer_archives import LIMITS
from ci_budget.edges.layers.layer_folders import LayerFolders, hash_inside, read_inside
from ci_budget.errors import UnmeasuredError

if TYPE_CHECKING:
    from ci_budget.edges.engine.docker_engine import DockerEngine

_CONFIGS = Path("image/overlay2/imagedb/content/sha256")


Watch = Callable[[], contextlib.AbstractContextManager[Through]]


class EngineLayers:
    """Reads images of one engine; what several of them share is measured once."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine
        self._folders = LayerFolders()

    def size(self, facts: ImageFacts) -> int:
        """Bytes of regular files over all layers of an image, hard links once per layer."""
        if facts.has_layer_folders:
            with contextlib.suppress(UnmeasuredError):  # not root, say: the stream tells the same
                return self._folders.measure(facts.layer_folders or ())
        return sum(layer.size for layer in self._saved(facts, lambda _: False).layers.layers)

    def steps(self, facts: ImageFacts) -> tuple[tuple[HistoryStep, ...], tuple[int, ...]]:
        """The history (empty where only that cannot be read), and the bytes of regular files of each layer.

        Raises UnmeasuredError where the layers cannot be read."""
        if facts.has_layer_folders and facts.layer_folders:
            with contextlib.suppress(UnmeasuredError):
                sizes = tuple(self._folders.measure([folder]) for folder in facts.layer_folders)
                try:
                    return _stored_config(facts, facts.layer_folders).history, sizes
                except UnmeasuredError:
                    return (), sizes
        if not facts.diff_ids:
            return (), ()
        saved = self._saved(facts, lambda _: False).layers
        return saved.history, tuple(layer.size for layer in saved.layers)

    def read(self, facts: ImageFacts, wanted: Callable[[str], bool], *, watch: Watch | None = None) -> ImageContents:
        """The layers, and the content of the files that `wanted` says. `watch`: opened around the reading of a stream,
        which takes its time. Raises UnmeasuredError when neither source can be read."""
        if not facts.diff_ids:
            return self._empty(facts)
        if facts.has_layer_folders:
            with contextlib.suppress(UnmeasuredError):
                return read_layer_folders(facts, self._folders.read)
        with watch() if watch is not None else contextlib.nullcontext(as_it_is) as through:
            return self._saved(facts, wanted, through)

    def _empty(self, facts: ImageFacts) -> ImageContents:
        """An image without layers, which engines refuse to save."""
        history = tuple(HistoryStep(command, None) for command in self._engine.history(facts.id))
        return ImageContents(
            layers=ImageLayers(image_id=facts.id, layers=(), history=history, source="the engine"),
            platform=facts.platform,
            read=lambda _layer, _path: None,
        )

    def _saved(self, facts: ImageFacts, wanted: Callable[[str], bool], through: Through = as_it_is) -> ImageContents:
        return read_saved(self._engine.saved(facts.id), facts.id, wanted, through=through)


def read_layer_folders(facts: ImageFacts, read: Callable[[str], tuple[Entry, ...]]) -> ImageContents:
    """An image from its layer directories; `read` gives what one of them holds. Raises UnmeasuredError when one cannot
    be read, or the image's config cannot."""
    folders = facts.layer_folders or ()
    config = _stored_config(facts, folders)
    layers = tuple(Layer(diff_id, read(folder)) for diff_id, folder in zip(config.diff_ids, folders, strict=True))
    return ImageContents(
        layers=ImageLayers(
            image_id=facts.id, layers=layers, history=config.history, source="the engine's layer directories"
        ),
        platform=config.platform,
        read=lambda layer, path: read_inside(folders[layer], path, LIMITS.record),
        content_hash=lambda layer, path, sampled: hash_inside(folders[layer], path, sampled=sampled),
    )


def _stored_config(facts: ImageFacts, folders: tuple[str, ...]) -> ImageConfig:
    """The image's config from the engine's store, beside the layer directories; its name is its digest."""
    file = Path(folders[-1]).parents[2] / _CONFIGS / facts.id.removeprefix("sha256:")
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_DOCUMENT)
    except OSError as error:
        raise UnmeasuredError(f"the image's config {file} cannot be read: {error.strerror}") from error
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != facts.id:
        raise UnmeasuredError(f"the image's config {file} is not that of {facts.id}")
    return parse_image_config(data)
