"""Layers and images from archives: the same from every kind, and hostile ones refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.core.layers.model import Entry, ImageLayers, Kind
from ci_budget.edges.layers.image_archives import read_archive, read_oci_folder
from ci_budget.edges.layers.layer_archives import ArchiveLimits, Kept, read_layer
from ci_budget.errors import UnmeasuredError
from tests.image_archives import PACKERS, Member, file, folder, layer, layout_tar, saved, special, write_layout

FIRST = layer(
    folder("./"),
    folder("./etc/"),
    file("./etc/name", b"12345"),
    file("usr/lib/odd name \udcff", b"x", mode=0o4755),
    special("etc/link", tarfile.SYMTYPE, "../../../outside"),
    special("usr/b", tarfile.LNKTYPE, "./etc/name"),
    special("usr/fifo", tarfile.FIFOTYPE),
    file("long/" + "n" * 300, b"22"),
)
SECOND = layer(
    file("etc/.wh.name"), folder("usr"), file("usr/.wh..wh..opq"), file(".wh..wh.plnk/1.2", b"junk"), file("top", b"1")
)
ENTRIES = (
    (
        Entry("etc", Kind.FOLDER, mode=0o755),
        Entry("etc/link", Kind.LINK, mode=0o755),
        Entry("etc/name", Kind.FILE, 5, 0o644),
        Entry("long", Kind.FOLDER, mode=0o755),
        Entry("long/" + "n" * 300, Kind.FILE, 2, 0o644),
        Entry("usr", Kind.FOLDER, mode=0o755),
        Entry("usr/b", Kind.FILE, 0, 0o644, same_as="etc/name"),
        Entry("usr/fifo", Kind.OTHER, mode=0o755),
        Entry("usr/lib", Kind.FOLDER, mode=0o755),
        Entry("usr/lib/odd name \udcff", Kind.FILE, 1, 0o4755),
    ),
    (
        Entry("etc", Kind.FOLDER, mode=0o755),
        Entry("etc/name", Kind.WHITEOUT),
        Entry("top", Kind.FILE, 1, 0o644),
        Entry("usr", Kind.FOLDER, mode=0o755),
        Entry("usr", Kind.OPAQUE),
    ),
)


def sparse_file(name: str, size: int, *, parts: int) -> Member:
    """A sparse file in GNU's old form without any data, with so many blocks of 21 parts each behind its header."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482], header[483:495] = parts > 0, b"%011o " % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    more = bytes(504) + b"\1" + bytes(7)
    return _RawMember(bytes(header) + more * (parts - 1) + bytes(512) * (parts > 0)), b""


class _RawMember(tarfile.TarInfo):
    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    def tobuf(self, *_words: object, **_more: object) -> bytes:
        return self._raw


def nothing(_path: str) -> bool:
    return False


def read(data: bytes, limits: ArchiveLimits | None = None, wanted: Callable[[str], bool] = nothing) -> Kept:
    kept = Kept(wanted=wanted, limits=limits or ArchiveLimits())
    read_layer(io.BytesIO(data), kept)
    return kept


