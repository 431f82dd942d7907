"""Layers and images from archives: the same from every kind, and hostile ones refused."""

from __future__ import annotations

import io
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
        assert [(entry.path, entry.kind) for entry in found.entries] == [
            ("again", Kind.LINK), ("link", Kind.LINK), ("pipe", Kind.OTHER), ("pipe-again", Kind.OTHER),
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
