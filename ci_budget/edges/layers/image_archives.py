"""Images read from archives: `docker save` (a file or its stream), and OCI layouts (a folder, or one in a tar)."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from ci_budget.core.layers.image_config import (
    LARGEST_DOCUMENT,
    ImageConfig,
    ManifestEntry,
    check_content,
    choose_manifest,
    parse_image_config,
    parse_index,
    parse_manifest,
    parse_saved_manifest,
)
from ci_budget.core.layers.model import ImageLayers, Layer
from ci_budget.edges.layers.forward_streams import Hashed, Peeked, Source
from ci_budget.edges.layers.layer_archives import (
    GZIP,
    LIMITS,
    READ_ERRORS,
    ZSTD,
    ArchiveLimits,
    Kept,
    ReadLayer,
    expanded,
    members,
    read_layer,
)
from ci_budget.errors import UnmeasuredError

_MOST_DOCUMENTS = 64 * 2**20
_INDEX_DEPTH = 4
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}")
_MOST_MEMBERS = 100_000

Through = Callable[[Source], Source]
"""What every stream is read through, such as a count of its bytes."""


def as_it_is(stream: Source) -> Source:
    """The stream itself."""
    return stream


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """An image's layers with the contents that were asked for. `read`: of a layer (its index) and a path in it, None
    where it was not kept. `dropped`: paths whose content had no room. `content_hash`: SHA-256 of a file, or (True) of
    samples of it; None where the source does not let one go back."""

    layers: ImageLayers
    platform: str
    read: Callable[[int, str], bytes | None]
    dropped: tuple[str, ...] = ()
    content_hash: Callable[[int, str, bool], str | None] | None = None


def read_saved(
    saving: AbstractContextManager[IO[bytes]],
    image: str,
    wanted: Callable[[str], bool],
    limits: ArchiveLimits = LIMITS,
    *,
    through: Through = as_it_is,
) -> ImageContents:
    """A local image from its archive, which `saving` opens: what always works, and reads every byte of the image.

    Raises UnmeasuredError when the engine cannot save it.
    """
    with saving as stream:
        try:
            found = _read_tar(through(stream), wanted, limits)
        except UnmeasuredError as error:
            raise UnmeasuredError(f"the saved image {image} cannot be read: {error.what}") from error
        while stream.read(LARGEST_DOCUMENT):
            pass
    return found.image("docker save", platform=None)


def read_archive(
    file: Path,
    wanted: Callable[[str], bool],
    *,
    platform: str | None = None,
    limits: ArchiveLimits = LIMITS,
    through: Through = as_it_is,
) -> ImageContents:
    """An image from a tar file that `docker save` or `buildx --output type=oci|docker` wrote, compressed or not.

    Raises UnmeasuredError when it is none, is broken or hostile, or holds several images.
    """
    with _opened(file) as stream:
        try:
            return _read_tar(through(stream), wanted, limits, checked=True).image("archive", platform=platform)
        except UnmeasuredError as error:
            raise UnmeasuredError(error.what, file=file, mend=error.mend) from error


def read_archive_stream(
    stream: Source, wanted: Callable[[str], bool], *, limits: ArchiveLimits = LIMITS
) -> ImageContents:
    """The one image of such an archive while it is written. Raises UnmeasuredError as `read_archive` does."""
    return _read_tar(stream, wanted, limits).image("archive", platform=None)


def read_oci_folder(
    folder: Path,
    wanted: Callable[[str], bool],
    *,
    platform: str | None = None,
    limits: ArchiveLimits = LIMITS,
    through: Through = as_it_is,
) -> ImageContents:
    """An image from an OCI layout folder. Raises UnmeasuredError as `read_archive` does."""
    try:
        return _read_oci_folder(folder, wanted, platform, limits, through)
    except UnmeasuredError as error:
        raise UnmeasuredError(error.what, file=error.file or folder, mend=error.mend) from error


def _read_oci_folder(
    folder: Path, wanted: Callable[[str], bool], platform: str | None, limits: ArchiveLimits, through: Through
) -> ImageContents:
    documents = _FolderDocuments(folder)
    config, digests = _follow(documents.read, documents.blob, platform)
    kept = Kept(wanted=wanted, limits=limits)
    layers: dict[str, ReadLayer] = {}
    for digest in digests:
        if digest not in layers:
            with _opened(documents.path(digest)) as stream:
                blob = Hashed(through(stream), digest)
                layers[digest] = read_layer(blob, kept)
                blob.finish()
    return assemble(config, [layers[digest] for digest in digests], kept, "oci layout")


@dataclass(kw_only=True)
class _ReadTar:
    """What a stream held: layers and small documents by name; links that stand for another name."""

    kept: Kept
    layers: dict[str, ReadLayer] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def image(self, source: str, *, platform: str | None) -> ImageContents:
        manifest = self.documents.get("manifest.json")
        if manifest is not None:
            images = parse_saved_manifest(manifest)
            if len(set(images)) > 1:
                raise UnmeasuredError(f"the archive holds {len(images)} images", mend="Save the one to look at alone.")
            config_name, names = images[0]
            config = parse_image_config(self._document(config_name))
        else:
            config, digests = _follow(self._document, lambda digest: self._document(_blob(digest)), platform)
            names = tuple(_blob(digest) for digest in digests)
        return assemble(config, [self._layer(name) for name in names], self.kept, source)

    def _document(self, name: str) -> bytes:
        found = self.documents.get(self._resolve(name))
        if found is None:
            raise UnmeasuredError(f"the archive lacks {name[:200]!r}")
        return found

    def _layer(self, name: str) -> ReadLayer:
        found = self.layers.get(self._resolve(name))
        if found is None:
            raise UnmeasuredError(f"the archive lacks the layer {name[:200]!r}")
        return found

    def _resolve(self, name: str) -> str:
        for _ in range(8):  # links to links; a ring ends here
            if name not in self.links:
                break
            name = self.links[name]
        return name


def _read_tar(
    stream: Source, wanted: Callable[[str], bool], limits: ArchiveLimits, *, checked: bool = False
) -> _ReadTar:
    """`checked`: layers are held against the digests that they are named by. An engine that writes the archive now is
    believed, for it would take longer."""
    found = _ReadTar(kept=Kept(wanted=wanted, limits=limits))
    taken = count = 0
    try:
        for member, content in members(expanded(stream, limits)):
            count += 1
            if count > _MOST_MEMBERS:
                raise UnmeasuredError("the archive has too many members for an image")
            name = posixpath.normpath(member.name)
            if member.issym() or member.islnk():  # `docker save` before 25: a layer that is another's as well
                base = posixpath.dirname(name) if member.issym() else ""
                target = posixpath.normpath(posixpath.join(base, member.linkname))
                if target.startswith(("../", "/")) or name.startswith(("../", "/")):
                    raise UnmeasuredError(f"the archive's link {member.name[:200]!r} leads out of it")
                found.links[name] = target
                continue
            if not member.isreg():
                continue
            source = content()
            if checked and _BLOB.fullmatch(name):
                source = Hashed(source, name.removeprefix("blobs/").replace("/", ":"))
            blob = Peeked(source)
            if _is_document(blob.start):
                if member.size <= LARGEST_DOCUMENT and taken + member.size <= _MOST_DOCUMENTS:
                    taken += member.size
                    found.documents[name] = blob.read()
            elif _is_layer(blob.start):
                found.layers[name] = read_layer(blob, found.kept)
                if isinstance(source, Hashed):
                    source.finish()
    except READ_ERRORS as error:
        raise UnmeasuredError(f"the archive cannot be read: {error}") from error
    return found


def _is_document(start: bytes) -> bool:
    return start.lstrip()[:1] in (b"{", b"[")


def _is_layer(start: bytes) -> bool:
    return start.startswith((GZIP, ZSTD)) or start[257:262] == b"ustar" or (len(start) == 512 and not any(start))


def _follow(
    read: Callable[[str], bytes], blob: Callable[[str], bytes], platform: str | None
) -> tuple[ImageConfig, Sequence[str]]:
    """From `index.json` to the config and the digests of the layers."""
    entry: ManifestEntry = choose_manifest(parse_index(read("index.json")), platform)
    for _ in range(_INDEX_DEPTH):
        data = check_content(blob(entry.digest), entry.digest)
        if not entry.is_index:
            config, layers = parse_manifest(data)
            return parse_image_config(check_content(blob(config), config)), layers
        entry = choose_manifest(parse_index(data), platform)
    raise UnmeasuredError("the layout's indexes are nested too deeply")


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def assemble(config: ImageConfig, layers: Sequence[ReadLayer], kept: Kept, source: str) -> ImageContents:
    """An image from its config and its layers, lowest first. Raises UnmeasuredError when they do not fit together."""
    if len(layers) != len(config.diff_ids):
        raise UnmeasuredError(f"the image has {len(layers)} layers, and its config names {len(config.diff_ids)}")
    contents: list[Mapping[str, bytes]] = [layer.contents for layer in layers]
    return ImageContents(
        layers=ImageLayers(
            image_id=config.image_id,
            layers=tuple(Layer(diff_id, layer.entries) for diff_id, layer in zip(config.diff_ids, layers, strict=True)),
            history=config.history,
            source=source,
        ),
        platform=config.platform,
        read=lambda layer, path: contents[layer].get(path),
        dropped=tuple(kept.dropped),
    )


class _FolderDocuments:
    """The small files of a layout folder; links are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        return self._folder / _blob(digest)

    def blob(self, digest: str) -> bytes:
        return self.read(_blob(digest))

    def read(self, name: str) -> bytes:
        with _opened(self._folder / name) as stream:
            data = stream.read(LARGEST_DOCUMENT + 1)
        if len(data) > LARGEST_DOCUMENT:
            raise UnmeasuredError(f"{name} has more than {LARGEST_DOCUMENT:,} bytes", file=self._folder)
        return data


@contextmanager
def _opened(file: Path) -> Iterator[Source]:
    """A plain file to read. Raises UnmeasuredError for a link, a device, or what cannot be read."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnmeasuredError(f"it cannot be read: {error.strerror}", file=file) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)  # fdopen would raise for a folder, and leave it open
        raise UnmeasuredError("it is no plain file", file=file)
    with os.fdopen(handle, "rb") as stream:
        try:
            yield cast("Source", stream)
        except OSError as error:
            raise UnmeasuredError(f"it cannot be read: {error.strerror}", file=file) from error
