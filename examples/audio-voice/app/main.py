"""The HTTP side: GET /health, GET /voices, POST /speak."""

from __future__ import annotations

import threading
from typing import Annotated, Literal, Protocol

import numpy as np
from fastapi import FastAPI, HTTPException, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app import __version__
from app.audio import MEDIA_TYPES, encode
from app.formant import FormantEngine
from app.neural import F5Engine, ModelsMissingError, XttsEngine
from app.settings import Settings


class Engine(Protocol):
    name: str

    @property
    def voices(self) -> list[str]: ...

    def speak(self, text: str, voice: str, language: str, speed: float) -> tuple[NDArray[np.float64], int]: ...


class Speech(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    voice: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "neutral"
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$")] = "en"
    speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] = 24000
    format: Literal["wav", "flac", "ogg"] = "wav"


def make_engine(settings: Settings) -> Engine:
    if settings.engine == "f5":
        return F5Engine(settings.models)
    if settings.engine == "xtts":
        return XttsEngine(settings.models)
    return FormantEngine(settings.native_library, settings.models)


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings.from_environment()
    engine = make_engine(settings)
    lock = threading.Lock()  # one synthesis at a time: the models share one device
    app = FastAPI(title="Audio Voice", version=__version__)

    @app.get("/health")
    def health() -> dict[str, str | int]:
        return {
            "status": "ok",
            "version": __version__,
            "variant": settings.variant,
            "engine": engine.name,
            "voices": len(engine.voices),
        }

    @app.get("/voices")
    def voices() -> list[str]:
        return engine.voices

    @app.post("/speak", response_class=Response)
    def speak(speech: Speech) -> Response:
        try:
            with lock:
                samples, rate = engine.speak(speech.text, speech.voice, speech.language, speech.speed)
        except KeyError:
            known = ", ".join(engine.voices) or "none"
            raise HTTPException(404, f"no voice {speech.voice!r}; there are: {known}") from None
        except ModelsMissingError as error:
            raise HTTPException(503, str(error)) from None
        return Response(encode(samples, rate, speech.sample_rate, speech.format), media_type=MEDIA_TYPES[speech.format])

    return app
