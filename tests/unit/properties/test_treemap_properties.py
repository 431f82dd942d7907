"""The boxes of a treemap add up, whatever an inventory claims."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.history.treemap import Box, image_treemap
from ci_budget.core.inventory.model import FileRecord, FolderRecord, Inventory, LayerRecord, StepRecord

paths = st.text(alphabet="ab/.\u202e<", max_size=12)


@given(
    st.lists(st.tuples(paths, st.integers(0, 2), st.integers(0, 10**9)), max_size=12),
    st.lists(st.tuples(paths, st.integers(0, 2), st.integers(0, 10**9)), max_size=12),
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
)
def test_whatever_an_inventory_says_the_boxes_add_up(
    folders: list[tuple[str, int, int]], files: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    root = image_treemap(
        Inventory(
            image_id="sha256:x",
            size=sum(sizes),
            layers=[
                LayerRecord(diff_id=str(index), size=size, files=1, inherited=index == 0, step=index)
                for index, size in enumerate(sizes)
            ],
            steps=[StepRecord(created_by="RUN", layer=index) for index in range(3)],
            folders=[FolderRecord(path=path, layer=layer, size=size, files=1) for path, layer, size in folders],
            files=[FileRecord(path=path, layer=layer, size=size) for path, layer, size in files],
        )
    )

    def check(box: Box) -> None:
        assert not box.children or sum(child.size for child in box.children) == box.size
        for child in box.children:
            check(child)

    check(root)
    assert root.size == sum(sizes)
