"""The example service and the tool's own image, built and run on a real engine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.engine_access import CLONE, Engine

pytestmark = pytest.mark.beside

EXAMPLE = CLONE / "examples" / "audio-voice"
AFTER = "test/audio-voice:after"
BEFORE = "test/audio-voice:before"
TOOL = "test/own-image:latest"
MODEL_BYTES = 20_000_000


@pytest.fixture(scope="module")
def after(engine: Engine, debian_base: str) -> Iterator[str]:
    engine.build_online("--load", "--target", "runtime", "--build-arg", "VARIANT=light", "-t", AFTER, str(EXAMPLE))
    yield AFTER
    engine.docker("rmi", AFTER)


@pytest.fixture(scope="module")
def model_manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a manifest with one model of MODEL_BYTES, on this machine's loopback interface."""
    folder = tmp_path_factory.mktemp("models")
    content = os.urandom(MODEL_BYTES)
    entry = {
        "path": "voice.bin",
        "url": "voice.bin",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "voice.bin").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "models": [{"files": [entry]}]}))
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/manifest.json"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def before(engine: Engine, debian_base: str, model_manifest: str) -> Iterator[str]:
    build = ["--load", "--network", "host", "-f", str(EXAMPLE / "Dockerfile.before"), "-t", BEFORE]
    arguments = ["--build-arg", "VARIANT=light", "--build-arg", f"MODELS_MANIFEST={model_manifest}"]
    engine.build_online(*build, *arguments, str(EXAMPLE))
    yield BEFORE
    engine.docker("rmi", BEFORE)


def own_layers(engine: Engine, image: str, base: str) -> int:
    counts = engine.docker("image", "inspect", "--format", "{{len .RootFS.Layers}}", image, base).split()
    return int(counts[0]) - int(counts[1])


def run_smoke(engine: Engine, image: str, *options: str) -> list[str]:
    printed = engine.docker("run", "--rm", "--network", "none", *options, image, "python", "scripts/smoke.py")
    return [re.sub(r"\d+\.\d\d s of", "N s of", line) for line in printed.splitlines()]


SMOKE = [
    "smoke: import numpy: ok",
    "smoke: import scipy: ok",
    "smoke: import soundfile: ok",
    'smoke: /health: {"status": "ok", "version": "3.0.0", "variant": "light", "engine": "formant", "voices": 2}',
    "smoke: /speak: N s of speech",
]


@pytest.mark.slow
def test_after_is_lean_and_works(engine: Engine, after: str, debian_base: str) -> None:
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    assert run_smoke(engine, after, *hardened) == SMOKE
    assert own_layers(engine, after, debian_base) == 5
    assert engine.docker("run", "--rm", after, "id", "-u").strip() == "10001"
    unwanted = "for name in gcc make uv; do command -v $name; done; ls -d /opt/uv* ~/.cache /var/lib/apt/lists/* tests"
    found = engine.docker("run", "--rm", "--user", "0", after, "sh", "-c", f"{unwanted} 2>/dev/null || true")
    assert found == ""


@pytest.mark.slow
def test_after_serves_and_fetches_models_at_run_time(engine: Engine, after: str, model_manifest: str) -> None:
    started = engine.docker("run", "-d", "--rm", "--network", "host", after, *SERVE).strip()
    try:
        fetch = ["exec", started, "python", "scripts/download_models.py", "--manifest", model_manifest]
        assert engine.docker(*fetch) == f"models: fetched 1 files, {MODEL_BYTES} bytes, into /models\n"
        assert engine.docker(*fetch) == "models: 1 of 1 files are there in /models\n"
        assert json.loads(engine.docker("exec", started, "python", "-c", ASK_FOR_VOICES)) == ["bright", "neutral"]
    finally:
        engine.docker("rm", "-f", "-v", started)


SERVE = ["python", "-m", "uvicorn", "--factory", "app.main:create_app", "--host", "127.0.0.1", "--port", "18654"]
ASK_FOR_VOICES = """
import sys, time, urllib.error, urllib.request
for attempt in range(1200):
    try:
        sys.stdout.write(urllib.request.urlopen("http://127.0.0.1:18654/voices").read().decode())
        break
    except urllib.error.URLError:
        time.sleep(0.1)
"""


