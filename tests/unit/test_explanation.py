"""`explain` on one image: whole texts, and what is escaped."""

from __future__ import annotations

import json

from ci_budget.core.inventory.building import BuildFacts, build_inventory
from ci_budget.core.inventory.explanation import explain_inventory, readable_command
from ci_budget.core.inventory.model import Inventory, Manager, PackageRecord, SameContent
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Kind, Layer
from ci_budget.core.layers.waste import measure_waste
from ci_budget.core.records.report import ImageReport, StepReport, Verdict
from ci_budget.core.render.disk_steps import peak_step_lines
from ci_budget.core.render.explanation import (
    render_explanation_json,
    render_explanation_markdown,
    render_explanation_text,
)

MB = 1_000_000


def f(path: str, size: int) -> Entry:
    return Entry(path, Kind.FILE, size)


def sample(hostile: str = "") -> Inventory:
    layers = (
        Layer("sha256:a", (f("usr/lib/base.so", 20 * MB), f("usr/old", 4 * MB))),
        Layer("sha256:b", (f(f"opt/app/model{hostile}.bin", 60 * MB), f("opt/app/tiny", 10))),
        Layer("sha256:c", (Entry("usr/old", Kind.WHITEOUT), f("opt/copy.bin", 16 * MB))),
    )
    history = (
        HistoryStep("/bin/sh -c #(nop) ADD file:123 in / ", 0),
        HistoryStep(f"RUN /bin/sh -c fetch{hostile}   the \\\n model # buildkit", 1, "runtime", 3),
        HistoryStep("ENV A=b", None, "runtime", 4),
        HistoryStep("COPY . /opt # buildkit", 2, "runtime", 5),
    )
    image = ImageLayers("sha256:" + "1" * 64, layers, history, 1, "the engine's layer directories")
    packages = [
        PackageRecord(manager=Manager.PIP, name=f"torch{hostile}", version="2.1", size=50 * MB, layer=1, path="p")
    ]
    return build_inventory(
        image,
        packages,
        waste=measure_waste(image),
        facts=BuildFacts(platform="linux/amd64"),
        same_content=[SameContent(size=2 * MB, sha256="0" * 64, paths=["a", "b"])],
    )


def report() -> ImageReport:
    steps = [
        StepReport(
            name="[runtime 2/3] RUN fetch the model", stage="runtime", line=3, start_ms=0, end_ms=9, added=60 * MB,
            wrote=90 * MB, gave_back=30 * MB, peak=99 * MB, at_peak=True, located_by="names",
        ),
        StepReport(
            name="[runtime 3/3] COPY . /opt", stage="runtime", line=5, start_ms=9, end_ms=12, added=16 * MB,
            wrote=16 * MB, gave_back=0, peak=99 * MB, located_by="provenance",
        ),
        StepReport(name="exporting to image", stage=None, line=None, start_ms=12, end_ms=13, added=0, wrote=0),
    ]  # fmt: skip
    return ImageReport(name="app", verdict=Verdict.PASS, exit_code=0, dockerfile="app/Dockerfile", steps=steps)


TEXT = """\
app
  100 MB in 3 layers, 1 of them from the base image; 5 files
  wasted: 4.00 MB (overwritten 0 B, deleted later 4.00 MB, hidden 0 B)
  linux/amd64; sha256:1111111111111111111111111111111111111111111111111111111111111111; read from
the engine's layer directories

Steps by size
   size  share    hides  where       step
60.0 MB   60 %        -  runtime:3   RUN fetch the \\ model
24.0 MB   24 %        -  base image  ADD file:123 in /
16.0 MB   16 %  4.00 MB  runtime:5   COPY . /opt

Paths by size
   size  where       path
76.0 MB  runtime:3   opt/
60.0 MB  runtime:3   opt/app/model.bin
20.0 MB  base image  usr/lib/base.so
16.0 MB  runtime:5   opt/copy.bin
4.00 MB  base image  usr/old (hidden)

Packages by size
   size  by   where      package
50.0 MB  pip  runtime:3  torch 2.1

Wasted by size
   size  files  cause    written by  hidden by  largest
4.00 MB      1  deleted  base image  runtime:5  usr/old

The same content more than once
   size  times  paths
2.00 MB      2  a, b

Disk by step of the build (~: line found by the step's name)
  wrote     kept  gave back        where       step
90.0 MB  60.0 MB    30.0 MB  peak  runtime:~3  RUN fetch the model
16.0 MB  16.0 MB        0 B        runtime:5   COPY . /opt

Next: ci-budget explain app --format json has every number in bytes
"""


