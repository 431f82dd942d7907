"""An image's config and manifest as they are stored, a list that Go left empty included."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from ci_budget.core.layers.image_config import (
    ManifestEntry,
    choose_manifest,
    parse_image_config,
    parse_index,
    parse_manifest,
)
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


class TestIndexes:
    """Which of its manifests is read."""

    def entry(self, number: int, *platform: str, **more: Any) -> dict[str, Any]:
        named = dict(zip(("os", "architecture", "variant"), platform, strict=False))
        return {"digest": f"sha256:{number:064x}", "platform": named, **more}

    def parsed(self, *entries: Any) -> list[ManifestEntry]:
        return parse_index(json.dumps({"manifests": entries}).encode())

    def test_what_each_says_of_itself(self) -> None:
        kinds = {
            "application/vnd.oci.image.index.v1+json": True,
            "application/vnd.docker.distribution.manifest.list.v2+json": True,
            "application/vnd.oci.image.manifest.v1+json": False,
        }
        found = self.parsed(
            *(self.entry(1, "linux", "arm", "v7", mediaType=kind) for kind in kinds),
            "no object",
            self.entry(2, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
            {"digest": DIGEST},
        )
        assert [one.is_index for one in found] == [*kinds.values(), False]
        assert [one.platform for one in found] == ["linux/arm/v7"] * 3 + [""]

    def test_an_index_that_is_none(self) -> None:
        for document, said in (
            (b"{}", "the index names no manifests"),
            (b'{"manifests": {}}', "the index names no manifests"),
            (b"[]", "the index is no JSON object"),
            (b"\xff", "the index is no JSON"),
            (b'{"manifests": [{"digest": "sha256:ab"}]}', "'sha256:ab' is no digest of a blob"),
            (b'{"manifests": [{"digest": "%s"}]}' % (b"x" * 101), f"{'x' * 100!r} is no digest of a blob"),
        ):
            with pytest.raises(UnmeasuredError) as caught:
                parse_index(document)
            assert caught.value.what == said

    def refused(self, platform: str | None, *entries: Any) -> str:
        with pytest.raises(UnmeasuredError) as caught:
            choose_manifest(self.parsed(*entries), platform)
        assert caught.value.mend == "Name one with --platform."
        return caught.value.what

    def test_the_one_that_fits(self) -> None:
        found = self.parsed(self.entry(1, "linux", "amd64"), self.entry(2, "linux", "arm64"))
        assert choose_manifest(found, "linux/arm64") == found[1]
        assert choose_manifest(found[:1], None) == found[0]
        assert choose_manifest([found[0], found[0]], None) == found[0], "one image under two names"

    def test_none_or_several(self) -> None:
        entries = self.entry(1, "linux", "amd64"), self.entry(2, "linux", "arm64"), self.entry(3)
        assert self.refused(None, *entries) == (
            "there are several images to read; platforms: linux/amd64, linux/arm64, unnamed"
        )
        assert self.refused("linux/s390x", *entries[:2]) == (
            "there is no image for linux/s390x to read; platforms: linux/amd64, linux/arm64"
        )
        assert self.refused(None) == "there is no image to read; platforms: none"


def test_what_a_config_says() -> None:
    history = [
        {"created_by": "RUN a"}, "no object", {"created_by": "ENV b", "empty_layer": True}, {"comment": "c"},
        {"created_by": "x" * 9000, "empty_layer": True},
    ]  # fmt: skip
    document = {
        "os": "linux", "architecture": "arm", "variant": "v7", "history": history, "rootfs": {"diff_ids": [DIGEST] * 2}
    }  # fmt: skip
    data = json.dumps(document).encode()
    found = parse_image_config(data)
    assert (found.image_id, found.platform) == (f"sha256:{hashlib.sha256(data).hexdigest()}", "linux/arm/v7")
    assert [(step.created_by, step.layer) for step in found.history] == [
        ("RUN a", 0), ("ENV b", None), ("c", 1), ("x" * 8000, None),
    ]  # fmt: skip
    document["history"] = history[:1]
    assert [step.layer for step in parse_image_config(json.dumps(document).encode()).history] == [None]
    for data, said in ((b"[]", "the image config is no JSON object"), (b"{", "the image config is no JSON")):
        with pytest.raises(UnmeasuredError) as caught:
            parse_image_config(data)
        assert caught.value.what == said
    bare = parse_image_config(json.dumps({"os": "linux", "rootfs": {"diff_ids": []}}).encode())
    assert bare.platform == "linux"
