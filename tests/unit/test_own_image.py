"""The image in which sandboxes run is that of the very code that asks for it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from ci_budget import __version__
from ci_budget.commands.prune import protected_images
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox.privileged_container import own_image_name


def test_its_name_changes_with_the_code_and_the_dockerfile_and_with_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "clone" / "ci_budget"
    (package / "core" / "__pycache__").mkdir(parents=True)
    (package / "core" / "plan.py").write_text("x = 1\n")
    names = [own_image_name(package)]
    (package.parent / "README.md").write_text("Beside it.\n")
    (package / "core" / "__pycache__" / "plan.pyc").write_bytes(b"\0")
    assert own_image_name(package) == names[0]
    for path, text in (
        (package.parent / "Dockerfile", "FROM a\n"),
        (package.parent / "Dockerfile", "FROM b\n"),
        (package / "core" / "plan.py", "x = 2\n"),
        (package / "core" / "page.html", ""),
    ):
        path.write_text(text)
        names.append(own_image_name(package))
    (package / "core" / "page.html").rename(package / "page.html")
    names.append(own_image_name(package))
    assert len(set(names)) == 6
    assert all(re.fullmatch(rf"ci-budget-sandbox:{re.escape(__version__)}-[0-9a-f]{{12}}", name) for name in names)


def test_prune_knows_it_beside_the_bases() -> None:
    ids = {"python:3.11-slim": "sha256:base", own_image_name(): "sha256:own", "ci-budget-sandbox:0.1.0": "sha256:old"}
    engine = SimpleNamespace(image=lambda name: SimpleNamespace(id=ids[name]) if name in ids else None)
    found = protected_images(["python:3.11-slim", "none:1"], cast("DockerEngine", engine))
    assert found == {"sha256:base", "sha256:own"}