def refusal(data: bytes, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(UnmeasuredError) as caught:
        read(data, limits)
    return caught.value.what


def shape(image: ImageLayers) -> object:
    return image.image_id, image.layers, image.history


class TestSources:
    """The same image, however it is packed."""

    @pytest.fixture(scope="class")
    @staticmethod
    def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageLayers]:
        root = tmp_path_factory.mktemp("images")
        found = {}
        for packer in PACKERS:
            layout = write_layout(root / packer, [FIRST, SECOND], packer)
            found[f"folder {packer}"] = read_oci_folder(layout, nothing).layers
            (root / "image.tar").write_bytes(layout_tar(layout))
            found[f"tar of {packer}"] = read_archive(root / "image.tar", nothing).layers
        for packer, pack in PACKERS.items():
            (root / "saved.tar").write_bytes(pack(saved([FIRST, SECOND])))
            found[f"saved, {packer}"] = read_archive(root / "saved.tar", nothing).layers
        return found

    def test_all_give_the_same(self, images: dict[str, ImageLayers]) -> None:
        first = next(iter(images.values()))
        assert len(images) == 9
        assert {name for name, image in images.items() if shape(image) != shape(first)} == set()

    def test_the_entries(self, images: dict[str, ImageLayers]) -> None:
        image = images["saved, tar"]
        assert tuple(one.entries for one in image.layers) == ENTRIES
        assert [one.size for one in image.layers] == [8, 1]
        assert [(step.created_by, step.layer) for step in image.history] == [("RUN 0", 0), ("RUN 1", 1)]

    def test_hard_links_to_what_is_no_file(self) -> None:
        data = layer(
            special("link", tarfile.SYMTYPE, "nowhere"),
            special("again", tarfile.LNKTYPE, "link"),
            special("pipe", tarfile.FIFOTYPE),
            special("pipe-again", tarfile.LNKTYPE, "pipe"),
        )
        found = read_layer(io.BytesIO(data), Kept(wanted=nothing, limits=ArchiveLimits()))
        assert [(entry.path, entry.kind, entry.same_as) for entry in found.entries] == [
            ("again", Kind.LINK, None), ("link", Kind.LINK, None), ("pipe", Kind.OTHER, None),
            ("pipe-again", Kind.OTHER, None),
        ]  # fmt: skip

    def test_a_layer_that_links_to_another_one(self, tmp_path: Path) -> None:
        """`docker save` before 25 writes an equal layer once."""
        whole = saved([FIRST, FIRST])
        target = f"{0:064x}/layer.tar"
        members: list[Member] = []
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                linked = member.name == f"{1:064x}/layer.tar"
                link = special(member.name, tarfile.SYMTYPE, f"../{target}")
                members.append(link if linked or stream is None else file(member.name, stream.read()))
        (tmp_path / "one").write_bytes(whole)
        (tmp_path / "two").write_bytes(layer(*members))
        assert shape(read_archive(tmp_path / "two", nothing).layers) == shape(
            read_archive(tmp_path / "one", nothing).layers
        )

    def test_contents_that_were_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_bytes(saved([FIRST, layer(file("etc/name", b"new"))]))
        image = read_archive(tmp_path / "one", lambda path: path == "etc/name")
        assert (image.read(0, "etc/name"), image.read(1, "etc/name"), image.read(1, "etc")) == (b"12345", b"new", None)


