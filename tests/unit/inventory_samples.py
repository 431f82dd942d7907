"""Images built up step by step, as the inventory that is stored of them."""

from __future__ import annotations

import itertools
from typing import Any

from ci_budget.core.inventory.model import (
    BaseRecord,
    FileRecord,
    FolderRecord,
    InstructionRecord,
    Inventory,
    LayerRecord,
    Manager,
    PackageRecord,
    StepRecord,
)

MB = 10**6
NUMBERS = itertools.count()
BASE = BaseRecord(reference="docker.io/library/python:3.11", image_id="sha256:base")


class Image:
    """An image built up step by step: files by layer, each of a package or of none."""

    def __init__(self, base: str = BASE.reference, context: str | None = "context") -> None:
        self.number = next(NUMBERS)
        self.base = base
        self.context = context
        self.layers: list[tuple[str, str | None, bool, str | None]] = []
        self.files: list[tuple[int, str, int, str | None]] = []
        self.packages: dict[str, tuple[str, int]] = {}

    def step(self, text: str, *, inherited: bool = False, inputs: str | None = None) -> Image:
        """A further layer, made by the instruction `text`."""
        self.layers.append((text, None, inherited, inputs))
        return self

    def add(self, path: str, size: int, package: str | None = None, version: str = "1.0") -> Image:
        """A file in the last layer."""
        self.files.append((len(self.layers) - 1, path, size, package))
        if package is not None:
            self.packages[package] = (version, len(self.layers) - 1)
        return self

    def inventory(self, depth: int = 12, smallest: int = 64 * 1024) -> Inventory:
        """As it is stored."""
        return Inventory(
            image_id="sha256:any",
            size=sum(size for _, _, size, _ in self.files),
            layers=[
                LayerRecord(
                    diff_id=f"sha256:{self.number}-{index}",
                    size=sum(size for layer, _, size, _ in self.files if layer == index),
                    files=0,
                    inherited=inherited,
                    step=index,
                )
                for index, (_, _, inherited, _) in enumerate(self.layers)
            ],
            steps=[
                StepRecord(
                    created_by=text,
                    layer=index,
                    stage=None if inherited else "app",
                    line=None if inherited else 10 + index,
                )
                for index, (text, _, inherited, _) in enumerate(self.layers)
            ],
            instructions=[InstructionRecord(stage="app", line=1, text_sha256=f"FROM {self.base}")]
            + [
                InstructionRecord(stage="app", line=10 + index, text_sha256=text, inputs_sha256=inputs)
                for index, (text, _, inherited, inputs) in enumerate(self.layers)
                if not inherited
            ],
            smallest_file=smallest,
            files=[
                FileRecord(path=path, size=size, layer=layer, owned=package is not None)
                for layer, path, size, package in self.files
                if size >= smallest
            ],
            folder_depth=depth,
            folders=self._folders(depth),
            packages=[
                PackageRecord(
                    manager=Manager.PIP,
                    name=name,
                    version=version,
                    size=sum(size for _, _, size, owner in self.files if owner == name),
                    layer=layer,
                    path=f"{name}.dist-info/RECORD",
                )
                for name, (version, layer) in self.packages.items()
            ],
            bases=[BASE.model_copy(update={"reference": self.base})],
            context_sha256=self.context,
        )

    def _folders(self, depth: int) -> list[FolderRecord]:
        sums: dict[tuple[int, str], list[int]] = {}
        for layer, path, size, package in self.files:
            parts = path.split("/")[:-1]
            for level in range(min(len(parts), depth) + 1):
                found = sums.setdefault((layer, "/".join(parts[:level])), [0, 0, 0])
                found[0] += size
                found[1] += 1
                found[2] += size if package is not None else 0
        return [
            FolderRecord(path=path, layer=layer, size=size, files=files, owned=owned)
            for (layer, path), (size, files, owned) in sums.items()
        ]


def service(**given: Any) -> Image:
    """A base, an installing step, and the application."""
    image = Image(**given).step("base", inherited=True).add("usr/lib/libc.so", 40 * MB, "libc6", "2.36-9")
    return image.step("RUN pip install -r requirements.txt", inputs="pip")
