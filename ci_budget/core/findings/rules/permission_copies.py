"""`chmod` and `chown` on files of a lower layer: each file is copied whole into the new one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci_budget.core.findings.copies import Copy, is_copy, name_line, name_lines, name_maker, read_copy
from ci_budget.core.findings.rule import Evidence, Place, Rule, count_files, make_finding, name_some, shell_text
from ci_budget.core.findings.rules.rewritten import Rewritten, find_rewritten
from ci_budget.core.findings.shell import Command, name_of, read_commands
from ci_budget.core.layers.model import Entry, Kind
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_MOST_COPIES = 4
_ANY_EXECUTE = 0o111
# what may make the user whose name a chown takes
_MAKES_USERS = re.compile(r"\b(?:useradd|adduser|groupadd|addgroup|usermod|groupmod|install|add)\b")


@dataclass(frozen=True, kw_only=True)
class _Changed:
    """The files of one writer that a step changed, as they were and as they are."""

    writer: Place
    layer: int
    pairs: tuple[tuple[Entry, Entry], ...]

    @property
    def owner(self) -> tuple[int, int] | None:
        """Whose they are now, where that changed and is one and the same."""
        owners = {(after.uid, after.gid) for _, after in self.pairs}
        changed = any((before.uid, before.gid) != (after.uid, after.gid) for before, after in self.pairs)
        return owners.pop() if changed and len(owners) == 1 else None

    @property
    def changes_mode(self) -> bool:
        return any(before.mode != after.mode for before, after in self.pairs)

    @property
    def mode(self) -> int | None:
        """The mode that they have now, where it is one and the same."""
        modes = {after.mode & 0o7777 for _, after in self.pairs}
        return modes.pop() if len(modes) == 1 else None


def _find(evidence: Evidence) -> Iterator[Finding]:
    for found in find_rewritten(evidence, permissions=True):
        place = evidence.place(found.hid)
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=found.size,
            message=f"{place.step} changes owner or mode of {count_files(found.count)} of lower layers, and so copies "
            f"{format_size(found.size)}: {found.names}.",
            mend=_mend(evidence, found, place),
        )


def _mend(evidence: Evidence, found: Rewritten, place: Place) -> str:
    inherited = evidence.image.inherited if evidence.image is not None else 0
    if all(layer < inherited for layer in found.wrote):
        return "Change only what is yours: name its folder instead of one that the base image filled."
    own = [(one, read_copy(evidence, one.writer)) for one in _changed(evidence, found) if one.layer >= inherited]
    commands = [one for one in read_commands(shell_text(evidence.instruction(place))) if _changes(one)]
    parts = [_copy_mend(evidence, one, copy, commands, found.hid) for one, copy in own if copy is not None][
        :_MOST_COPIES
    ]
    unknown = [one for one, copy in own if copy is None]
    copied = [one.writer for one in unknown if is_copy(one.writer)]  # of an image that was not built here
    if copied:
        parts.append(
            f"Give them their owner and mode in {name_lines(copied)}: COPY --chown=USER:GROUP --chmod=MODE SOURCE "
            "TARGET"
        )
    written = [one for one in unknown if not is_copy(one.writer)]
    if written:
        parts.append(_run_mend(evidence, written, commands, found.hid))
    return f"{'; '.join(parts)}. {_take_out(evidence, place, commands)}"


def _changed(evidence: Evidence, found: Rewritten) -> Iterator[_Changed]:
    wanted = {item.path for item in found.items}
    above = {entry.path: entry for entry in evidence.entries(found.hid) if entry.path in wanted}
    for layer in found.wrote:
        paths = {item.path for item in found.items if item.wrote == layer}
        pairs = tuple((entry, above[entry.path]) for entry in evidence.entries(layer) if entry.path in paths)
        yield _Changed(writer=evidence.place(layer), layer=layer, pairs=pairs)


def _changes(command: Command) -> bool:
    return name_of(command) in ("chown", "chmod", "chgrp")


def _copy_mend(evidence: Evidence, changed: _Changed, copy: Copy, commands: Sequence[Command], hid: int) -> str:
    """The COPY written out; the mode of some of many files, or of folders and files alike, is better given before."""
    flags = []
    if changed.owner is not None:
        flags.append(f"--chown={_owner(evidence, changed, copy, commands, hid)}")
    before = ""
    if changed.changes_mode:
        if changed.mode is not None and _is_whole(evidence, changed, copy):
            flags.append(f"--chmod={changed.mode:o}")
        else:
            before = _mode_before(changed, copy, commands)
    if not flags:
        return before or f"Give them their owner and mode in {name_line(changed.writer)}: COPY --chown= --chmod="
    written = f"Write {name_line(changed.writer)} as: {copy.rewritten(flags)}"
    return f"{written}; {before[:1].lower()}{before[1:]}" if before else written


def _owner(evidence: Evidence, changed: _Changed, copy: Copy, commands: Sequence[Command], hid: int) -> str:
    """As the author named the owner, where that name is surely known when the files are copied; else numbers."""
    names = {words[0] for one in commands if name_of(one) == "chown" and (words := _arguments(one))}
    one = next(iter(names)) if len(names) == 1 else ""
    user, _, group = one.partition(":")
    linked = any(flag.startswith("--link") for flag in copy.instruction.flags)
    if user and group and "$" not in one and not linked and _is_known(evidence, changed.writer, hid):
        return one
    return ":".join(str(number) for number in changed.owner or ())


def _is_known(evidence: Evidence, writer: Place, hid: int) -> bool:
    """Whether nothing from a step on may have made a user, up to the one that gives files to one."""
    place = evidence.place(hid)
    steps = [(stage.name, step) for stage in evidence.chain for step in stage.steps]
    places: list[tuple[str | None, int | None]] = [(name, step.line) for name, step in steps]
    if (writer.stage, writer.line) not in places or (place.stage, place.line) not in places:
        return False
    first, last = places.index((writer.stage, writer.line)), places.index((place.stage, place.line))
    return not any(_MAKES_USERS.search(shell_text(step.instruction)) for _, step in steps[first : last + 1])


def _is_whole(evidence: Evidence, changed: _Changed, copy: Copy) -> bool:
    """Whether a mode is meant for all that a COPY brings: `--chmod` is folders' mode as well."""
    entries = evidence.entries(changed.layer)
    target = (copy.target or "").strip("/")
    folders = any(entry.kind is Kind.FOLDER and entry.path.startswith(f"{target}/") for entry in entries)
    folders = folders or (
        not (copy.target or "/").endswith("/")
        and not any(one.kind is Kind.FILE and one.path == target for one in entries)
    )
    return sum(entry.kind is Kind.FILE for entry in entries) == len(changed.pairs) and (
        not folders or bool((changed.mode or 0) & _ANY_EXECUTE)
    )