class TestHostileLayers:
    """Refused as a whole, with a reason."""

    @pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", "a/.."])
    def test_names_that_lead_out(self, name: str) -> None:
        assert refusal(layer(file(name))) == f"the name {name!r} in a layer leads out of the image"

    def test_hard_links_that_lead_out(self) -> None:
        hostile = layer(special("a", tarfile.LNKTYPE, "../../etc/shadow"))
        assert refusal(hostile) == "the name '../../etc/shadow' in a layer leads out of the image"

    def test_absolute_names_are_inside(self) -> None:
        kept = Kept(wanted=nothing, limits=ArchiveLimits())
        found = read_layer(io.BytesIO(layer(file("/etc/a", b"1"))), kept)
        assert [entry.path for entry in found.entries] == ["etc", "etc/a"]

    @pytest.mark.parametrize("packer", ["tar+gzip", "tar+zstd"])
    def test_bombs(self, packer: str) -> None:
        bomb = PACKERS[packer](layer(file("zeros", bytes(10_000_000))))
        assert len(bomb) < 20_000
        said = refusal(bomb, ArchiveLimits(expanded=1_000_000, ratio=100))
        assert said.startswith("a layer unpacks to more than ")
        assert said.endswith(": it looks like a decompression bomb, and is not read")
        read(bomb)  # the real limits let a file of zeros through

    def test_a_size_that_the_archive_does_not_have(self) -> None:
        info, _ = file("a")
        info.size = 2**49
        data = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
        assert refusal(data) == "a layer's archive cannot be read: unexpected end of data"
        info.size = 2**50 + 1
        assert refusal(info.tobuf(tarfile.GNU_FORMAT)) == "the size of 'a' in a layer is absurd: 1125899906842625"

    def test_a_negative_size(self) -> None:
        info, _ = file("a")
        info.size = -5
        said = refusal(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        assert said.startswith(("the size of 'a' in a layer is absurd", "a layer's archive cannot be read"))

    def test_extended_headers_of_absurd_size(self) -> None:
        info = tarfile.TarInfo("././@PaxHeader")
        info.type, info.size = tarfile.XHDTYPE, 2**40
        said = refusal(info.tobuf(tarfile.USTAR_FORMAT if info.size < 8**11 else tarfile.GNU_FORMAT))
        assert said == "a layer's archive cannot be read: an extended header of 1,099,511,627,776 bytes"

    def test_too_many_names(self) -> None:
        data = layer(*(file(str(number)) for number in range(11)))
        assert refusal(data, ArchiveLimits(names=10)) == "a layer has more than 10 names"
        read(data, ArchiveLimits(names=11))

    def test_too_many_names_in_all_layers(self) -> None:
        kept = Kept(wanted=nothing, limits=ArchiveLimits(all_names=5))
        read_layer(io.BytesIO(layer(file("a"), file("b"), file("c"))), kept)
        with pytest.raises(UnmeasuredError) as caught:
            read_layer(io.BytesIO(layer(file("d/e"), file("f"))), kept)
        assert caught.value.what == "the layers have more than 5 names"

    def test_folders_that_only_long_names_tell_of(self) -> None:
        """Eight thousand of them a name: each would be a name of its own."""
        said = "the names in a layer have more than 268,435,456 characters"
        assert refusal(layer(*(file(f"{number}/" + "a/" * 8000) for number in range(5)))) == said
        deep = layer(*(file(f"{number}/" + "a/" * 5000) for number in range(3)))
        assert refusal(deep) == "the names in a layer lie absurdly deep"
        assert len(read(layer(file("a/" * 5000 + "b"))).dropped) == 0

    def test_long_chains_of_hard_links(self) -> None:
        """As quick as short ones, whichever end comes first; a ring holds nothing."""
        chain = [special(f"{number:05}", tarfile.LNKTYPE, f"{number + 1:05}") for number in range(2000)]
        for members in ([*chain, file("02000", b"1234")], [file("02000", b"1234"), *reversed(chain)]):
            found = read_layer(io.BytesIO(layer(*members)), Kept(wanted=nothing, limits=ArchiveLimits())).entries
            assert [(one.path, one.size) for one in found if one.same_as is None] == [("00000", 4)]
        ring = layer(special("a", tarfile.LNKTYPE, "b"), special("b", tarfile.LNKTYPE, "a"))
        found = read_layer(io.BytesIO(ring), Kept(wanted=nothing, limits=ArchiveLimits())).entries
        assert [(one.path, one.size, one.same_as) for one in found] == [("a", 0, None), ("b", 0, "a")]

    @pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
    def test_extended_headers_in_a_row(self, kind: bytes) -> None:
        info = tarfile.TarInfo("././@Extended")
        info.type, info.size = kind, 12
        row = (info.tobuf(tarfile.USTAR_FORMAT) + b"12 path=aaa\n" + bytes(500)) * 3000
        said = "a layer's archive cannot be read: too many extended headers in a row"
        assert refusal(row + layer(file("a"))) == said
        assert refusal(layer(file("first")).rstrip(b"\0").ljust(512, b"\0") + row + layer(file("a"))) == said

    def test_sparse_files_in_endless_parts(self) -> None:
        """Only their size is taken; the parts are passed over."""
        end = 8 * 2**20
        parts = b"2000000\n" + b"0\n" * 2_000_000
        new = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "s",
            "GNU.sparse.realsize": str(end),
        }
        whole = layer(
            sparse_file("old", end, parts=6000), file("after", b"1"), file("s", parts, **new), file("z", b"1")
        )
        found = read_layer(io.BytesIO(whole), Kept(wanted=nothing, limits=ArchiveLimits())).entries
        assert [(one.path, one.size) for one in found] == [("after", 1), ("old", end), ("s", end), ("z", 1)]

    def test_sparse_files_that_are_to_be_read(self) -> None:
        with pytest.raises(UnmeasuredError) as caught:
            read(layer(sparse_file("list", 10, parts=0)), wanted=lambda _: True)
        said = "a layer's archive cannot be read: 'list' is stored as a sparse file, which is not unpacked"
        assert caught.value.what == said

    def test_names_of_absurd_length(self) -> None:
        assert refusal(layer(file("a/" * 9000 + "b"))) == "a layer has a name of 18,001 characters"

    def test_cut_off(self) -> None:
        data = layer(file("a", b"1" * 5000), file("b", b"2"))
        assert refusal(data[:2000]) == "a layer's archive cannot be read: unexpected end of data"
        for packer in ("tar+gzip", "tar+zstd"):
            packed = PACKERS[packer](data)
            assert refusal(packed[: len(packed) // 2]).startswith("a layer's archive cannot be read: ")

    def test_garbage_in_the_middle_is_not_the_end(self) -> None:
        data = layer(file("a", b"1"), file("b", b"2"))
        broken = data[:1024] + b"\xff" * 512 + data[1536:]
        assert refusal(broken).startswith("a layer's archive cannot be read: a header is broken")

    def test_contents_have_their_bounds(self) -> None:
        data = layer(*(file(f"{number}/list", b"x" * 10) for number in range(5)), file("large/list", b"x" * 11))
        kept = read(data, ArchiveLimits(record=10, records=30), wanted=lambda path: path.endswith("/list"))
        assert (kept.taken, kept.dropped) == (30, ["3/list", "4/list", "large/list"])


class TestHostileImages:
    """The documents around the layers."""

    def refused(self, path: Path, platform: str | None = None) -> str:
        with pytest.raises(UnmeasuredError) as caught:
            (read_oci_folder if path.is_dir() else read_archive)(path, nothing, platform=platform)
        return str(caught.value)

    def test_links_out_of_the_archive(self, tmp_path: Path) -> None:
        link = special("x/layer.tar", tarfile.SYMTYPE, "../../../etc/passwd")
        (tmp_path / "a.tar").write_bytes(saved([FIRST], extra=[link]))
        assert "the archive's link 'x/layer.tar' leads out of it" in self.refused(tmp_path / "a.tar")

    def test_blobs_that_are_links(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST])
        (tmp_path / "secret").write_bytes((layout / "index.json").read_bytes())
        (layout / "index.json").unlink()
        (layout / "index.json").symlink_to(tmp_path / "secret")
        assert "it cannot be read: Too many levels of symbolic links" in self.refused(layout)

    def test_what_is_wrong_inside_names_the_archive(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(layer(file("manifest.json", b"{")))
        assert self.refused(tmp_path / "a.tar") == f"{tmp_path}/a.tar: the manifest.json is no JSON"

    def test_a_folder_in_place_of_a_blob(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST])
        blobs = (layout / "blobs" / "sha256").iterdir()
        (blob,) = (one for one in blobs if not one.read_bytes().startswith(b"{"))
        blob.unlink()
        blob.mkdir()
        assert self.refused(layout) == f"{blob}: it is no plain file"

    def test_what_is_wrong_inside_names_the_layout(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST])
        (layout / "index.json").write_text("[" * 100_000)
        assert self.refused(layout) == f"{layout}: the index is no JSON"

    def test_digests_that_are_paths(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST])
        index = layout / "index.json"
        index.write_text(index.read_text().replace("sha256:", "sha256:../", 1))
        assert "is no digest of a blob" in self.refused(layout)

    def test_a_manifest_that_is_not_what_its_digest_says(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST])
        for blob in (layout / "blobs" / "sha256").iterdir():
            if b'"schemaVersion"' in blob.read_bytes():
                blob.write_bytes(blob.read_bytes() + b" ")
        assert "has another content than its name says" in self.refused(layout)

    @pytest.mark.parametrize("packer", sorted(PACKERS))
    def test_a_layer_that_is_not_what_its_digest_says(self, tmp_path: Path, packer: str) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST], packer)
        blobs = (layout / "blobs" / "sha256").iterdir()
        (blob,) = (one for one in blobs if not one.read_bytes().startswith(b"{"))
        blob.write_bytes(PACKERS[packer](SECOND))
        said = f"the blob sha256:{blob.name} has another content than its name says"
        assert said in self.refused(layout)
        (tmp_path / "a.tar").write_bytes(layout_tar(layout))
        assert said in self.refused(tmp_path / "a.tar")

    def test_another_platform(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST], platform="arm64")
        assert "there is no image for linux/amd64 to read; platforms: linux/arm64" in self.refused(
            layout, "linux/amd64"
        )

    def test_a_platform_by_its_other_names(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "oci", [FIRST], platform="arm64/v8")
        other = write_layout(tmp_path / "other", [SECOND], platform="arm")
        for blob in (other / "blobs" / "sha256").iterdir():
            (layout / "blobs" / "sha256" / blob.name).write_bytes(blob.read_bytes())
        found = [json.loads((one / "index.json").read_text())["manifests"][0] for one in (layout, other)]
        (layout / "index.json").write_text(json.dumps({"manifests": found}))
        sizes = {
            name: sum(layer.size for layer in read_oci_folder(layout, nothing, platform=name).layers.layers)
            for name in ("linux/arm64", "linux/aarch64", "linux/arm64/v8", "linux/arm", "linux/arm/v7")
        }
        assert sizes == {
            "linux/arm64": 8, "linux/aarch64": 8, "linux/arm64/v8": 8, "linux/arm": 1, "linux/arm/v7": 1,
        }  # fmt: skip
        several = "there are several images to read; platforms: linux/arm, linux/arm64/v8"
        assert self.refused(layout) == f"{layout}: {several}\n  Name one with --platform."

    def test_layers_that_the_config_does_not_name(self, tmp_path: Path) -> None:
        data = saved([FIRST, SECOND]).replace(b'"diff_ids": ["sha256:', b'"diff_ids": [], "x": ["sha256:', 1)
        (tmp_path / "a.tar").write_bytes(data)
        assert "cannot be read" in self.refused(tmp_path / "a.tar") or "config names 0" in self.refused(
            tmp_path / "a.tar"
        )

    def test_no_image_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(layer(file("hello", b"world")))
        assert "the archive lacks 'index.json'" in self.refused(tmp_path / "a.tar")
        (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
        assert "the archive cannot be read" in self.refused(tmp_path / "b.tar")
        assert "it cannot be read: No such file or directory" in self.refused(tmp_path / "c.tar")
