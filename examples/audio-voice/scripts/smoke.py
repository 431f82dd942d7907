"""Does this image work? Imports what its variant promises, starts the service, asks it for health and for speech.

Standard library only; needs no network beyond the loopback interface, and no models.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave

PROMISED = {"light": ("numpy", "scipy", "soundfile"), "full": ("torch", "f5_tts.api", "TTS.api")}
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_health(address: str, service: subprocess.Popen[bytes]) -> dict[str, object]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise SystemExit(f"smoke: the service ended with exit status {service.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                health: dict[str, object] = json.load(answer)
                return health
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit(f"smoke: no answer from /health within {START_SECONDS} s")


def speak(address: str) -> float:
    """Seconds of speech that /speak returned."""
    body = json.dumps({"text": "Bom dia. This is the audio voice service."}).encode()
    request = urllib.request.Request(f"{address}/speak", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer, wave.open(io.BytesIO(answer.read())) as speech:
        frames = speech.readframes(speech.getnframes())
        if not any(frames):
            raise SystemExit("smoke: /speak returned silence")
        return speech.getnframes() / speech.getframerate()


def main() -> None:
    variant = os.environ.get("AUDIO_VOICE_VARIANT", "light")
    for module in PROMISED[variant]:
        importlib.import_module(module)
        print(f"smoke: import {module}: ok")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--host", "127.0.0.1"]
    service = subprocess.Popen([*command, "--port", str(port), "--log-level", "warning"])
    try:
        address = f"http://127.0.0.1:{port}"
        print(f"smoke: /health: {json.dumps(wait_for_health(address, service))}")
        if variant == "light":  # the neural engines speak only with their models on the volume
            print(f"smoke: /speak: {speak(address):.2f} s of speech")
    finally:
        service.terminate()
        try:
            service.wait(10)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


if __name__ == "__main__":
    main()
