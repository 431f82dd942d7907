"""What the HTML pages share: the templates, the policy that lets only their own script run, the data for it.

Everything that is printed is escaped by the template engine. The policy (CSP) is a second wall: it names the hash of
the one script and the one style, so that markup which got through could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import format_delta, format_seconds, format_size, format_value

_SCRIPTS: Final = ("page.js", "tables.js", "lines.js", "timeline.js", "treemap.js", "start.js")
_ISLAND: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"})


def render_page(template: str, *, data: object, **context: object) -> str:
    """The template as a whole page. `data`: what the script draws, as JSON."""
    environment = _environment()
    style = environment.get_template("style.css").render()
    script = "\n".join(environment.get_template(name).render() for name in _SCRIPTS)
    own = f"style-src {_hash(style)}; script-src {_hash(script)}"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    return environment.get_template(template).render(
        policy=policy, style=Markup(style), script=Markup(script), data=_island(data), **context  # noqa: S704 - our own files
    )  # fmt: skip


def size_of(data: object) -> int:
    """Bytes that `data` takes in the page."""
    return len(_island(data).encode())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ci_budget.core.render.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "size": format_size,
        "delta": format_delta,
        "value": format_value,
        "seconds": format_seconds,
    }
    environment.filters["number"] = lambda value: "" if value is None else value
    return environment


def _printable(value: object) -> object:
    """Control and bidi characters shown as escapes, as everywhere else."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _island(data: object) -> Markup:
    """JSON in which nothing can end the script element that holds it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).translate(_ISLAND)
    return Markup(text.encode("utf-8", "replace").decode())  # noqa: S704 - `<`, `>` and `&` are gone


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
