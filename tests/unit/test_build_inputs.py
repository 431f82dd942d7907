"""What a build takes from outside of its context is asked for before anything is built, and named by its line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.commands.build_inputs import found_agents, found_contexts, outside_files
from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError

Plan = Callable[..., CheckPlan]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plans a check of two images, the second with these keys."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(folder)
    for name in ("TOKEN", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)

    def make(image: str, **options: object) -> CheckPlan:
        Path("ci-budget.yml").write_text(
            f"version: 1\ndisk: {{budget: 1GB}}\nimages:\n  first: {{}}\n  web:\n    {image}\n"
        )
        return plan_check(CheckOptions(**options), GitHubContext())  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("secrets: ['id=a,env=TOKEN']", "secrets: the secret 'a': the variable TOKEN is not set"),
        ("secrets: ['id=a,src=gone/a']", "secrets: the secret 'a': the file 'gone/a' does not exist"),
        ("secrets: ['id=a,src=/gone/a']", "secrets: the secret 'a': the file '/gone/a' does not exist"),
        ("secrets: ['id=a,src=Dockerfile/a']", "secrets: the secret 'a': the file 'Dockerfile/a' does not exist"),
        ("secrets: ['id=a,src=.git']", "secrets: the secret 'a': '.git' is a folder, and a file is needed"),
        (
            "secrets: ['id=TOKEN']",
            "secrets: the secret 'TOKEN': the file 'TOKEN' does not exist, nor is there a variable TOKEN",
        ),
        ("ssh: [default]", "ssh: 'default': the variable SSH_AUTH_SOCK is not set"),
        ("ssh: ['key=a,b']", "ssh: 'key': the file 'a' does not exist\nci-budget.yml:6: images.web.ssh: 'key': the "
         "file 'b' does not exist"),
        ("build_contexts: {more: gone}", "build_contexts.more: the folder 'gone' does not exist"),
        ("build_contexts: {more: Dockerfile}", "build_contexts.more: 'Dockerfile' is no folder"),
        ("build_contexts: {more: 'oci-layout://gone:tag@sha256:0'}", "build_contexts.more: the folder 'gone' does not "
         "exist"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_with_its_line(plan: Plan, image: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan(image)
    assert str(error.value) == f"ci-budget.yml:6: images.web.{said}"
    assert len(plan(image, images=("first",)).jobs) == 1, "another image does not need it"
    assert len(plan(image, images=("web",), no_build="registry://localhost:5000/web:1").jobs) == 1, "nothing is built"


def test_what_may_not_be_read(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text("a secret")
    Path("more").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith(("secret", "more")))  # root may do all
    with pytest.raises(ConfigError) as error:
        plan("{secrets: ['id=a,src=secret'], build_contexts: {more: more}}")
    assert str(error.value) == (
        "ci-budget.yml:6: images.web.secrets: the secret 'a': the file 'secret' may not be read by this user\n"
        "ci-budget.yml:6: images.web.build_contexts.more: the folder 'more' may not be read by this user"
    )


def test_all_that_is_there_has_its_whole_path(plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        monkeypatch.setenv("TOKEN", "")
        for name in ("key", "netrc"):
            Path(name).write_text("something secret")
        Path("layout").mkdir()
        ((job, _),) = plan(
            "{secrets: ['id=TOKEN', 'id=netrc'], ssh: [default, 'deploy=key,key'], "
            "build_contexts: {one: layout, two: 'oci-layout://layout:1', three: 'docker-image://test/busybox'}}",
            images=("web",),
        ).jobs
    folder = tmp_path / "project"
    assert found_agents(job.image, folder) == ("default", f"deploy={folder}/key,{folder}/key")
    assert outside_files(job.image, folder) == [folder / "netrc", folder / "key", folder / "key"]
    assert found_contexts(job.image, folder) == {
        "one": f"{folder}/layout",
        "two": f"oci-layout://{folder}/layout:1",
        "three": "docker-image://test/busybox",
    }
