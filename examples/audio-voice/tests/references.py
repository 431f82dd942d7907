"""Make tests/data again, in the image, after the sound was changed on purpose:

docker run --rm --user 0 -v "$PWD/tests:/srv/audio-voice/tests" audio-voice:3.0.0-light python -m tests.references
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from app.audio import encode
from app.formant import RATE, FormantEngine
from app.settings import Settings

HERE = Path(__file__).resolve().parent
VOICES = ("neutral", "bright")


def speech() -> Iterator[tuple[Path, bytes]]:
    """A file of tests/data and the WAV that the service makes for it now."""
    settings = Settings.from_environment()
    engine = FormantEngine(settings.native_library, settings.models)
    for phrase in json.loads((HERE / "phrases.json").read_text()):
        for voice in VOICES:
            samples, rate = engine.speak(phrase["text"], voice, phrase["language"], 1.0)
            yield HERE / "data" / f"{phrase['name']}-{voice}.wav", encode(samples, rate, RATE, "wav")


if __name__ == "__main__":
    for path, content in speech():
        path.write_bytes(content)
