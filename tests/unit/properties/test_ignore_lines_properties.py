"""Whatever tree, whatever COPYs: the lines to add keep out nothing that a COPY names, and a second look finds none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.sources import select_sources
from ci_budget.core.findings.ignore_lines import add_lines, propose_lines
from tests.unit.finding_samples import context

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "tests",
        "docs",
        ".git",
        "__pycache__",
        "x.pyc",
        "y.md",
        "pyvenv.cfg",
        "node_modules",
        "target",
        "Cargo.toml",
        "dist",
        "package.json",
        "z.egg-info",
        ".venv",
        ".DS_Store",
        "a*",
        "[b]",
        "!c",
        "#d",
        "e f",
        "é",
    ]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TREES = st.lists(PATHS, min_size=1, max_size=14, unique=True).map(
    lambda paths: [one for one in paths if not any(other.startswith(f"{one}/") for other in paths)]
)
SOURCES = st.one_of(PATHS, st.sampled_from([".", "*", "a", "*.md", "tests/*", "?", "docs/**"]))


RUNS = st.sampled_from(["", "RUN npm ci && npm run build && cargo build && pip install .\n"])


@given(tree=TREES, sources=st.lists(SOURCES, min_size=1, max_size=4), exclude=st.none() | NAMES, run=RUNS)
def test_nothing_that_is_named_goes(tree: list[str], sources: list[str], exclude: str | None, run: str) -> None:
    words = ", ".join(f'"{source}"' for source in [*sources, "/x/"])
    flag = f"--exclude={exclude} " if exclude and exclude.isalpha() else ""
    dockerfile = f"FROM scratch\nCOPY {flag}[{words}]\n{run}"
    use = context(dockerfile, dict.fromkeys(tree, 100))
    lines = propose_lines(use)
    rules = IgnoreRules.parse(add_lines(b"", lines))
    gone = {path for path in tree if rules.ignores(path)}
    named = [source for source in use.sources if source.path not in (".", "*", "**")]
    selected = select_sources(use.measure, named)
    assert not [path for path in gone if selected.has(path)]
    used = select_sources(use.measure, use.sources)
    if not use.sweeps:
        assert not [path for path in tree if path not in gone and not used.has(path)]
    again = context(dockerfile, dict.fromkeys([path for path in tree if path not in gone], 100))
    assert propose_lines(again) == ()
