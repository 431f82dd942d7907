"""The example service before and after; the one before with one measure each, the one after with one cause put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "audio-voice"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One Dockerfile with its ignore file. `says`: what is special about it. `cause`: words of which the report
    names one under its verdict when this case is gated against the one after (empty: it is no such case)."""

    name: str
    says: str
    dockerfile: str
    ignore: str
    target: str | None = None
    cause: tuple[str, ...] = ()


def before() -> Case:
    """As it was."""
    return Case(
        name="before",
        says="as it was",
        dockerfile=(EXAMPLE / "Dockerfile.before").read_text(),
        ignore=(EXAMPLE / "Dockerfile.before.dockerignore").read_text(),
    )


def after() -> Case:
    """As it is now."""
    return Case(
        name="after",
        says="all of it",
        dockerfile=(EXAMPLE / "Dockerfile").read_text(),
        ignore=(EXAMPLE / ".dockerignore").read_text(),
        target="runtime",
    )


def measures() -> list[Case]:
    """The Dockerfile from before with one measure each."""
    return [
        _changed(before(), "installer", "uv instead of pip, its cache removed in the step", [(_PIP_STEPS, _UV_STEP)]),
        replace(before(), name="ignore-file", says="the complete ignore file", ignore=_unlocked(after().ignore)),
        _changed(before(), "models-out", "models fetched at run time", [(_MODELS_STEP, "")]),
        _changed(
            before(),
            "build-tools-out",
            "build tools and apt lists removed in the step that needs them",
            [(_TOOLS_STEPS, ""), (_APT_STEP, _APT_STEP_CLEAN), (_MAKE_STEP, _MAKE_STEP_CLEAN)],
        ),
        _changed(
            before(),
            "left-out-parts",
            "without what only training and the web page need, in one step",
            [(_PIP_INSTALLS, _PIP_LEAN)],
        ),
    ]


def causes() -> list[Case]:
    """The Dockerfile of today with one of the five causes put back each."""
    lean = after()
    unlocked = replace(lean, ignore=_unlocked(lean.ignore))
    return [
        _changed(
            unlocked,
            "torch-layer",
            "PyTorch by pip in a layer of its own",
            [(_LEAN_STEP, _TORCH_STEP + _LEAN_STEP)],
            cause=("torch",),
        ),
        _changed(
            unlocked,
            "ml-by-pip",
            "the packages by pip, all of them",
            [(_UV_LINES, _PIP_LINES)],
            cause=("triton",),  # the largest of those that are left out
        ),
        _changed(
            lean,
            "models-in-build",
            "models fetched in the build",
            [(_VOLUME, _MODELS_LATE + _VOLUME)],
            cause=("model",),
        ),
        _changed(
            lean,
            "build-tools-kept",
            "build-essential kept in the image",
            [("xargs -r apt-get install", "apt-get install -y build-essential \\\n    && xargs -r apt-get install")],
            cause=("build-essential", "gcc", "compiler", "build tools"),
        ),
        replace(
            lean,
            name="ignore-forgotten",
            says="the ignore file from before",
            ignore=before().ignore,
            cause=("sprints", "ignore"),
        ),
    ]


def _unlocked(ignore: str) -> str:
    """The ignore file that lets the lists from before in as well."""
    return ignore.replace("!requirements/*.txt", "!requirements/**/*.txt")


def _changed(case: Case, name: str, says: str, swaps: Sequence[tuple[str, str]], cause: tuple[str, ...] = ()) -> Case:
    """`case` with each text swapped for another. Raises ValueError where a text does not stand there exactly once."""
    text = case.dockerfile
    for old, new in swaps:
        if text.count(old) != 1:
            raise ValueError(f"{name}: the Dockerfile has {text.count(old)} times, not once:\n{old}")
        text = text.replace(old, new)
    return replace(case, name=name, says=says, dockerfile=text, cause=cause)


def project(case: Case, folder: Path, copy: Callable[[Path, Path], object]) -> None:
    """Lay out the service with the Dockerfile and the ignore file of `case` in `folder`."""
    copy(EXAMPLE, folder)
    for name in ("Dockerfile.before", "Dockerfile.before.dockerignore"):
        (folder / name).unlink()
    (folder / "Dockerfile").write_text(case.dockerfile)
    (folder / ".dockerignore").write_text(case.ignore)


_PIP_INSTALLS = """\
RUN pip install -r "/tmp/requirements/before/${VARIANT}-first.txt"
RUN pip install -r "/tmp/requirements/before/${VARIANT}.txt"
"""
_PIP_STEPS = "RUN pip install --upgrade pip wheel\n" + _PIP_INSTALLS
_UV_STEP = """\
RUN pip install --no-cache-dir uv==0.13.9 \\
    && export UV_CACHE_DIR=/opt/uv-cache UV_LINK_MODE=hardlink UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 \\
    && uv pip install --system --break-system-packages \\
        -r "/tmp/requirements/before/${VARIANT}-first.txt" -r "/tmp/requirements/before/${VARIANT}.txt" \\
    && rm -rf /opt/uv-cache
"""
_PIP_LEAN = 'RUN pip install --require-hashes --no-deps -r "/tmp/requirements/${VARIANT}.txt"\n'
_MODELS_STEP = """\
# A path in the context or a URL; the light variant's own manifest names no model.
ARG MODELS_MANIFEST=
RUN python scripts/download_models.py --manifest "${MODELS_MANIFEST:-models/${VARIANT}.json}" --models models-data
"""
_TOOLS_STEPS = "RUN apt-get update\nRUN apt-get install -y build-essential\n"
_APT_STEP = 'RUN xargs -r apt-get install -y < "/tmp/requirements/${VARIANT}.apt"\n'
_APT_STEP_CLEAN = """\
RUN apt-get update && xargs -r apt-get install -y < "/tmp/requirements/${VARIANT}.apt" \\
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
"""
_MAKE_STEP = "RUN make -C native\n"
_MAKE_STEP_CLEAN = """\
RUN apt-get update && apt-get install -y build-essential && make -C native \\
    && apt-get purge -y --auto-remove build-essential && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
"""
_LEAN_STEP = "# One step, so that no cache"
_TORCH_STEP = """\
RUN --mount=type=bind,source=requirements,target=/requirements \\
    pip install -r "/requirements/before/${VARIANT}-first.txt"
"""
_UV_LINES = """\
    && export UV_CACHE_DIR=/opt/uv-cache UV_LINK_MODE=hardlink UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 \\
    && /builder/uv/bin/uv venv --python "$(command -v python3)" /opt/venv \\
    && /builder/uv/bin/uv pip install --python /opt/venv/bin/python --require-hashes --no-deps \\
        -r "/requirements/${VARIANT}.txt" \\
    && rm -rf /opt/uv-cache \\
"""
_PIP_LINES = """\
    && python3 -m venv /opt/venv \\
    && /opt/venv/bin/pip install \\
        -r "/requirements/before/${VARIANT}-first.txt" -r "/requirements/before/${VARIANT}.txt" \\
"""
_VOLUME = "# Models are fetched at run time"
_MODELS_LATE = """\
ARG MODELS_MANIFEST=
RUN python scripts/download_models.py --manifest "${MODELS_MANIFEST:-models/${VARIANT}.json}" --models /models
"""
