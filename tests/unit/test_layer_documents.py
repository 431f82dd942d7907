"""What an image's archive has around its layers: manifests, indexes, links and limits, each as much as is allowed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from ci_budget.core.layers import image_config
from ci_budget.edges.layers import image_archives
from ci_budget.edges.layers.image_archives import (
    ImageContents,
    read_archive,
    read_archive_stream,
    read_oci_folder,
    read_saved,
)
from ci_budget.errors import UnmeasuredError
from tests.image_archives import PACKERS, Member, config, file, folder, layer, layout_tar, saved, special, write_layout

ONE, TWO = layer(file("one", b"1")), layer(file("two", b"22"))
INDEX = "application/vnd.oci.image.index.v1+json"


def nothing(_path: str) -> bool:
    return False


def sizes(found: ImageContents) -> list[int]:
    return [one.size for one in found.layers.layers]


def read(data: bytes) -> ImageContents:
    return read_archive_stream(io.BytesIO(data), nothing)


def refusal(data: bytes) -> tuple[str, str | None]:
    with pytest.raises(UnmeasuredError) as caught:
        read(data)
    return caught.value.what, caught.value.mend


def manifest(*images: dict[str, Any]) -> Member:
    return file("manifest.json", json.dumps(images).encode())


def image(name: str, *layers: str) -> dict[str, Any]:
    return {"Config": name, "RepoTags": None, "Layers": list(layers)}


class TestSavedImages:
    """What `docker save` writes, and what only looks like it."""

    def test_it_is_read_to_its_end_behind_the_last_member(self) -> None:
        """Else the engine would wait for its reader, and its error at the end would be lost."""
        closed: list[int] = []

        @contextlib.contextmanager
        def saving() -> Iterator[IO[bytes]]:
            stream = io.BytesIO(saved([ONE, TWO]) + bytes(40 * 2**20))
            yield stream
            closed.append(len(stream.read()))

        assert sizes(read_saved(saving(), "sha256:ab", nothing)) == [1, 2]
        assert closed == [0]

    def test_what_is_said_of_one_that_cannot_be_read(self) -> None:
        with pytest.raises(UnmeasuredError) as caught:
            read_saved(io.BytesIO(b"no tar" * 200), "sha256:ab", nothing)
        assert caught.value.what.startswith("the saved image sha256:ab cannot be read: the archive cannot be read: ")

    def test_several_images(self) -> None:
        document = config([ONE])
        members = [file("a.json", document), file("b.json", config([TWO])), file("one", ONE), file("two", TWO)]
        said = ("the archive holds 2 images", "Save the one to look at alone.")
        assert refusal(layer(*members, manifest(image("a.json", "one"), image("b.json", "two")))) == said
        twice = manifest(image("a.json", "one"), image("a.json", "one"))
        assert sizes(read(layer(*members, twice))) == [1], "one image under two names"

    @pytest.mark.parametrize(
        ("manifest", "said"),
        [
            (b"[]", "the archive holds no image"),
            (b"[1]", "the archive's manifest.json is none of `docker save`"),
            (b'[{"Layers": []}]', "the archive's manifest.json is none of `docker save`"),
            (b'[{"Config": "a"}]', "the archive's manifest.json is none of `docker save`"),
            (b'[{"Config": "a", "Layers": 7}]', "the archive's manifest.json is none of `docker save`"),
            (b'{"a": 1', "the manifest.json is no JSON"),
            (b'[{"Config": "a", "Layers": null}]', "the archive lacks 'a'"),
        ],
    )
    def test_manifests_that_are_none(self, manifest: bytes, said: str) -> None:
        assert refusal(layer(file("manifest.json", manifest))) == (said, None)

    def test_a_layer_that_is_not_there(self) -> None:
        members = [file("a.json", config([ONE, TWO])), file("one", ONE)]
        assert refusal(layer(*members, manifest(image("a.json", "one", "two")))) == (
            "the archive lacks the layer 'two'", None,
        )  # fmt: skip
        assert refusal(layer(*members, manifest(image("a.json", "one")))) == (
            "the image has 1 layers, and its config names 2", None,
        )  # fmt: skip

    def test_documents_and_layers_by_what_they_are(self) -> None:
        """Names say nothing; a folder's is none, an empty layer is one, and a blank before a document is allowed."""
        empty = layer()
        members = [folder("blobs/"), file("e", empty), file("z", PACKERS["tar+zstd"](ONE)), file("junk", b"junk" * 200)]
        document = file("c", b" \n" + config([empty, ONE]))
        assert sizes(read(layer(*members, document, manifest(image("c", "e", "z"))))) == [0, 1]

    @pytest.mark.parametrize(("length", "there"), [(8, True), (9, False)])
    def test_links_to_links(self, length: int, there: bool) -> None:
        chain = [special(f"l{number}", tarfile.SYMTYPE, f"l{number + 1}") for number in range(length)]
        members = [*chain, file(f"l{length}", ONE), file("a.json", config([ONE])), manifest(image("a.json", "l0"))]
        if there:
            assert sizes(read(layer(*members))) == [1]
        else:
            assert refusal(layer(*members)) == ("the archive lacks the layer 'l0'", None)

    def test_links_in_a_ring(self) -> None:
        ring = [special("a/l", tarfile.SYMTYPE, "../b/l"), special("b/l", tarfile.SYMTYPE, "../a/l")]
        members = [*ring, file("a.json", config([ONE])), manifest(image("a.json", "a/l"))]
        assert refusal(layer(*members)) == ("the archive lacks the layer 'a/l'", None)

    @pytest.mark.parametrize(
        ("name", "kind", "target"),
        [
            ("x/l", tarfile.SYMTYPE, "../../etc/shadow"), ("x/l", tarfile.SYMTYPE, "/etc/shadow"),
            ("x/l", tarfile.LNKTYPE, "../etc/shadow"), ("../x", tarfile.SYMTYPE, "l"), ("/x", tarfile.LNKTYPE, "l"),
        ],
    )  # fmt: skip
    def test_links_that_lead_out(self, name: str, kind: bytes, target: str) -> None:
        said = f"the archive's link {name!r} leads out of it"
        assert refusal(layer(special(name, kind, target))) == (said, None)

    def test_links_that_stay_inside(self) -> None:
        members = [
            special("x/hard", tarfile.LNKTYPE, "one"), special("x/soft", tarfile.SYMTYPE, "../one"), file("one", ONE),
            file("a.json", config([ONE, ONE])), manifest(image("a.json", "x/hard", "x/soft")),
        ]  # fmt: skip
        assert sizes(read(layer(*members))) == [1, 1]


