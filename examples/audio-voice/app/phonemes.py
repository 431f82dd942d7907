"""From text to phonemes, and what each phoneme sounds like."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from dataclasses import dataclass

TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Phoneme:
    """Formants in Hz, voicing and noise between 0 and 1, centre of the noise in Hz, duration in milliseconds."""

    f1: float
    f2: float
    f3: float
    voicing: float = 1.0
    noise: float = 0.0
    noise_hz: float = 3000.0
    ms: float = 90.0


PAUSE = Phoneme(500, 1500, 2500, voicing=0.0, ms=120)

# Vowels after Peterson and Barney (1952), consonant loci after Klatt (1980), rounded.
TABLE = {
    "a": Phoneme(730, 1250, 2450, ms=120),
    "ɐ": Phoneme(600, 1250, 2450, ms=80),
    "æ": Phoneme(660, 1720, 2410, ms=120),
    "ɑ": Phoneme(730, 1090, 2440, ms=130),
    "e": Phoneme(450, 2000, 2600, ms=110),
    "ɛ": Phoneme(530, 1840, 2480, ms=110),
    "ə": Phoneme(500, 1400, 2450, ms=60),
    "ɜ": Phoneme(490, 1350, 1690, ms=120),
    "i": Phoneme(270, 2290, 3010, ms=110),
    "ɪ": Phoneme(390, 1990, 2550, ms=90),
    "o": Phoneme(460, 900, 2400, ms=120),
    "ɔ": Phoneme(570, 840, 2410, ms=120),
    "u": Phoneme(300, 870, 2240, ms=110),
    "ʊ": Phoneme(440, 1020, 2240, ms=90),
    "ʌ": Phoneme(640, 1190, 2390, ms=100),
    "j": Phoneme(280, 2200, 2900, ms=60),
    "w": Phoneme(290, 700, 2200, ms=60),
    "l": Phoneme(360, 1100, 2600, voicing=0.7, ms=70),
    "ʎ": Phoneme(300, 1900, 2700, voicing=0.7, ms=80),
    "r": Phoneme(400, 1300, 1600, voicing=0.8, ms=60),
    "ɹ": Phoneme(330, 1060, 1380, voicing=0.8, ms=70),
    "ɾ": Phoneme(400, 1500, 2300, voicing=0.5, ms=35),
    "m": Phoneme(270, 1000, 2200, voicing=0.5, ms=75),
    "n": Phoneme(270, 1500, 2500, voicing=0.5, ms=75),
    "ɲ": Phoneme(270, 2000, 2700, voicing=0.5, ms=80),
    "ŋ": Phoneme(270, 2300, 2700, voicing=0.5, ms=80),
    "b": Phoneme(200, 900, 2200, voicing=0.3, noise=0.2, noise_hz=800, ms=60),
    "d": Phoneme(200, 1600, 2600, voicing=0.3, noise=0.3, noise_hz=3500, ms=55),
    "g": Phoneme(200, 1900, 2400, voicing=0.3, noise=0.3, noise_hz=2000, ms=60),
    "p": Phoneme(400, 1100, 2200, voicing=0.0, noise=0.4, noise_hz=900, ms=80),
    "t": Phoneme(400, 1600, 2600, voicing=0.0, noise=0.5, noise_hz=4000, ms=75),
    "k": Phoneme(300, 1900, 2400, voicing=0.0, noise=0.5, noise_hz=2000, ms=80),
    "f": Phoneme(340, 1100, 2100, voicing=0.0, noise=0.4, noise_hz=6000, ms=100),
    "v": Phoneme(220, 1100, 2100, voicing=0.5, noise=0.3, noise_hz=5500, ms=70),
    "θ": Phoneme(320, 1300, 2500, voicing=0.0, noise=0.3, noise_hz=6500, ms=100),
    "ð": Phoneme(270, 1300, 2500, voicing=0.5, noise=0.2, noise_hz=6000, ms=60),
    "s": Phoneme(320, 1400, 2500, voicing=0.0, noise=0.8, noise_hz=6200, ms=110),
    "z": Phoneme(240, 1400, 2500, voicing=0.5, noise=0.6, noise_hz=6000, ms=90),
    "ʃ": Phoneme(300, 1800, 2700, voicing=0.0, noise=0.8, noise_hz=3200, ms=110),
    "ʒ": Phoneme(300, 1800, 2700, voicing=0.5, noise=0.6, noise_hz=3000, ms=90),
    "h": Phoneme(500, 1500, 2500, voicing=0.0, noise=0.3, noise_hz=1500, ms=60),
}
ALIASES = {"x": "h", "ʁ": "h", "χ": "h", "ɡ": "g", "ɫ": "l", "c": "k", "q": "k", "y": "i", "ʔ": "t", "ɨ": "i", "ɚ": "ɜ"}


def phonemes_of(text: str, language: str) -> list[Phoneme]:
    """Phonemes of `text`, with a pause for each stretch that has no sound; never empty."""
    found: list[Phoneme] = []
    for symbol in _ipa(text, language):
        phoneme = TABLE.get(ALIASES.get(symbol, symbol))
        if phoneme is not None:
            found.append(phoneme)
        elif (symbol.isspace() or symbol in ".,;:!?_") and found and found[-1] is not PAUSE:
            found.append(PAUSE)
    return found or [PAUSE]


def _ipa(text: str, language: str) -> str:
    """International Phonetic Alphabet by espeak-ng; without it, the letters themselves, stripped of accents."""
    program = shutil.which("espeak-ng")
    if program is not None:
        result = subprocess.run(
            [program, "-q", "--ipa", "-v", language, "--stdin"],
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if result.returncode == 0 and result.stdout.strip():
            return result.stdout
    decomposed = unicodedata.normalize("NFD", text.lower())
    return re.sub(r"[\u0300-\u036f]", "", decomposed)
