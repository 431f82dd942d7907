"""From samples to the bytes of an audio file."""

from __future__ import annotations

import io

import numpy as np
import pyloudnorm
import soundfile
import soxr
from numpy.typing import NDArray

MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg"}
LOUDNESS_LUFS = -20.0
SHORTEST_MEASURABLE_SECONDS = 0.4  # one gating block of ITU-R BS.1770


def encode(samples: NDArray[np.float64], rate: int, wanted_rate: int, kind: str) -> bytes:
    """An audio file of `kind` (a key of MEDIA_TYPES) at `wanted_rate` samples a second, at LOUDNESS_LUFS."""
    if rate != wanted_rate:
        samples = soxr.resample(samples, rate, wanted_rate)
    if len(samples) >= SHORTEST_MEASURABLE_SECONDS * wanted_rate:
        loudness = pyloudnorm.Meter(wanted_rate).integrated_loudness(samples)
        if np.isfinite(loudness):
            samples = samples * 10 ** ((LOUDNESS_LUFS - loudness) / 20)
    samples = np.clip(samples, -1.0, 1.0)
    file = io.BytesIO()
    soundfile.write(file, samples, wanted_rate, format=kind.upper())
    return file.getvalue()
