"""What the HTML pages are made of comes along when the package is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import ci_budget

TEMPLATES = Path(ci_budget.__file__).parent / "core" / "render" / "html" / "templates"


def test_the_wheel_holds_every_template(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=Path(ci_budget.__file__).parent.parent,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if "/templates/" in name}
    here = {f"ci_budget/core/render/html/templates/{file.name}" for file in TEMPLATES.iterdir()}
    assert len(here) == 11
    assert held == here


def test_nothing_in_the_pages_is_fetched() -> None:
    """The page's own text names no address; the browser's tests see that it asks for none."""
    for file in TEMPLATES.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file
        assert "innerHTML" not in text, file
