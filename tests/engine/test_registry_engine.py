"""Images read from real registries: what a reference leads to, layers as a stream, logins, and everything that is no
image or not whole.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.core.stages.references import parse_reference
from ci_budget.edges.web.http import NoAnswerError
from ci_budget.edges.web.registry import Registry as RegistryClient
from ci_budget.edges.web.registry import is_insecure, is_loopback
from ci_budget.edges.web.registry_images import StoredReference, find_images, read_registry_image
from ci_budget.errors import UnmeasuredError
from tests.engine.registry import (
    DOCKER,
    OCI,
    PASSWORD,
    USER,
    Registry,
    basic_auth,
    digest_of,
    layer_of,
    registry,
)
from tests.engine.token_server import SERVICE, TokenServer

pytestmark = pytest.mark.beside

LAYERS = [layer_of({"etc/passwd": b"root\n", "bin/tool": b"t" * 70_000}), layer_of({"etc/passwd": b"root\nuser\n"})]
SIZE = 5 + 70_000 + 10
REFRESH = "the-identity-token"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry."""
    with registry(tmp_path_factory.mktemp("open")) as found:
        yield found


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker config of the test's own, empty."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def find(images: Registry, name: str, platform: str | None = None) -> StoredReference:
    return find_images(parse_reference(f"{images.address}/{name}"), platform)


def size_of(images: Registry, name: str) -> int:
    found = find(images, name)
    (image,) = found.images
    return sum(layer.size for layer in read_registry_image(found.reference, image, lambda _: False).layers.layers)


def refusal(images: Registry, name: str, platform: str | None = None) -> str:
    with pytest.raises(UnmeasuredError) as caught:
        found = find(images, name, platform)
        for image in found.images:
            read_registry_image(found.reference, image, lambda _: False)
    text = str(caught.value)
    assert text.startswith(f"the image {images.address}/{name} cannot be read: "), text
    return text.partition("cannot be read: ")[2]


@pytest.mark.parametrize(("oci", "packing"), [(True, "gzip"), (True, "zstd"), (False, "gzip")])
def test_an_image_and_its_layers(images: Registry, oci: bool, packing: str) -> None:
    name = f"team/app-{packing}-{oci}".lower()
    put = images.put_image(name, "1", LAYERS, oci=oci, packing=packing)

    found = find(images, f"{name}:1")

    (image,) = found.images
    assert (found.digest, image.digest, image.config.image_id) == (put.digest, put.digest, put.config_digest)
    assert found.pinned == f"{images.address}/{name}@{put.digest}"
    assert image.platform == "linux/amd64"
    stored = [len((images.images / path).read_bytes()) for path in blobs(images, name, put.digest)]
    assert image.manifest.compressed_size == sum(stored) > 0
    contents = read_registry_image(found.reference, image, lambda path: path == "etc/passwd")
    assert sum(layer.size for layer in contents.layers.layers) == SIZE
    assert [layer.diff_id for layer in contents.layers.layers] == [digest_of(layer) for layer in LAYERS]
    assert (contents.read(0, "etc/passwd"), contents.read(1, "etc/passwd")) == (b"root\n", b"root\nuser\n")
    assert find(images, f"{name}@{put.digest}").images == found.images


def blobs(images: Registry, name: str, digest: str) -> list[Path]:
    _, manifest = images.document(name, digest)
    return [blob_file(layer["digest"]) for layer in manifest["layers"]]


def blob_file(digest: str) -> Path:
    plain = digest.removeprefix("sha256:")
    return Path("docker/registry/v2/blobs/sha256", plain[:2], plain, "data")


