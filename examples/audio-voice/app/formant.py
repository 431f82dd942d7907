"""A formant synthesiser: speech from a pulse train and noise through resonators, without any model file."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from app.phonemes import Phoneme, phonemes_of

RATE = 16_000
BANDWIDTHS = (70.0, 100.0, 140.0)
GLIDE_MS = 25.0

Samples = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Pitch in Hz, size of the vocal tract (1 is an adult male's; larger is shorter), breath between 0 and 1."""

    pitch_hz: float = 118.0
    tract: float = 1.0
    breath: float = 0.03


VOICES = {"neutral": Voice(), "bright": Voice(pitch_hz=205.0, tract=1.16, breath=0.05)}


def load_voices(folder: Path) -> dict[str, Voice]:
    """The built-in voices and those in FOLDER/voices/NAME.json; raises ValueError for a file that is none."""
    voices = dict(VOICES)
    for path in sorted(folder.glob("voices/*.json")):
        try:
            voices[path.stem] = replace(
                Voice(), **{key: float(value) for key, value in json.loads(path.read_text()).items()}
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a voice: {error}") from error
    return voices


class FormantEngine:
    name = "formant"

    def __init__(self, library: Path, models: Path) -> None:
        """Raises OSError where the compiled resonator is missing, ValueError for a broken voice file."""
        self._resonate = ctypes.CDLL(str(library)).resonate
        array = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
        self._resonate.argtypes = [array, array, array, ctypes.c_size_t, ctypes.c_double]
        self._resonate.restype = None
        self._voices = load_voices(models)

    @property
    def voices(self) -> list[str]:
        return sorted(self._voices)

    def speak(self, text: str, voice: str, language: str, speed: float) -> tuple[Samples, int]:
        """Samples between about -1 and 1, and their rate. Raises KeyError for an unknown voice."""
        chosen = self._voices[voice]
        tracks = _tracks(phonemes_of(text, language), chosen, speed)
        source = _source(tracks, chosen)
        for index, bandwidth in enumerate(BANDWIDTHS):
            frequency = np.ascontiguousarray(tracks[f"f{index + 1}"])
            self._resonate(source, frequency, np.full_like(frequency, bandwidth), len(source), float(RATE))
        samples = sosfilt(butter(2, 60.0, "highpass", fs=RATE, output="sos"), source) + _frication(tracks)
        return samples / max(1e-9, float(np.max(np.abs(samples)))) * 0.9, RATE


def _tracks(phonemes: list[Phoneme], voice: Voice, speed: float) -> dict[str, Samples]:
    """One value a sample for each parameter, with glides of GLIDE_MS between neighbouring phonemes."""
    lengths = [max(1, round(RATE * phoneme.ms / 1000 / speed)) for phoneme in phonemes]
    glide = max(1, round(RATE * GLIDE_MS / 1000))
    kernel = np.hanning(glide + 2)[1:-1]
    kernel /= kernel.sum()
    tracks: dict[str, Samples] = {}
    for name in ("f1", "f2", "f3", "voicing", "noise", "noise_hz"):
        steps = np.repeat([float(getattr(phoneme, name)) for phoneme in phonemes], lengths)
        padded = np.pad(steps, (glide // 2, glide - 1 - glide // 2), mode="edge")
        tracks[name] = np.convolve(padded, kernel, mode="valid")
    for name in ("f1", "f2", "f3"):
        tracks[name] *= voice.tract
    return tracks


def _source(tracks: dict[str, Samples], voice: Voice) -> Samples:
    """The glottis: pulses at a falling pitch (declination of 15 %), differentiated, plus breath."""
    count = len(tracks["f1"])
    pitch = voice.pitch_hz * np.linspace(1.05, 0.9, count)
    phase = np.cumsum(pitch / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    shape = np.hanning(round(RATE / voice.pitch_hz * 0.4) + 2)[1:-1]
    glottis = np.convolve(pulses, np.diff(shape, prepend=0.0), mode="full")[:count]
    breath = voice.breath * np.random.default_rng(1).standard_normal(count)
    return np.ascontiguousarray((glottis + breath) * tracks["voicing"])


def _frication(tracks: dict[str, Samples]) -> Samples:
    """Noise of the consonants: one band-pass a distinct centre frequency, faded in where it is wanted."""
    noise = np.random.default_rng(2).standard_normal(len(tracks["noise"]))
    result = np.zeros_like(noise)
    for low, high in ((500, 1500), (1500, 2800), (2800, 5000), (5000, 7600)):
        wanted = tracks["noise"] * ((tracks["noise_hz"] >= low) & (tracks["noise_hz"] < high))
        if wanted.any():
            result += 0.25 * wanted * sosfilt(butter(2, (low, high), "bandpass", fs=RATE, output="sos"), noise)
    return result
