"""What is refused before an engine is asked: secrets that could not be kept out of logs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.commands.check_jobs import plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.preparation import prepared
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError


@pytest.fixture
def redactor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[[str], str]]:
    """The redaction of an image with these keys in its config."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text("ARG TOKEN\nFROM scratch\n")
    monkeypatch.chdir(tmp_path)

    def make(image: str) -> Callable[[str], str]:
        (tmp_path / "ci-budget.yml").write_text(f"version: 1\ndisk: {{budget: 1GB}}\nimages: {{web: {image}}}\n")
        ((job, _),) = plan_check(CheckOptions(), GitHubContext()).jobs
        with prepared(job, platform="linux/amd64", refreshed=False) as image_:
            return image_.redact

    return make


ARGUMENT = "{build_args: {TOKEN: ''}, secret_build_args: [TOKEN]}"


def test_secrets_are_redacted_the_longest_first(
    redactor: Callable[[str], Callable[[str], str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "abcd")
    (tmp_path / "netrc").write_text("machine x\n  password abcdefgh\n}\nlast-line-of-it\n")
    redact = redactor("{build_args: {TOKEN: ''}, secret_build_args: [TOKEN], secrets: ['id=netrc,src=netrc']}")
    assert redact("a abcd, password abcdefgh last-line-of-it } machine y") == "a ***, *** *** } machine y"


@pytest.mark.parametrize("value", ["abc", "1", " ab\n"])
def test_a_secret_too_short_to_be_kept_out_of_logs_is_refused(
    redactor: Callable[[str], Callable[[str], str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TOKEN", value)
    with pytest.raises(ConfigError) as refused:
        redactor(ARGUMENT)
    assert str(refused.value) == (
        "ci-budget.yml:3: images.web.secret_build_args: the secret 'TOKEN' has fewer than 4 characters, too short to "
        "be kept out of logs: ordinary text holds it too; take a longer one, or an ordinary build argument if it is no "
        "secret"
    )
    (tmp_path / "pin").write_text(value)
    with pytest.raises(ConfigError, match=r"images\.web\.secrets: the secret 'pin' has fewer than 4 characters"):
        redactor("{secrets: ['id=pin,src=pin']}")


def test_an_empty_secret_has_nothing_to_hide(
    redactor: Callable[[str], Callable[[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "")
    assert redactor(ARGUMENT)("all of it") == "all of it"


def test_names_that_no_builder_can_send_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "app" / "ü").write_text("")
    (tmp_path / "ci-budget.yml").write_text("version: 1\ndisk: {budget: 1GB}\nimages: {web: {context: app}}\n")
    monkeypatch.chdir(tmp_path)

    def notes() -> tuple[str, ...]:
        ((job, _),) = plan_check(CheckOptions(), GitHubContext()).jobs
        with prepared(job, platform="linux/amd64", refreshed=False) as image:
            return tuple(image.notes)

    assert notes() == ()
    told = (
        r"names of the context are no UTF-8, such as \xff:x: a builder that is to send one fails with 'invalid UTF-8'; "
        "rename it, or name it in the ignore file"
    )
    odd = tmp_path / "app" / os.fsdecode(b"\xff:x")
    ignore = tmp_path / "app" / ".dockerignore"
    for make, remove in ((odd.mkdir, odd.rmdir), (lambda: odd.symlink_to("x"), odd.unlink), (odd.touch, odd.unlink)):
        make()
        assert notes() == (told,)
        ignore.write_bytes(b"*:x\n")
        assert notes() == ()
        ignore.unlink()
        remove()
