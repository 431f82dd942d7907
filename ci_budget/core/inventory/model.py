"""What an image was made of, kept so that a later image can be compared with it when this one is gone.

Stored as zstd-compressed JSON (`core/inventory/storage.py`). Sizes are bytes of regular-file payload, hard links once
a layer. Paths are relative to the image's root; bytes in them that are no UTF-8 are written as `\\xNN`.
`schema_version` is raised whenever a reader of the old format would misread a new file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from ci_budget.core.records.report import Stored
from ci_budget.core.text.units import MAX_SIZE

SCHEMA_VERSION = 1
SMALLEST_FILE = 64 * 1024
SMALLEST_SAME = 2**20

Size = Annotated[int, Field(ge=0, le=MAX_SIZE)]
Index = Annotated[int, Field(ge=0, le=100_000)]
Text = Annotated[str, Field(max_length=8192)]
Hash = Annotated[str, Field(max_length=128)]


class Manager(StrEnum):
    """Who installed a package."""

    DPKG = "dpkg"
    APK = "apk"
    PIP = "pip"
    CONDA = "conda"
    NPM = "npm"


class LayerRecord(Stored):
    """One layer, lowest first. `files`: names of regular files. `step`: index in `steps` (None: no history). `hides`:
    bytes of lower layers that it overwrites, deletes or hides."""

    diff_id: Hash
    size: Size
    files: Size
    inherited: bool
    step: Index | None
    hides: Size = 0


class StepRecord(Stored):
    """One entry of the image's history; `stage` and `line` where the build told them."""

    created_by: Text
    layer: Index | None
    stage: Text | None = None
    line: Index | None = None


class FileRecord(Stored):
    """A file of `Inventory.smallest_file` bytes or more. `hidden`: an upper layer hides it, or wrote it anew.

    `owned`: it belongs to one of `packages`, whose size holds it; `package`: to which, by its index there."""

    path: Text
    size: Size
    layer: Index
    hidden: bool = False
    owned: bool = False
    package: Index | None = None


class FolderRecord(Stored):
    """What one layer has below a folder, all depths (the root is the empty path). Hidden files count as well.

    Only as deep as the file has room for (`Inventory.folder_depth`): a folder's sum always holds its subfolders'.
    `owned`: the part of `size` that belongs to packages (visible files only), so that the roots' `owned` sum up to
    the packages' sizes.
    """

    path: Text
    layer: Index
    size: Size
    files: Size
    owned: Size = 0


class PackageRecord(Stored):
    """An installed package. `size`: bytes of its visible files. `layer`: the one that wrote its record, mere
    copies of it left out. `path`: its record in the image, or the folder it lies in."""

    manager: Manager
    name: Text
    version: Text
    size: Size
    layer: Index
    path: Text


class BaseRecord(Stored):
    """An external image that the build started from or copied from. `digest`: as pinned or as pulled."""

    reference: Text
    image_id: Hash | None = None
    digest: Hash | None = None


class InstructionRecord(Stored):
    """An instruction of the Dockerfile as built: its place, and the SHA-256 of its text (heredocs included).

    `inputs_sha256`: of all in the revision that it is built from: its text and those before it, the stages and files
    of the context that they copy or mount, the build arguments; `own_sha256`: of its own text, files and arguments
    alone. None where that is not known. `command`: as `COPY`. `sources`: the lines of the FROMs whose stages it starts
    from, copies or mounts; `images`: likewise those from outside; `arguments`: the lines of the ARGs before the first
    FROM that its words are made of (these ARGs have no stage). `kept`: bytes of regular files in the layers that it
    brought to its stage (a FROM: of the image from outside), None where they were not read, or there are none.
    """

    stage: Text
    line: Index
    text_sha256: Hash
    inputs_sha256: Hash | None = None
    own_sha256: Hash | None = None
    command: Text = ""
    sources: list[Index] = Field(default_factory=list)
    images: list[Text] = Field(default_factory=list)
    arguments: list[Index] = Field(default_factory=list)
    kept: Size | None = None
    bare_text_sha256: Hash | None = None
    bare_inputs_sha256: Hash | None = None
    bare_own_sha256: Hash | None = None


class SameContent(Stored):
    """Visible files of at least 1 MiB whose content is the same; or folders (with a slash at the end) that have so many
    smaller `files` in common, of `size` bytes together."""

    size: Size
    sha256: Hash
    paths: list[Text]
    files: Size = 1


class WasteRecord(Stored):
    """A file whose payload no container can read. `wrote`, `hid`: indices of layers; `hid_by`: the path that hid it."""

    path: Text
    size: Size
    cause: Literal["overwritten", "deleted", "hidden"]
    wrote: Index
    hid: Index
    hid_by: Text


class WasteGroup(Stored):
    """What one layer wrote and another one hid in one way; `largest`: the path of the largest file of them."""

    cause: Literal["overwritten", "deleted", "hidden"]
    wrote: Index
    hid: Index
    size: Size
    files: Size
    largest: Text


class WasteSums(Stored):
    """Bytes that upper layers overwrote, deleted, and hid by a folder that replaced another; by layers (`groups`), and
    the files that matter most (`largest`)."""

    overwritten: Size
    deleted: Size
    hidden: Size
    groups: list[WasteGroup] = Field(default_factory=list)
    largest: list[WasteRecord] = Field(default_factory=list)

    @property
    def total(self) -> int:
        """All of it in bytes."""
        return self.overwritten + self.deleted + self.hidden


class DiveRecord(Stored):
    """What dive says of the image: `efficiencyScore` and `inefficientBytes` of its JSON."""

    efficiency: float
    wasted_bytes: Size


class ContextRecord(Stored):
    """The build context: the folders down to `folder_depth`, and the largest files (all of `layer` 0). `ignored`: the
    patterns of the ignore file, None where they are not known, or too many."""

    size: Size
    folder_depth: Index
    folders: list[FolderRecord] = Field(default_factory=list)
    files: list[FileRecord] = Field(default_factory=list)
    ignored: list[Text] | None = None


class Inventory(Stored):
    """One image.

    `smallest_file`: files below it are in `folders` only; 64 KiB unless the inventory would have grown too large.
    `same_content` is None where contents were not read. `finding_bytes`: what the findings of each rule hold together;
    None where nothing was looked for.
    """

    schema_version: int = SCHEMA_VERSION
    image_id: Hash
    platform: Text | None = None
    size: Size
    source: Text = "unknown"
    layers: list[LayerRecord] = Field(default_factory=list)
    steps: list[StepRecord] = Field(default_factory=list)
    smallest_file: Size = SMALLEST_FILE
    files: list[FileRecord] = Field(default_factory=list)
    folder_depth: Index = 0
    folders: list[FolderRecord] = Field(default_factory=list)
    packages: list[PackageRecord] = Field(default_factory=list)
    waste: WasteSums | None = None
    dive: DiveRecord | None = None
    bases: list[BaseRecord] = Field(default_factory=list)
    dockerfile_sha256: Hash | None = None
    instructions: list[InstructionRecord] = Field(default_factory=list)
    context_sha256: Hash | None = None
    context: ContextRecord | None = None
    same_content: list[SameContent] | None = None
    finding_bytes: dict[Text, Size] | None = None


class Inventories(Stored):
    """The file `inventory.json.zst` of a report: the images of the run by their names in the config."""

    schema_version: int = SCHEMA_VERSION
    images: dict[str, Inventory] = Field(default_factory=dict)
