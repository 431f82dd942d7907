"""What `explain --against` says: text for a terminal, Markdown, JSON in exact bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import Contributor
from ci_budget.core.render.escape import code, escape_markdown, escape_terminal, silence_commands, silence_json
from ci_budget.core.render.growth import tell_changes, tell_split
from ci_budget.core.text.units import format_delta, format_size


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two images and what makes the difference; `contributors` add up to it."""

    name: str
    against: str
    after: Inventory
    before: Inventory
    contributors: list[Contributor]

    @property
    def delta(self) -> int:
        """Bytes more than before."""
        return self.after.size - self.before.size


def render_comparison_text(found: Comparison, *, top: int = 15, ascii_only: bool = False) -> str:
    """The comparison as lines, ended by a line break."""
    lines = [f"{found.name} against {found.against}", *(f"  {text}" for text in _summary(found))]
    if found.contributors:
        lines += ["", "What changed"]
        lines += [f"  {text}" for text in tell_changes(found.contributors, top)]
    shown = "\n".join(escape_terminal(line, ascii_only=ascii_only) for line in lines)
    return silence_commands(shown) + "\n"


def render_comparison_markdown(found: Comparison, *, top: int = 15) -> str:
    """The comparison as GitHub's Markdown; whatever comes from the images is escaped."""
    lines = [f"## {code(found.name)} against {code(found.against)}", ""]
    lines += [f"- {escape_markdown(text)}" for text in _summary(found)]
    if found.contributors:
        lines += ["", "### What changed", ""]
        lines += [f"- {escape_markdown(text)}" for text in tell_changes(found.contributors, top)]
    return "\n".join(lines) + "\n"


def render_comparison_json(found: Comparison) -> str:
    """The comparison in exact bytes."""
    document = {
        "schema_version": 1,
        "image": found.name,
        "against": found.against,
        "image_size": {"before": found.before.size, "after": found.after.size, "delta": found.delta},
        "layers": {"before": len(found.before.layers), "after": len(found.after.layers)},
        "contributors": [item.model_dump(mode="json") for item in found.contributors],
    }
    return silence_json(json.dumps(document, indent=2)) + "\n"


def _summary(found: Comparison) -> Iterator[str]:
    before, after = found.before, found.after
    if before.image_id == after.image_id:
        yield f"the same image, {format_size(after.size)}"
        return
    share = f" ({100 * found.delta / before.size:+.1f} %)" if before.size and found.delta else ""
    change = format_delta(found.delta, "bytes")
    yield f"image_size {format_size(before.size)} -> {format_size(after.size)}: {change}{share}"
    yield f"layers {len(before.layers)} -> {len(after.layers)}"
    if found.contributors:
        yield tell_split(found.contributors)
    if before.platform != after.platform:
        yield f"they are for different platforms: {before.platform or 'unknown'} and {after.platform or 'unknown'}"
    if not (before.instructions and after.instructions):
        yield "steps are told apart by the images' history alone: not both were built by ci-budget"
