"""What the environment tells the service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("formant", "f5", "xtts")
DEFAULT_ENGINE = {"light": "formant", "full": "f5"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    variant: str
    engine: str
    models: Path
    native_library: Path

    @classmethod
    def from_environment(cls) -> Settings:
        """Read AUDIO_VOICE_*; raises ValueError for a variant or an engine that does not exist."""
        root = Path(__file__).resolve().parent.parent
        variant = os.environ.get("AUDIO_VOICE_VARIANT", "light")
        if variant not in DEFAULT_ENGINE:
            raise ValueError(f"AUDIO_VOICE_VARIANT is {variant!r}; it must be one of {', '.join(DEFAULT_ENGINE)}")
        engine = os.environ.get("AUDIO_VOICE_ENGINE", DEFAULT_ENGINE[variant])
        if engine not in ENGINES:
            raise ValueError(f"AUDIO_VOICE_ENGINE is {engine!r}; it must be one of {', '.join(ENGINES)}")
        return cls(
            variant=variant,
            engine=engine,
            models=Path(os.environ.get("AUDIO_VOICE_MODELS", root / "models-data")),
            native_library=Path(os.environ.get("AUDIO_VOICE_NATIVE", root / "native" / "libresonator.so")),
        )
