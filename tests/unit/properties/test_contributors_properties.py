"""Contributors add up to the difference of two images, whatever is in them, and whatever their inventories claim."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.inventory.changes import REST, compare
from tests.unit.inventory_samples import Image

PATHS = st.lists(st.sampled_from(["a", "b", "usr", "lib", "x.so"]), min_size=1, max_size=5).map("/".join)
FILES = st.lists(
    st.tuples(
        st.integers(0, 3),
        PATHS,
        st.one_of(st.integers(0, 5000), st.integers(0, 10**9)),
        st.sampled_from([None, None, "torch", "numpy"]),
        st.sampled_from(["1", "2"]),
    ),
    max_size=25,
)
DETAILS = st.tuples(st.integers(0, 4), st.sampled_from([0, 64 * 1024, 10**8]))
"""How deep folders, and from which size files are recorded."""


def built(files: Any, last: str = "last") -> Image:
    image = Image()
    for layer in range(4):
        image.step(f"step {layer if layer < 3 else last}", inherited=layer == 0)
        seen: set[str] = set()
        for at, path, size, package, version in files:
            clash = any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in seen)
            if at == layer and path not in seen and not clash:
                seen.add(path)
                image.add(path, size, package, version)
    return image


@given(FILES, FILES, DETAILS, DETAILS)
def test_contributors_add_up(before: Any, after: Any, old: Any, new: Any) -> None:
    sides = built(before).inventory(*old), built(after, "new").inventory(*new)
    found = compare(*sides)
    assert sum(item.delta for item in found) == sides[1].size - sides[0].size
    assert all(item.delta == (item.after or 0) - (item.before or 0) for item in found if item.name != REST)
    assert len(found) <= 43


@given(FILES, DETAILS, DETAILS)
def test_the_same_files_in_another_detail_are_no_change(files: Any, old: Any, new: Any) -> None:
    """The one that grew has room for less detail; what is below it is not told as moved to other files."""
    assert compare(built(files).inventory(*old), built(files).inventory(*new)) == []


@given(FILES, st.integers(-(10**9), 10**9))
def test_they_add_up_to_whatever_size_a_damaged_inventory_claims(files: Any, more: int) -> None:
    image = Image().step("one")
    for number, (_, path, size, package, version) in enumerate(files):
        image.add(f"{number}/{path}", size, package, version)
    before = image.inventory()
    after = before.model_copy(update={"size": max(before.size + more, 0), "folders": [], "packages": []})
    assert sum(item.delta for item in compare(before, after)) == after.size - before.size
