"""Which step of one image is which step of another, and whose doing a difference between them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ci_budget.core.inventory.model import InstructionRecord, Inventory
from ci_budget.core.records.report import Cause

Kind = Literal["base-drift", "dependency-drift", "this-change"]
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a difference comes from: stage and line of the newer Dockerfile, None where it has none; then `cause` may
    say what is gone."""

    kind: Kind
    stage: str | None = None
    line: int | None = None
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Layers of both images (indices) that are held against each other: the base's, one step's, or all the steps that
    have no twin. `identical`: they are one and the same layer."""

    place: Place
    old: tuple[int, ...]
    new: tuple[int, ...]
    identical: bool = False


def drifted_images(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> set[str]:
    """Of images from outside, by their names: those that are others now. One whose identity is not known is none."""
    known = (name for name in before.keys() & after.keys() if before[name] and after[name])
    return {name for name in known if before[name] != after[name]}


class Origins:
    """The steps of two images, paired by their text. Identical steps of one image are paired in their order."""

    def __init__(self, before: Inventory, after: Inventory) -> None:
        self._old, self._new = _Steps(before), _Steps(after)

    @cached_property
    def groups(self) -> list[Group]:
        """Every layer of both images, once: identical layers, the bases' others, steps with a twin, the rest."""
        old, new = self._old, self._new
        twins = {
            layer: old.by_diff_id[diff_id] for diff_id, layer in new.by_diff_id.items() if diff_id in old.by_diff_id
        }
        groups = [
            Group(place=self.of_new(layer), old=(twin,), new=(layer,), identical=True) for layer, twin in twins.items()
        ]
        alike = set(twins.values())
        paired = [key for key, layer in new.keys.items() if key in old.keys and layer not in twins]
        paired = [key for key in paired if old.keys[key] not in alike]
        groups += [Group(place=self._paired_place(key), old=(old.keys[key],), new=(new.keys[key],)) for key in paired]
        known = set(paired)
        base = Group(
            place=self._base,
            old=tuple(layer for layer in old.inherited if layer not in alike),
            new=tuple(layer for layer in new.inherited if layer not in twins),
        )
        rest = Group(
            place=Place("this-change"),
            old=tuple(layer for key, layer in old.keys.items() if key not in known and layer not in alike),
            new=tuple(layer for key, layer in new.keys.items() if key not in known and layer not in twins),
        )
        return [*groups, base, rest]

    @property
    def new_steps(self) -> list[tuple[str, int | None]]:
        """The newer image's own steps without a twin that made a layer: text as in the history, and line."""
        old, new = self._old, self._new
        lone = [layer for key, layer in new.keys.items() if key not in old.keys and not self._is_twin(layer)]
        return [(new.created_by(layer), new.position(layer)[1]) for layer in lone]

    @property
    def gone_steps(self) -> list[tuple[str, int | None]]:
        """The older image's own steps without a twin, likewise; lines are those of its own Dockerfile."""
        old, new = self._old, self._new
        kept = set(new.by_diff_id)
        lone = [layer for key, layer in old.keys.items() if key not in new.keys]
        return [
            (old.created_by(layer), old.position(layer)[1])
            for layer in lone
            if old.inventory.layers[layer].diff_id not in kept
        ]

    def _is_twin(self, layer: int) -> bool:
        return self._new.inventory.layers[layer].diff_id in self._old.by_diff_id

    def of_new(self, layer: int) -> Place:
        """The place of what lies in a layer of the newer image."""
        if layer in self._new.inherited:
            return self._base
        key = self._new.key_of.get(layer)
        if key is None:
            return Place("this-change")
        if layer in self._new.triggered and key not in self._old.keys:
            return self._base
        return self._paired_place(key) if key in self._old.keys else Place("this-change", *self._new.position(layer))

    def old_position(self, layer: int) -> tuple[str | None, int | None]:
        """Stage and line in the older Dockerfile of the step that made a layer."""
        return self._old.position(layer)

    def of_old(self, layer: int) -> Place:
        """The place of what lay in a layer of the older image and is gone."""
        if layer in self._old.inherited:
            return self._base
        key = self._old.key_of.get(layer)
        return self._paired_place(key) if key in self._new.keys and key is not None else Place("this-change")

    @cached_property
    def _base(self) -> Place:
        """Another base: drift where both sides name the same image, a change where they do not; where it is not known
        which of the images from outside is the base, all of them count."""
        stage, line = self._new.base_position
        references = [side.base_images for side in (self._old, self._new)]
        if not all(references):
            references = [{base.reference for base in side.inventory.bases} for side in (self._old, self._new)]
        return Place("base-drift" if references[0] == references[1] else "this-change", stage, line)

    def _paired_place(self, key: _Key) -> Place:
        layer = self._new.keys[key]
        kind: Kind = "this-change"
        if self._same_inputs(key):
            taken = self._new.instruction(layer)
            drifted = taken is not None and not self._drifted_images.isdisjoint(taken.images)
            kind = "base-drift" if drifted else "dependency-drift"
        return Place(kind, *(self._new.base_position if layer in self._new.triggered else self._new.position(layer)))

    @cached_property
    def _drifted_images(self) -> set[str]:
        """The images from outside that are others under the same name."""
        sides = ({base.reference: base.image_id for base in one.inventory.bases} for one in (self._old, self._new))
        return drifted_images(*sides)

    def _same_inputs(self, key: _Key) -> bool:
        """Whether the revisions give the same to a step of both: then what it brought has changed elsewhere."""
        old, new = self._old, self._new
        then, now = (side.instruction(side.keys[key]) for side in (old, new))
        alike = then is not None and now is not None and (then.own_sha256 is None) is (now.own_sha256 is None)
        if alike and then and now and then.inputs_sha256 and now.inputs_sha256:
            return then.inputs_sha256 == now.inputs_sha256
        contexts = old.inventory.context_sha256, new.inventory.context_sha256
        if contexts[0] is not None and contexts[0] == contexts[1]:
            return True
        # Nothing is known of its files: a step that copies brings them, and a step after one may read them.
        upto = [new.created_by(layer) for layer in new.keys.values() if layer <= new.keys[key]]
        return not any(text.split(maxsplit=1)[:1] in (["COPY"], ["ADD"]) for text in upto)