def _mode_before(changed: _Changed, copy: Copy, commands: Sequence[Command]) -> str:
    words = next((_arguments(one) for one in commands if name_of(one) == "chmod"), ["MODE"])
    sources = copy.sources_of(after.path for before, after in changed.pairs if before.mode != after.mode)
    names = name_some([shlex.quote(source) for source in sources]) if sources else "FILES"
    change = f"chmod {shlex.quote(words[0])} {names}"
    if copy.stage is not None:
        return (
            f"Give the files their mode where they are made, at the end of {name_maker(copy.stage, None)}: && {change}"
        )
    kept = f" (with Git: git update-index --chmod=+x {names})" if (changed.mode or 0) & _ANY_EXECUTE else ""
    return f"Give the files their mode where they come from, COPY keeps it: {change}{kept}"


def _run_mend(evidence: Evidence, written: Sequence[_Changed], commands: Sequence[Command], hid: int) -> str:
    known = all(_is_known(evidence, one.writer, hid) for one in written)
    owners = {one.owner for one in written if one.owner is not None}
    number = ":".join(str(part) for part in owners.pop()) if len(owners) == 1 else None
    texts = []
    for one in commands:
        words = list(one)
        if name_of(one) == "chown" and not known and number is not None:
            words[words.index(_arguments(one)[0])] = number
        texts.append(_joined(words))
    change = " && ".join(texts) or "chown USER:GROUP FILES && chmod MODE FILES"
    return f"Change them in the RUN that writes them, {name_lines(one.writer for one in written)}: && {change}"


def _take_out(evidence: Evidence, place: Place, commands: Sequence[Command]) -> str:
    every = read_commands(shell_text(evidence.instruction(place)))
    if not commands:
        return f"Take the change out of {name_line(place)}."
    if len(every) == len(commands):
        return f"Take {name_line(place)} out."
    return f"Take it out of {name_line(place)}: {' && '.join(_joined(one) for one in commands)}"


def _joined(words: Sequence[str]) -> str:
    """As a shell reads it; what it expands stays as it is."""
    return " ".join(shlex.quote(word) if " " in word else word for word in words)


def _arguments(command: Command) -> list[str]:
    """Owner or mode, then the files."""
    return [word for word in command[1:] if not word.startswith("-")] or ["MODE"]


RULE = Rule(name="permission-copies", find=_find)
