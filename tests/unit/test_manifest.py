"""What a registry's documents say: sizes only where they are told, everything else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_budget.core.layers.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    IndexedImage,
    Manifest,
    choose_image,
    parse_document,
)
from ci_budget.errors import UnmeasuredError

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": ONE, "size": 7}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": TWO, "size": 40}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": CONFIG, "layers": [LAYER]}


def parse(document: Any) -> Any:
    return parse_document(json.dumps(document).encode())


def refusal(document: Any) -> str:
    with pytest.raises(UnmeasuredError) as caught:
        parse(document)
    return caught.value.what


def test_the_compressed_size_is_the_sum_of_the_layers() -> None:
    found = parse({**MANIFEST, "layers": [LAYER, {**LAYER, "digest": ONE, "size": 2}, LAYER]})
    assert isinstance(found, Manifest)
    assert (found.config.digest, found.compressed_size) == (ONE, 82)
    for none in ([], None):
        assert parse({**MANIFEST, "layers": none}).compressed_size == 0, "FROM scratch and nothing else has no layer"
    assert parse({**MANIFEST, "layers": [LAYER] * 2000}).compressed_size == 80_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schemaVersion": 1}, "its manifest is of Docker's old schema 1, which gives no sizes"),
        ({"mediaType": "application/json"}, "it is no image: its manifest is of the kind application/json"),
        ({"mediaType": None, "layers": None, "config": None}, "its manifest's config is no JSON object"),
        ({"config": {**CONFIG, "mediaType": "text/x"}}, "it is no container image but an artifact of the kind text/x"),
        ({"config": {**CONFIG, "digest": "md5:1"}}, "'md5:1' is no digest of a blob"),
        ({"layers": {}}, "its manifest does not list its layers"),
        ({"layers": [7]}, "a layer is no JSON object"),
        ({"layers": [{**LAYER, "size": 0}]}, "its manifest gives a blob the size 0"),
        ({"layers": [{**LAYER, "size": None}]}, "its manifest gives a blob the size None"),
        ({"layers": [{**LAYER, "size": True}]}, "its manifest gives a blob the size True"),
        ({"layers": [{**LAYER, "size": 2**63}]}, "its manifest gives a blob the size 9223372036854775808"),
        ({"layers": [LAYER] * 2001}, "its manifest names more than 2,000 layers: 2,001"),
        (
            {"layers": [{**LAYER, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"}]},
            "one of its layers is not kept in the registry (a foreign layer), so it cannot be read",
        ),
    ],
)
def test_what_tells_no_size_is_refused(change: dict[str, Any], said: str) -> None:
    assert refusal({**MANIFEST, **change}) == said


def test_an_index_lists_its_images() -> None:
    def entry(digest: str, *parts: str, **more: Any) -> dict[str, Any]:
        platform = dict(zip(("os", "architecture", "variant"), parts, strict=False))
        return {"mediaType": MANIFEST_TYPES[0], "digest": digest, "size": 9, "platform": platform, **more}

    attestation = {"vnd.docker.reference.type": "attestation-manifest"}
    entries = [
        entry(ONE, "linux", "amd64"),
        entry(TWO, "linux", "arm", "v7"),
        entry(ONE, "linux", "s390x", annotations=attestation),
        entry(ONE, "unknown", "unknown"),
    ]
    for kind in INDEX_TYPES:
        found = parse({"schemaVersion": 2, "mediaType": kind, "manifests": entries})
        assert found == (
            IndexedImage(digest=ONE, platform="linux/amd64"),
            IndexedImage(digest=TWO, platform="linux/arm/v7"),
        )
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0]}
    assert refusal({**index, "manifests": entries[2:]}) == "its index holds no image, only attestations or nothing"
    assert refusal({**index, "manifests": None}) == "its index does not list its manifests"
    assert len(parse({**index, "manifests": [entry(ONE)] * 2000})) == 2000
    said = "its index names more than 2,000 manifests: 2,001"
    assert refusal({**index, "manifests": [entry(ONE)] * 2001}) == said
    nested = [{**entries[0], "mediaType": INDEX_TYPES[0]}]
    assert refusal({**index, "manifests": nested}) == "its index holds another index, which no builder writes"


def test_the_image_of_a_platform() -> None:
    amd, arm, old = (
        IndexedImage(digest=digest, platform=platform)
        for digest, platform in ((ONE, "linux/amd64"), (TWO, "linux/arm64/v8"), (ONE, "linux/arm/v6"))
    )
    assert choose_image((amd, arm, old), "linux/amd64") == amd
    assert choose_image((amd, arm, old), "linux/arm64") == arm
    for images, platform, said in (
        ((amd, old), "linux/arm64", "its index has no image for linux/arm64; it names: linux/amd64, linux/arm/v6"),
        ((), "linux/amd64", "its index has no image for linux/amd64; it names: none"),
    ):
        with pytest.raises(UnmeasuredError) as caught:
            choose_image(images, platform)
        assert caught.value.what == said
