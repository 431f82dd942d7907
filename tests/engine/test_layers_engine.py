"""Layers, waste, packages and the timeline of real images, from every source, and dive's figures against dive."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci_budget.core.inventory.storage import parse_inventories, parse_inventory
from ci_budget.core.layers.dive import dive_figures
from ci_budget.core.layers.model import ImageLayers, Kind
from ci_budget.core.layers.waste import measure_waste
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.layers.engine_layers import EngineLayers
from ci_budget.edges.layers.image_archives import read_archive, read_oci_folder, read_saved
from ci_budget.edges.layers.reading_ahead import reading_ahead
from ci_budget.errors import UnmeasuredError
from tests.engine.projects import run_tool
from tests.engine_access import CLONE, Engine
from tests.image_archives import file, layer, saved

pytestmark = pytest.mark.beside

NAME = "test/layers-odd:latest"
DOCKERFILE = r"""FROM test/busybox:latest AS below
RUN mkdir -p /a/b /gone/deep /replaced /opq/sub /a-b \
 && head -c 300000 /dev/urandom > /a/b/big && ln /a/b/big /a/hard && ln /a/b/big /z \
 && head -c 100000 /dev/urandom > /gone/deep/x && echo hi > /replaced/f && echo old > /opq/sub/old \
 && ln -s /etc/passwd /a/sym && ln -s ../../../outside /a/out && mkfifo /a/fifo && ln /a/sym /a/s && ln /a/fifo /a/f \
 && echo "spaces" > "/a/odd name é" && printf x > "$(printf '/a/bad\377name')" && echo 1 > "$(printf '/a/new\nline')" \
 && head -c 70000 /dev/zero > /a-b/zeros && chmod 4755 /a-b/zeros && echo plain > /becomes
WORKDIR /work
RUN rm -r /gone && rm -r /replaced && echo file > /replaced && rm -r /opq && mkdir /opq && echo new > /opq/new \
 && chmod 600 /a-b/zeros && rm /becomes && mkdir /becomes && echo in > /becomes/in
