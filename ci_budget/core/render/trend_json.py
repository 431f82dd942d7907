"""The nightly report as JSON, for a workflow that acts on it: exact values, every image."""

from __future__ import annotations

import json
from typing import Any, Final

from ci_budget.core.history.overview import Overview, offences
from ci_budget.core.history.trend import Change, ImageTrend
from ci_budget.core.render.escape import silence_json
from ci_budget.core.render.trend_figures import day_text

SCHEMA_VERSION: Final = 1


def render_trend_json(overview: Overview) -> str:
    """`schema_version, repository, until, days, threshold, images[]`; the worst image first, `offences` say why."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "repository": overview.repository,
        "until": day_text(overview.until),
        "days": overview.days,
        "threshold": overview.threshold,
        "images": [_image(overview, image) for image in overview.images],
    }
    return silence_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def _image(overview: Overview, image: ImageTrend) -> dict[str, Any]:
    return {
        "name": image.image,
        "platform": image.platform,
        "verdict": image.verdict,
        "last_run": day_text(image.started),
        "commit": overview.commits.get(image.run) or None,
        "runs": image.runs,
        "release": image.release.tag if image.release is not None else None,
        "offences": list(offences(image, overview.threshold)),
        "metrics": {
            name: {
                "value": trend.last,
                "first": trend.first,
                "days": trend.days,
                "slope_per_day": trend.slope,
                "budget": trend.budget,
                "days_until_budget": trend.days_left,
                "released": trend.released,
                "drift": trend.drift,
            }
            for name, trend in image.trends.items()
        },
        "changes": [_change(overview, change) for change in image.changes],
    }


def _change(overview: Overview, change: Change) -> dict[str, Any]:
    return {
        "day": day_text(change.started),
        "metric": change.metric,
        "before": change.before,
        "after": change.after,
        "commit": overview.commits.get(change.run) or None,
        "previous_commit": overview.commits.get(change.previous) or None,
        "base_changed": change.bases_differ,
    }
