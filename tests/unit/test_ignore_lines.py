"""The lines that an ignore file lacks, and `--fix-ignore`, which writes them: on real folders."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.fix_ignore import fix_ignore
from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.findings.ignore_lines import propose_lines
from ci_budget.edges.files.context_files import measure_context
from ci_budget.errors import ConfigError
from tests.unit.finding_samples import context

EXAMPLE = Path(__file__).parents[2] / "examples" / "audio-voice"
READS = "open('data/zones.csv')"
CONFIG = "version: 1\nimages: {app: {}}\n"
TREE = (
    ".git/HEAD", ".git/objects/one", "app/main.py", "app/__pycache__/main.pyc", "app/tests/test_app.py",
    "docs/guide.md", "docs/api/index.md", "notes/one.md", "data/zones.csv", "tests/test_main.py", "README.md",
    "pyproject.toml",
)  # fmt: skip


def patterns(dockerfile: str, *files: str, texts: dict[str, str] | None = None) -> list[str]:
    known = {"app/main.py": READS} | (texts or {})
    use = context(f"FROM x\n{dockerfile}\n", dict.fromkeys(files or TREE, 1000), texts=known)
    return [line.pattern for line in propose_lines(use)]


ALL = [".git", "**/__pycache__", "tests", "docs", "notes"]
SPARE = ["data", "notes", "README.md", "pyproject.toml"]


def but(*names: str) -> list[str]:
    return [name for name in ALL if name not in names]


@pytest.mark.parametrize(
    ("dockerfile", "lines"),
    [
        ("COPY . .", ALL),
        ("COPY * /app/", ALL),
        ("RUN --mount=type=bind,target=/src make", ALL),
        ("COPY . .\nCOPY tests tests", but("tests")),
        ("COPY . .\nCOPY docs/api api", [*but("docs"), "docs/guide.md"]),
        ("COPY . .\nRUN pytest", but("tests")),
        ("COPY . .\nRUN ls ./notes/", but("notes")),
        ("COPY . .\nRUN git describe > version", but(".git")),
        ("COPY . .\nCMD serve docs", but("docs")),
        ("COPY app /app", [".git", "tests", "docs", *SPARE]),
        ("COPY app/main.py /app/", [".git", "**/__pycache__", "tests", "docs", "app/tests", *SPARE]),
        (
            "COPY app/missing/*.py docs/new/* /app/",
            [".git", "**/__pycache__", "tests", "docs/api", "docs/guide.md", "app/main.py", "app/tests", *SPARE],
        ),
        ("COPY --exclude=app . .", [*ALL, "app"]),
        ("ARG FOLDER\nCOPY ${HOME}/x /x", []),
        ("RUN true", [".git", "**/__pycache__", "tests", "docs", "app", *SPARE]),
    ],
)
def test_what_each_dockerfile_lacks(dockerfile: str, lines: list[str]) -> None:
    assert sorted(patterns(dockerfile)) == sorted(lines)


def test_another_stage_counts_too() -> None:
    use = context("FROM x AS test\nCOPY tests tests\nFROM x\nCOPY app app\n", dict.fromkeys(TREE, 1000))
    assert "tests" not in [line.pattern for line in propose_lines(use)]


def test_documents_that_a_program_reads_are_kept() -> None:
    assert "notes" not in patterns("COPY . .", texts={"app/main.py": "open('notes/one.md')"})
    assert "notes" in patterns("COPY . .", texts={"notes/x.py": "open('notes/one.md')"})


def test_a_history_that_the_version_comes_from_is_kept() -> None:
    assert ".git" not in patterns("COPY . .", texts={"pyproject.toml": "requires = ['setuptools-scm']"})


def test_names_that_mean_something_to_an_ignore_file() -> None:
    names = ["a*b/x", "[c]/x", "!d", "#e", "f\\g", "h?", " i", "j\n", "plain"]
    found = patterns("COPY plain /", *names)
    assert sorted(found) == sorted([r"a\*b", r"\[c\]", r"\!d", r"\#e", "f\\\\g", r"h\?"])
    rules = IgnoreRules.parse("\n".join(found).encode())
    assert [name for name in names if rules.ignores(name)] == names[:6]


def test_the_line_for_byte_code_would_take_a_folder_of_that_ending_along() -> None:
    assert patterns("COPY . .", "x.pyc", "app.py") == ["**/*.pyc"]
    assert patterns("COPY . .", "x.pyc", "a/y.pyc/z/app.py", "a/n.md") == ["x.pyc"]


MADE = ("node_modules/a.js", "web/node_modules/b.js", "target/debug/x", "Cargo.toml", "dist/app.js", "package.json",
        "web/x.js", "app.egg-info/PKG-INFO", ".venv/bin/python", ".DS_Store", "a/target/x",
        "src/dist/y.js")  # fmt: skip


@pytest.mark.parametrize(
    ("dockerfile", "lines"),
    [
        ("COPY . .", []),
        ("COPY . .\nRUN npm ci", ["**/node_modules"]),
        ("COPY package.json .\nRUN yarn && ls\nCOPY . .", ["**/node_modules"]),
        ("COPY . .\nRUN yarn build", ["dist"]),
        ("COPY . .\nRUN npm ci && npm run build", ["**/node_modules", "dist"]),
        ("COPY . .\nRUN cargo build && cp target/debug/app /app", ["target"]),
        ("COPY . .\nRUN pip install .", ["app.egg-info"]),
        ("COPY . .\nCOPY web/node_modules web/node_modules\nRUN npm ci", ["node_modules"]),
        ("COPY . .\nCOPY target/debug/x /x\nRUN cargo build", []),
        ("COPY . .\nRUN npm ci\nFROM x\nCOPY . .", []),  # the second takes them along as they are
        ("COPY . .\nRUN npm ci\nFROM x\nCOPY web .", ["node_modules"]),
        ("COPY . .\nFROM x\nRUN npm ci", []),
        ("COPY . .\nRUN npm install -g pnpm && node x", ["**/node_modules"]),
    ],
)
def test_what_the_build_makes_anew(dockerfile: str, lines: list[str]) -> None:
    found = patterns(dockerfile, *MADE)
    assert sorted(line for line in found if line not in ("**/.venv", "**/.DS_Store")) == sorted(lines)
    assert {"**/.venv", "**/.DS_Store"} <= set(found)


def test_a_stage_that_another_starts_from_counts_with_it() -> None:
    text = "FROM x AS below\nCOPY . .\nFROM below\nRUN npm ci\n"
    assert "**/node_modules" in [line.pattern for line in propose_lines(context(text, dict.fromkeys(MADE, 1000)))]
    text = "FROM x AS deps\nRUN npm ci\nFROM x\nCOPY . .\nCOPY --from=deps /app/node_modules node_modules\n"
    assert "**/node_modules" in [line.pattern for line in propose_lines(context(text, dict.fromkeys(MADE, 1000)))]


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        ("!docs", ["docs"]),
        ("docs\n!docs/api", ["docs"]),
        ("!**/*.md", ["docs", "notes"]),
        ("*\n!app", []),
        ("!app/__pycache__/*.pyc", ["**/__pycache__"]),
        ("!tests/*", ["tests"]),
        ("!other", []),
    ],
)
def test_what_the_ignore_file_keeps_on_purpose_stays(kept: str, gone: list[str]) -> None:
    given = context(
        "FROM x\nCOPY . .\n",
        dict.fromkeys(TREE, 1000),
        texts={"app/main.py": READS},
        kept=IgnoreRules.parse(kept.encode()),
    )
    lines = [line.pattern for line in propose_lines(given)]
    assert sorted(line for line in lines if line != "docs/guide.md") == sorted(but(*gone))
    rules = IgnoreRules.parse("\n".join(lines).encode())
    assert "docs" not in gone or not rules.ignores("docs/api/index.md")


def test_fixing_keeps_what_a_later_line_takes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    (tmp_path / "ci-budget.yml").write_text(CONFIG)
    (tmp_path / "Dockerfile").write_text("FROM x\nCOPY . .\n")
    (tmp_path / ".dockerignore").write_bytes(b".git\nnotes\n**/__pycache__\ntests\ndocs\n!docs/api")
    assert fixed(tmp_path, monkeypatch).startswith(".dockerignore: no line is lacking;")


@pytest.mark.parametrize("folder", [".venv", "env"])
def test_an_environment_that_a_script_starts_from_is_kept(folder: str) -> None:
    files = (f"{folder}/pyvenv.cfg", "start.sh", "pyproject.toml")
    script = f"exec {folder}/bin/python -m app"
    assert patterns("COPY . .\nCMD ./start.sh", *files, texts={"start.sh": script}) == []
    kept = patterns("COPY . .\nCMD ./start.sh", *files, texts={"pyproject.toml": f"exclude = ['{folder}']"})
    assert kept == ["**/.venv" if folder == ".venv" else "env"]
    given = replace(context("FROM x\nCOPY . .\n", dict.fromkeys(files, 1000)), texts=None)
    assert propose_lines(given) == ()


def test_an_environment_counts_where_nothing_names_it() -> None:
    files = ("env/pyvenv.cfg", "env/lib/x.py", "app.py")
    assert patterns("COPY . .", *files) == ["env"]
    assert patterns("COPY . .\nRUN . env/bin/activate", *files) == []
    assert sorted(patterns("COPY env/app /app/", *files, "env/app")) == ["app.py", "env/lib", "env/pyvenv.cfg"]


def tree(root: Path, files: tuple[str, ...] = TREE) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text((READS if name == "app/main.py" else "").ljust(1000))


def fixed(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "app") -> str:
    said: list[str] = []
    monkeypatch.chdir(folder)
    assert fix_ignore(None, name, say=said.append) == 0
    return "".join(said)


def test_it_writes_keeps_and_is_idempotent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    (tmp_path / "ci-budget.yml").write_text(CONFIG)
    (tmp_path / "Dockerfile").write_text("FROM x\nCOPY . .\n")
    ignore = tmp_path / ".dockerignore"
    ignore.write_bytes(b"\xef\xbb\xbf# mine\r\nREADME.md\r\n*.log")
    ignore.chmod(0o600)
    before = measure_context(tmp_path, IgnoreRules.parse(ignore.read_bytes()))

    assert fixed(tmp_path, monkeypatch) == (
        ".dockerignore: 5 lines added; the context goes from 11.1 kB to 4.07 kB.\n"
        "  .git             2.00 kB  2 files, history\n"
        "  **/__pycache__   1.00 kB  1 file, caches\n"
        "  tests            1.00 kB  1 file, tests\n"
        "  docs             2.00 kB  2 files, docs\n"
        "  notes            1.00 kB  1 file, documents\n"
    )
    text = ignore.read_bytes()
    assert text == (
        b"\xef\xbb\xbf# mine\r\nREADME.md\r\n*.log\r\n# what no build needs (ci-budget explain --fix-ignore)\r\n"
        b".git\r\n**/__pycache__\r\ntests\r\ndocs\r\nnotes\r\n"
    )
    assert ignore.stat().st_mode & 0o777 == 0o600
    left = {name for name, _ in measure_context(tmp_path, IgnoreRules.parse(text)).listing()}
    gone = {name for name, _ in before.listing()} - left
    assert gone == {".git/HEAD", ".git/objects/one", "app/__pycache__/main.pyc", "tests/test_main.py",
                    "docs/guide.md", "docs/api/index.md", "notes/one.md"}  # fmt: skip

    assert fixed(tmp_path, monkeypatch).startswith(".dockerignore: no line is lacking; the context has ")
    assert ignore.read_bytes() == text
    tree(tmp_path, (".idea/x",))
    assert ".idea" in fixed(tmp_path, monkeypatch)
    assert ignore.read_bytes() == text + b"**/.idea\r\n"


def test_a_link_in_the_place_of_the_ignore_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the context the file behind it is written; any other one is not followed by the engine, and stays."""
    (tmp_path / "elsewhere").write_text("mine\n")
    repo = tmp_path / "repo"
    tree(repo)
    (repo / "ci-budget.yml").write_text(CONFIG)
    (repo / "Dockerfile").write_text("FROM x\nCOPY app app\n")
    link = repo / ".dockerignore"
    link.symlink_to("docs/ignore")
    (repo / "docs" / "ignore").write_text("*.log\n")
    assert fixed(repo, monkeypatch).startswith("docs/ignore: ")
    assert link.readlink() == Path("docs/ignore")
    assert (repo / "docs" / "ignore").read_text().startswith("*.log\n# what no build needs")
    for target in ("../elsewhere", str(tmp_path / "elsewhere"), "nowhere", "docs"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(ConfigError) as refused:
            fixed(repo, monkeypatch)
        assert str(refused.value) == (
            f".dockerignore: this is a link to {target}, which leads to no file in the context: the engine does not "
            "follow it and ignores nothing\n  Put a file in its place, or a link to one inside the context."
        )
        assert link.readlink() == Path(target)
    assert (tmp_path / "elsewhere").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("option", "value"), [("format", "json"), ("output", "o"), ("platform", "linux/amd64"), ("top", "3")]
)
def test_what_it_would_overlook_is_refused(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = f"Error: --fix-ignore writes the ignore file and nothing else: leave --{option} out\n"
    assert main(["explain", "web", "--fix-ignore", f"--{option}", value]) == 2
    assert capsys.readouterr().err.endswith(said)
    monkeypatch.setenv(f"CI_BUDGET_EXPLAIN_{option.upper()}", value)
    assert main(["explain", "web", "--fix-ignore"]) == 2
    assert capsys.readouterr().err.endswith(said)


def test_dockerfiles_that_share_the_ignore_file_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    (tmp_path / "ci-budget.yml").write_text(CONFIG)
    (tmp_path / "Dockerfile").write_text("FROM x\nCOPY app app\n")
    (tmp_path / "Dockerfile.docs").write_text("FROM x\nCOPY docs docs\n")
    (tmp_path / "Dockerfile.other").write_text("FROM x\nCOPY tests tests\n")
    (tmp_path / "Dockerfile.other.dockerignore").write_text("")
    fixed(tmp_path, monkeypatch)
    lines = (tmp_path / ".dockerignore").read_text().split("\n")
    assert "tests" in lines
    assert not any(line.startswith("docs") for line in lines)


def test_the_ignore_file_of_the_dockerfile_is_the_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    (tmp_path / "ci-budget.yml").write_text(CONFIG)
    (tmp_path / "Dockerfile").write_text("FROM x\nCOPY . .\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("")
    (tmp_path / ".dockerignore").write_text("mine\n")
    assert fixed(tmp_path, monkeypatch).startswith("Dockerfile.dockerignore: ")
    assert (tmp_path / ".dockerignore").read_text() == "mine\n"


@pytest.mark.parametrize(("dockerfile", "lines"), [("Dockerfile", 0), ("Dockerfile.before", 6)])
def test_the_example(dockerfile: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "av", ignore=shutil.ignore_patterns("__pycache__"))  # left by other tests
    (tmp_path / "ci-budget.yml").write_text(f"version: 1\nimages: {{app: {{context: av, dockerfile: {dockerfile}}}}}\n")
    said = fixed(tmp_path, monkeypatch)
    assert f"{lines} lines added" in said if lines else "no line is lacking" in said