class _Steps:
    """One image's layers by what made them. `keys`: the text of a step and its turn among equal ones, to its layer."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.inherited = tuple(index for index, layer in enumerate(inventory.layers) if layer.inherited)
        self._instructions: Mapping[tuple[str, int], InstructionRecord] = {
            (record.stage, record.line): record for record in inventory.instructions
        }
        self.keys: dict[_Key, int] = {}
        turns: Counter[str] = Counter()
        for index, layer in enumerate(inventory.layers):
            if not layer.inherited:
                text = self._text(index)
                self.keys[text, turns[text]] = index
                turns[text] += 1
        self.key_of = {layer: key for key, layer in self.keys.items()}
        self.by_diff_id = {layer.diff_id: index for index, layer in enumerate(inventory.layers)}

    def instruction(self, layer: int) -> InstructionRecord | None:
        """The instruction that made a layer, where the build told it."""
        stage, line = self.position(layer)
        return None if stage is None or line is None else self._instructions.get((stage, line))

    def position(self, layer: int) -> tuple[str | None, int | None]:
        """Stage and line of the step that made a layer."""
        index = self.inventory.layers[layer].step
        if index is None or index >= len(self.inventory.steps):
            return None, None
        step = self.inventory.steps[index]
        return step.stage, step.line

    def created_by(self, layer: int) -> str:
        """The step as the image's history has it."""
        index = self.inventory.layers[layer].step
        found = "" if index is None or index >= len(self.inventory.steps) else self.inventory.steps[index].created_by
        return found.removeprefix("/bin/sh -c #(nop) ").strip()

    @cached_property
    def triggered(self) -> set[int]:
        """The layers of the base image's ONBUILD triggers: own ones below the first with a line."""
        layers = sorted(self.key_of)
        first = next((layer for layer in layers if self.position(layer)[1] is not None), -1)
        return {layer for layer in layers if layer < first}

    @property
    def base_position(self) -> tuple[str | None, int | None]:
        """Where the image's lowest stage names its base: the stage of the first own step, at its FROM."""
        for layer in sorted(self.key_of):
            stage, _ = self.position(layer)
            if stage is not None:
                lines = [record.line for record in self._of_stage(stage)]
                return stage, min(lines, default=None)
        return None, None

    @property
    def base_images(self) -> set[str]:
        """The image from outside that the lowest stage starts from; empty where that is not known."""
        stage, line = self.base_position
        found = self._instructions.get((stage, line)) if stage is not None and line is not None else None
        return set(found.images) if found is not None else set()

    def _of_stage(self, stage: str) -> Sequence[InstructionRecord]:
        return [record for record in self.inventory.instructions if record.stage == stage]

    def _text(self, layer: int) -> str:
        found = self.instruction(layer)
        said = self.created_by(layer)
        if found is None and (not said or said.startswith("Imported from")):
            return self.inventory.layers[layer].diff_id  # no step: it is only its own twin
        return found.text_sha256 if found is not None else said
