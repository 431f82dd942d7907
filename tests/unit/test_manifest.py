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
from ci_budget.core.text.units import MAX_SIZE
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


def test_every_kind_of_document_and_layer() -> None:
    """The media types as the specifications write them."""
    assert [*INDEX_TYPES, *MANIFEST_TYPES] == [
        "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
    ]  # fmt: skip
    kinds = [f"application/vnd.oci.image.layer.v1.tar{packing}" for packing in ("", "+gzip", "+zstd")]
    kinds += [f"application/vnd.docker.image.rootfs.diff.tar{packing}" for packing in ("", ".gzip", ".zstd")]
    for kind in kinds:
        assert parse({**MANIFEST, "layers": [{**LAYER, "mediaType": kind}]}).compressed_size == 40
    said = "one of its layers is of the kind text/x, which ci-budget cannot read"
    assert refusal({**MANIFEST, "layers": [{**LAYER, "mediaType": "text/x"}]}) == said


def test_documents_that_do_not_say_what_they_are() -> None:
    bare = {key: value for key, value in MANIFEST.items() if key != "mediaType"}
    assert parse(bare) == parse(MANIFEST)
    index = {"schemaVersion": 2, "manifests": [{"digest": ONE}]}
    assert parse(index) == (IndexedImage(digest=ONE, platform=""),)
    assert refusal({"schemaVersion": 2}) == "it is no image: its manifest is of the kind '' (it does not say)"
    assert refusal({**bare, "layers": None, "mediaType": "m" * 101}) == (
        f"it is no image: its manifest is of the kind {'m' * 97}..."
    )


def test_documents_that_are_none() -> None:
    for data, said in (
        (b"{", "its manifest is no JSON"),
        (b"[]", "its manifest is no JSON object"),
        (b" " * (16 * 2**20) + b"{", "its manifest has more than 16,777,216 bytes"),
    ):
        with pytest.raises(UnmeasuredError) as caught:
            parse_document(data)
        assert caught.value.what == said
    whole = json.dumps(MANIFEST).encode()
    assert parse_document(whole.ljust(16 * 2**20)) == parse(MANIFEST)
    with pytest.raises(UnmeasuredError) as caught:
        parse({**MANIFEST, "schemaVersion": 1})
    assert caught.value.mend == "Push the image anew."


def test_the_largest_blob() -> None:
    assert parse({**MANIFEST, "layers": [{**LAYER, "size": MAX_SIZE}]}).compressed_size == MAX_SIZE
    assert refusal({**MANIFEST, "layers": [{**LAYER, "size": MAX_SIZE + 1}]}).endswith(f" the size {MAX_SIZE + 1}")


def test_an_image_that_cannot_be_chosen() -> None:
    def refused(platform: str, *images: IndexedImage) -> str:
        with pytest.raises(UnmeasuredError) as caught:
            choose_image(images, platform)
        return caught.value.what

    one, two = IndexedImage(digest=ONE, platform="linux/amd64"), IndexedImage(digest=TWO, platform="linux/amd64")
    assert refused("linux/amd64", one, two) == "its index has several images for linux/amd64; it names: linux/amd64"
    unnamed = [IndexedImage(digest=digest, platform="") for digest in (ONE, TWO)]
    assert refused("linux/arm64", *unnamed) == "its index has several images for linux/arm64; it names: unnamed"
    assert choose_image([one, unnamed[0]], "linux/arm64") == unnamed[0], "it may be for any"
    assert refused("linux/arm64") == "its index has no image for linux/arm64; it names: none"
    long = [IndexedImage(digest=ONE, platform="p" * 301)]
    assert refused("linux/arm64", *long) == f"its index has no image for linux/arm64; it names: {'p' * 297}..."
    assert choose_image([one, one], "linux/amd64") == one
