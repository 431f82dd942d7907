"""The config and the files that it names, on a real disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci_budget.core.config.text import ConfigProblemsError
from ci_budget.edges.files.config_file import (
    ImageFiles,
    check_files,
    find_config,
    load_config,
    read_bounded,
    repository_root,
)
from ci_budget.errors import ConfigError

DOCKERFILE = "FROM busybox AS builder\nRUN true\nFROM builder\nFROM builder AS Runtime\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "app").mkdir()
    (root / "app" / "Dockerfile").write_text(DOCKERFILE)
    monkeypatch.chdir(root)
    return root


def check(root: Path, image: str) -> tuple[ImageFiles, ...]:
    (root / "ci-budget.yml").write_text(f"version: 1\nimages:\n  web:\n    {image}\n")
    return check_files(load_config(Path("ci-budget.yml")), root)


def test_the_nearest_config_is_found(repository: Path) -> None:
    deep = repository / "app" / "deep"
    deep.mkdir()
    (repository / "ci-budget.yml").touch()
    assert find_config(deep) == repository / "ci-budget.yml"
    (deep / "ci-budget.yaml").touch()
    assert find_config(deep) == deep / "ci-budget.yaml"
    assert find_config(deep, Path("other.yml").absolute().with_name("ci-budget.yml")) == repository / "ci-budget.yml"


def test_no_config_is_taken_from_above_the_repository(repository: Path) -> None:
    (repository.parent / "ci-budget.yml").touch()
    with pytest.raises(ConfigError) as caught:
        find_config(repository / "app")
    assert str(caught.value) == (
        f"there is no ci-budget.yml from {repository / 'app'} up to {repository}\n"
        "  `ci-budget init` writes a config from the repository's Dockerfiles; --config names another file."
    )


def test_two_configs(repository: Path) -> None:
    (repository / "ci-budget.yml").touch()
    (repository / "ci-budget.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        find_config(repository)
    assert str(caught.value) == f"{repository} holds both ci-budget.yml and ci-budget.yaml\n  Remove one of them."


def test_a_named_config_must_exist(repository: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(repository, Path("other.yml"))
    assert str(caught.value) == (
        "there is no config file other.yml\n"
        "  `ci-budget init` writes a config from the repository's Dockerfiles; --config names another file."
    )


def test_the_repository_s_root(repository: Path) -> None:
    assert repository_root(repository / "app") == repository
    outside = repository.parent / "outside"
    outside.mkdir()
    assert repository_root(outside) == outside


def test_ten_megabytes_are_refused_before_they_are_read(repository: Path) -> None:
    path = repository / "ci-budget.yml"
    with path.open("wb") as file:
        file.truncate(10_000_000)
    with pytest.raises(ConfigError) as caught:
        load_config(Path("ci-budget.yml"))
    assert str(caught.value) == "ci-budget.yml: has 10,000,000 bytes; at most 1,000,000 are read"


def test_a_fifo_is_not_waited_for(repository: Path) -> None:
    os.mkfifo("ci-budget.yml")
    with pytest.raises(ConfigError) as caught:
        load_config(Path("ci-budget.yml"))
    assert str(caught.value) == "ci-budget.yml: is not a regular file"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("app", "app: is not a regular file"),
        ("/dev/zero", "/dev/zero: is not a regular file"),
        ("none.yml", "none.yml: cannot be read: No such file or directory"),
        ("a\0b", "a\0b: cannot be read: embedded null byte"),
    ],
)
def test_what_is_no_file(repository: Path, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_bounded(Path(path), 1000)
    assert str(caught.value) == message


def test_a_file_that_says_nothing_of_its_size_is_bounded_too() -> None:
    with pytest.raises(ConfigError, match="has more than 10 bytes"):
        read_bounded(Path("/proc/cpuinfo"), 10)


def test_a_config_that_leads_out_of_the_repository(repository: Path) -> None:
    secret = repository.parent / "secret"
    secret.write_text("root:x\n")
    Path("ci-budget.yml").symlink_to(secret)
    with pytest.raises(ConfigError) as caught:
        load_config(Path("ci-budget.yml"))
    assert str(caught.value) == "ci-budget.yml: the config is a symlink that leaves the repository"


def test_files_of_an_image(repository: Path) -> None:
    (files,) = check(repository, "{context: app, target: runtime, stages: {BUILDER: {}, stage-1: {}, '2': {}}}")
    assert files.name == "web"
    assert (files.context, files.dockerfile) == (repository / "app", repository / "app" / "Dockerfile")
    assert files.stage_names == ("builder", "stage-1", "runtime")


@pytest.mark.parametrize("target", ["builder", "RUNTIME", "0", "2"])
def test_targets_that_exist(repository: Path, target: str) -> None:
    assert len(check(repository, f"{{context: app, target: {target}}}")) == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("context: ap", "ci-budget.yml:4: images.web.context: the folder 'ap' does not exist"),
        ("context: app/Dockerfile", "ci-budget.yml:4: images.web.context: the folder 'app/Dockerfile' is not a folder"),
        (
            "{context: app, dockerfile: dockerfile}",
            "ci-budget.yml:4: images.web.dockerfile: 'app/dockerfile' does not exist; did you mean 'Dockerfile'?",
        ),
        (
            "{context: ., dockerfile: web.Dockerfile}",
            "ci-budget.yml:4: images.web.dockerfile: 'web.Dockerfile' does not exist; it is relative to the context",
        ),
        ("{dockerfile: app}", "ci-budget.yml:4: images.web.dockerfile: 'app' is not a file"),
        (
            "{context: app, target: runtme}",
            "ci-budget.yml:4: images.web.target: app/Dockerfile has no stage 'runtme'; did you mean 'runtime'?",
        ),
        (
            "{context: app, target: '3'}",
            "ci-budget.yml:4: images.web.target: app/Dockerfile has no stage '3'; "
            "known stages: builder, stage-1, runtime",
        ),
        (
            "{context: app, stages: {bilder: {}}}",
            "ci-budget.yml:4: images.web.stages: app/Dockerfile has no stage 'bilder'; did you mean 'builder'?",
        ),
    ],
)
def test_files_and_stages_that_are_missing(repository: Path, image: str, message: str) -> None:
    with pytest.raises(ConfigProblemsError) as caught:
        check(repository, image)
    assert str(caught.value) == message


def test_every_image_s_problems_are_told(repository: Path) -> None:
    Path("ci-budget.yml").write_text(
        "version: 1\nimages:\n  a:\n    context: none\n  b:\n    context: app\n    target: x\n    stages: {y: {}}\n"
    )
    with pytest.raises(ConfigProblemsError) as caught:
        check_files(load_config(Path("ci-budget.yml")), repository)
    assert str(caught.value) == (
        "ci-budget.yml:4: images.a.context: the folder 'none' does not exist\n"
        "ci-budget.yml:7: images.b.target: app/Dockerfile has no stage 'x'; known stages: builder, stage-1, runtime\n"
        "ci-budget.yml:8: images.b.stages: app/Dockerfile has no stage 'y'; known stages: builder, stage-1, runtime"
    )


@pytest.mark.parametrize("key", ["context", "dockerfile"])
def test_symlinks_that_leave_the_repository(repository: Path, key: str) -> None:
    outside = repository.parent / "outside"
    outside.mkdir()
    (outside / "Dockerfile").write_text(DOCKERFILE)
    Path("link").symlink_to(outside if key == "context" else outside / "Dockerfile")
    with pytest.raises(ConfigProblemsError) as caught:
        check(repository, f"{key}: link")
    assert (
        str(caught.value) == f"ci-budget.yml:4: images.web.{key}: 'link' leads outside of the repository by a symlink"
    )


def test_symlinks_within_the_repository(repository: Path) -> None:
    Path("link").symlink_to("app")
    (files,) = check(repository, "context: link")
    assert files.context == repository / "app"


def test_symlinks_in_a_circle(repository: Path) -> None:
    Path("link").symlink_to("link")
    with pytest.raises(ConfigProblemsError, match=r"^ci-budget.yml:4: images.web.context: "):
        check(repository, "context: link")


def test_a_dockerfile_s_own_error_names_its_line(repository: Path) -> None:
    (repository / "app" / "Dockerfile").write_text("FROM busybox\nRNU true\n")
    with pytest.raises(ConfigError) as caught:
        check(repository, "context: app")
    assert (caught.value.file, caught.value.line) == ("app/Dockerfile", 2)
