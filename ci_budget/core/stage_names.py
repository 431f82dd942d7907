"""Names for stages that have none, because `--target` takes neither an index nor `stage-N`."""

from __future__ import annotations

from ci_budget.core.directives import BOM
from ci_budget.core.dockerfile import Dockerfile, Stage


def name_stages(text: bytes, dockerfile: Dockerfile) -> bytes:
    """A copy of the Dockerfile `text` in which every stage has a name: an unnamed one gets `stage-N`.

    That is the name which the engine shows for it anyway, so step names, steps and cache keys stay the same, and so
    does every line number. Where `stage-N` occurs elsewhere in the file the name is `stage-N-unnamed`. `dockerfile`
    is the parsed `text`. A FROM over several lines is put on its first one, the others are left empty.
    """
    unnamed = [stage for stage in dockerfile.stages if not stage.named]
    if not unnamed:
        return text
    lines = text.split(b"\n")
    low = text.lower()
    for stage in unnamed:
        name = _free_name(stage, low)
        flags = f"--platform={stage.platform} " if stage.platform else ""
        begin = lines[stage.line - 1]
        mark = BOM if begin.startswith(BOM) else b""
        lines[stage.line - 1] = mark + f"FROM {flags}{stage.base} AS {name}".encode() + _line_end(begin)
        for at in range(stage.line, stage.from_end_line):
            lines[at] = _line_end(lines[at])
    return b"\n".join(lines)


def _free_name(stage: Stage, text: bytes) -> str:
    name = f"stage-{stage.index}"
    while name.encode() in text:
        name += "-unnamed"
    return name


def _line_end(line: bytes) -> bytes:
    return b"\r" if line.endswith(b"\r") else b""
