"""Ignore files as BuildKit applies them to a local build context.

Reading follows moby's `ignorefile.ReadAll` and `patternmatcher.New`, matching what fsutil's walker
does with `MatchesUsingParentResults`: the last pattern that matches a path, or matched one of its
directories, decides. Two habits of the engine are kept on purpose: a pattern that had no effect on a
directory is not remembered for what lies below, and the content of a file is only sent when
`MatchesOrParentMatches`, which remembers everything, agrees. Where they differ the file arrives empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci_budget.core.context.expressions import BadExpressionError
from ci_budget.core.context.globs import BadGlobError, check_glob, clean_path
from ci_budget.core.context.ignore_folders import IgnoreFolder, IgnorePattern, open_root
from ci_budget.core.context.ignore_patterns import build_test, parse_pattern
from ci_budget.errors import ConfigError

LONGEST_LINE = 65535
LARGEST_FILE = 4 * 2**20
_BOM = b"\xef\xbb\xbf"
# what Go's unicode.IsSpace calls white space
_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


@dataclass(frozen=True, kw_only=True)
class IgnoreRules:
    """The patterns of an ignore file, in order; none at all ignore nothing."""

    patterns: tuple[IgnorePattern, ...] = ()
    file: str | None = None

    @classmethod
    def parse(cls, data: bytes, file: str | None = ".dockerignore") -> IgnoreRules:
        """Read an ignore file. Raises ConfigError, with file and line, for what the engine refuses."""
        if len(data) > LARGEST_FILE:
            raise ConfigError(f"the ignore file is larger than {LARGEST_FILE} bytes", file=file)
        read: list[tuple[int | None, str]] = []
        for number, raw in enumerate(data.split(b"\n"), 1):
            if len(raw) > LONGEST_LINE:
                raise ConfigError(
                    f"the line is longer than the {LONGEST_LINE} bytes that the engine reads", file=file, line=number
                )
            line = raw.removeprefix(_BOM) if number == 1 else raw
            pattern = "" if line.startswith(b"#") else _normalize(line.decode("utf-8", "surrogateescape"))
            if pattern:
                read.append((number, pattern))
        return _build(read, file)

    @classmethod
    def from_patterns(cls, patterns: Sequence[str], file: str | None = None, line: int | None = None) -> IgnoreRules:
        """Rules from patterns that stand elsewhere, such as COPY's `--exclude`; `file` and `line` say where.

        Raises ConfigError for what the engine refuses.
        """
        return _build([(line, pattern) for pattern in patterns], file)

    @property
    def has_exceptions(self) -> bool:
        """Whether a pattern begins with `!`."""
        return any(pattern.exception for pattern in self.patterns)

    def root(self) -> IgnoreFolder:
        """The root of the context, to walk down from."""
        return open_root(self.patterns, self.file)

    def ignores(self, path: str) -> bool:
        """Whether the file at this path (relative, `/` between components) is left out of the context.

        For many paths walk down from `root()` instead. Raises ConfigError for a pattern that the engine
        accepts until it has to compare a path with it.
        """
        *directories, name = path.split("/")
        folder: IgnoreFolder | None = self.root()
        for directory in directories:
            folder = folder.enter(directory) if folder is not None else None
        return folder is None or folder.ignores(name)


def _normalize(line: str) -> str:
    """A line as `ReadAll` hands it on; empty where it has no pattern."""
    pattern = line.strip(_WHITE_SPACE)
    mark = "!" if pattern.startswith("!") else ""
    pattern = pattern[1:].strip(_WHITE_SPACE) if mark else pattern
    if pattern:
        pattern = clean_path(pattern)
        pattern = pattern[1:] if len(pattern) > 1 and pattern[0] == "/" else pattern
    return mark + pattern


def _build(read: list[tuple[int | None, str]], file: str | None) -> IgnoreRules:
    """The second half of reading: `patternmatcher.New`, and the way of the patterns to the client."""
    # they travel in header fields, and are encoded there only if one of them is not ASCII
    plain = all(text.isascii() for _, text in read)
    patterns = []
    for line, text in read:
        if plain and not text.isprintable():
            raise ConfigError(
                f"the pattern {text!a} has a control character, which the engine refuses", file=file, line=line
            )
        pattern = text.strip(_WHITE_SPACE)
        if not pattern:
            continue
        pattern = clean_path(pattern)
        if pattern == "!":
            raise ConfigError("a lone '!' is no pattern", mend="Name after it what to keep.", file=file, line=line)
        exception = pattern.startswith("!")
        pattern = pattern.removeprefix("!") if exception else pattern
        try:
            check_glob(pattern)
        except BadGlobError as error:
            raise ConfigError(f"the pattern {text!a} is malformed: {error}", file=file, line=line) from error
        patterns.append(_compile(pattern, exception=exception, line=line))
    return IgnoreRules(patterns=tuple(patterns), file=file)


def _compile(pattern: str, *, exception: bool, line: int | None) -> IgnorePattern:
    # on their way they become JSON, which has no bytes that are not UTF-8
    sent = "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in pattern)
    try:
        test, fault = build_test(parse_pattern(sent)), ""
    except BadExpressionError as error:
        test, fault = None, str(error)
    return IgnorePattern(line=line, text=sent, exception=exception, test=test, fault=fault)
