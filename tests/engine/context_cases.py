"""Generated build contexts and ignore files: from one number always the same case."""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass
from pathlib import Path

KINDS = (
    "nested exceptions",
    "double stars",
    "character classes",
    "escapes",
    "byte order mark",
    "comments",
    "trailing slashes",
    "symbolic links",
    "hard links",
    "per-Dockerfile ignore files",
    "mixed",
)
MOST_SEEDS = 100

_NAMES = ("a", "b", "c", "ab", "A", "a.txt", "b.txt", ".a", "a b", "é", "b1", "x5y", "cache", "node.py")
_ODD_NAMES = ("a[b", "a*", "!a", "#a", "{a}", "a+b", "-", "^a", "]", "a\\b", "a?", "$a", "a|b", "(a)", "a,b", "\u3000a")
_CLASSES = (
    "[ab]",
    "[a-c]",
    "[^b]",
    "[!b]",
    "[^a-b]",
    "[0-9]",
    "[a*b]",
    "[?]",
    "[\\]]",
    "[a\\-c]",
    "[[:alpha:]]",
    "[.]",
)
_ESCAPES = (
    "\\a",
    "\\*",
    "\\?",
    "\\[",
    "\\]",
    "\\\\",
    "\\d",
    "\\.",
    "\\!",
    "\\#",
    "\\-",
    "\\ ",
    "\\w",
    "\\x61",
    "\\141",
)
# what only Go's regular expressions give a meaning to
_LOOPHOLES = (
    "|",
    "{2}",
    "{0,1}",
    "{1,}",
    "^",
    "$",
    "\\b",
    "\\B",
    "\\Q",
    "\\E",
    "\\pL",
    "\\x{62}",
    "[[:^alpha:]]",
    "[\\w-]",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One context on disk: `context` and `dockerfile` are what a build is given."""

    seed: int
    kind: str
    context: Path
    dockerfile: Path

    def __str__(self) -> str:
        rules = "\n".join(
            f"  {path.name}: {path.read_bytes() if path.exists() else path.readlink()!r}"
            for folder in dict.fromkeys((self.dockerfile.parent, self.context))
            for path in sorted(folder.glob("*.dockerignore"))
        )
        return f"seed {self.seed} ({self.kind})\n{rules}"


def list_seeds(kind: str) -> range:
    """The seeds of a kind; every other one is meant to give exceptions."""
    start = KINDS.index(kind) * 1000
    return range(start, start + MOST_SEEDS)


def make_case(seed: int, place: Path) -> Case:
    """Write the case of a seed into the empty directory `place`."""
    random_ = random.Random(seed)
    kind = KINDS[seed // 1000]
    context = place / "context"
    context.mkdir()
    paths = _make_tree(random_, context, kind)
    rules = _make_rules(random_, paths, kind, exceptions=seed % 2 == 0)
    name = "Dockerfile"
    folder = context
    if kind == "per-Dockerfile ignore files":
        name = random_.choice(("Dockerfile", "app.Dockerfile", "Containerfile"))
        folder = random_.choice((context, context / "build", place / "elsewhere"))
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.dockerignore").write_bytes(rules)
        rules = _make_rules(random_, paths, "mixed", exceptions=True)
        if random_.random() < 0.2:
            (folder / f"{name}.dockerignore").write_bytes(b"")
    (folder / name).write_text("FROM scratch\nCOPY . /\n")
    if kind == "symbolic links" and random_.random() < 0.3:
        (context / "rules").write_bytes(rules)
        (context / ".dockerignore").symlink_to(random_.choice(("rules", "/rules", "./rules", "../rules", "a/../rules")))
    else:
        (context / ".dockerignore").write_bytes(rules)
    return Case(seed=seed, kind=kind, context=context, dockerfile=folder / name)


def _make_tree(random_: random.Random, context: Path, kind: str) -> list[str]:
    """Directories up to four deep with small files, links and special files; returns all paths."""
    names = [*_NAMES, *random_.sample(_ODD_NAMES, 4 if kind != "escapes" else 10)]
    folders, paths = [""], list[str]()
    for _ in range(random_.randint(6, 14)):
        parent = random_.choice(folders)
        path = f"{parent}{random_.choice(names)}"
        if path.count("/") < 4 and not os.path.lexists(context / path):
            (context / path).mkdir()
            folders.append(f"{path}/")
            paths.append(path)
    for number in range(random_.randint(10, 40)):
        path = f"{random_.choice(folders)}{random_.choice(names)}"
        if os.path.lexists(context / path):
            continue
        paths.append(path)
        what = random_.random()
        regular = [other for other in paths[:-1] if stat.S_ISREG((context / other).lstat().st_mode)]
        if kind == "symbolic links" and what < 0.5:
            target = random_.choice([*paths, "missing", "..", "../../..", "/a", "."])
            (context / path).symlink_to(random_.choice((target, f"/{target}", f"../{target}")))
        elif kind == "hard links" and what < 0.5 and regular:
            (context / path).hardlink_to(context / random_.choice(regular))
        elif what > 0.97:
            os.mkfifo(context / path)
        elif what > 0.94:
            os.mknod(context / path, stat.S_IFSOCK | 0o600)
        else:
            (context / path).write_bytes(b"x" * (number * 7 % 50))
    return paths


def _make_rules(random_: random.Random, paths: list[str], kind: str, *, exceptions: bool) -> bytes:
    lines = [_make_pattern(random_, paths, kind) for _ in range(random_.randint(2, 9))]
    if exceptions:
        for _ in range(random_.randint(1, 4)):
            lines.insert(random_.randint(1, len(lines)), "!" + _make_exception(random_, paths, kind, lines))
    if kind == "comments":
        for _ in range(3):
            comment = random_.choice(("#", "# a", "#a", " # a", "\t#b", "##", "#!a", "!#a", "!# b"))
            if exceptions or not comment.startswith("!"):
                lines.insert(random_.randint(0, len(lines)), comment)
    if random_.random() < 0.3:
        lines.insert(random_.randint(0, len(lines)), random_.choice(("", "   ", "\t", ".", "/", "..", "./", "\u3000")))
    end = random_.choice(("\n", "\n", "\r\n"))
    mark = b"\xef\xbb\xbf" if kind == "byte order mark" else b""
    if kind == "byte order mark" and random_.random() < 0.2:
        lines[0] = "#" + lines[0]
    if kind == "byte order mark" and random_.random() < 0.2:
        lines[-1] = "\ufeff" + lines[-1]
    return mark + end.join(lines).encode() + random_.choice((b"", end.encode()))


def _make_pattern(random_: random.Random, paths: list[str], kind: str) -> str:
    """A path of the tree, or an invented one, changed so that it has what its kind is about."""
    known = random_.random() < 0.8 and paths
    parts = random_.choice(paths).split("/") if known else random_.choices(_NAMES, k=random_.randint(1, 3))
    parts = [_soften(random_, part) for part in parts[: random_.randint(1, len(parts))]]
    at = random_.randrange(len(parts))
    if kind == "double stars" or random_.random() < 0.15:
        how = random_.randrange(8)
        if how < 3:
            parts.insert(0, "**")
        elif how < 5:
            parts.append("**")
        elif how < 6:
            parts.insert(at, "**")
        else:
            parts[at] = random_.choice(("**", f"**{parts[at]}", f"{parts[at]}**", "***", "**.txt", "a**b", "*/**"))
    if kind == "character classes" or (kind == "mixed" and random_.random() < 0.2):
        parts[at] = _mix(random_, parts[at], _CLASSES)
    if kind == "escapes" or (kind == "mixed" and random_.random() < 0.2):
        parts[at] = _mix(random_, parts[at], _ESCAPES if random_.random() < 0.85 else _LOOPHOLES)
    text = "/".join(parts)
    if kind == "trailing slashes" or random_.random() < 0.1:
        text = random_.choice(
            ("{}/", "{}//", "./{}/", "/{}/", "/{}", "//{}", "{}/.", "{}/ ", "  {}", "x/../{}")
        ).format(text)
    return text


def _make_exception(random_: random.Random, paths: list[str], kind: str, lines: list[str]) -> str:
    """Often something inside what another line leaves out."""
    if kind == "nested exceptions" or random_.random() < 0.5:
        deep = [path for path in paths if "/" in path] or paths or ["a"]
        path = random_.choice(deep)
        how = random_.randrange(6)
        if how == 0:
            lines.insert(0, path.split("/")[0])
        elif how == 1:
            lines.insert(0, random_.choice(("*", "**", "*/*", "**/*")))
        elif how == 2:
            path = path.rpartition("/")[0] or path
        elif how == 3:
            path = f"{path}/{random_.choice(('*', '**'))}"
        elif how == 4:
            path = f"**/{path.rpartition('/')[2]}"
        return random_.choice(("", "", "", " ", "/", "./")) + path
    return _make_pattern(random_, paths, kind)


def _soften(random_: random.Random, part: str) -> str:
    """Sometimes a wildcard for some of a name."""
    how = random_.random()
    if how < 0.1:
        return "*"
    if how < 0.2:
        return f"{part[:1]}*"
    if how < 0.3:
        return f"*{part[1:]}"
    return f"{part[:-1]}?" if how < 0.36 else part


def _mix(random_: random.Random, part: str, pieces: tuple[str, ...]) -> str:
    at = random_.randint(0, len(part))
    return part[:at] + random_.choice(pieces) + part[at + random_.randint(0, 1) :]
