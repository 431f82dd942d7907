"""Why an image is as large as it is: its steps, paths, packages and waste by size, from its inventory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ci_budget.core.inventory.model import Inventory, PackageRecord, SameContent, WasteGroup

_WORTH_SHOWING = 50  # parts of the image's size: 2 %
_NEARLY_ALL = 0.8
_SHELL = re.compile(r"^RUN (?:\|\d+ .*? )?/bin/sh -c ", re.DOTALL)  # `|1 NAME=value` are build arguments


@dataclass(frozen=True, kw_only=True)
class ExplainedStep:
    """A layer with the step that made it. `hides`: bytes of lower layers that it overwrote, deleted or hid."""

    layer: int
    command: str
    stage: str | None
    line: int | None
    inherited: bool
    size: int
    files: int
    hides: int

    @property
    def place(self) -> str:
        """`runtime:12`, `base image`, or `layer 3` where no more is known."""
        if self.line is not None:
            return f"{self.stage}:{self.line}" if self.stage else f"line {self.line}"
        return "base image" if self.inherited else f"layer {self.layer + 1}"


@dataclass(frozen=True, kw_only=True)
class ExplainedPath:
    """A file or (with a slash at its end) a folder that takes much of the image, and the layer that has most of it.

    `hidden`: how much of a file is of no use any more; a folder's hidden part is not told.
    """

    path: str
    size: int
    layer: int
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class ExplainedPackage:
    """An installed package with the step that brought it."""

    record: PackageRecord
    step: ExplainedStep


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One image, each list the largest first."""

    name: str
    inventory: Inventory
    steps: tuple[ExplainedStep, ...]
    paths: tuple[ExplainedPath, ...]
    packages: tuple[ExplainedPackage, ...]
    waste: tuple[WasteGroup, ...]
    same_content: tuple[SameContent, ...]

    def step(self, layer: int) -> ExplainedStep:
        """The step that made a layer."""
        return next(step for step in self.steps if step.layer == layer)


def explain_inventory(name: str, inventory: Inventory) -> Explanation:
    """Everything that is worth showing of an image; `name` is what a person calls it."""
    steps = _steps(inventory)
    by_layer = {step.layer: step for step in steps}
    same = sorted(inventory.same_content or (), key=lambda one: -one.size * (len(one.paths) - 1))
    return Explanation(
        name=name,
        inventory=inventory,
        steps=tuple(sorted(steps, key=lambda step: (-step.size, step.layer))),
        paths=tuple(_paths(inventory)),
        packages=tuple(
            ExplainedPackage(record=one, step=by_layer[one.layer])
            for one in sorted(inventory.packages, key=lambda one: (-one.size, one.manager, one.name, one.path))
            if one.layer in by_layer
        ),
        waste=tuple(inventory.waste.groups) if inventory.waste else (),
        same_content=tuple(same),
    )


def _steps(inventory: Inventory) -> Sequence[ExplainedStep]:
    found = []
    for index, layer in enumerate(inventory.layers):
        known = layer.step is not None and layer.step < len(inventory.steps)
        step = inventory.steps[layer.step] if known and layer.step is not None else None
        found.append(
            ExplainedStep(
                layer=index,
                command=(readable_command(step.created_by) if step else "") or f"layer {index + 1}",
                stage=step.stage if step else None,
                line=step.line if step else None,
                inherited=layer.inherited,
                size=layer.size,
                files=layer.files,
                hides=layer.hides,
            )
        )
    return found


def readable_command(created_by: str) -> str:
    """A history entry as an instruction: without the builder's own words around it, on one line."""
    text = created_by.removesuffix("# buildkit").strip()
    if text.startswith("/bin/sh -c #(nop)"):
        text = text.removeprefix("/bin/sh -c #(nop)").strip()
    elif text.startswith("/bin/sh -c "):
        text = f"RUN {text.removeprefix('/bin/sh -c ').strip()}"
    else:
        text = _SHELL.sub("RUN ", text)
    return " ".join(text.split())


def _paths(inventory: Inventory) -> list[ExplainedPath]:
    """Folders and files of at least 2 % of the image, without those whose size is nearly all one thing in them."""
    least = max(1, inventory.size // _WORTH_SHOWING)
    sizes: dict[str, int] = {}
    largest: dict[str, tuple[int, int]] = {}
    some = int(_NEARLY_ALL * least) // max(1, len(inventory.layers))  # one layer has that much of all that counts
    folders = {folder.path for folder in inventory.folders if folder.size >= some}
    files = {file.path for file in inventory.files if file.size >= some}
    for folder in [folder for folder in inventory.folders if folder.path in folders]:
        _add(folder.path + "/", folder.size, folder.layer, sizes, largest)
    for file in [file for file in inventory.files if file.path in files]:
        _add(file.path, file.size, file.layer, sizes, largest)
    hidden = {file.path for file in inventory.files if file.hidden}
    within: dict[str, int] = {}
    for path, size in sizes.items():
        parent = path.rstrip("/").rpartition("/")[0] + "/"
        if path != "/":
            within[parent] = max(within.get(parent, 0), size)
    found = [
        ExplainedPath(path=path, size=size, layer=largest[path][1], hidden=path in hidden)
        for path, size in sizes.items()
        if path != "/" and size >= least and within.get(path, 0) < _NEARLY_ALL * size
    ]
    return sorted(found, key=lambda one: (-one.size, one.path))


def _add(path: str, size: int, layer: int, sizes: dict[str, int], largest: dict[str, tuple[int, int]]) -> None:
    sizes[path] = sizes.get(path, 0) + size
    largest[path] = max(largest.get(path, (-1, 0)), (size, layer))