@pytest.mark.slow
def test_after_sounds_as_recorded(engine: Engine, after: str) -> None:
    tests = f"{EXAMPLE / 'tests'}:/srv/audio-voice/tests:ro"
    engine.docker(
        "run", "--rm", "--network", "none", "-v", tests, after, "python", "-m", "unittest", "tests.test_speech"
    )


@pytest.mark.slow
def test_before_works_and_has_every_cost(engine: Engine, before: str, debian_base: str) -> None:
    assert run_smoke(engine, before) == SMOKE
    assert own_layers(engine, before, debian_base) == 11
    look = "command -v gcc; echo tests sprints_0*; stat -c %s models-data/voice.bin; ls /var/lib/apt/lists | wc -l"
    gcc, forgotten, model, lists = engine.docker("run", "--rm", before, "sh", "-c", look).splitlines()
    assert (gcc, forgotten, model) == (
        "/usr/bin/gcc",
        "tests sprints_01 sprints_02 sprints_03 sprints_04",
        str(MODEL_BYTES),
    )
    assert int(lists) > 2


@pytest.mark.slow
def test_compose_files_are_valid(engine: Engine) -> None:
    files = ["-f", str(EXAMPLE / "compose.yaml"), "-f", str(EXAMPLE / "compose.gpu.yaml")]
    service = json.loads(engine.docker("compose", *files, "config", "--format", "json"))["services"]["audio-voice"]
    assert service["read_only"] is True
    assert service["volumes"][0]["target"] == "/models"
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


@pytest.mark.slow
def test_compose_brings_it_up_with_its_models_on_the_volume(engine: Engine, after: str) -> None:
    engine.docker("tag", after, "audio-voice:3.0.0-light")
    project = ["compose", "-f", str(EXAMPLE / "compose.yaml"), "-p", "test-audio-voice"]
    environment = {"VARIANT": "light", "AUDIO_VOICE_PORT": "18655"}
    try:
        engine.docker(*project, "up", "--detach", "--no-build", "--wait", env=environment)
        with urllib.request.urlopen("http://127.0.0.1:18655/health", timeout=500) as answer:
            assert json.load(answer)["status"] == "ok"
        fetch = ["exec", "--no-TTY", "audio-voice", "python", "scripts/download_models.py"]
        assert engine.docker(*project, *fetch, env=environment) == "models: 0 of 0 files are there in /models\n"
        ident = engine.docker(*project, "ps", "--quiet", env=environment).strip()
        facts = json.loads(engine.docker("inspect", ident))[0]["HostConfig"]
        assert facts["ReadonlyRootfs"] is True
        assert facts["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    finally:
        engine.docker(*project, "down", "--volumes", env=environment)
        engine.docker("rmi", "audio-voice:3.0.0-light")


def test_a_damaged_filesystem_comes_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [EXAMPLE / "scripts" / "rehearse-recovery.sh", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert "  e2fsck ended with 1: 1 is repaired, 2 repaired and reboot, 4 and more not repaired" in told
    assert told[-1] == "All 200 files came back with their checksums; lost+found holds 0."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_own_image_speaks_to_a_mounted_socket(engine: Engine, debian_base: str) -> None:
    socket = engine.docker_host.removeprefix("unix://")
    engine.build_online("--load", "--target", "runtime", "-t", TOOL, str(CLONE))
    mount = ["-v", f"{socket}:/var/run/docker.sock", "--group-add", str(Path(socket).stat().st_gid)]
    told = engine.docker("run", "--rm", *mount, "--entrypoint", "sh", TOOL, "-c", ASK)
    server = engine.docker("version", "--format", "{{.Server.Version}}")
    assert told.splitlines()[:2] == ["10001", server.strip()]
    assert "containerd" in told
    assert engine.docker("run", "--rm", TOOL, "--version").startswith("ci-budget ")
    engine.docker("rmi", TOOL)


# What `check` and a sandbox in a privileged container need; each is found and runs.
ASK = """set -e
id -u
docker version --format '{{.Server.Version}}'
docker buildx version
for program in containerd dockerd runc git iptables; do command -v $program; $program --version >/dev/null; done
for program in docker-init ip mkfs.ext4 e2image losetup mount umount; do PATH=$PATH:/usr/sbin command -v $program; done
"""
