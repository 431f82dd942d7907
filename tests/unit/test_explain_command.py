"""`explain` on the command line: which image it takes, what it refuses, and where it says so."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.explained_images import find_image
from ci_budget.core.inventory.model import Inventories
from ci_budget.core.inventory.storage import render_inventories, render_inventory
from ci_budget.core.text.units import format_size
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.files.report_files import INVENTORY_NAME
from ci_budget.edges.layers.engine_layers import EngineLayers
from ci_budget.edges.reading_progress import ReadingProgress
from tests import image_archives
from tests.image_archives import file, layer, saved, write_layout
from tests.unit.history_samples import built, commit, night, write_report
from tests.unit.inventory_samples import MB, service

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, with a state directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "ci-budget"))
    return tmp_path


@pytest.fixture
def explain(place: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Runs `explain`; returns the exit code, and what was said on standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["explain", *arguments])
        done = capsys.readouterr()
        return code, done.out.replace(str(place), "PLACE"), done.err.replace(str(place), "PLACE")

    return run


def put_report(folder: Path, **images: object) -> Path:
    """A report of these images (name and inventory) in `folder`."""
    write_report(folder, night(0, *(built(name) for name in images)))
    (folder / INVENTORY_NAME).write_bytes(render_inventories(Inventories.model_validate({"images": images})))
    return folder


@pytest.mark.parametrize("kind", ["archive", "oci-dir", "report"])
def test_an_image_for_another_platform_is_refused(place: Path, explain: Explain, kind: str) -> None:
    layers = [layer(file("a", b"a"))]
    if kind == "archive":
        (place / "image").write_bytes(saved(layers))
    elif kind == "oci-dir":
        write_layout(place / "image", layers)
    else:
        put_report(place / "image", web=service().inventory().model_copy(update={"platform": "linux/amd64"}))
    name = "image#web" if kind == "report" else f"{kind}://image"
    refused = {
        "oci-dir": "image: there is no image for linux/arm64 to read; platforms: linux/amd64\n"
        "  Name one with --platform.\n"
    }.get(
        kind,
        f"ci-budget: {name} is for linux/amd64, not for linux/arm64\n  Leave --platform out to look at this one.\n",
    )
    reading = "" if kind == "report" else f"ci-budget: reading {name}{' (20.5 kB)' if kind == 'archive' else ''}\n"
    assert explain(name, "--platform", "linux/arm64") == (3, "", reading + refused)
    assert explain(name, "--platform", "linux/x86_64")[0] == 0
    assert explain(name, "--platform", "linux//amd64") == (
        2, "", "ci-budget: --platform: 'linux//amd64' is no platform of the form os/arch or os/arch/variant\n",
    )  # fmt: skip


def test_the_report_that_is_taken_is_named(place: Path, explain: Explain) -> None:
    old, new = service(), service().add("app/model.bin", 7 * MB)
    put_report(place / "ci-budget" / "report", web=new.inventory())
    put_report(place / "old", web=old.inventory())
    taken = (
        "ci-budget: web is taken from the last report, PLACE/ci-budget/report/report.json "
        f"(2026-03-01T02:00:00Z, commit {commit(0)[:12]})\n"
    )
    code, said, told = explain("web")
    assert (code, said.splitlines()[0], told) == (0, "web", taken)
    code, said, told = explain("web", "--against", "old/", "--format", "json")
    assert (code, json.loads(said)["image_size"]["delta"], told) == (0, 7 * MB, taken)
    assert explain("old/")[2] == "", "it was named"


def test_an_inventory_beside_a_baseline_is_an_image(place: Path, explain: Explain) -> None:
    old, new = service(), service().add("app/model.bin", 7 * MB)
    put_report(place / "new", web=new.inventory().model_copy(update={"image_id": "sha256:new"}))
    kept = place / ".ci-budget" / "inventory" / "web.zst"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(render_inventory(old.inventory()))
    assert explain("new/", "--against", ".ci-budget/inventory/web.zst") == (
        0,
        "web against .ci-budget/inventory/web.zst\n"
        "  image_size 40.0 MB -> 47.0 MB: +7.00 MB (+17.5 %)\n"
        "  layers 2 -> 2\n"
        "  dependency drift +7.00 MB\n"
        "\n"
        "What changed\n"
        "  +7.00 MB /app/model.bin (new, dependency drift, line 11)\n",
        "",
    )
    assert explain(".ci-budget/inventory/web.zst")[1].splitlines()[0] == ".ci-budget/inventory/web.zst"
    assert explain("new/inventory.json.zst")[1].splitlines()[0] == "web"
    assert explain(".ci-budget/inventory/api.zst")[::2] == (
        2,
        "ci-budget: there is no inventory .ci-budget/inventory/api.zst\n"
        "  `ci-budget baseline update` keeps one of each image beside the baseline.\n",
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("scheme", ["archive", "oci-dir"])
def test_what_is_read_from_a_stream_shows_how_far_it_is(place: Path, scheme: str) -> None:
    layers = [layer(file("a", b"a" * 3 * MB)), layer(file("b", os.urandom(MB)))]
    write_layout(place / "image", layers)
    (place / "image.tar").write_bytes(saved(layers))
    name = f"{scheme}://image{'.tar' if scheme == 'archive' else ''}"
    seconds = itertools.count(0.0, 4.0)
    shown = {True: _Terminal(), False: io.StringIO()}
    for live, stream in shown.items():
        progress = ReadingProgress(stream, live=live, clock=lambda: next(seconds))
        find_image(name, config=None, platform=None, progress=progress)
    whole = f" of {format_size((place / 'image.tar').stat().st_size)}" if scheme == "archive" else ""
    lines = shown[False].getvalue().splitlines()
    assert lines[0] == f"ci-budget: reading {name}{whole.replace(' of', ' (')}{')' if whole else ''}".replace("( ", "(")
    assert len(lines) > 1
    assert all(re.fullmatch(rf"ci-budget: reading {name}: [0-9.]+ [kM]?B{whole}", line) for line in lines[1:]), lines
    drawn = shown[True].getvalue().split("\r\x1b[K")
    assert (drawn[0], drawn[1], drawn[-1]) == ("", f"reading {name}", "")
    assert re.fullmatch(rf"[0-9.]+ MB{whole}  reading {name}", drawn[-2])


def test_progress_fits_a_narrow_terminal_and_survives_its_reader(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "image.tar").write_bytes(saved([layer(file("a", b"a"))]))
    monkeypatch.setenv("COLUMNS", "12")
    stream = _Terminal()
    progress = ReadingProgress(stream, live=True)
    find_image("archive://image.tar", config=None, platform=None, progress=progress)
    assert stream.getvalue() == "\r\x1b[Kreading arc\r\x1b[K"
    stream.close()
    assert (
        find_image("archive://image.tar", config=None, platform=None, progress=progress).name == "archive://image.tar"
    )


BY_LAYER = ["layer 1", "layer 2", "layer 3"]


@pytest.mark.parametrize(
    ("history", "unknown", "steps"),
    [
        (None, 3, BY_LAYER),
        ([], 3, BY_LAYER),
        ({"a": 1}, 3, BY_LAYER),
        ([{"created_by": "RUN a"}] * 7, 3, BY_LAYER),
        # the lowest one looks like a base image's
        ([{"created_by": ""}] * 3, 2, BY_LAYER),
        ([{"created_by": " # buildkit"}, {"created_by": None}, {"created_by": ["a"]}], 2, BY_LAYER),
        (
            [{"comment": "Imported from -"}, {"created_by": "RUN a"}, {"comment": "merge sha256:a to sha256:b"}],
            1,
            ["Imported from -", "RUN a", "merge sha256:a to sha256:b"],
        ),
    ],
)
def test_a_history_without_texts(
    place: Path,
    explain: Explain,
    monkeypatch: pytest.MonkeyPatch,
    history: object,
    unknown: int,
    steps: list[str],
) -> None:
    whole = image_archives.config

    def config(layers: Sequence[bytes]) -> bytes:
        document = json.loads(whole(layers)) | {"history": history}
        return json.dumps({key: value for key, value in document.items() if value is not None}).encode()

    monkeypatch.setattr(image_archives, "config", config)
    layers = [layer(file("b", b"b" * MB)), layer(file("m.safetensors", b"m" * 2 * MB)), layer(file(".wh.b"))]
    (place / "image.tar").write_bytes(saved(layers))
    (place / "other.tar").write_bytes(saved(layers[:2]))
    code, said, _ = explain("archive://image.tar", "--format", "json")
    found = json.loads(said)
    assert code == 0
    assert [step["command"] for step in sorted(found["steps"], key=lambda step: step["layer"])] == steps
    assert [note for note in found["notes"] if "look like the base" not in note] == [
        f"the image's history names no instruction for {unknown} of 3 layers (imported or squashed, or nobody told): "
        "which step brought what they hold is not known"
    ]
    assert explain("archive://image.tar", "--against", "archive://other.tar")[0] == 0


KINDS = (
    "An image that lies elsewhere is named local://NAME, registry://NAME, oci-dir://FOLDER or archive://FILE, one of a "
    "report FOLDER/, one of a baseline .ci-budget/inventory/NAME.zst; `check --against REF` compares revisions."
)


def test_what_is_no_image_says_how_one_is_named(place: Path, explain: Explain) -> None:
    none = "ci-budget: there is no report of 'busybox:1' yet: PLACE/ci-budget/report holds none"
    check = "Run `ci-budget check` with --report FOLDER, and name the FOLDER."
    assert explain("busybox:1") == (2, "", f"{none}\n  {check} {KINDS}\n")
    (place / "ci-budget.yml").write_text("version: 1\nimages: {web: {}}\n")
    put_report(place / "ci-budget" / "report", web=service().inventory())
    code, said, told = explain("web", "--against", "main")
    assert (code, said) == (2, "")
    assert told.endswith(f"ci-budget: there is no image 'main' in this config; known images: web\n  {KINDS}\n")
    (place / "image.tar").write_bytes(b"\xff")
    assert explain("./image.tar") == (2, "", f"image.tar: this is no report\n  {KINDS}\n")
    (place / "ci-budget" / "report" / INVENTORY_NAME).unlink()
    assert explain("web")[2].endswith(
        f": this report has no {INVENTORY_NAME}\n  Run `ci-budget check --report FOLDER` again.\n"
    )


class _Engine:
    """An engine whose layer directories cannot be read, so that it has to save the image."""

    def saved(self, _image: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return contextlib.nullcontext(io.BytesIO(saved([layer(file("a", b"a" * 3 * MB))])))


def test_a_local_image_without_directories_shows_how_far_it_is() -> None:
    facts = ImageFacts(
        id="sha256:1", platform="linux/amd64", diff_ids=("sha256:2",), onbuild=(), repo_digests=(), layer_folders=None
    )
    stream = io.StringIO()
    seconds = itertools.count(0.0, 6.0)
    progress = ReadingProgress(stream, live=False, clock=lambda: next(seconds))
    layers = EngineLayers(_Engine())  # type: ignore[arg-type]
    found = layers.read(facts, lambda _: False, watch=partial(progress.watching, "local://web"))
    assert found.layers.layers[0].size == 3 * MB
    first, *others = stream.getvalue().splitlines()
    assert first == "ci-budget: reading local://web"
    assert others
    assert all(re.fullmatch(r"ci-budget: reading local://web: [0-9.]+ [kM]B", line) for line in others), others
