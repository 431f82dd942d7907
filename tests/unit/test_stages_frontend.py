"""Which frontend a Dockerfile asks for, and copies without that."""

from __future__ import annotations

import pytest

from ci_budget.core.dockerfile.frontend import Frontend, detect_frontend, neutralise, refuse_builtin

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("text", "image", "origin", "line"),
    [
        (b"# syntax=docker/dockerfile:1\nFROM a\n", "docker/dockerfile:1", "directive", 1),
        (b"#Syntax = docker/dockerfile:1 with options \r\nFROM a\n", "docker/dockerfile:1", "directive", 1),
        (BOM + b"# escape=`\n# syntax=x\nFROM a\n", "x", "directive", 2),
        (b"#!/usr/bin/env x\n# syntax=x\nFROM a\n", "x", "directive", 2),
        (b"// syntax=x\n", "x", "comment", 1),
        (b'{"syntax": "x", "y": 1}', "x", "json", 1),
    ],
)
def test_frontends_are_found(text: bytes, image: str, origin: str, line: int) -> None:
    found = detect_frontend(text, {})
    assert found is not None
    assert (found.image, found.origin, found.line) == (image, origin, line)


@pytest.mark.parametrize(
    "text",
    [
        b"FROM a\n",
        b"",
        b"\n# syntax=x\nFROM a\n",
        b" # syntax=x\nFROM a\n",
        b"# a comment\n# syntax=x\nFROM a\n",
        b"# syntax=\nFROM a\n",
        b"FROM a\n# syntax=x\n",
        b'{"syntax": 1}',
        b"[" * 100_000,
    ],
    ids=lambda text: text[:20].decode(),
)
def test_what_only_looks_like_a_frontend_is_none(text: bytes) -> None:
    assert detect_frontend(text, {}) is None


def test_the_build_argument_comes_first() -> None:
    found = detect_frontend(b"# syntax=x\nFROM a\n", {"BUILDKIT_SYNTAX": " y:1 options"})
    assert found == Frontend(image="y:1", origin="build argument", line=None)


@pytest.mark.parametrize(
    "image",
    [
        "docker/dockerfile:1",
        "docker.io/docker/dockerfile:1.7",
        "index.docker.io/docker/dockerfile:1.7.1",
        "docker/dockerfile:1-labs",
        "docker/dockerfile:1.20-labs",
        "docker/dockerfile:1@sha256:" + "ab" * 32,
    ],
)
def test_version_one_can_be_replaced(image: str) -> None:
    assert refuse_builtin(Frontend(image=image, origin="directive", line=1)) is None


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("docker/dockerfile", "'docker/dockerfile' does not say that it is version 1 (docker/dockerfile:1)"),
        (
            "docker/dockerfile:latest",
            "'docker/dockerfile:latest' does not say that it is version 1 (docker/dockerfile:1)",
        ),
        ("docker/dockerfile:2", "'docker/dockerfile:2' does not say that it is version 1 (docker/dockerfile:1)"),
        (
            "docker/dockerfile-upstream:1",
            "'docker/dockerfile-upstream:1' is not docker/dockerfile: the engine's own frontend may not read the same "
            "language",
        ),
        (
            "localhost:5000/docker/dockerfile:1",
            "'localhost:5000/docker/dockerfile:1' is not docker/dockerfile: the engine's own frontend may not read the "
            "same language",
        ),
        (
            "a b\x1b",
            "'a b\\x1b' is no image name (invalid reference format)",
        ),
    ],
)
def test_other_frontends_are_refused_with_a_reason(image: str, reason: str) -> None:
    assert refuse_builtin(Frontend(image=image, origin="directive", line=1)) == reason


def test_other_languages_are_refused() -> None:
    found = detect_frontend(b"// syntax=docker/dockerfile:1\n", {})
    assert found is not None
    assert refuse_builtin(found) is not None


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        (b"# syntax=x\nFROM a\n", b"## syntax=x\nFROM a\n"),
        (b"# check=skip=all\n# syntax=x\r\nFROM a", b"# check=skip=all\n## syntax=x\r\nFROM a"),
        (b"# syntax=x\r\n# check=skip=all\nFROM a\n", b"# escape=\\\r\n# check=skip=all\nFROM a\n"),
        (b"# syntax=x\n# escape=`\nFROM a\n", b" # syntax=x\n# escape=`\nFROM a\n"),
        (b"# check=y\n# syntax=x\n# escape=`\nFROM a\n", b"# check=y\n # syntax=x\n# escape=`\nFROM a\n"),
        (
            b"# syntax=x\n# escape=`\n# check=y\nFROM a\n",
            b"# check=y\n# escape=`\n # syntax=x\nFROM a\n",
        ),
        (BOM + b"# syntax=x\nFROM a\n", BOM + b"## syntax=x\nFROM a\n"),
        (b"FROM a\n# syntax=x\n", b"FROM a\n# syntax=x\n"),
    ],
)
def test_neutral_copies_keep_every_other_line(text: bytes, copy: bytes) -> None:
    assert neutralise(text) == copy
    assert detect_frontend(copy, {}) is None