FROM below
COPY Dockerfile /copied/deep/
ENV A=b
RUN rm /a/b/big /a/hard && echo more >> "/a/odd name é" && mkdir -p /gone && echo back > /gone/x
RUN rm -r /a /z && head -c 3000000 /dev/urandom > /tmp/temporary && sleep 0.5 && rm /tmp/temporary && sleep 0.5
RUN true
"""


def nothing(_path: str) -> bool:
    return False


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


@pytest.fixture(scope="module")
def image(engine: Engine, busybox_base: str, context: Path) -> Iterator[str]:
    """A local image with everything that layers can do to each other."""
    engine.docker("buildx", "build", "--builder", "default", "--quiet", "--load", "--tag", NAME, str(context))
    yield NAME
    engine.docker("rmi", "--force", NAME)


@pytest.fixture(scope="module")
def layers(engine: Engine, image: str) -> ImageLayers:
    return from_folders(image)


def from_folders(name: str) -> ImageLayers:
    connection = DockerEngine(os.environ["DOCKER_HOST"])
    try:
        facts = connection.image(name)
        assert facts is not None
        return EngineLayers(connection).read(facts, nothing).layers
    finally:
        connection.close()


def measured_size(name: str) -> int:
    with contextlib.closing(DockerEngine(os.environ["DOCKER_HOST"])) as connection:
        facts = connection.image(name)
        assert facts is not None
        return EngineLayers(connection).size(facts)


def from_stream(name: str, address: str | None = None) -> ImageLayers:
    with contextlib.closing(DockerEngine(address or os.environ["DOCKER_HOST"])) as connection:
        return read_saved(connection.saved(name), name, nothing).layers


@contextlib.contextmanager
def tcp_address(path: str) -> Iterator[str]:
    """The engine behind this socket as one that is reached by TCP."""

    class Forwarder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as inner:
                inner.connect(path)
                back = threading.Thread(target=pass_on, args=(inner, self.request))
                back.start()
                pass_on(self.request, inner)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Forwarder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def same(found: ImageLayers) -> ImageLayers:
    return replace(found, source="")


class TestSources:
    """One image from all of them: the same entries, sizes, history and id."""

    def test_the_directories_and_the_stream_of_save(self, layers: ImageLayers) -> None:
        streamed = from_stream(NAME)
        assert (layers.source, streamed.source) == ("the engine's layer directories", "docker save")
        assert same(streamed) == same(layers)

    def test_the_directories_read_ahead(self, layers: ImageLayers, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        with reading_ahead([NAME, "test/none"]) as ahead:
            found = ahead.contents(NAME)
            assert found is not None and found.layers == layers
            assert ahead.contents("test/none") is None

    def test_an_engine_that_is_no_local_socket(self, engine: Engine, layers: ImageLayers) -> None:
        with tcp_address(engine.docker_host.removeprefix("unix://")) as address:
            streamed = from_stream(NAME, address)
            with pytest.raises(UnmeasuredError, match=r"the image test/none cannot be saved: .*test/none"):
                from_stream("test/none", address)
        assert same(streamed) == same(layers)

    def test_an_image_without_layers(self, engine: Engine, tmp_path: Path) -> None:
        (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
        words = ["--quiet", "--load", "--tag", "test/layers-none", str(tmp_path)]
        engine.docker("buildx", "build", "--builder", "default", *words)
        try:
            assert "\n  0 B in 0 layers; 0 files\n" in run(tmp_path, "explain", "local://test/layers-none")
        finally:
            engine.docker("rmi", "--force", "test/layers-none")

    def test_archives_and_layouts(self, engine: Engine, layers: ImageLayers, tmp_path: Path) -> None:
        engine.docker("save", "--output", str(tmp_path / "saved.tar"), NAME)
        assert same(read_archive(tmp_path / "saved.tar", nothing).layers) == same(layers)
        (tmp_path / "layout").mkdir()
        subprocess.run(["tar", "-xf", tmp_path / "saved.tar", "-C", tmp_path / "layout"], check=True)
        assert same(read_oci_folder(tmp_path / "layout", nothing).layers) == same(layers)

    def test_names_that_mean_a_deletion_in_archives(self, engine: Engine, busybox_base: str, tmp_path: Path) -> None:
        """The directories cannot tell them, so the image is read as every other engine would get it."""
        text = "FROM test/busybox\nRUN mkdir /a && echo 1234 > /a/.wh.b && echo 12 > /a/b && echo 1 > /a/.wh.c\n"
        (tmp_path / "Dockerfile").write_text(text)
        name = "test/layers-marked"
        engine.docker("buildx", "build", "--builder", "default", "--quiet", "--load", "--tag", name, str(tmp_path))
        try:
            found, streamed, size = from_folders(name), from_stream(name), measured_size(name)
        finally:
            engine.docker("rmi", "--force", name)
        assert same(found) == same(streamed)
        assert [(one.path, one.kind, one.size) for one in found.layers[1].entries if one.path[0] == "a"] == [
            ("a", Kind.FOLDER, 0), ("a/b", Kind.WHITEOUT, 0), ("a/b", Kind.FILE, 3), ("a/c", Kind.WHITEOUT, 0),
        ]  # fmt: skip
        assert size == sum(layer.size for layer in streamed.layers)

    def test_what_is_in_it(self, layers: ImageLayers) -> None:
        kinds = [{kind: sum(one.kind is kind for one in layer.entries) for kind in Kind} for layer in layers.layers]
        assert [found[Kind.WHITEOUT] for found in kinds] == [0, 0, 0, 1, 0, 2, 2, 0]
        assert [found[Kind.OPAQUE] for found in kinds] == [0, 0, 0, 2, 0, 0, 0, 0]
        names = {one.path: one for one in layers.layers[1].entries}
        assert {"a/odd name é", "a/bad\udcffname", "a/new\nline"} <= names.keys()
        assert [(names[one].size, names[one].same_as) for one in ("a/b/big", "a/hard", "z")] == [
            (300_000, None), (0, "a/b/big"), (0, "a/b/big"),
        ]  # fmt: skip
        assert (names["a-b/zeros"].mode, names["a/fifo"].kind) == (0o4755, Kind.OTHER)
        assert (names["a/s"].kind, names["a/f"].kind) == (Kind.LINK, Kind.OTHER)

    def test_waste_is_what_a_container_cannot_see(self, engine: Engine, layers: ImageLayers) -> None:
        """A container's own count of its files is all payload but the wasted."""
        waste = measure_waste(layers)
        mounted = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")  # the engine's own, on mounts of their own
        listed = engine.docker(
            "run", "--rm", "--network=none", NAME, "find", "/", "-xdev", "-type", "f",
            *(word for path in mounted for word in ("-not", "-path", path)), "-exec", "stat", "-c", "%i %s", "{}", "+",
        )  # fmt: skip
        visible = {inode: int(size) for inode, size in (line.split() for line in listed.splitlines())}
        assert waste.total == sum(layer.size for layer in layers.layers) - sum(visible.values())
        assert waste.by_cause()["hidden"] == 4 + 3 + 6  # opq/sub/old, replaced/f, becomes


class TestDive:
    """dive --json on the same images."""

    @pytest.mark.parametrize("base", ["odd", "busybox", "python"])
    def test_figures_are_equal(self, engine: Engine, image: str, debian_base: str, base: str, tmp_path: Path) -> None:
        assert_as_dive(engine, {"odd": image, "busybox": "test/busybox:latest", "python": debian_base}[base], tmp_path)

    def test_deletions_of_nothing(self, engine: Engine, tmp_path: Path) -> None:
        layers = (
            layer(file("a", b"1" * 3), file("z", b"1")),
            layer(file(".wh.nothing"), file("q/.wh.none"), file("b", b"1" * 5)),
            layer(file("b", b"1" * 5), file("z", b"1"), file(".wh.zz")),
        )
        done = subprocess.run(
            ["docker", "load", "--quiet"], input=saved(layers), env=engine.env, capture_output=True, check=True
        )
        name = done.stdout.decode().split()[-1]
        try:
            assert_as_dive(engine, name, tmp_path)
        finally:
            engine.docker("rmi", "--force", name)


