"""YAML as a tree of text with line numbers, bounded, for files that a stranger may have written.

Read from the parser's events, so that nothing is built before it was counted. Scalars stay the text
that was written: no YAML 1.1 booleans, floats or octals. Refused: tags, merge keys, duplicate keys,
keys that are no plain text, aliases to themselves, several documents, and whatever exceeds a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from ci_budget.core.text.plain_text import one_line, shorten

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000
MAX_KEY: Final = 200

Path = tuple[str | int, ...]
Plain = str | None | list["Plain"] | dict[str, "Plain"]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong on a line (1-based; None where no line is known)."""

    line: int | None
    message: str


class TreeError(Exception):
    """The text is no YAML that is read here; nothing of it can be used."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(line=line, message=message)


@dataclass(kw_only=True)
class Node:
    """A value and the line it starts on. `weight` counts the nodes below it, those of aliases again."""

    line: int
    value: str | list[Node] | dict[str, tuple[int, Node]] | None
    weight: int = 1
    depth: int = 0


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The root, and the problems that did not keep the rest from being read."""

    root: Node
    problems: tuple[Problem, ...]

    def plain(self) -> Plain:
        """The tree as lists, dicts, text and None."""
        return _plain(self.root)

    def lines(self) -> dict[Path, int]:
        """The line of every value, by its path; that of its key where it has one."""
        return dict(_lines(self.root, (), self.root.line))


def read_tree(text: bytes | str) -> Tree:
    """Read one YAML document. Raises TreeError."""
    decoded = _decoded(text)
    reader = _Reader()
    try:
        for event in yaml.parse(decoded, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, len(decoded.splitlines())) from None
    except yaml.YAMLError as error:
        raise _character_error(decoded, error) from None
    if reader.root is None:
        raise TreeError("the file is empty")
    return Tree(root=reader.root, problems=tuple(reader.problems))


def _decoded(text: bytes | str) -> str:
    if len(text) > MAX_BYTES:
        raise TreeError(f"the file is larger than {MAX_BYTES:,} bytes")
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > MAX_BYTES:
            raise TreeError(f"the file is larger than {MAX_BYTES:,} bytes")
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TreeError("the file is not UTF-8 text", error.object.count(b"\n", 0, error.start) + 1) from None
    except UnicodeEncodeError as error:
        raise TreeError("the file is not UTF-8 text", error.object.count("\n", 0, error.start) + 1) from None
    if "\0" in decoded:
        raise TreeError(
            "the file holds a NUL byte; is it a text file?", decoded.count("\n", 0, decoded.index("\0")) + 1
        )
    return decoded


def _syntax_error(error: yaml.MarkedYAMLError, lines: int) -> TreeError:
    mark = error.problem_mark or error.context_mark
    text = f"not valid YAML: {one_line(str(error.problem or error.context))}"
    if mark is None:
        return TreeError(text)
    if error.context and error.problem and error.context_mark and error.context_mark.line != mark.line:
        text += f" ({one_line(error.context)} that starts on line {error.context_mark.line + 1})"
    return TreeError(text, min(mark.line + 1, lines))


def _character_error(text: str, error: yaml.YAMLError) -> TreeError:
    """The parser names no line for a character that YAML 1.1 does not allow (c-printable): find the first one."""
    for index, char in enumerate(text):
        if not (char in "\t\n\r\x85" or "\x20" <= char <= "\x7e" or char >= "\xa0") or char in "\ufffe\uffff":
            line = text.count("\n", 0, index) + 1
            return TreeError(f"not valid YAML: the character '{one_line(char)}' is not allowed", line)
    return TreeError(f"not valid YAML: {one_line(str(error))}")


@dataclass
class _Open:
    """A collection that is being read."""

    node: Node
    anchor: str | None
    key: tuple[int, str] | None = None


@dataclass
class _Reader:
    """Builds the tree from events."""

    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    documents: int = 0
    nodes: int = 0

    def take(self, event: yaml.Event) -> None:
        """Take one event of the parser."""
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise TreeError("more than one YAML document; only one is read", line)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event.anchor or "", line), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self.open.pop()
            if ended.anchor is not None:
                self.anchors[ended.anchor] = ended.node
            self._add(ended.node, ended.node.line, counted=True)

    def _start(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if event.tag is not None:
            raise TreeError(f"the YAML tag '{_named(event.tag)}' is not supported", line)
        if len(self.open) >= MAX_DEPTH:
            raise TreeError(f"nested more than {MAX_DEPTH} levels deep", line)
        if self._expects_key():
            raise TreeError("a list or a mapping as a key; a key must be text", line)
        self._count(1, line)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        empty: list[Node] | dict[str, tuple[int, Node]] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.open.append(_Open(Node(line=line, value=empty), event.anchor))

    def _take_scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if event.tag is not None:
            raise TreeError(f"the YAML tag '{_named(event.tag)}' is not supported", line)
        plain = event.implicit[0]
        if "\0" in event.value:
            raise TreeError("an escaped NUL character in a value", line)
        if self._expects_key():
            self._take_key(event.value, plain, line)
            if event.anchor is not None:
                self.anchors[event.anchor] = Node(line=line, value=event.value)
            return
        nothing = plain and event.value in ("", "~", "null", "Null", "NULL")
        node = Node(line=line, value=None if nothing else event.value)
        self._count(1, line)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._add(node, line, counted=True)

    def _take_key(self, key: str, plain: bool, line: int) -> None:
        if plain and key == "<<":
            raise TreeError("the YAML merge key '<<' is not supported; write the keys out", line)
        if len(key) > MAX_KEY:
            raise TreeError(f"a key of more than {MAX_KEY} characters", line)
        self.open[-1].key = (line, key)

    def _expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].node.value, dict) and self.open[-1].key is None

    def _aliased(self, name: str, line: int) -> Node:
        if self._expects_key():
            raise TreeError(f"the alias '*{_named(name)}' as a key; a key must be text", line)
        if name not in self.anchors:
            raise TreeError(f"the alias '*{_named(name)}' is not defined above", line)
        node = self.anchors[name]
        if node is None:
            raise TreeError(f"the alias '*{_named(name)}' stands inside of what it names", line)
        if len(self.open) + node.depth > MAX_DEPTH:
            raise TreeError(f"nested more than {MAX_DEPTH} levels deep by aliases", line)
        return node

    def _count(self, weight: int, line: int) -> None:
        self.nodes += weight
        if self.nodes > MAX_NODES:
            raise TreeError(f"more than {MAX_NODES:,} values, aliases counted in full", line)

    def _add(self, node: Node, line: int, *, counted: bool = False) -> None:
        if not counted:
            self._count(node.weight, line)
        if not self.open:
            self.root = node
            return
        place = self.open[-1]
        parent = place.node
        parent.weight += node.weight
        parent.depth = max(parent.depth, node.depth + 1)
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict) and place.key is not None:
            key_line, key = place.key
            place.key = None
            earlier = parent.value.get(key)
            if earlier is not None:
                text = f"the key '{_named(key)}' is given twice; it was already given on line {earlier[0]}"
                self.problems.append(Problem(line=key_line, message=text))
            else:
                parent.value[key] = (key_line, node)


def _plain(node: Node) -> Plain:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, (_, child) in node.value.items()}
    return [_plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def _lines(node: Node, path: Path, line: int) -> Iterator[tuple[Path, int]]:
    yield path, line
    if isinstance(node.value, dict):
        for key, (key_line, child) in node.value.items():
            yield from _lines(child, (*path, key), key_line)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _lines(child, (*path, index), child.line)


def _named(text: str) -> str:
    return shorten(one_line(text))
