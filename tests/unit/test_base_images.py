"""Base images of the runner's engine are taken only where they are for the platform of the build."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ci_budget.core.stages.platforms import fits
from ci_budget.edges.engine.base_images import BaseImage, ensure_present, find_bases
from ci_budget.edges.engine.facts import EngineFacts, ImageFacts, read_image
from ci_budget.errors import UnmeasuredError

NAME = "docker.io/library/python:3.11"


@dataclass
class Host:
    """An engine of linux/amd64 that has one image."""

    platform: str
    docker_host: str = "unix:///run/docker.sock"
    asked: list[str] = field(default_factory=list)

    def image(self, reference: str) -> ImageFacts | None:
        self.asked.append(reference)
        return ImageFacts(
            id="sha256:1", platform=self.platform, diff_ids=(), onbuild=(), repo_digests=(), layer_folders=()
        )

    def facts(self) -> EngineFacts:
        return EngineFacts(
            id="x", version="28.5.2", storage_driver="overlay2", data_root="/d", platform="linux/amd64", kernel="6",
            runtimes=(), security_options=(), containerd_store=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/aarch64", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("windows/amd64", "linux/amd64", False),
        ("", "linux/arm64", True),
    ],
)
def test_platforms_that_fit(found: str, wanted: str, same: bool) -> None:
    assert fits(found, wanted) is same


@pytest.mark.parametrize(
    ("image", "platform", "platforms", "taken"),
    [
        ("linux/amd64", None, {}, True),
        ("linux/amd64", "linux/amd64", {}, True),
        ("linux/amd64", "linux/arm64", {}, False),
        ("linux/arm64", None, {}, False),  # pulled for another platform once
        ("linux/amd64", "linux/arm64", {NAME: "linux/amd64"}, True),  # FROM --platform=$BUILDPLATFORM
        ("linux/arm64", "linux/arm64", {NAME: "linux/amd64"}, False),
    ],
)
def test_an_image_for_another_platform_is_none(
    image: str, platform: str | None, platforms: dict[str, str], taken: bool
) -> None:
    (base,) = find_bases({NAME: 1}, platform=platform, platforms=platforms, host=Host(image))  # type: ignore[arg-type]
    assert (base.image_id, base.from_host) == (("sha256:1", "unix:///run/docker.sock") if taken else (None, None))
    assert base.platform == platforms.get(NAME, platform)


def test_on_the_hosts_own_engine_it_is_refused() -> None:
    base = BaseImage(reference=NAME, platform="linux/arm64", image_id=None, line=1)
    with pytest.raises(UnmeasuredError) as refused:
        ensure_present(base, Host("linux/amd64"))  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"the base image {NAME} on this engine is for linux/amd64; the build needs it for linux/arm64\n"
        f"  docker pull --platform linux/arm64 {NAME}"
    )


@pytest.mark.parametrize(
    ("answer", "platform"),
    [
        ({"Os": "linux", "Architecture": "arm", "Variant": "v7"}, "linux/arm/v7"),
        ({"Os": "linux", "Architecture": "amd64"}, "linux/amd64"),
        ({"Os": "linux", "Architecture": ""}, ""),
    ],
)
def test_what_an_image_says(answer: dict[str, str], platform: str) -> None:
    assert read_image({"Id": "sha256:1", **answer}).platform == platform


def test_a_base_that_is_not_to_be_had_names_its_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "asked: $*" >&2\nexit 1\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    base = BaseImage(reference=NAME, platform="linux/arm64", image_id=None, line=1)
    monkeypatch.setattr(Host, "image", lambda _self, _reference: None)
    with pytest.raises(UnmeasuredError) as refused:
        ensure_present(base, Host("linux/amd64"))  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"the base image {NAME} for linux/arm64 is not to be had: neither the host's engine nor a registry gave it "
        f"(asked: --host unix:///run/docker.sock pull --quiet --platform linux/arm64 {NAME})\n"
        f"  Pull it on the runner (`docker pull --platform linux/arm64 {NAME}`), or log in to its registry."
    )