def assert_as_dive(engine: Engine, name: str, folder: Path) -> None:
    """That dive says of the image what we say."""
    dive = Path(sys.executable).parent / "dive"
    done = subprocess.run(
        [dive, "--json", folder / "dive.json", f"docker://{name}"],
        env={**engine.env, "CI": "true"},
        capture_output=True,
        timeout=500,
    )
    assert (folder / "dive.json").exists(), done.stderr.decode()
    said = json.loads((folder / "dive.json").read_text())["image"]
    figures = dive_figures(from_folders(name))
    assert (figures.efficiency, figures.wasted_bytes) == (said["efficiencyScore"], said["inefficientBytes"])


class TestCheck:
    """What `check` leaves behind, and `explain` and `baseline update` make of it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def checked(
        engine: Engine, busybox_base: str, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path_factory.mktemp("checked")
        (folder / "app").mkdir()
        (folder / "app" / "Dockerfile").write_text(DOCKERFILE)
        (folder / "ci-budget.yml").write_text("version: 1\ndisk: {budget: 300MB}\nimages: {app: {context: app}}\n")
        run(folder, "check", "--report", "report")
        report = json.loads((folder / "report" / "report.json").read_text())
        return folder, report["images"][0]

    def test_the_steps_by_line_and_what_they_did(self, checked: tuple[Path, dict[str, Any]]) -> None:
        steps = {step["line"]: step for step in checked[1]["steps"] if step["line"] is not None}
        assert {step["located_by"] for step in steps.values()} == {"provenance"}
        assert [(line, step["stage"]) for line, step in sorted(steps.items())] == [
            (1, "below"), (2, "below"), (8, "below"), (9, "below"),
            (12, "stage-1"), (14, "stage-1"), (15, "stage-1"), (16, "stage-1"),
        ]  # fmt: skip
        temporary = steps[15]
        assert temporary["at_peak"]
        assert [step["line"] for step in steps.values() if step["at_peak"]] == [15]
        assert temporary["wrote"] - temporary["gave_back"] == temporary["added"] < 1_000_000
        assert temporary["wrote"] > 2_500_000 < temporary["gave_back"] + 400_000

    def test_wasted_bytes_and_inventory(self, checked: tuple[Path, dict[str, Any]]) -> None:
        folder, image = checked
        file = folder / "report" / "inventory.json.zst"
        inventory = parse_inventories(file.read_bytes(), str(file)).images["app"]
        assert inventory.image_id == image["image_id"]
        assert inventory.size == image["metrics"]["image_size"]["value"]
        assert inventory.waste is not None
        assert inventory.waste.total == image["metrics"]["wasted_bytes"]["value"]
        assert [(step.layer, step.stage, step.line) for step in inventory.steps] == [
            (0, None, None), (1, "below", 2), (2, "below", 8), (3, "below", 9), (4, "stage-1", 12),
            (None, None, None), (5, "stage-1", 14), (6, "stage-1", 15), (7, "stage-1", 16),
        ]  # fmt: skip
        assert [layer.inherited for layer in inventory.layers] == [True] + 7 * [False]
        assert [one.reference for one in inventory.bases] == ["docker.io/test/busybox:latest"]

    def test_the_baseline_keeps_it(self, checked: tuple[Path, dict[str, Any]]) -> None:
        folder, _ = checked
        run(folder, "baseline", "update", "--report", "report")
        (stored,) = (folder / ".ci-budget" / "inventory").iterdir()
        assert stored.name == "app.zst"
        data = stored.read_bytes()
        entry = json.loads((folder / ".ci-budget" / "baseline.json").read_text())["images"]["app"][0]
        assert entry["inventory"] == hashlib.sha256(data).hexdigest()
        report = (folder / "report" / "inventory.json.zst").read_bytes()
        assert parse_inventory(data, "app.zst") == parse_inventories(report, "report").images["app"]

    def test_explain_a_report_and_an_image_of_the_engine(
        self, checked: tuple[Path, dict[str, Any]], image: str, layers: ImageLayers
    ) -> None:
        folder, measured = checked
        found = json.loads(run(folder, "explain", "report#app", "--format", "json"))
        assert (found["image_id"], found["wasted_bytes"]) == (
            measured["image_id"], measured["metrics"]["wasted_bytes"]["value"],
        )  # fmt: skip
        local = json.loads(run(folder, "explain", f"local://{image}", "--format", "json"))
        figures = dive_figures(layers)
        assert local["dive"] == {"efficiency": figures.efficiency, "wasted_bytes": figures.wasted_bytes}
        assert [step["size"] for step in local["steps"]] == sorted((one.size for one in layers.layers), reverse=True)


def run(folder: Path, *words: str) -> str:
    done = run_tool(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert CLONE not in (folder, *folder.parents)
    return done.stdout
