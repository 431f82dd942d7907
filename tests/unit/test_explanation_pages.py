"""Whole pages of an explanation: Markdown, and JSON with everything in bytes."""

from __future__ import annotations

import json

from ci_budget.core.inventory.explanation import explain_inventory
from ci_budget.core.records.report import Finding, ImageReport
from ci_budget.core.render.explanation import (
    render_explanation_json,
    render_explanation_markdown,
    render_explanation_text,
)
from tests.unit.test_explanation import MB, report, sample

MARKDOWN = r"""## app

- 100 MB in 3 layers, 1 of them from the base image; 5 files
- wasted: 4.00 MB (overwritten 0 B, deleted later 4.00 MB, hidden 0 B)
- linux/amd64; IMAGE; read from the engine's layer directories
- note: read &#124; late

### Steps by size

| size | share | hides | where | step |
|---:|---:|---:|---|---|
| 60.0 MB | 60 % | &#45; | runtime:3 | <code>RUN fetch the &#92; model</code> |
| 24.0 MB | 24 % | &#45; | base image | `ADD file:123 in /` |

and 1 more

### Paths by size

| size | where | path |
|---:|---|---|
| 76.0 MB | runtime:3 | `opt/` |
| 60.0 MB | runtime:3 | `opt/app/model.bin` |

and 3 more

### Packages by size

| size | by | where | package |
|---:|---|---|---|
| 50.0 MB | pip | runtime:3 | `torch 2.1` |

### Wasted by size

| size | files | cause | written by | hidden by | largest |
|---:|---:|---|---|---|---|
| 4.00 MB | 1 | deleted | base image | runtime:5 | `usr/old` |

### The same content more than once

| size | times | paths |
|---:|---:|---|
| 2.00 MB | 2 | `a, b` |

### Disk by step of the build (~: line found by the step's name)

| wrote | kept | gave back |  | where | step |
|---:|---:|---:|---|---|---|
| 90.0 MB | 60.0 MB | 30.0 MB | peak | runtime:&#126;3 | `RUN fetch the model` |
| 16.0 MB | 16.0 MB | 0 B |  | runtime:5 | `COPY . /opt` |

### What to do about it

- r (5.00 MB): says. Do.
- q: m. n.
""".replace("IMAGE", f"sha256:{'1' * 64}")


def noted() -> ImageReport:
    findings = [
        Finding(rule="r", severity="note", bytes=5 * MB, message="says.", mend="Do."),
        Finding(rule="q", severity="note", bytes=None, message="m.", mend="n."),
    ]
    return report().model_copy(update={"notes": ["read | late"], "findings": findings})


def test_markdown() -> None:
    found = explain_inventory("app", sample())
    assert render_explanation_markdown(found, noted(), top=2) == MARKDOWN
    assert render_explanation_markdown(found, noted(), top=1).endswith("- r (5.00 MB): says. Do.\n")
    assert "What to do about it" not in render_explanation_markdown(found, report())


def test_notes_and_findings_on_a_terminal() -> None:
    found = explain_inventory("app", sample())
    text = render_explanation_text(found, noted())
    assert "\n  note: read | late\n" in text
    assert "\n\nWhat to do about it\n  r (5.00 MB): says. Do.\n  q: m. n.\n\nNext: " in text
    assert "What to do about it\n  r (5.00 MB): says. Do.\n\nNext: " in render_explanation_text(found, noted(), top=1)
    coloured = render_explanation_text(found, noted(), colour=True)
    assert coloured.startswith("\x1b[1mapp\x1b[0m\n")
    assert "\x1b" not in text


def test_json() -> None:
    found = json.loads(render_explanation_json(explain_inventory("app", sample()), noted()))
    assert list(found) == [
        "schema_version", "name", "image_id", "platform", "size", "source", "wasted_bytes", "waste", "dive", "steps",
        "paths", "packages", "same_content", "build_steps", "findings", "notes",
    ]  # fmt: skip
    plain = {key: found[key] for key in ("schema_version", "name", "image_id", "platform", "source", "notes")}
    assert plain == {
        "schema_version": 1, "name": "app", "image_id": f"sha256:{'1' * 64}", "platform": "linux/amd64",
        "source": "the engine's layer directories", "notes": ["read | late"],
    }  # fmt: skip
    assert found["waste"] == {
        "overwritten": 0, "deleted": 4 * MB, "hidden": 0,
        "groups": [
            {"cause": "deleted", "wrote": 0, "hid": 2, "size": 4 * MB, "files": 1, "largest": "usr/old"}
        ],
        "largest": [
            {"path": "usr/old", "size": 4 * MB, "cause": "deleted", "wrote": 0, "hid": 2, "hid_by": "usr/old"}
        ],
    }  # fmt: skip
    assert found["paths"][0] == {"path": "opt/", "size": 76 * MB + 10, "layer": 1, "hidden": False}
    assert found["same_content"] == [{"size": 2 * MB, "sha256": "0" * 64, "paths": ["a", "b"], "files": 1}]
    assert [one["rule"] for one in found["findings"]] == ["r", "q"]
    bare = sample().model_copy(update={"same_content": None, "waste": None, "dive": None})
    found = json.loads(render_explanation_json(explain_inventory("app", bare), noted()))
    assert [found[key] for key in ("same_content", "waste", "dive", "wasted_bytes")] == [None] * 4
