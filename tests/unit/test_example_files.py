"""The example service's files that need no engine: contexts, locks, manifests, the downloader, the disk check."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from ci_budget.core.context.measured import ContextMeasure
from ci_budget.edges.files.context_files import measure_context, read_ignore_rules
from tests.engine_access import CLONE

EXAMPLE = CLONE / "examples" / "audio-voice"
DOWNLOADER = EXAMPLE / "scripts" / "download_models.py"
CONTENT = bytes(range(256)) * 4096


def context_of(dockerfile: str) -> ContextMeasure:
    return measure_context(EXAMPLE, read_ignore_rules(EXAMPLE, EXAMPLE / dockerfile))


def test_context_after_holds_what_the_dockerfile_uses() -> None:
    names = sorted(name for name, _ in context_of("Dockerfile").listing())
    assert names == [
        "app/__init__.py",
        "app/audio.py",
        "app/formant.py",
        "app/main.py",
        "app/neural.py",
        "app/phonemes.py",
        "app/settings.py",
        "models/full.json",
        "models/light.json",
        "native/Makefile",
        "native/resonator.c",
        "requirements/full.apt",
        "requirements/full.txt",
        "requirements/light.apt",
        "requirements/light.txt",
        "scripts/download_models.py",
        "scripts/smoke.py",
    ]


def test_contexts_before_and_after_are_as_large_as_told() -> None:
    before, after = (
        sum(size for _, size in context_of(name).listing()) for name in ("Dockerfile.before", "Dockerfile")
    )
    assert 1_800_000 < before < 2_300_000
    assert after < 400_000
    assert after < 0.2 * before


@pytest.mark.parametrize("variant", ["light", "full"])
def test_both_dockerfiles_install_the_same_versions(variant: str) -> None:
    requirements = EXAMPLE / "requirements"
    after = (requirements / f"{variant}.txt").read_text()
    pins_after = set(re.findall(r"^([\w.-]+==[^ ]+) \\$", after, re.MULTILINE))
    pins_before = set(
        re.findall(r"^[\w.-]+==.+$", (requirements / "before" / f"{variant}.txt").read_text(), re.MULTILINE)
    )
    first = set(
        re.findall(r"^[\w.-]+==.+$", (requirements / "before" / f"{variant}-first.txt").read_text(), re.MULTILINE)
    )
    assert pins_after <= pins_before
    assert first <= pins_after
    assert after.count("==") == len(pins_after), "a package without a hash"


@pytest.mark.parametrize("variant", ["light", "full"])
def test_manifests_are_what_the_downloader_takes(variant: str) -> None:
    downloader = load_module(DOWNLOADER)
    files = downloader.read_manifest(str(EXAMPLE / "models" / f"{variant}.json"), 1.0)
    assert sum(file.size for file in files) == {"light": 0, "full": 3_278_865_536}[variant]


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the example's folder is a build context
        spec.loader.exec_module(module)
    return module


Answer = Callable[[http.server.BaseHTTPRequestHandler, int], None]


@dataclass
class ModelServer:
    """Serves CONTENT on every path; `faults` are used up first, one a request."""

    address: str = ""
    faults: list[Answer] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    told = ModelServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            told.requests.append(f"{self.path} {wanted}".strip())
            start = int(wanted[6:-1]) if wanted else 0
            (told.faults.pop(0) if told.faults else send)(self, start)

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        told.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield told
        server.shutdown()
        thread.join()


def send(
    handler: http.server.BaseHTTPRequestHandler, start: int, content: bytes = CONTENT, cut: int | None = None
) -> None:
    """Answer from byte `start` on; with `cut`, promise everything and send so many bytes."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start:] if cut is None else content[start : start + cut])


def cut_after(count: int) -> Answer:
    return lambda handler, start: send(handler, start, cut=count)


def wrong_bytes(handler: http.server.BaseHTTPRequestHandler, start: int) -> None:
    send(handler, start, bytes(len(CONTENT)))


def too_many_bytes(handler: http.server.BaseHTTPRequestHandler, start: int) -> None:
    send(handler, start, CONTENT + b"more")


def no_ranges(handler: http.server.BaseHTTPRequestHandler, start: int) -> None:
    send(handler, 0)


def unavailable(handler: http.server.BaseHTTPRequestHandler, start: int) -> None:
    handler.send_error(503)


def missing(handler: http.server.BaseHTTPRequestHandler, start: int) -> None:
    handler.send_error(404)


def write_manifest(folder: Path, server: ModelServer, **changes: object) -> Path:
    entry = {
        "path": "voice/weights.bin",
        "url": f"{server.address}/weights.bin",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    } | changes
    path = folder / "manifest.json"
    path.write_text(json.dumps({"version": 1, "models": [{"files": [entry]}]}))
    return path


