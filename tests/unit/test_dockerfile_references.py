"""Names of images and platforms, written out as the engine does."""

from __future__ import annotations

import pytest

from ci_budget.core.stages.platforms import parse_platform
from ci_budget.core.stages.references import parse_reference, repository_of

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("written", "full", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python"),
        ("python:3.11", "docker.io/library/python:3.11", "python:3.11"),
        ("docker.io/python:latest", "docker.io/library/python:latest", "python"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost/a", "localhost/a:latest", "localhost/a"),
        ("registry:5000/a/b", "registry:5000/a/b:latest", "registry:5000/a/b"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
        (f"python:3@{DIGEST}", f"docker.io/library/python:3@{DIGEST}", f"python:3@{DIGEST}"),
        ("0", "docker.io/library/0:latest", "0"),
    ],
)
def test_references_are_written_out(written: str, full: str, familiar: str) -> None:
    reference = parse_reference(written)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert reference.pinned == ("@" in written)


@pytest.mark.parametrize(
    "written",
    ["", "A", "a b", "a:", "a:b:c", "a//b", "a@sha256:12", "a@", "-a", "ab" * 32, "a" * 5000, "a/" + "b" * 300],
    ids=lambda written: written[:12] or "nothing",
)
def test_what_is_no_reference_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"invalid re|must not be more"):
        parse_reference(written)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("Linux/ARMHF", "linux/arm/v7"),
        ("arm64", "linux/arm64"),
        ("windows", "windows/amd64"),
        ("macos/arm64", "darwin/arm64"),
    ],
)
def test_platforms_are_normalised(written: str, normal: str) -> None:
    assert str(parse_platform(written)) == normal


@pytest.mark.parametrize("written", ["", "nonsense", "linux/", "a/b/c/d", "linux/am d64"])
def test_what_is_no_platform_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"platform|unknown operating system"):
        parse_platform(written)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("web", "web"),
        ("Audio-Voice", "audio-voice"),
        ("team/api_v1.2", "team/api_v1.2"),
        ("web-", "web"),
        ("a..b__.c", "a-b-c"),
        ("x/-y/___", "x/y/image"),
    ],
)
def test_every_name_of_an_image_gives_a_repository(name: str, repository: str) -> None:
    assert repository_of(name) == repository
    assert parse_reference(f"ci-budget.local/{repository}:measured").name == f"ci-budget.local/{repository}"
