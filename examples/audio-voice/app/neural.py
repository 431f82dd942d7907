"""The neural engines: F5-TTS and Coqui XTTS. Their packages exist in the full variant only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOWNLOAD_HINT = "fetch them with: python scripts/download_models.py"


class ModelsMissingError(RuntimeError):
    """Files of a model are not on the volume."""


def _need(*paths: Path) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ModelsMissingError(f"models are missing ({', '.join(missing)}); {DOWNLOAD_HINT}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class _Neural:
    """Speakers are pairs of speakers/NAME.wav and speakers/NAME.txt on the volume of models."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._model: Any = None

    @property
    def voices(self) -> list[str]:
        return sorted(path.stem for path in self._models.glob("speakers/*.wav"))

    def _speaker(self, voice: str) -> tuple[Path, str]:
        if voice not in self.voices:
            raise KeyError(voice)
        text = self._models / "speakers" / f"{voice}.txt"
        return text.with_suffix(".wav"), text.read_text().strip() if text.exists() else ""


class F5Engine(_Neural):
    name = "f5"

    def _load(self) -> Any:
        if self._model is None:
            folder = self._models / "f5-tts"
            weights, vocabulary = folder / "model_1250000.safetensors", folder / "vocab.txt"
            vocoder = self._models / "vocos"
            _need(weights, vocabulary, vocoder / "pytorch_model.bin", vocoder / "config.yaml")
            from f5_tts.api import F5TTS

            self._model = F5TTS(
                model="F5TTS_v1_Base",
                ckpt_file=str(weights),
                vocab_file=str(vocabulary),
                vocoder_local_path=str(vocoder),
                device=_device(),
            )
        return self._model

    def speak(self, text: str, voice: str, language: str, speed: float) -> tuple[NDArray[np.float64], int]:  # noqa: ARG002
        """Samples and their rate; F5-TTS takes the language from the text. Raises KeyError, ModelsMissingError."""
        model = self._load()
        reference, reference_text = self._speaker(voice)
        samples, rate, _ = model.infer(str(reference), reference_text, text, speed=speed)
        return np.asarray(samples, dtype=np.float64), int(rate)


class XttsEngine(_Neural):
    name = "xtts"

    def _load(self) -> Any:
        if self._model is None:
            folder = self._models / "xtts-v2"
            _need(folder / "model.pth", folder / "config.json", folder / "vocab.json")
            from TTS.api import TTS

            self._model = TTS(model_path=str(folder), config_path=str(folder / "config.json")).to(_device())
        return self._model

    def speak(self, text: str, voice: str, language: str, speed: float) -> tuple[NDArray[np.float64], int]:
        """Samples and their rate. Raises KeyError for an unknown voice, ModelsMissingError."""
        model = self._load()
        reference, _ = self._speaker(voice)
        samples = model.tts(text, speaker_wav=str(reference), language=language, speed=speed)
        return np.asarray(samples, dtype=np.float64), int(model.synthesizer.output_sample_rate)