def test_an_index_has_an_image_for_each_platform_and_attestations_are_none(images: Registry) -> None:
    amd = images.put_image("team/multi", "amd", LAYERS)
    arm = images.put_image("team/multi", "arm", LAYERS[:1], architecture="arm64", variant="v8")
    entries = [
        {"digest": amd.digest, "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": arm.digest, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {
            "digest": amd.digest,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        },
    ]
    described = [{"mediaType": f"{OCI}.manifest.v1+json", "size": 500, **entry} for entry in entries]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": described}
    digest = images.put_manifest("team/multi", "all", index)

    whole = find(images, "team/multi:all")
    one = find(images, "team/multi:all", "linux/arm64")

    assert (whole.digest, one.digest) == (digest, digest)
    assert [image.config.image_id for image in whole.images] == [amd.config_digest, arm.config_digest]
    assert [image.platform for image in one.images] == ["linux/arm64/v8"]
    assert refusal(images, "team/multi:all", "linux/s390x") == (
        "its index has no image for linux/s390x; it names: linux/amd64, linux/arm64/v8"
    )


def test_what_is_no_whole_image_has_no_size(images: Registry) -> None:
    """Never 0 bytes for what cannot be read."""
    put = images.put_image("team/broken", "1", [layer_of({"a": b"planted"}), LAYERS[1]])
    (lost, _) = blobs(images, "team/broken", put.digest)
    content = (images.images / lost).read_bytes()
    (images.images / lost).write_bytes(content[:9] + b"\x07" + content[10:])  # a field that no reader of gzip looks at
    assert "came with another content than its name says" in refusal(images, "team/broken:1")
    (images.images / lost).write_bytes(content[:40])
    assert "a layer's archive cannot be read" in refusal(images, "team/broken:1")
    (images.images / lost).unlink()
    assert "has no blob sha256:" in refusal(images, "team/broken:1")

    config = images.put_blob("team/odd", json.dumps({"rootfs": {"diff_ids": [digest_of(b"")]}}).encode())
    text = images.put_blob("team/odd", b"no archive at all")
    wrong = {
        "artifact": ("application/vnd.example.config", f"{OCI}.layer.v1.tar", text),
        "layer": (f"{OCI}.config.v1+json", "application/vnd.example.weights", text),
        "encrypted": (f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip+encrypted", text),
        "size": (f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar", {**text, "size": 0}),
        "archive": (f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar", text),
        "longer": (f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar", {**text, "size": 3}),
    }
    said = {}
    for tag, (kind, layer, blob) in wrong.items():
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": {"mediaType": kind, **config},
            "layers": [{"mediaType": layer, **blob}],
        }
        images.put_manifest("team/odd", tag, manifest)
        said[tag] = refusal(images, f"team/odd:{tag}")
    assert said["artifact"] == "it is no container image but an artifact of the kind application/vnd.example.config"
    assert said["layer"].startswith("one of its layers is of the kind application/vnd.example.weights, which")
    assert said["encrypted"].startswith(f"one of its layers is of the kind {OCI}.layer.v1.tar+gzip+encrypted, which")
    assert said["size"] == "its manifest gives a blob the size 0"
    assert said["archive"].startswith("a layer's archive cannot be read")
    assert said["longer"] == f"the blob {text['digest']} is longer than its manifest says"
    assert refusal(images, "team/none:1").startswith(f"the registry {images.address} has no tag '1' of ")


def test_a_login_with_a_password(images: Registry, docker_config: Path, tmp_path: Path) -> None:
    images.put_image("team/app", "1", LAYERS)
    with registry(tmp_path, images=images.images, auth=basic_auth(tmp_path)) as closed:
        refused = refusal(closed, "team/app:1")
        log_in(docker_config, closed, auth=encoded(USER, PASSWORD))
        size = size_of(closed, "team/app:1")
        log_in(docker_config, closed, auth=encoded(USER, "wrong"))
        wrong = refusal(closed, "team/app:1")

    assert size == SIZE
    for text in (refused, wrong):
        assert text.startswith(f"the registry {closed.address} does not let us read {closed.address}/team/app")
        assert f"docker login {closed.address}" in text


def test_blobs_that_lie_elsewhere_are_fetched_without_the_login(
    images: Registry, docker_config: Path, tmp_path: Path
) -> None:
    images.put_image("team/app", "1", LAYERS)
    seen: list[dict[str, str]] = []

    class Elsewhere(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Elsewhere, directory=str(images.images))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        with registry(tmp_path, images=images.images, auth=basic_auth(tmp_path), redirect=address) as closed:
            log_in(docker_config, closed, auth=encoded(USER, PASSWORD))
            size = size_of(closed, "team/app:1")
        server.shutdown()

    assert size == SIZE
    assert len(seen) >= len(LAYERS)
    assert [headers for headers in seen if "Authorization" in headers] == []


def test_a_login_of_a_credential_helper(
    images: Registry, docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.put_image("team/app", "1", LAYERS)
    helper = tmp_path / "docker-credential-test"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with registry(tmp_path, images=images.images, auth=basic_auth(tmp_path)) as closed:
        config = {"credHelpers": {closed.address: "test"}}
        (docker_config / "config.json").write_text(json.dumps(config))
        answer = json.dumps({"ServerURL": closed.address, "Username": USER, "Secret": PASSWORD})
        helper.write_text(f"#!/bin/sh\n[ \"$1 $(cat)\" = 'get {closed.address}' ] && echo '{answer}'\n")
        helper.chmod(0o755)
        size = size_of(closed, "team/app:1")
        helper.write_text("#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
        unknown = refusal(closed, "team/app:1")
        helper.write_text("#!/bin/sh\necho the keychain is locked; exit 1\n")
        locked = refusal(closed, "team/app:1")

    assert size == SIZE
    assert "does not let us read" in unknown
    assert locked.startswith(
        f"the credential helper docker-credential-test gave no login for {closed.address}: the keychain is locked"
    )


def test_a_login_by_token(images: Registry, docker_config: Path, tmp_path: Path) -> None:
    images.put_image("team/app", "1", LAYERS)
    basic = f"Basic {encoded(USER, PASSWORD)}"
    with (
        TokenServer(tmp_path, basic=basic, refresh=REFRESH) as tokens,
        registry(tmp_path, images=images.images, auth=tokens.auth) as closed,
    ):
        refused = refusal(closed, "team/app:1")
        log_in(docker_config, closed, auth=encoded(USER, PASSWORD))
        by_password = size_of(closed, "team/app:1")
        log_in(docker_config, closed, auth=encoded("", ""), identitytoken=REFRESH)
        by_identity = size_of(closed, "team/app:1")
        with RegistryClient(parse_reference(f"{closed.address}/team/app:1")) as client:
            layer = find(closed, "team/app:1").images[0].manifest.layers[0]
            with client.open_blob(layer) as stream:  # the first request of this client: it has no token yet
                stream.finish()
        asked = list(tokens.asked)
        tokens.answer = b'{"token": 7'
        broken = refusal(closed, "team/app:1")

    assert (by_password, by_identity) == (SIZE, SIZE)
    assert "(UNAUTHORIZED: no such user)" in refused
    assert broken == f"the registry {closed.address} gave a token that cannot be read"
    assert {one["scope"] for one in asked} == {"repository:team/app:pull"}
    assert {one["service"] for one in asked} == {SERVICE}
    assert asked[0]["method"] == "GET"
    assert asked[-1]["method"] == "POST"


def test_plain_http_is_for_this_machine_and_for_what_the_daemon_names() -> None:
    assert [is_loopback(name) for name in ("localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000")] == [True] * 4
    assert [is_loopback(name) for name in ("example.test", "10.0.0.1:5000", "localhost.example.test")] == [False] * 3
    known = ("registry.example.test:5000", "10.0.0.0/8")
    assert [is_insecure(name, known) for name in ("registry.example.test:5000", "10.1.2.3:5000")] == [True, True]
    assert [is_insecure(name, known) for name in ("registry.example.test", "192.0.2.1:5000")] == [False, False]


def test_what_is_not_named_is_not_read_by_plain_http(images: Registry, tmp_path: Path) -> None:
    put = images.put_image("team/app", "1", LAYERS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address that this machine has
        own = probe.getsockname()[0]
    with registry(tmp_path, images=images.images, host=own) as other:
        reference = parse_reference(f"{other.address}/team/app:1")
        with RegistryClient(reference, insecure=lambda: (other.address,)) as client:
            assert client.document("1")[0] == put.digest
        refused = pytest.raises(NoAnswerError, match=f"GET https://{other.address}/v2/ got no answer")
        with RegistryClient(reference, insecure=lambda: ("registry.example.test",)) as client, refused:
            client.document("1")
        assert "got no answer" in refusal(other, "team/app:1"), "as the engine here names no insecure registries"


def test_an_image_of_a_registry_is_explained(images: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    images.put_image("team/app", "1", LAYERS)
    assert main(["explain", f"registry://{images.address}/team/app:1", "--format", "json"]) == 0
    assert '"bin/tool"' in capsys.readouterr().out
    assert main(["explain", f"registry://{images.address}/team/none:1"]) == 3
    assert "has no tag '1' of" in capsys.readouterr().err


def log_in(folder: Path, closed: Registry, **entry: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {closed.address: entry}}))


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_docker_images_of_a_list(images: Registry) -> None:
    put = images.put_image("team/listed", "amd", LAYERS, oci=False)
    entry = {
        "mediaType": f"{DOCKER}.distribution.manifest.v2+json", "size": 500, "digest": put.digest,
        "platform": {"os": "linux", "architecture": "amd64"},
    }  # fmt: skip
    kind = f"{DOCKER}.distribution.manifest.list.v2+json"
    images.put_manifest("team/listed", "all", {"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})

    (image,) = find(images, "team/listed:all", "linux/amd64").images

    assert image.config.image_id == put.config_digest
