"""`init`: what it finds, what it writes, and that what it writes is valid."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ci_budget.commands.init import init
from ci_budget.commands.validate import validate
from ci_budget.core.config.starter import FoundDockerfile, image_names, render_starter
from ci_budget.core.config.text import parse_config
from ci_budget.edges.files.dockerfile_search import find_dockerfiles
from ci_budget.errors import ConfigError

PLAIN = "FROM busybox\nRUN true\n"
STAGED = "FROM busybox AS builder\nCOPY src/ /src\nFROM builder AS runtime\nCOPY --from=builder /src /src\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / ".git").mkdir(parents=True)
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_whole_config(repository: Path) -> None:
    write(repository, {"Dockerfile": PLAIN, "services/web/Dockerfile": STAGED, "services/web/src/app.py": ""})
    told = init(repository / "services", force=False)
    path = repository / "ci-budget.yml"
    assert told == (
        f"wrote {path} with 2 images:\n"
        "  Dockerfile (context .)\n"
        "  services/web/Dockerfile (context services/web, target runtime)\n"
        f"add `.ci-budget/` to {path.parent}/.dockerignore: it lies in the context of shop, which each new baseline "
        "would change\n"
        "next: `ci-budget check` builds and measures; then set budgets from what it shows"
    )
    assert path.read_text() == (
        "# What the builds of this repository's images may cost. `ci-budget schema` describes every key.\n"
        "version: 1\n"
        "\n"
        "disk:\n"
        "  mode: auto      # a sandbox where this machine allows one, else the runner's own engine\n"
        "  budget: 20GB    # what one build may use\n"
        "  reserve: 5GB    # space that must stay free on the host\n"
        "\n"
        "defaults:\n"
        "  # How far above its accepted baseline a value passes.\n"
        "  tolerance: {peak_disk: 2%, image_size: 1%, layers: 0, context_size: 5%}\n"
        "\n"
        "images:\n"
        "  shop:\n"
        "    context: .\n"
        "    dockerfile: Dockerfile\n"
        "    # Absolute limits, beside the baseline: take them from what the first `ci-budget check` shows.\n"
        "    # budgets: {peak_disk: 15GB, image_size: 5GB, layers: 10, context_size: 1MB}\n"
        "\n"
        "  web:\n"
        "    context: services/web\n"
        "    dockerfile: Dockerfile\n"
        "    target: runtime    # stages: builder, runtime\n"
        "    # Absolute limits, beside the baseline: take them from what the first `ci-budget check` shows.\n"
        "    # budgets: {peak_disk: 15GB, image_size: 5GB, layers: 10, context_size: 1MB}\n"
    )
    assert path.stat().st_mode & 0o777 == 0o644
    assert validate(None, repository, "text").startswith("ci-budget.yml is valid: 2 images\n")


def test_its_commented_budgets_are_valid_too(repository: Path) -> None:
    write(repository, {"Dockerfile": PLAIN})
    init(repository, force=False)
    text = (repository / "ci-budget.yml").read_text().replace("# budgets", "budgets")
    assert parse_config(text, "ci-budget.yml").config.budget_of("shop", "peak_disk") == 15_000_000_000


def test_what_counts_as_a_dockerfile(repository: Path) -> None:
    mine = ["Dockerfile", "Dockerfile.gpu", "a/web.Dockerfile", "b/Containerfile", "c/dockerfile", ".docker/Dockerfile",
            "examples/x/Dockerfile"]  # fmt: skip
    others = ["Dockerfile.dockerignore", "Dockerfile.j2", "web.Dockerfile.md", "Dockerfile~", "myDockerfile",
              ".git/Dockerfile",
              "node_modules/x/Dockerfile", "vendor/x/Dockerfile", "a/third_party/Dockerfile", ".tox/Dockerfile",
              "tests/fixtures/Dockerfile", "sub/Dockerfile", "Dockerfiles/readme"]  # fmt: skip
    write(repository, dict.fromkeys(mine + others, PLAIN))
    (repository / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    (repository / "linked").symlink_to("a")
    (repository / "link.Dockerfile").symlink_to("Dockerfile")
    assert sorted(one.path for one in find_dockerfiles(repository).found) == sorted(mine)


def test_the_context_is_the_nearest_folder_that_holds_the_sources(repository: Path) -> None:
    write(
        repository,
        {
            "docker/api/Dockerfile": "FROM busybox\nCOPY services/api /api\nADD https://example.org/x /x\n",
            "docker/own/Dockerfile": "FROM busybox\nCOPY app.py $MORE *.txt /\nCOPY <<end /x\nhi\nend\n",
            "docker/own/app.py": "",
            "docker/up/Dockerfile": "FROM busybox\nCOPY own/app.py /\n",
            "docker/lost/Dockerfile": "FROM busybox\nCOPY generated /\n",
            "services/api/app.py": "",
        },
    )
    assert {one.path: one.context for one in find_dockerfiles(repository).found} == {
        "docker/api/Dockerfile": ".",
        "docker/own/Dockerfile": "docker/own",
        "docker/up/Dockerfile": "docker",
        "docker/lost/Dockerfile": "docker/lost",
    }
    init(repository, force=False)


def test_a_broken_dockerfile_is_left_out_and_named(repository: Path) -> None:
    write(repository, {"Dockerfile": PLAIN, "b/Dockerfile": "FROM busybox\nRNU x\n", "c/Dockerfile": "\xff\0"})
    told = init(repository, force=False).splitlines()
    assert told[2] == "left out: b/Dockerfile:2: unknown instruction 'RNU'"
    assert told[3].startswith("left out: c/Dockerfile")
    assert validate(None, repository, "text").startswith("ci-budget.yml is valid: 1 image\n")


def test_no_dockerfile(repository: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        init(repository, force=False)
    assert str(caught.value) == (
        f"there is no Dockerfile in {repository}\n"
        "  `ci-budget check --context FOLDER --file DOCKERFILE` gates one that lies elsewhere."
    )
    assert not (repository / "ci-budget.yml").exists()


@pytest.mark.parametrize("name", ["ci-budget.yml", "ci-budget.yaml"])
def test_nothing_is_overwritten_without_force(repository: Path, name: str) -> None:
    write(repository, {"Dockerfile": PLAIN, name: "mine\n"})
    with pytest.raises(ConfigError) as caught:
        init(repository, force=False)
    assert str(caught.value) == f"{repository / name} exists already\n  `ci-budget init --force` overwrites it."
    assert (repository / name).read_text() == "mine\n"
    init(repository, force=True)
    assert (repository / name).read_text().startswith("# What the builds")
    assert sorted(path.name for path in repository.iterdir()) == [".git", "Dockerfile", name]


def test_a_dangling_link_is_not_written_through(repository: Path) -> None:
    write(repository, {"Dockerfile": PLAIN})
    (repository / "ci-budget.yml").symlink_to(repository.parent / "elsewhere")
    with pytest.raises(ConfigError, match="exists already"):
        init(repository, force=False)
    init(repository, force=True)
    assert not (repository.parent / "elsewhere").exists()


def test_names() -> None:
    paths = [
        "Dockerfile",
        "Dockerfile.gpu",
        "docker/Dockerfile",
        "services/web/Dockerfile",
        "services/web/Dockerfile.dev",
        "other/web/Dockerfile",
        "web/docker/worker.Dockerfile",
        "Ünï côde/Dockerfile",
        "---/Dockerfile",
    ]
    assert image_names(paths, "Shop") == [
        "shop",
        "gpu",
        "shop-2",
        "web",
        "web-dev",
        "web-2",
        "web-worker",
        "n-c-de",
        "image",
    ]


def test_strange_names_are_quoted() -> None:
    found = FoundDockerfile(path='a: "b" \\ #/off', context='a: "b" \\ #', stages=("x", "on"), named=(True, True))
    image = parse_config(render_starter([found], "true"), "ci-budget.yml").config.images["a-b"]
    assert (image.context, image.dockerfile, image.target) == ('a: "b" \\ #', "off", "on")


def test_a_real_clone_with_a_submodule(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always", *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    for name in ("lib", "main"):
        write(tmp_path / name, {"Dockerfile": PLAIN})
        git("-C", name, "init", "-q")
        git("-C", name, "add", ".")
        git("-C", name, "commit", "-qm", "x")
    git("-C", "main", "submodule", "add", "-q", str(tmp_path / "lib"), "lib")
    assert [one.path for one in find_dockerfiles(tmp_path / "main").found] == ["Dockerfile"]


def test_what_is_ignored_already_is_not_asked_for(repository: Path) -> None:
    write(repository, {"Dockerfile": PLAIN, ".dockerignore": "*\n!src\n"})
    assert "add `.ci-budget/`" not in init(repository, force=False)
    (repository / ".dockerignore").write_text("docs\n")
    assert f"add `.ci-budget/` to {repository}/.dockerignore: " in init(repository, force=True)
