"""Model weights in an image: every pull moves them, every build fetches them, no two versions share them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from ci_budget.core.findings.copies import name_line, read_copy
from ci_budget.core.findings.rule import Evidence, OwnFile, Place, Rule, by_layer, make_finding, name_some, shell_text
from ci_budget.core.findings.shell import read_commands
from ci_budget.core.layers.model import Kind
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_MOST_FOLDERS = 4
_FETCHES = re.compile(r"ADD\s(?:--\S+\s+|\[\s*\")*(?:https?|git|ssh)://", re.IGNORECASE)
_WEIGHTS = frozenset((
    "safetensors", "gguf", "ggml", "ckpt", "pth", "pt", "onnx", "tflite", "nemo", "engine", "keras", "joblib",
    "pdparams", "pdiparams", "caffemodel", "mlmodel", "llamafile", "ptl",
))  # fmt: skip
# `.bin` and `.h5` are weights only where their names say so
_PERHAPS = frozenset(("bin", "h5", "msgpack"))
_NAMED_WEIGHTS = re.compile(
    r"(?:^|/)(?:(?:pytorch|tf|flax|diffusion_pytorch|adapter|open_clip_pytorch|ggml|whisper)?_?-?model[^/]*"
    r"|ggml-[^/]+|[^/]*weights[^/]*)\.(?:bin|h5|msgpack)$",
    re.IGNORECASE,
)
_HUBS = re.compile(
    r"(?:^|/)(?:huggingface/hub|huggingface/xet|huggingface/transformers|\.cache/torch/(?:hub|sentence_transformers)|torch/hub"
    r"|hub/models--[^/]+/blobs|models--[^/]+/(?:blobs|snapshots)|\.local/share/tts|\.cache/(?:whisper|suno|clip)"
    r"|\.ollama/models|nltk_data|\.cache/modelscope)/"
)
_BLOBS = re.compile(r"(?:^|/)blobs/sha256-[0-9a-f]{64}$")  # Ollama's, wherever OLLAMA_MODELS is
_STORED = re.compile(r"(?:^|/)(?:models--[^/]+|blobs)(?:/|$)")  # below the folder that a hub keeps
# what comes inside of a package belongs to that package
_PACKAGED = re.compile(r"(?:^|/)(?:site-packages|dist-packages|node_modules)/")


def _find(evidence: Evidence) -> Iterator[Finding]:
    weights: list[OwnFile] = []
    for folder in evidence.folders:
        if not _PACKAGED.search(folder):
            hub = _HUBS.search(folder) is not None
            weights += [file for file in evidence.in_folder(folder) if hub or _is_weights(file.path)]
    for group in by_layer(weights):
        place = evidence.place(group.layer)
        here = sorted((file for file in weights if file.layer == group.layer), key=lambda file: -file.size)
        came = "are copied into the image" if _copies(place.command) else "are fetched in the build"
        names = name_some([f"/{file.path}" for file in here])
        folders = dict.fromkeys(_STORED.split(file.path.rpartition("/")[0])[0] or "models" for file in here)
        volumes = " ".join(shlex.quote(f"/{folder}") for folder in list(folders)[:_MOST_FOLDERS])
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"Model weights {came}: {format_size(group.size)} by {place.step}: {names}.",
            mend=f"Fetch them at run time onto a volume instead: {_without(evidence, place, here, group.size)}, "
            f"declare VOLUME {volumes}, and download there when the container first starts.",
        )


def _without(evidence: Evidence, place: Place, files: Sequence[OwnFile], size: int) -> str:
    """What to do about the step, which may bring more than weights."""
    copy = read_copy(evidence, place)
    if copy is None:
        text = shell_text(evidence.instruction(place))
        alone = len(read_commands(text)) == 1 and size * 20 >= evidence.layer_size(files[0].layer) * 19
        return f"take {name_line(place)} out" if alone else f"take the download out of {name_line(place)}"
    if sum(entry.kind is Kind.FILE for entry in evidence.entries(files[0].layer)) == len(files):
        return f"take {name_line(place)} out"
    sources = copy.sources_of(file.path for file in files)
    if copy.origin is None and sources is not None:
        return f"name {name_some([source.removeprefix('./') for source in sources])} in the ignore file"
    return f"leave them out of what {name_line(place)} copies"


def _is_weights(path: str) -> bool:
    _, dot, ending = path.rpartition(".")
    ending = ending.lower()
    return (
        (bool(dot) and ending in _WEIGHTS)
        or (ending in _PERHAPS and _NAMED_WEIGHTS.search(path) is not None)
        or ("/sha256-" in path and _BLOBS.search(path) is not None)
    )


def _copies(command: str) -> bool:
    """Whether files of the context, of a stage or an image are copied; ADD of a URL fetches them."""
    return command.upper().startswith(("COPY", "ADD")) and _FETCHES.match(command) is None


RULE = Rule(name="model-weights", find=_find)
