"""Image references, written out as the engine does: `python:3.11` is `docker.io/library/python:3.11`.

Grammar and defaults of github.com/distribution/reference (`ParseNormalizedNamed`, `TagNameOnly`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_WORDS = re.compile(r"[a-z0-9]+")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_LONGEST = 4096
_LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True)
class ImageReference:
    """An image by its full name (`docker.io/library/python`), with a tag, a digest, or both."""

    name: str
    tag: str | None
    digest: str | None

    @property
    def pinned(self) -> bool:
        """True where a digest names the very image."""
        return self.digest is not None

    @property
    def familiar(self) -> str:
        """The short form, as the engine keys named contexts: no default domain, no `library/`, no `:latest`."""
        name = self.name.removeprefix(f"{_DEFAULT_DOMAIN}/")
        if name != self.name and name.count("/") == 1:
            name = name.removeprefix("library/")
        short = f"{name}{_suffix(self.tag, self.digest)}"
        return short.removesuffix(":latest")

    def __str__(self) -> str:
        return f"{self.name}{_suffix(self.tag, self.digest)}"


def parse_reference(text: str) -> ImageReference:
    """A reference as written, with the engine's defaults filled in (`docker.io`, `library/`, `latest`).

    Raises ValueError with the reason in the engine's words.
    """
    if len(text) > _LONGEST:
        raise ValueError("invalid reference format: it is too long")
    if _IDENTIFIER.fullmatch(text):
        raise ValueError("invalid repository name: it cannot be 64 hexadecimal digits")
    domain, remainder = _split_domain(text)
    rest, _, digest = remainder.partition("@")
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    path, tag = (rest, "") if colon < 0 else (rest[:colon], rest[colon + 1 :])
    if path != path.lower():
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _PATH.fullmatch(path) or not _DOMAIN.fullmatch(domain) or (colon >= 0 and not _TAG.fullmatch(tag)):
        raise ValueError("invalid reference format")
    if "@" in remainder and not _DIGEST.fullmatch(digest):
        raise ValueError("invalid reference format")
    if len(path) > _LONGEST_NAME:
        raise ValueError(f"repository name must not be more than {_LONGEST_NAME} characters")
    if not tag and not digest:
        tag = "latest"
    return ImageReference(name=f"{domain}/{path}", tag=tag or None, digest=digest or None)


def repository_of(name: str) -> str:
    """The path of a repository for the name of a config's image, whose grammar is wider: `api..v1/Web-` gives
    `api-v1/web`."""
    return "/".join(
        part if re.fullmatch(_COMPONENT, part) else "-".join(_WORDS.findall(part)) or "image"
        for part in name.lower().split("/")
    )


def _split_domain(text: str) -> tuple[str, str]:
    head, slash, tail = text.partition("/")
    if not slash or not (set(head) & {".", ":"} or head == "localhost" or head != head.lower()):
        domain, remainder = _DEFAULT_DOMAIN, text
    else:
        domain, remainder = head, tail
    if domain == _LEGACY_DOMAIN:
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in remainder:
        remainder = f"library/{remainder}"
    return domain, remainder


def _suffix(tag: str | None, digest: str | None) -> str:
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
