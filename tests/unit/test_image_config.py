"""An image's config and manifest as they are stored, a list that Go left empty included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_budget.core.layers.image_config import parse_image_config, parse_index, parse_manifest
from ci_budget.errors import UnmeasuredError

DIGEST = f"sha256:{'1' * 64}"


@pytest.mark.parametrize("rootfs", [{"type": "layers"}, {"type": "layers", "diff_ids": None}, {"diff_ids": []}])
def test_a_config_without_layers(rootfs: dict[str, Any]) -> None:
    history = [{"created_by": "ENV A=b", "empty_layer": True}]
    found = parse_image_config(json.dumps({"os": "linux", "rootfs": rootfs, "history": history}).encode())
    assert found.diff_ids == ()
    assert [(step.created_by, step.layer) for step in found.history] == [("ENV A=b", None)]


@pytest.mark.parametrize("rootfs", [None, {}, {"diff_ids": None}, {"type": "layers", "diff_ids": ["x"]}, []])
def test_a_config_that_does_not_tell_its_layers(rootfs: Any) -> None:
    with pytest.raises(UnmeasuredError, match="does not name its layers"):
        parse_image_config(json.dumps({"rootfs": rootfs}).encode())


def test_a_manifest_without_layers() -> None:
    for layers in ([], None):
        document = {"config": {"digest": DIGEST}, "layers": layers}
        assert parse_manifest(json.dumps(document).encode()) == (DIGEST, ())
    with pytest.raises(UnmeasuredError, match="names no layers"):
        parse_manifest(json.dumps({"config": {"digest": DIGEST}}).encode())


def test_more_layers_than_any_image_has() -> None:
    def config(count: int) -> bytes:
        return json.dumps({"rootfs": {"diff_ids": [DIGEST] * count}}).encode()

    def manifest(count: int) -> bytes:
        return json.dumps({"config": {"digest": DIGEST}, "layers": [{"digest": DIGEST}] * count}).encode()

    assert len(parse_image_config(config(2000)).diff_ids) == len(parse_manifest(manifest(2000))[1]) == 2000
    with pytest.raises(UnmeasuredError) as caught:
        parse_image_config(config(2001))
    assert caught.value.what == "the image's config names more than 2,000 layers: 2,001"
    with pytest.raises(UnmeasuredError) as caught:
        parse_manifest(manifest(2001))
    assert caught.value.what == "the manifest names more than 2,000 layers: 2,001"


def test_an_index_of_more_manifests_than_any_has_is_not_read_in_part() -> None:
    def index(count: int) -> bytes:
        return json.dumps({"manifests": [{"digest": f"sha256:{number:064x}"} for number in range(count)]}).encode()

    assert [int(one.digest[-4:], 16) for one in parse_index(index(2000))] == list(range(2000))
    with pytest.raises(UnmeasuredError) as caught:
        parse_index(index(2001))
    assert caught.value.what == "the index names more than 2,000 manifests: 2,001"
