"""dive's figures, against dive itself (the binary of the development tools, which reads archives without an engine)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ci_budget.core.layers.dive import dive_figures
from ci_budget.edges.layers.image_archives import read_archive
from tests.image_archives import Member, file, folder, layer, saved

DIVE = Path(sys.executable).parent / "dive"
NAMES = ("a", "b", "+", "é", "a/b", "a/c", "a/b/x", "a/b/y", "a/b/x/deep", "c/d/e", "c/d", "c/f", "z", "z/z")


def some_layer(rng: random.Random, *, lowest: bool) -> bytes:
    """Files, folders (parents always), and, but in the lowest one, markers; no file lies in a file."""
    members: dict[str, Member] = {}
    for _ in range(rng.randint(1, 7)):
        name = rng.choice(NAMES)
        parents = [name.rsplit("/", up)[0] for up in range(1, name.count("/") + 1)]
        kind = rng.choice(
            ("file", "file", "folder") if lowest else ("file", "file", "folder", "gone", "gone", "opaque")
        )
        inside = any(other.startswith(f"{name}/") for other in members)
        if members.keys() & parents or (kind == "file" and inside) or (kind == "folder" and name in members):
            continue
        before, _, last = name.rpartition("/")
        start = f"{before}/" if before else ""
        if kind == "file":
            members[name] = file(name, b"x" * rng.randint(0, 9))
        elif kind == "folder":
            members[f"{name}/"] = folder(f"{name}/")
        else:
            marker = f"{start}.wh.{last if kind == 'gone' else '.wh..opq'}"
            members[marker] = file(marker)
        members |= {f"{parent}/": folder(f"{parent}/") for parent in parents}
    return layer(*(member for _, member in sorted(members.items())))


@pytest.mark.parametrize("seed", range(60))
def test_images_of_any_layers(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    layers = [some_layer(rng, lowest=index == 0) for index in range(rng.randint(2, 5))]
    archive = tmp_path / "image.tar"
    archive.write_bytes(saved(layers, tags=True))
    words = [DIVE, "--json", tmp_path / "dive.json", f"docker-archive://{archive}"]
    done = subprocess.run(words, env={**os.environ, "CI": "true"}, capture_output=True, timeout=60)
    assert (tmp_path / "dive.json").exists(), done.stderr.decode()
    said = json.loads((tmp_path / "dive.json").read_text())["image"]
    figures = dive_figures(read_archive(archive, lambda _: False).layers)
    assert figures.wasted_bytes == said["inefficientBytes"]
    assert figures.efficiency == pytest.approx(said["efficiencyScore"], abs=1e-12)