class TestLimits:
    """Each as much as is allowed, and one more."""

    def test_members(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = saved([ONE, TWO])  # two layers, a config, a manifest
        monkeypatch.setattr(image_archives, "_MOST_MEMBERS", 4)
        assert sizes(read(data)) == [1, 2]
        monkeypatch.setattr(image_archives, "_MOST_MEMBERS", 3)
        assert refusal(data) == ("the archive has too many members for an image", None)

    def test_one_document(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data, most = saved([ONE]), len(config([ONE]))
        monkeypatch.setattr(image_archives, "LARGEST_DOCUMENT", most)
        assert sizes(read(data)) == [1]
        monkeypatch.setattr(image_archives, "LARGEST_DOCUMENT", most - 1)
        assert refusal(data)[0].startswith("the archive lacks '")

    def test_all_documents(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with tarfile.open(fileobj=io.BytesIO(saved([ONE]))) as archive:
            most = sum(one.size for one in archive if one.name.endswith(".json"))
        monkeypatch.setattr(image_archives, "_MOST_DOCUMENTS", most)
        assert sizes(read(saved([ONE]))) == [1]
        monkeypatch.setattr(image_archives, "_MOST_DOCUMENTS", most - 1)
        assert refusal(saved([ONE])) == ("the archive lacks 'index.json'", None)

    def test_documents_of_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        layout = write_layout(tmp_path / "oci", [ONE])
        most = max(one.stat().st_size for one in [layout / "index.json", *(layout / "blobs" / "sha256").iterdir()]
                   if one.read_bytes().startswith(b"{"))  # fmt: skip
        monkeypatch.setattr(image_archives, "LARGEST_DOCUMENT", most)
        assert sizes(read_oci_folder(layout, nothing)) == [1]
        monkeypatch.setattr(image_archives, "LARGEST_DOCUMENT", most - 1)
        with pytest.raises(UnmeasuredError, match=rf"has more than {most - 1:,} bytes$"):
            read_oci_folder(layout, nothing)

    def test_a_document_as_such(self, monkeypatch: pytest.MonkeyPatch) -> None:
        document = config([ONE])
        monkeypatch.setattr(image_config, "LARGEST_DOCUMENT", len(document))
        assert len(image_config.parse_image_config(document).diff_ids) == 1
        monkeypatch.setattr(image_config, "LARGEST_DOCUMENT", 1000)
        with pytest.raises(UnmeasuredError, match=r"^the image config has more than 1,000 bytes$"):
            image_config.parse_image_config(document.ljust(1001))


class TestLayouts:
    """From the index to the layers."""

    def nested(self, layout: Path, depth: int, name: str = "mediaType") -> Path:
        """The layout's index as a blob of an index, so many times."""
        for _ in range(depth):
            data = (layout / "index.json").read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            (layout / "blobs" / "sha256" / digest).write_bytes(data)
            outer = {"manifests": [{name: INDEX, "digest": f"sha256:{digest}"}]}
            (layout / "index.json").write_text(json.dumps(outer))
        return layout

    def test_indexes_in_indexes(self, tmp_path: Path) -> None:
        layout = self.nested(write_layout(tmp_path / "oci", [ONE, TWO]), 3)
        assert sizes(read_oci_folder(layout, nothing)) == [1, 2]
        (tmp_path / "a.tar").write_bytes(layout_tar(layout))
        assert sizes(read_archive(tmp_path / "a.tar", nothing)) == [1, 2]
        self.nested(layout, 1)
        with pytest.raises(UnmeasuredError) as caught:
            read_oci_folder(layout, nothing)
        assert str(caught.value) == f"{layout}: the layout's indexes are nested too deeply"

    def test_more_manifests_than_are_read(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [ONE])
        index = json.loads((layout / "index.json").read_text())
        index["manifests"] += [index["manifests"][0]] * 1999
        (layout / "index.json").write_text(json.dumps(index))
        for read, where in ((read_oci_folder, layout), (read_archive, tmp_path / "a.tar")):
            (tmp_path / "a.tar").write_bytes(layout_tar(layout))
            with pytest.raises(UnmeasuredError) as caught:
                read(where, nothing)
            assert str(caught.value) == f"{where}: the index names more than 2,000 manifests: 2,001"

    def test_a_layer_that_comes_twice_is_read_once(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [ONE, TWO, ONE])
        found = read_oci_folder(layout, lambda path: path == "one")
        assert (sizes(found), found.layers.source, found.platform) == ([1, 2, 1], "oci layout", "linux/amd64")
        assert [found.read(at, "one") for at in range(3)] == [b"1", None, b"1"]

    def test_what_no_room_was_for_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(saved([ONE, TWO]))
        limits = image_archives.ArchiveLimits(record=1)
        found = read_archive(tmp_path / "a.tar", lambda _: True, limits=limits)
        assert (found.dropped, found.read(0, "one"), found.read(1, "two")) == (("two",), b"1", None)

    def test_where_each_came_from(self, tmp_path: Path) -> None:
        data = saved([ONE])
        (tmp_path / "a.tar").write_bytes(data)
        found = (read_archive(tmp_path / "a.tar", nothing), read(data), read_saved(io.BytesIO(data), "a", nothing))
        assert [one.layers.source for one in found] == ["archive", "archive", "docker save"]
