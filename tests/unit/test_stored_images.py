"""Images as they are stored: everything that `explain` says of one that was not built here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_budget.commands.explained_images import find_image
from ci_budget.core.inventory.explanation import explain_inventory
from ci_budget.core.layers.bases import guess_inherited
from ci_budget.core.layers.model import HistoryStep
from ci_budget.core.render.explanation import render_explanation_json, render_explanation_text
from ci_budget.edges.reading_progress import ReadingProgress
from tests.image_archives import file, layer, saved, write_layout

QUIET = ReadingProgress(None, live=False)
MB = 1_000_000
LAYERS = [
    layer(file("srv/base.bin", b"b" * MB)),
    layer(file("srv/model.safetensors", b"m" * 2 * MB)),
    layer(file("srv/.wh.base.bin")),
]


@pytest.mark.parametrize("scheme", ["archive", "oci-dir"])
def test_findings_of_layers_alone(tmp_path: Path, scheme: str) -> None:
    place = write_layout(tmp_path / "layout", LAYERS)
    if scheme == "archive":
        place = tmp_path / "saved.tar"
        place.write_bytes(saved(LAYERS))
    found = find_image(f"{scheme}://{place}", config=None, platform=None, progress=QUIET)
    explanation = explain_inventory(found.name, found.inventory)
    said = json.loads(render_explanation_json(explanation, found.report))
    assert [(one["rule"], one["bytes"], one["file"], one["line"]) for one in said["findings"]] == [
        ("model-weights", 2 * MB, None, None), ("deleted-later", MB, None, None),
    ]  # fmt: skip
    assert said["findings"][1]["message"].startswith("`RUN 2` deletes 1.00 MB that `RUN 0` wrote")
    text = render_explanation_text(explanation, found.report)
    assert "What to do about it\n  model-weights (2.00 MB)" in text
    assert text.endswith("`ci-budget check` builds the image and says which lines of its Dockerfile brought this\n")


def test_an_image_without_layers(tmp_path: Path) -> None:
    (tmp_path / "empty.tar").write_bytes(saved([]))
    found = find_image(f"archive://{tmp_path}/empty.tar", config=None, platform=None, progress=QUIET)
    text = render_explanation_text(explain_inventory(found.name, found.inventory), found.report)
    assert "0 B in 0 layers; 0 files" in text


DEBIAN = ("# debian.sh --arch 'amd64' out/ 'bookworm'", "-CMD bash")
PYTHON = (*DEBIAN, "-ENV PATH=/x", "RUN /bin/sh -c make # buildkit", '-CMD ["python3"]')


@pytest.mark.parametrize(
    ("history", "inherited"),
    [
        ((), 0),
        (("Imported from -", "RUN a", "-CMD x"), 1),
        (("Imported from -",), 0),
        (("", "RUN a"), 1),
        (("RUN a", "COPY b /", "-ENTRYPOINT x"), 0),
        (("|1 A=b /bin/sh -c make", "RUN a"), 0),
        (("/bin/sh -c #(nop) ADD file:1 in / ", '-/bin/sh -c #(nop)  CMD ["bash"]', "/bin/sh -c make"), 1),
        (DEBIAN, 0),
        (PYTHON, 1),
        ((*PYTHON, "WORKDIR /a", "COPY . . # buildkit", '-CMD ["serve"]'), 2),
        (("COPY / /", "-CMD x", "-LABEL a=b", "RUN a", "-CMD y", "-ENTRYPOINT z"), 1),
        (("ADD file:1 /", "RUN a", "RUN b"), 0),
        (("COPY a /", "RUN b"), 0),
        (("WORKDIR /a", "RUN b"), 0),
        (("/bin/sh -c a", "RUN b"), 0),
        (("RUN a", "-ENTRYPOINT x", "RUN b"), 1),
        (("RUN a", "-CMD x", "RUN b", "-CMD y", "RUN c"), 2),
    ],
)
def test_the_layers_that_look_like_the_base_image_s(history: tuple[str, ...], inherited: int) -> None:
    """`-` marks steps that made no layer."""
    steps, layers = [], 0
    for text in history:
        steps.append(HistoryStep(text.removeprefix("-"), None if text.startswith("-") else layers))
        layers += not text.startswith("-")
    assert guess_inherited(steps, layers) == inherited
