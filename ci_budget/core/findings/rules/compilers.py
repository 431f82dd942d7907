"""Which files are compilers, linkers and headers, whatever brought them, and which images are there to have them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from ci_budget.core.findings.rule import Evidence, shell_text
from ci_budget.core.findings.shell import compiles, is_compiler, name_of, read_commands, started
from ci_budget.core.layers.model import Kind

_TRIPLET = r"(?:[a-z0-9_]+-(?:linux|alpine-linux|redhat-linux)-[a-z0-9]+-)?"
_COMPILER = re.compile(
    r"^usr/(?:local/)?lib(?:exec|64)?/gcc/|^usr/lib/llvm-[0-9]+/(?:bin|lib/clang)/"
    rf"|^usr/(?:local/)?bin/{_TRIPLET}(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|gfortran|rustc|rustdoc|cargo|go|gofmt)"
    r"(?:-[0-9.]+)?$"
    r"|^usr/lib/(?:rustlib/|[^/]+-linux-gnu/librustc_driver-)|^usr/(?:lib|share)/go-[0-9.]+/|^usr/local/go/"
    r"|(?:^|/)\.?rustup/(?:toolchains|downloads|tmp)/"
    r"|(?:^|/)\.?cargo/bin/(?:rust[a-z-]*|cargo(?:-clippy|-fmt|-miri)?|clippy-driver|rls)$"
)
_AROUND = re.compile(
    rf"^usr/(?:local/)?bin/{_TRIPLET}(?:as|ld|ld\.bfd|ld\.gold|gold|dwp|gprof|nm|objcopy|objdump|ranlib|readelf|strip"
    r"|ar|addr2line|make|gmake|cmake|ctest|cpack|ninja|lto-dump|dpkg-buildpackage)(?:-[0-9.]+)?$"
    r"|^usr/share/(?:cmake|gcc|dpkg|perl)[^/]*/|^usr/lib/(?:bfd-plugins|compat-ld|gold-ld)/"
    r"|^usr/lib/[^/]+-linux-gnu/(?:lib(?:bfd|opcodes|ctf|asan|tsan|ubsan|lsan|hwasan|isl|mpc|mpfr|cc1|gprofng|sframe|LLVM"
    r"|clang)[-.]|[^/]+\.(?:a|o)$)"
)
_HEADERS = re.compile(r"^usr/(?:local/)?include/")
_ELSE = ("usr/local/lib/python", "usr/lib/python", "usr/share/doc/", "usr/share/locale/", "usr/share/man/")
_RUST = re.compile(r"(?:^|/)(?:\.?rustup/|\.?cargo/bin/$)")
_RUST_HOME = re.compile(r"^(?:.*/)?\.?rustup(?=/(?:toolchains|downloads|tmp)/)")
_GO = re.compile(r"^((?:.*/)?[^/]*go[^/]*/)pkg/tool/[a-z0-9]+_[a-z0-9]+/")
_IMAGES = re.compile(
    r"(?:.*-)?(?:gcc|golang|rust|clang|llvm|emsdk|buildpack-deps|haskell|swift|zig|crystal|muslrust)"
    r"|.*(?:-sdk|-devel|-builder|-cross|devcontainer.*)|sdk"
)
_SHELLS = frozenset(("bash", "sh", "ash", "zsh", "fish", "sleep", "tail", "sshd"))
_CALLED_LATER = re.compile(r"(?:^|/)(?:site|dist)-packages/(?:triton|torch/_inductor)/")

Tool = Literal["compiler", "around", "headers"]


class ToolPaths:
    """Tells what of an image's paths are tools of a build. `folders`: all that it has, with a slash at their ends."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._go = tuple({found[1] for folder in folders if (found := _GO.match(folder))})

    def may_hold(self, folder: str) -> bool:
        """Whether a folder is worth a look."""
        usual = folder.startswith("usr/") and not folder.startswith(_ELSE)
        return usual or folder.startswith(self._go) or _RUST.search(folder) is not None

    def tool(self, path: str) -> Tool | None:
        """`around`: what is a tool of a build where it came with a compiler."""
        if _COMPILER.search(path) or path.startswith(self._go):
            return "compiler"
        if _HEADERS.match(path):
            return "headers"
        return "around" if _AROUND.match(path) else None

    def root(self, path: str) -> str | None:
        """What to delete of a toolchain that was unpacked, None for what lies among the system's programs."""
        found = next((folder for folder in self._go if path.startswith(folder)), None)
        if found is not None:
            return found.rstrip("/")
        rust = _RUST_HOME.match(path)
        return rust[0] if rust is not None else path if _RUST.search(f"{path.rpartition('/')[0]}/") else None


def is_compilers_image(reference: str) -> bool:
    """Whether an image is there for its compilers, by its name: `golang:1.25`, `nvidia/cuda:12.4-devel`."""
    name, _, tag = reference.partition("@")[0].rpartition("/")[2].partition(":")
    return _IMAGES.fullmatch(name) is not None or tag.split("-")[-1] in ("devel", "sdk") or "-devel-" in tag


def size_of_base(evidence: Evidence) -> int:
    """Bytes of compilers and headers that the base image brings."""
    image = evidence.image
    layers = image.layers[: image.inherited] if image is not None else ()
    paths = ToolPaths(f"{folder}/" for layer in layers for folder in layer.folders)
    held = (
        entry
        for layer in layers
        for folder, entries in layer.folders.items()
        if paths.may_hold(f"{folder}/")
        for entry in entries
    )
    return sum(entry.size for entry in held if entry.kind is Kind.FILE and paths.tool(entry.path))


def starts(evidence: Evidence) -> Literal["nothing", "tools", "else"]:
    """What the Dockerfile's CMD and ENTRYPOINT start: no such instruction, a shell or a compiler, or anything else."""
    names = set[str]()
    for words, is_json in _entries(evidence):
        commands = read_commands(" ".join(words))
        names.update(started(words) if is_json else (name_of(command) for command in commands))
    if not names:
        return "nothing"
    return "tools" if any(is_compiler(name) for name in names) or names <= _SHELLS else "else"


def is_called_later(evidence: Evidence) -> bool:
    """Whether the image has what calls a compiler in the container (Triton, `torch.compile`), and no RUN calls one."""
    layers = evidence.image.layers if evidence.image is not None else ()
    folders = chain(evidence.folders, (f"{folder}/" for layer in layers for folder in layer.folders))
    if not any(_CALLED_LATER.search(folder) for folder in folders):
        return False
    return not any(compiles(shell_text(step.instruction)) for stage in evidence.chain for step in stage.steps)


def _entries(evidence: Evidence) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words of the CMD and the ENTRYPOINT that hold, and whether they are JSON; of an image that was not built
    here, as its history has them."""
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    if evidence.dockerfile is not None:
        for stage in evidence.chain:
            for one in evidence.dockerfile.stages[stage.index].instructions:
                if one.command in ("cmd", "entrypoint"):
                    found[one.command] = (one.arguments, one.is_json)
    elif evidence.image is not None:
        for step in evidence.image.history:
            command, _, rest = step.created_by.removeprefix("/bin/sh -c #(nop)").strip().partition(" ")
            if command in ("CMD", "ENTRYPOINT"):
                found[command.lower()] = _read_entry(rest.strip())
    yield from found.values()


def _read_entry(text: str) -> tuple[tuple[str, ...], bool]:
    try:
        words = json.loads(text)
    except ValueError:
        return (text,), False
    return (tuple(str(word) for word in words), True) if isinstance(words, list) else ((text,), False)
