"""From an image's history to the Dockerfile: which instruction made which layer."""

from __future__ import annotations

from dataclasses import replace

from ci_budget.core.layers.model import ImageLayers
from ci_budget.core.stages.plan import EdgeKind, PlannedStage, StagePlan, Step

_COUNTED = ("ADD", "COPY", "RUN", "WORKDIR")


def place_steps(image: ImageLayers, plan: StagePlan, target: int) -> ImageLayers:
    """The image with stage and line of every step of its history that this Dockerfile wrote.

    BuildKit writes one entry an instruction (`commitToHistory` in dockerfile2llb/convert.go), those of a stage after
    those of the stage or image it starts from; so the last entries are those of the target, and so on downwards. Where
    an entry is no such instruction, the rest stays without a place: better none than a wrong one.
    """
    own = [(stage.name, step) for stage in _chain(plan, target) for step in stage.steps if _command(step) in _COUNTED]
    history = list(image.history)
    at = len(history)
    for name, step in reversed(own):
        at -= 1
        while at >= 0 and _recorded(history[at].created_by) not in _COUNTED:
            at -= 1
        if at < 0 or _recorded(history[at].created_by) != _command(step):
            break
        layer = history[at].layer
        if layer is not None and layer < image.inherited:
            break
        history[at] = replace(history[at], stage=name, line=step.line)
    return replace(image, history=tuple(history))


def _chain(plan: StagePlan, target: int) -> list[PlannedStage]:
    """The target and the stages below it, lowest first."""
    chain = [plan.stages[target]]
    while not chain[0].replaced:
        source = next((edge.source for edge in chain[0].edges if edge.kind is EdgeKind.FROM), None)
        if source is None:
            break
        chain.insert(0, plan.stages[source])
    return chain


def _command(step: Step) -> str:
    return step.instruction.command.upper()


def _recorded(created_by: str) -> str:
    return created_by.split(maxsplit=1)[0].upper() if created_by.strip() else ""