def download(manifest: Path, models: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOWNLOADER), "--manifest", str(manifest), "--models", str(models), "--pause", "0.01"]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([], ["/weights.bin"]),
        ([cut_after(300_000)], ["/weights.bin", "/weights.bin bytes=300000-"]),
        ([cut_after(1000), cut_after(1000)], ["/weights.bin", "/weights.bin bytes=1000-", "/weights.bin bytes=2000-"]),
        ([cut_after(1000), no_ranges], ["/weights.bin", "/weights.bin bytes=1000-"]),
        ([wrong_bytes], ["/weights.bin", "/weights.bin"]),
        ([too_many_bytes], ["/weights.bin", "/weights.bin"]),
        ([unavailable], ["/weights.bin", "/weights.bin"]),
    ],
    ids=["plain", "cut", "cut twice", "no ranges", "wrong bytes", "too many bytes", "unavailable"],
)
def test_download_comes_through(
    faults: list[Answer], requests: list[str], model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.faults = faults
    manifest, models = write_manifest(tmp_path, model_server), tmp_path / "models"
    done = download(manifest, models)
    assert done.returncode == 0, done.stderr
    assert (models / "voice/weights.bin").read_bytes() == CONTENT
    assert not list(models.rglob("*.part"))
    assert model_server.requests == requests


def test_second_start_downloads_nothing(model_server: ModelServer, tmp_path: Path) -> None:
    manifest, models = write_manifest(tmp_path, model_server), tmp_path / "models"
    assert download(manifest, models, "--check").returncode == 1
    assert model_server.requests == []
    assert download(manifest, models).returncode == 0
    assert download(manifest, models).returncode == 0
    assert download(manifest, models, "--check").returncode == 0
    assert model_server.requests == ["/weights.bin"]


def test_changed_file_is_fetched_again(model_server: ModelServer, tmp_path: Path) -> None:
    manifest, models = write_manifest(tmp_path, model_server), tmp_path / "models"
    assert download(manifest, models).returncode == 0
    (models / "voice/weights.bin").write_bytes(CONTENT[::-1])
    assert download(manifest, models).returncode == 0
    assert (models / "voice/weights.bin").read_bytes() == CONTENT


def test_mirror_takes_the_place_of_the_host(model_server: ModelServer, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, model_server, url="https://models.invalid/far/weights.bin?download=true")
    done = download(manifest, tmp_path / "models", "--mirror", f"{model_server.address}/near/")
    assert done.returncode == 0, done.stderr
    assert model_server.requests == ["/near/far/weights.bin?download=true"]


@pytest.mark.parametrize(
    ("faults", "changes", "status", "said"),
    [
        ([missing], {}, 1, "HTTP 404"),
        ([wrong_bytes] * 3, {}, 1, "SHA-256 is"),
        ([], {"size": 10**15}, 3, "2 x as much must be free"),
        ([], {"path": "../escape"}, 2, "does not lie below the models folder"),
        ([], {"sha256": "abc"}, 2, "is not 64 hexadecimal digits"),
        ([], {"url": "file:///etc/passwd"}, 2, "is not an HTTP URL"),
        ([], {"size": "1"}, 2, "is not a number of bytes"),
    ],
    ids=["404", "always wrong", "no space", "escape", "short hash", "file url", "size"],
)
def test_download_fails_and_leaves_nothing_under_the_name(
    faults: list[Answer],
    changes: dict[str, object],
    status: int,
    said: str,
    model_server: ModelServer,
    tmp_path: Path,
) -> None:
    model_server.faults = faults
    models = tmp_path / "models"
    done = download(write_manifest(tmp_path, model_server, **changes), models, "--retries", "2")
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert not (models / "voice/weights.bin").exists()
    assert "Traceback" not in done.stderr


def check_disk(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(EXAMPLE / "scripts/check-disk.sh"), *options], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        (["-w", "101", "-c", "101"], 0, r"^ok       disk of .*, \d+ MB free$"),
        (["-w", "0", "-c", "101"], 1, r"^warning  disk of "),
        (["-w", "0", "-c", "0"], 2, r"^critical disk of "),
        (
            ["-w", "101", "-c", "101", "-n", "1000000"],
            2,
            r"^critical room for a build of 1000000 GB: 2000000 GB wanted, \d+ GB free$",
        ),
    ],
    ids=["ok", "warning", "critical", "room"],
)
def test_check_disk(options: list[str], status: int, line: str, tmp_path: Path) -> None:
    done = check_disk(*options, "-p", str(tmp_path))
    assert (done.returncode, bool(re.search(line, done.stdout, re.MULTILINE))) == (status, True), (
        done.stdout + done.stderr
    )


@pytest.mark.parametrize("options", [["-w", "many"], ["-x"], ["more"], ["-p", "/no/such/folder"]])
def test_check_disk_refuses(options: list[str]) -> None:
    assert check_disk(*options).returncode == 3


@pytest.mark.parametrize("script", ["check-disk.sh", "rehearse-recovery.sh"])
def test_scripts_are_clean_shell(script: str) -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=sh", str(EXAMPLE / "scripts" / script)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_daemon_example_limits_logs_and_cache() -> None:
    daemon = json.loads((EXAMPLE / "daemon.json.example").read_text())
    assert daemon["log-opts"] == {"max-size": "10m", "max-file": "3"}
    assert daemon["builder"]["gc"]["enabled"] is True
    assert daemon["features"]["buildkit"] is True


def test_own_context_holds_what_the_dockerfile_uses() -> None:
    measure = measure_context(CLONE, read_ignore_rules(CLONE, CLONE / "Dockerfile"))
    outside = {name for name, _ in measure.listing() if not name.startswith("ci_budget/")}
    assert outside <= {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements-build.lock",
        "requirements.lock",
        "scripts/engine-packages.sh",
    }
    assert {Path(name).suffix for name, _ in measure.listing() if name.startswith("ci_budget/")} <= {
        ".py",
        ".typed",
        ".json",
        ".html",
        ".css",
        ".js",
    }
