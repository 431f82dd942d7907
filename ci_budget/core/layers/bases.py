"""How many of an image's lowest layers came from its base, where no build tells: by what its history looks like."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.layers.model import HistoryStep, ImageLayers

_STARTS = ("CMD", "ENTRYPOINT")
_NO_INSTRUCTION = ("Imported from ", "merge sha256:")
"""What `docker import` and `docker build --squash` write of a layer."""
_MAKERS = ("ADD", "COPY", "RUN", "WORKDIR", "/BIN/SH")


def guess_inherited(history: Sequence[HistoryStep], layers: int) -> int:
    """The number of layers that look like the base image's, of an image of so many; 0 where none or all do.

    An image's Dockerfile ends with what it starts (CMD, ENTRYPOINT): a layer above one is another image's. A lowest
    layer that no instruction made is a base's root filesystem.
    """
    found = made = ended = 0
    for step in history:
        word = _word(step.created_by)
        if step.layer is None:
            ended = made if word in _STARTS else ended
            continue
        made = step.layer + 1
        is_root = step.layer == 0 and word not in _MAKERS and not word.startswith("|")
        found = max(found, ended, int(is_root))
    return found if found < layers else 0


def unknown_layers(image: ImageLayers) -> int:
    """How many of the image's own layers no instruction of its history tells of."""
    told = {
        step.layer
        for step in image.history
        if step.created_by.removesuffix("# buildkit").strip() and not step.created_by.startswith(_NO_INSTRUCTION)
    }
    return sum(index not in told for index in range(image.inherited, len(image.layers)))


def _word(created_by: str) -> str:
    """The instruction's name in capitals."""
    words = created_by.removeprefix("/bin/sh -c #(nop)").split(maxsplit=1)
    return words[0].upper() if words else ""
