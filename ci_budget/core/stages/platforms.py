"""Platforms as `os/arch[/variant]`, with containerd's aliases and defaults (github.com/containerd/platforms)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "macos", "nacl",
    "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", "zos",
})  # fmt: skip
_ALIASES = {
    "i386": ("386", ""), "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"), "armel": ("arm", "v6"),
}  # fmt: skip
_ARCHITECTURES = frozenset({
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle",
    "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc",
    "sparc64", "wasm",
})  # fmt: skip
_DEFAULT_SYSTEM = "linux"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A platform in its normal form: `linux/arm/v7`, `linux/amd64`."""

    system: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.system, self.architecture, self.variant) if part)


def parse_platform(text: str, *, default: str = "amd64") -> Platform:
    """A platform from text; a system alone takes the architecture `default`. Raises ValueError with the reason."""
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(f"'{text[:60]}' is no platform of the form os/arch or os/arch/variant")
    if len(parts) == 1:
        word = parts[0].lower()
        if word in _SYSTEMS:
            return _normal(word, default, "")
        if word in _ARCHITECTURES or word in _ALIASES:
            return _normal(_DEFAULT_SYSTEM, word, "")
        raise ValueError(f"'{text[:60]}': unknown operating system or architecture")
    return _normal(parts[0].lower(), parts[1].lower(), parts[2].lower() if len(parts) == 3 else "")


def fits(found: str, wanted: str) -> bool:
    """Whether an image for `found` serves a build for `wanted`; what an image does not say counts as fit."""
    try:
        have, need = parse_platform(found), parse_platform(wanted)
    except ValueError:
        return not found.strip("/") or found == wanted
    if (have.system, have.architecture) != (need.system, need.architecture):
        return False
    return not have.variant or not need.variant or have.variant == need.variant


def _normal(system: str, architecture: str, variant: str) -> Platform:
    architecture, implied = _ALIASES.get(architecture, (architecture, ""))
    variant = variant or implied
    if (architecture, variant) in (("amd64", "v1"), ("arm64", "8"), ("arm64", "v8")):
        variant = ""
    elif architecture == "arm":
        variant = "v7" if not variant else variant if variant.startswith("v") else f"v{variant}"
    return Platform(system="darwin" if system == "macos" else system, architecture=architecture, variant=variant)
