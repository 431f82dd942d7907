"""`prune` and `doctor` on the command line: what they refuse, and which images the config protects."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.prune import base_references
from ci_budget.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["prune", "--bases"], "Error: --bases and --keep are about the engine's images: they need --engine"),
        (["prune", "--target-free", "much"], "Error: Invalid value for '--target-free': 'much' is not a size"),
        (["prune", "--cache-older", "3d"], "Error: Invalid value for '--cache-older': '3d' is not a duration"),
        (["doctor", "--disk-warn", "95%"], "Error: a warning threshold lies above its critical one"),
        (["doctor", "--inodes-warn", "x"], "Error: Invalid value for '--inodes-warn': 'x%' is not a percentage"),
        (["doctor", "--prometheus", "x.txt"], "'--prometheus': node_exporter reads only files that end with .prom"),
        (["doctor", "--free-factor", "0"], "Error: Invalid value for '--free-factor': must lie between 0 and 1000"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_usage_errors(arguments: list[str], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert last in capsys.readouterr().err.splitlines()[-1]


def test_bases_are_those_of_every_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text(
        "ARG V=3.11\nFROM golang AS build\nFROM python:$V\nCOPY --from=alpine:3 /a /a\n"
    )
    (tmp_path / "ci-budget.yml").write_text(
        "version: 1\nimages:\n"
        "  web: {build_args: {V: '3.12'}}\n"
        "  api: {build_contexts: {golang: 'docker-image://go/own:1'}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert base_references(None) == [
        "docker.io/go/own:1",
        "docker.io/library/alpine:3",
        "docker.io/library/golang:latest",  # only a stage that neither target needs
        "docker.io/library/python:3.11",
        "docker.io/library/python:3.12",
    ]


def test_no_config_protects_nothing_and_a_broken_one_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert base_references(None) == []
    (tmp_path / "ci-budget.yml").write_text("version: 1\nimagse: {}\n")
    with pytest.raises(ConfigError):
        base_references(None)
