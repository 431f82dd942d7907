"""`explain --against`: what changed between two images. Nothing is built."""

from __future__ import annotations

import sys
from functools import partial

from ci_budget.commands.explain_options import ExplainOptions
from ci_budget.commands.explained_images import find_image
from ci_budget.core.inventory.changes import compare
from ci_budget.core.render.comparison import (
    Comparison,
    render_comparison_json,
    render_comparison_markdown,
    render_comparison_text,
)
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from ci_budget.edges.reading_progress import ReadingProgress


def explain_difference(options: ExplainOptions, against: str, ahead: ReadingAhead, progress: ReadingProgress) -> str:
    """The comparison of the image with `against`, the older one, as the options want it.

    Raises CiBudgetError where one of them cannot be had.
    """
    find = partial(find_image, config=options.config, platform=options.platform, ahead=ahead, progress=progress)
    after, before = find(options.image), find(against)
    found = Comparison(
        name=after.name if after.name != before.name else options.image,
        against=before.name if after.name != before.name else against,
        after=after.inventory,
        before=before.inventory,
        contributors=compare(before.inventory, after.inventory),
    )
    if options.format == "json":
        return render_comparison_json(found)
    if options.format == "markdown":
        return render_comparison_markdown(found, top=options.top)
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    return render_comparison_text(found, top=options.top, ascii_only=ascii_only)
