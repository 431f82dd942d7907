"""The sound of the light variant, against recorded references. Needs the image's packages:

docker run --rm -v "$PWD/tests:/srv/audio-voice/tests:ro" audio-voice:3.0.0-light python -m unittest tests.test_speech
"""

from __future__ import annotations

import io
import unittest

import numpy as np
import soundfile
from app.audio import encode
from app.formant import RATE, FormantEngine, load_voices
from app.phonemes import PAUSE, TABLE, phonemes_of
from app.settings import Settings

from tests.references import speech


class Speech(unittest.TestCase):
    def test_sounds_like_the_references(self) -> None:
        for path, content in speech():
            with self.subTest(path.stem):
                now, _ = soundfile.read(io.BytesIO(content))
                then, rate = soundfile.read(path)
                self.assertEqual(rate, RATE)
                self.assertEqual(len(now), len(then))
                self.assertGreater(np.corrcoef(now, then)[0, 1], 0.99)

    def test_formats_and_rates(self) -> None:
        settings = Settings.from_environment()
        engine = FormantEngine(settings.native_library, settings.models)
        samples, rate = engine.speak("hello", "bright", "en", 1.0)
        for kind in ("wav", "flac", "ogg"):
            for wanted in (8000, 48000):
                with self.subTest(kind=kind, rate=wanted):
                    found, found_rate = soundfile.read(io.BytesIO(encode(samples, rate, wanted, kind)))
                    self.assertEqual(found_rate, wanted)
                    self.assertAlmostEqual(len(found) / wanted, len(samples) / rate, delta=0.05)

    def test_speed_shortens(self) -> None:
        settings = Settings.from_environment()
        engine = FormantEngine(settings.native_library, settings.models)
        slow, _ = engine.speak("one two three", "neutral", "en", 0.5)
        fast, _ = engine.speak("one two three", "neutral", "en", 2.0)
        self.assertAlmostEqual(len(slow) / len(fast), 4.0, delta=0.05)


class Phonemes(unittest.TestCase):
    def test_never_empty(self) -> None:
        self.assertEqual(phonemes_of("…", "en"), [PAUSE])

    def test_accents(self) -> None:
        self.assertIn(TABLE["n"], phonemes_of("não", "pt-br"))

    def test_unknown_language_falls_back_to_letters(self) -> None:
        self.assertEqual(phonemes_of("ma", "xx"), [TABLE["m"], TABLE["a"]])


class Voices(unittest.TestCase):
    def test_built_in(self) -> None:
        self.assertEqual(sorted(load_voices(Settings.from_environment().models)), ["bright", "neutral"])


if __name__ == "__main__":
    unittest.main()