def test_the_whole_text() -> None:
    assert render_explanation_text(explain_inventory("app", sample()), report()) == TEXT


def test_short_lists_say_what_they_leave_out() -> None:
    text = render_explanation_text(explain_inventory("app", sample()), report(), top=2)
    assert "  and 1 more (--top shows more)\n" in text
    assert "usr/lib/base.so" not in text


def test_the_steps_at_the_peak() -> None:
    assert peak_step_lines(report()) == [
        "At the peak ran `RUN fetch the model` in app/Dockerfile:3 (found by its name): wrote 90.0 MB, kept 60.0 MB, "
        "gave back 30.0 MB"
    ]


def test_json_has_bytes_places_and_dives_figures() -> None:
    found = json.loads(render_explanation_json(explain_inventory("app", sample()), report()))
    assert (found["size"], found["wasted_bytes"]) == (100 * MB + 10, 4 * MB)
    assert found["dive"] == {"efficiency": 96_000_010 / 100_000_010, "wasted_bytes": 4 * MB}
    assert found["steps"][0] == {
        "layer": 1, "diff_id": "sha256:b", "command": "RUN fetch the \\ model", "stage": "runtime", "line": 3,
        "inherited": False, "size": 60 * MB + 10, "files": 2, "hides": 0,
    }  # fmt: skip
    assert found["packages"] == [
        {"manager": "pip", "name": "torch", "version": "2.1", "size": 50 * MB, "layer": 1, "path": "p",
         "stage": "runtime", "line": 3}
    ]  # fmt: skip
    assert [step["wrote"] for step in found["build_steps"]] == [90 * MB, 16 * MB, 0]


def test_nothing_of_an_image_speaks_to_the_terminal_or_the_runner() -> None:
    hostile = explain_inventory("app", sample("\x1b[31m\n::error::x<img>|@me"))
    text = render_explanation_text(hostile, report())
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    markdown = render_explanation_markdown(hostile, report())
    assert "<img>" not in markdown
    assert "\x1b" not in markdown
    assert "@me" not in markdown.replace("&#64;", "")
    assert not [line for line in markdown.splitlines() if line.startswith("|") and line.count("|") - 1 > 6]


def test_commands_as_a_person_reads_them() -> None:
    assert [
        readable_command(text)
        for text in (
            "RUN /bin/sh -c pip install x # buildkit",
            "/bin/sh -c apt-get update",
            '/bin/sh -c #(nop)  CMD ["bash"]',
            "COPY a b # buildkit",
            "RUN |1 A=b /bin/sh -c make # buildkit",
        )
    ] == ["RUN pip install x", "RUN apt-get update", 'CMD ["bash"]', "COPY a b", "RUN make"]


def test_no_figure_and_no_path_is_cut_for_a_long_name() -> None:
    """A cut `60.0 MB` would be 60.0, or 6."""
    name = "a-very-long-name-of-a-stage-of-a-service-in-a-large-repository"
    inventory = sample()
    steps = [step.model_copy(update={"stage": name}) if step.stage else step for step in inventory.steps]
    inventory = inventory.model_copy(update={"steps": steps})
    for width in (60, 80, 100):
        lines = render_explanation_text(explain_inventory("web", inventory), report(), width=width).splitlines()
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        for title, start in (
            ("Steps by size", "60.0 MB   60 %"), ("Paths by size", "60.0 MB  "), ("Packages by size", "50.0 MB  pip  "),
            ("Wasted by size", "4.00 MB      1"),
        ):  # fmt: skip
            (section,) = [part for part in text.split("\n\n") if part.startswith(title)]
            assert any(line.strip().startswith(start) for line in section.splitlines()), section
            assert section.count("-") >= name.count("-"), "the whole name"
