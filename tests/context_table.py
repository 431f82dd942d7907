"""Sources of COPY and the files they stand for: shown by hand, and tested against our rules and a real engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILES = (
    "one.txt",
    "two.md",
    "a/three.txt",
    "a/b/four.txt",
    "a/b/c/five.md",
    "ab/six.txt",
    "d[1]/seven.txt",
    "e/b/eight.txt",
    "e/.nine",
)
LINKS = {"link.txt": "a/three.txt", "folder": "a/b", "e/up": "../ab", "root": "/e"}


@dataclass(frozen=True)
class Row:
    """`words` as they stand after COPY; `names` are the last components of the files."""

    words: str
    names: str

    @property
    def sources(self) -> list[str]:
        """The sources among the words."""
        return [word for word in self.words.split() if not word.startswith("--")]

    @property
    def excludes(self) -> tuple[str, ...]:
        """The patterns of `--exclude`."""
        return tuple(word.removeprefix("--exclude=") for word in self.words.split() if word.startswith("--"))


ALL = "one.txt two.md three.txt four.txt five.md six.txt seven.txt eight.txt .nine"
TABLE = (
    Row(".", ALL),
    Row("/", ALL),
    Row("./", ALL),
    Row("one.txt", "one.txt"),
    Row("/one.txt ./two.md", "one.txt two.md"),
    Row("a", "three.txt four.txt five.md"),
    Row("a/", "three.txt four.txt five.md"),
    Row("a/b/..", "three.txt four.txt five.md"),
    Row("../../a/b", "four.txt five.md"),
    Row("*.txt", "one.txt three.txt"),
    Row("*", ALL),
    Row("a*", "three.txt four.txt five.md six.txt"),
    Row("?", "three.txt four.txt five.md eight.txt .nine"),
    Row("[ab]", "three.txt four.txt five.md"),
    Row("[^a]", "eight.txt .nine"),
    Row("a/*", "three.txt four.txt five.md"),
    Row("*/b", "four.txt five.md eight.txt"),
    Row("*/b/*.txt", "four.txt eight.txt"),
    Row("**", ALL),
    Row("**/four.txt", ""),
    Row("**/b", "four.txt five.md eight.txt"),
    Row("a/**/four.txt", "four.txt"),
    Row("a/**/five.md", ""),
    Row("d[[]1]", "seven.txt"),
    Row("nothing*", ""),
    Row("link.txt", "three.txt"),
    Row("link*", "three.txt"),
    Row("folder", "four.txt five.md"),
    Row("folder/c", "five.md"),
    Row("folder/*.txt", "four.txt"),
    Row("e/up", "six.txt"),
    Row("e/u*", "six.txt"),
    Row("root/b", "eight.txt"),
    Row("--exclude=*.txt a", "four.txt five.md"),
    Row("--exclude=**/*.txt a", "five.md"),
    Row("--exclude=b a", "three.txt"),
    Row("--exclude=* --exclude=!b/c a", "five.md"),
    Row("--exclude=a .", "one.txt two.md six.txt seven.txt eight.txt .nine"),
    Row("--exclude=*.txt one.txt", "one.txt"),
    Row("--exclude=b a e", "three.txt .nine"),
    Row("--exclude=*.txt */b", "five.md"),
)


def write_tree(root: Path) -> None:
    """The context of the table; each file contains its name."""
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(Path(path).name)
    for path, target in LINKS.items():
        (root / path).symlink_to(target)
