"""What a build is given and what comes of it: secrets, contexts, frontends, the cache, and the image handed out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MIB, Project, Result
from tests.engine.quiet_host import QuietHost, quiet_host
from tests.engine.registry import Registry, registry
from tests.engine_access import Engine

TOKEN = 'tok3n-"quoted"\\and+/=more'
FILE_SECRET = "first-line-of-the-file\nsecond-line-of-the-file"
PASSWORD = "hunter2-password"
BARE = "value-of-a-bare-secret"
VALUES = (TOKEN, *FILE_SECRET.splitlines(), PASSWORD, BARE)


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """An empty project whose base image is there."""
    return Project(folder=tmp_path / "project")


@pytest.fixture(scope="module")
def host(engine: Engine, busybox_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuietHost]:
    """An engine whose cache and images are this file's alone."""
    with quiet_host(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture(scope="module")
def local_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An image registry on this machine."""
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


def _everything_said(done: Result) -> str:
    """What a run printed and wrote."""
    files = [path.read_text(errors="replace") for path in sorted(done.folder.rglob("*")) if path.is_file()]
    return "\n".join([done.stdout, done.stderr, *files])


@pytest.mark.parametrize("end", ["true", "echo failing; cat /run/secrets/* >&2; exit 1"], ids=["built", "failed"])
def test_secrets_reach_the_build_and_are_shown_nowhere(project: Project, leftovers: LeftoverWatch, end: str) -> None:
    mounts = " ".join(f"--mount=type=secret,id={name}" for name in ("token", "file", "BARE"))
    project.write(
        "FROM test/busybox\n"
        "ARG PASSWORD\n"
        "WORKDIR /in-$PASSWORD\n"
        f"RUN {mounts} cat /run/secrets/token /run/secrets/file /run/secrets/BARE && echo pw=$PASSWORD && "
        f'test "$(wc -c < /run/secrets/token)" = {len(TOKEN)} && test "$(wc -l < /run/secrets/file)" = 1\n'
        f"RUN {mounts} {end}\n",
        secrets=["id=token,env=TOKEN", "id=file,src=keys/file", "id=BARE"],
        build_args={"PASSWORD": ""},
        secret_build_args=["PASSWORD"],
    )
    (project.folder / "keys").mkdir()
    (project.folder / "keys" / "file").write_text(FILE_SECRET)

    streamed = {"GITHUB_ACTIONS": "true"}  # the log goes to standard error as well
    done = project.check(env={"TOKEN": TOKEN, "PASSWORD": PASSWORD, "BARE": BARE, **streamed})

    assert done.exit_code == (0 if end == "true" else 4), done.stdout + done.stderr
    said = _everything_said(done)
    assert "pw=***" in said
    assert "WORKDIR /in-***" in said
    assert [value for value in VALUES if value in said or json.dumps(value)[1:-1] in said] == []


def test_contexts_arguments_and_ssh_reach_the_build(
    project: Project, leftovers: LeftoverWatch, debian_base: str
) -> None:
    project.budget = "600MB"
    ask = (
        "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); "
        "s.sendall(bytes([0, 0, 0, 1, 11])); assert s.makefile('rb').read(9)[4] == 12"
    )
    project.write(
        f"FROM {debian_base}\n"
        "ARG GREETING\n"
        "ARG WRITTEN=no\n"
        "ARG UNSET=default\n"
        "COPY --from=files /note /note\n"
        "COPY --from=tools /bin/busybox /busybox\n"
        'RUN test "$GREETING $WRITTEN $UNSET" = "hello yes default" && grep -q text /note && /busybox true\n'
        f'RUN --mount=type=ssh python3 -c "{ask}"\n',
        build_args={"GREETING": "", "WRITTEN": "yes", "UNSET": ""},
        build_contexts={"files": "more", "tools": "docker-image://test/busybox"},
        ssh=["default"],
    )
    (project.folder / "more").mkdir()
    (project.folder / "more" / "note").write_text("text\n")

    with _agent(project.folder.with_name("agent")) as agent:
        done = project.check(env={"GREETING": "hello", "SSH_AUTH_SOCK": str(agent)})

    assert done.exit_code == 0, done.stdout + done.stderr
    assert [base["reference"] for base in done.image["bases"]] == [
        "docker.io/library/python:3.11-slim",
        "docker.io/test/busybox:latest",
    ]


class _agent:  # noqa: N801 - a context manager
    """An ssh-agent without keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        self.process = subprocess.Popen(["ssh-agent", "-D", "-a", self.path], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it says so when its socket is there
        return self.path

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)


def test_a_warm_run_uses_the_cache_and_measures_no_peak(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN cat /proc/sys/kernel/random/uuid > /id && dd if=/dev/zero of=/x bs=1M count=5\n"
        "FROM test/busybox\n"
        "COPY --from=tools /id /x /\n",
        budgets={"peak_disk": "1MB", "image_size": "1MB", "layers": 9},
    )

    first, second = (project.check("--warm", env=host.env) for _ in range(2))

    assert first.exit_code == second.exit_code == 1, first.stdout + first.stderr
    peak = second.metric("peak_disk")
    assert (peak["value"], peak["verdict"], peak["gated"]) == (None, "not-measured", False)
    assert second.metric("image_size")["verdict"] == "fail"
    assert second.metric("layers")["verdict"] == "pass"
    assert second.stage("tools")["metrics"]["image_size"]["value"] == second.image["bases"][0]["size"] + 5 * MIB + 37
    assert second.image["fingerprint"]["cache"] == "warm"
    assert second.image["image_id"] == first.image["image_id"]  # the id in it was made once
    assert [step["line"] for step in second.image["steps"] if not step["cached"] and step["line"] in (2, 4)] == []


def test_the_measured_image_is_loaded_exported_and_pushed(
    project: Project, host: QuietHost, local_registry: Registry, leftovers: LeftoverWatch
) -> None:
    project.write("FROM test/busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\n")
    archive = project.folder.with_name("image.tar")
    reference = f"{local_registry.address}/team/web:1"

    done = project.check(
        "--disk-mode", "sandbox", "--load", "--export", str(archive), "--push", reference, env=host.env
    )

    assert done.exit_code == 0, done.stdout + done.stderr
    image = done.image["image_id"]
    assert host.docker("image", "inspect", "--format", "{{.Id}}", "web:ci-budget").strip() == image
    host.docker("image", "rm", "web:ci-budget")
    assert image in host.docker("load", "--input", str(archive))
    digest = done.image["manifest_digest"]
    manifest = local_registry.manifest("team/web", "1")
    assert manifest.digest == digest
    assert manifest.config_digest == image
    _, pushed = local_registry.document("team/web", digest)
    assert done.metric("compressed_size")["value"] == sum(layer["size"] for layer in pushed["layers"]) > 0
    assert not [path for path in archive.parent.iterdir() if "partial" in path.name]


def test_an_image_that_does_not_pass_is_not_pushed(
    project: Project, host: QuietHost, local_registry: Registry, leftovers: LeftoverWatch
) -> None:
    project.write("FROM test/busybox\nRUN true\n", budgets={"image_size": "1kB"})

    done = project.check("--push", f"{local_registry.address}/team/large:1", "--exit-zero", env=host.env)

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.report["verdict"] == "fail"
    assert done.image["manifest_digest"] is None
    assert (
        f"not pushed to {local_registry.address}/team/large:1: what does not pass is handed to nobody"
        in done.image["notes"]
    )
    assert "team/large" not in local_registry.repositories()


def test_a_push_that_fails_keeps_the_measurement(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN true\n", budgets={"layers": 2})

    done = project.check("--warm", "--push", "localhost:1/team/web:1", env=host.env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert done.image["failure"]["message"].startswith("the image cannot be pushed to localhost:1/team/web:1: ")
    assert done.metric("layers")["verdict"] == "pass"
    assert done.image["manifest_digest"] is None


def test_an_export_that_cannot_be_written_says_so(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN true\n")

    done = project.check("--warm", "--export", "/proc/image.tar", env=host.env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert "the image cannot be written to /proc/image.tar: " in done.words
    assert done.metric("image_size")["value"] == done.image["bases"][0]["size"]
    assert "Traceback" not in done.stderr


def test_a_frontend_that_is_not_to_be_had(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("# syntax=docker/dockerfile:1.999\nFROM test/busybox\nRUN true\n")

    done = project.check("--warm", env=host.env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert "the frontend docker/dockerfile:1.999 that this Dockerfile asks for could not be used" in done.words
    assert "or write `frontend: builtin` in the config" in done.words
    assert done.image["failure"]["line"] == 1


@pytest.mark.parametrize(
    ("frontend", "said"),
    [
        ("no-such.invalid/dockerfile:1", "'no-such.invalid/dockerfile:1' is not docker/dockerfile"),
        ("docker/dockerfile:latest", "does not say that it is version 1"),
    ],
)
def test_another_frontend_is_not_replaced(project: Project, host: QuietHost, frontend: str, said: str) -> None:
    project.write(f"# syntax={frontend}\nFROM test/busybox\nRUN true\n", frontend="builtin")

    done = project.check("--warm", env=host.env)

    assert done.exit_code == 3, done.stdout + done.stderr
    assert said in done.words
    assert "building stage" not in done.stderr


@pytest.mark.parametrize("ignore_file", [".dockerignore", "Dockerfile.dockerignore"])
def test_the_engines_own_frontend_keeps_lines_and_ignore_file(
    project: Project, host: QuietHost, leftovers: LeftoverWatch, ignore_file: str
) -> None:
    project.write(
        "# syntax=docker/dockerfile:1\n"
        "# escape=`\n"
        "\n"
        "FROM test/busybox\n"
        "COPY . /all\n"
        "RUN test -e /all/kept && `\n"
        "    test ! -e /all/left-out && `\n"
        "    test ! -e /all/ci-budget.yml\n"
        "RUN exit 5\n",
        frontend="builtin",
    )
    for name in ("kept", "left-out"):
        (project.folder / name).write_text(name)
    (project.folder / ignore_file).write_text("*\n!kept\n")
    if ignore_file != ".dockerignore":
        (project.folder / ".dockerignore").write_text("kept\n")  # the Dockerfile's own counts

    done = project.check("--warm", env=host.env)

    assert done.exit_code == 4, done.stdout + done.stderr
    assert done.image["failure"]["line"] == 9
    assert sorted(step["line"] for step in done.image["steps"] if step["line"]) == [4, 5, 6, 9]
    assert done.metric("context_size")["value"] == len("kept")
    assert "built with the engine's own frontend instead of docker/dockerfile:1" in done.image["notes"]
