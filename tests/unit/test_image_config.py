"""An image's config and manifest as they are stored, a list that Go left empty included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_budget.core.layers.image_config import parse_image_config, parse_manifest
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
