"""The command line: help, options and their environment, errors and exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from ci_budget import __version__
from ci_budget.__main__ import main
from ci_budget.cli import COMMANDS, LazyGroup, cli
from ci_budget.commands.check_options import CheckOptions, command, contradiction
from ci_budget.errors import ExitCode

HEAVY = {"pydantic", "pydantic_core", "docker", "requests", "yaml", "rich", "dockerfile", "zstandard"}
BOOM = (
    "import sys; from ci_budget import cli; cli.COMMANDS['boom'] = ('tests.unit.boom_command', 'Boom.');"
    "from ci_budget.__main__ import main; sys.exit(main())"
)
VALID = "version: 1\ndisk: {budget: 20GB}\nimages:\n  web:\n    target: runtime\n    budgets: {layers: 3}\n"
DOCKERFILE = "FROM busybox AS builder\nFROM builder AS runtime\n"


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def boom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """`boom` is a command; the folder of the state directory is returned."""
    monkeypatch.setitem(COMMANDS, "boom", ("tests.unit.boom_command", "Boom."))
    state = tmp_path / "ci-budget"
    monkeypatch.setenv("CI_BUDGET_STATE", str(state))
    return state


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "ci-budget.yml").write_text(VALID)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[CheckOptions]:
    """What `check` is asked to do, instead of doing it."""
    asked: list[CheckOptions] = []
    module = ModuleType("ci_budget.commands.check")
    module.run_check = lambda options: asked.append(options) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ci_budget.commands.check", module)
    return asked


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["--version"], ["check", "--help"], ["baseline", "update", "--help"], ["none"]]
)
def test_help_loads_nothing_that_takes_long(arguments: list[str]) -> None:
    done = run_python("-X", "importtime", "-m", "ci_budget", *arguments)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "click" in loaded, "the list of imports was not understood"
    assert loaded & HEAVY == set()


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "Usage: ci-budget [OPTIONS] COMMAND [ARGS]...\n\n  A build-budget gate for container images.\n"
    )
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    width = max(len(name) for name in COMMANDS if COMMANDS[name][1])
    assert listed == [f"  {name:<{width}}  {told}" for name, (_, told) in COMMANDS.items() if told]
    assert 'eval "$(_CI_BUDGET_COMPLETE=bash_source ci-budget)"' in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_there(name: str) -> None:
    found = LazyGroup.get_command(cli, click.Context(cli), name)  # type: ignore[arg-type]
    assert found is not None
    assert found.name == name
    assert not COMMANDS[name][1] or found.get_short_help_str(200) == COMMANDS[name][1]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ci-budget {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["chekc"], "Error: there is no command 'chekc'; did you mean 'check'?"),
        (["--colour", "never", "check"], "Error: No such option '--colour'. Did you mean '--color'?"),
        (["check", "--fail-on", "x"], "Error: Invalid value for '--fail-on': 'x' is not one of 'fail', 'warn'."),
        (["check", "--image=a", "--image=b", "--target=x"], "Error: --target is about one image, but --image names 2"),
        (["baseline", "update"], "Error: Missing option '--report'."),
        (["validate", "extra"], "Error: Got unexpected extra argument (extra)"),
    ],
)  # fmt: skip
def test_usage_errors_exit_2(arguments: list[str], last: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == ExitCode.CONFIG
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == last


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.CONFIG
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("0", 0, ""),
        ("4", 4, ""),
        ("config", 2, "ci-budget.yml:3: a is wrong\n  Mend it.\n"),
        ("gate", 1, "ci-budget: too large\n"),
        ("unmeasured", 3, "ci-budget: no engine\n"),
        ("build", 4, "ci-budget: RUN failed\n| ::error::from a log\n\\x1b[31mred\n"),
        ("interrupted", 130, "ci-budget: interrupted; everything was cleaned up\n"),
        ("terminated", 143, "ci-budget: terminated; everything was cleaned up\n"),
        ("ctrl-c", 130, "ci-budget: interrupted\n"),
        ("abort", 130, "ci-budget: interrupted\n"),
        ("disk", 3, "ci-budget: the machine failed us: /state/x: No space left on device\n"),
    ],
)
def test_errors_become_a_message_and_an_exit_code(
    how: str, code: int, message: str, boom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boom", how]) == code
    assert capsys.readouterr().err == message
    assert not (boom / "crashes").exists()


@pytest.mark.parametrize("how", ["bug", "recursion", "permission"])
def test_a_bug_is_70_and_keeps_its_traceback(how: str, boom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boom", how]) == ExitCode.BUG
    (kept,) = (boom / "crashes").iterdir()
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("ci-budget: this is a bug in ci-budget, not in your build: ")
    assert rest[-1] == f"  The traceback is in {kept}; please report it."
    assert not any("Traceback" in line for line in rest)
    assert kept.read_text().startswith(f"ci-budget {__version__}, Python ")
    assert "tests/unit/boom_command.py" in kept.read_text()


def test_in_ci_the_traceback_of_a_bug_is_shown_and_runs_no_command(
    boom: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert main(["boom", "bug"]) == ExitCode.BUG
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "| ::set-output name=x::y" in lines
    assert not any(line.startswith("::") for line in lines)


def test_a_traceback_that_cannot_be_kept_is_shown(boom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boom.write_text("no folder")
    assert main(["boom", "bug"]) == ExitCode.BUG
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "  Please report it with the traceback."


def test_a_reader_that_goes_away_is_no_pass() -> None:
    command = [sys.executable, "-c", BOOM, "boom", "pipe"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.read(1)
        child.stdout.close()
        assert child.stderr.read() == "ci-budget: the reader of the output went away before it was complete\n"
        assert child.wait() == ExitCode.UNMEASURED


def test_output_that_cannot_be_written_is_no_pass(repository: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ci_budget", "validate"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == ExitCode.UNMEASURED
    assert done.stderr == "ci-budget: the machine failed us: No space left on device\n"


@pytest.mark.parametrize(
    "command", ["check", "validate", "report", "baseline show", "init", "plan --all", "explain web", "doctor"]
)
def test_a_current_directory_that_was_removed(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()
    script = f'cd gone && rmdir ../gone && exec "{sys.executable}" -m ci_budget {command}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        ExitCode.UNMEASURED,
        "",
        "ci-budget: the current directory does not exist any more\n  Go to one that does (`cd`).\n",
    )


def test_closed_output_is_no_pass(repository: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec '{sys.executable}' -m ci_budget validate >&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.UNMEASURED
    assert done.stderr == "ci-budget: standard output is closed: nobody can have read this\n"


@pytest.mark.parametrize("way", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true", "<&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("validate", 0), ("boom progress", 0), ("nothing", 2), ("boom bug", 70)])
def test_messages_that_nobody_reads_change_no_exit_code(
    boom: Path, repository: Path, way: str, command: str, code: int
) -> None:
    """`>&-` leaves the number to the next file that is opened: that must not be the report, nor a program's output."""
    words = f"import sys; sys.argv[1:] = {command.split()}; {BOOM}"
    script = f'"{sys.executable}" -c "{words}" {way}; echo "${{PIPESTATUS[0]}}" >&3'
    with Path("code").open("w+") as told:
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{told.fileno()}; {script}"],
            capture_output=True, text=True, check=False, pass_fds=[told.fileno()],
        )  # fmt: skip
        told.seek(0)
        assert told.read() == f"{code}\n", done
    assert "Traceback" not in done.stdout + done.stderr
    assert boom.exists() is (code == 70), "a crash report of a bug that is none"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int) -> None:
    # A shell's background job inherits SIGINT as ignored: it has to work all the same.
    with subprocess.Popen(
        [sys.executable, "-c", BOOM, "boom", "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        _, told = child.communicate(timeout=60)
    assert child.returncode == code
    assert told.startswith("ci-budget: ")
    assert told.endswith("everything was cleaned up\n")


def test_check_takes_every_option(checked: list[CheckOptions]) -> None:
    assert main(["--color", "never", "-vv", "check"]) == 0
    assert main(
        ["check", "--config", "c.yml", "--image", "web", "--context", "ctx", "--file", "D", "--target", "t",
         "--build-arg", "A=b c", "--build-arg", "D", "--disk-mode", "host", "--disk-budget", "20GB", "--warm",
         "--baseline", "b.json", "--require-baseline", "--report", "r", "--sarif", "--junit",
         "--format", "json", "--output", "o", "--fail-on", "warn", "--exit-zero", "--push", "p", "--load",
         "--export", "e"]
    ) == 0  # fmt: skip
    assert main(["check", "--against", "main"]) == 0
    assert main(["check", "--no-build", "registry://localhost:5000/web:1"]) == 0
    assert checked == [
        CheckOptions(color="never", verbose=2),
        CheckOptions(
            config=Path("c.yml"),
            images=("web",),
            context=Path("ctx"),
            file=Path("D"),
            target="t",
            build_args=("A=b c", "D"),
            disk_mode="host",
            disk_budget="20GB",
            warm=True,
            baseline=Path("b.json"),
            require_baseline=True,
            report=Path("r"),
            sarif=True,
            junit=True,
            format="json",
            output=Path("o"),
            fail_on="warn",
            exit_zero=True,
            push="p",
            load=True,
            export=Path("e"),
        ),
        CheckOptions(against="main"),
        CheckOptions(no_build="registry://localhost:5000/web:1"),
    ]
    untried = {field.name for field in dataclasses.fields(CheckOptions)} - {
        field.name
        for field in dataclasses.fields(CheckOptions)
        if any(getattr(one, field.name) != getattr(CheckOptions(), field.name) for one in checked[1:])
    }
    assert untried == {"color", "verbose"}


def test_check_reads_the_environment(checked: list[CheckOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "CONFIG": "c.yml",
        "IMAGE": "web\n",
        "BUILD_ARG": "\n  A=b c\nD\n\n",
        "DISK_MODE": "host",
        "WARM": "true",
        "EXIT_ZERO": "false",
        "REPORT": "",
        "FORMAT": "",
        "TARGET": "",
        "JUNIT": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"CI_BUDGET_CHECK_{name}", value)
    monkeypatch.setenv("CI_BUDGET_VERBOSE", "1")
    assert main(["check", "--disk-mode", "sandbox"]) == 0
    assert checked == [
        CheckOptions(
            config=Path("c.yml"),
            images=("web",),
            build_args=("A=b c", "D"),
            disk_mode="sandbox",
            warm=True,
            verbose=1,
        )
    ]


def test_every_option_of_check_has_the_variable_that_its_name_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in command.params:
        assert isinstance(option, click.Option)
        variable = "CI_BUDGET_CHECK_" + option.opts[0].removeprefix("--").replace("-", "_").upper()
        value = (
            "auto"
            if option.name == "disk_mode"
            else option.type.choices[0]
            if isinstance(option.type, click.Choice)
            else "1"
        )
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            context = click.Context(command, auto_envvar_prefix="CI_BUDGET_CHECK")
            assert option.value_from_envvar(context) is not None, variable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        ({"images": ("a",), "target": "x"}, None),
        ({"images": ("a", "b")}, None),
        ({"images": ("a", "b"), "build_args": ("X=1",)}, "--build-arg is about one image, but --image names 2"),
        ({"images": ("a", "b"), "push": "r"}, "--push is about one image, but --image names 2"),
    ],
)
def test_contradictions(options: dict[str, Any], message: str | None) -> None:
    assert contradiction(CheckOptions(**options)) == message


@pytest.mark.parametrize(
    ("words", "number", "offered"),
    [
        ("ci-budget val", 1, ["plain,validate"]),
        ("ci-budget check --disk-b", 2, ["plain,--disk-budget"]),
        ("ci-budget check --image ", 3, ["plain,web"]),
        ("ci-budget check --config none.yml --image ", 5, []),
    ],
)
def test_completion(words: str, number: int, offered: list[str], repository: Path) -> None:
    done = run_python(
        "-m", "ci_budget", env={"_CI_BUDGET_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    )
    assert done.stdout.split() == offered
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "color"),
    [
        ([], {}, None),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, None),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
        ([], {"CI_BUDGET_COLOR": "always"}, True),
    ],
)
def test_color(
    arguments: list[str],
    environment: dict[str, str],
    color: bool | None,
    boom: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main([*arguments, "boom", "color"]) == 0
    assert capsys.readouterr().out == f"{color}\n"


def test_validate_tells_what_is_gated(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == (
        "ci-budget.yml is valid: 1 image\n"
        "disk: auto, budget 20.0 GB, reserve 5.00 GB, free factor 2, sequential\n"
        "\n"
        "web\n"
        "  builds         Dockerfile, target runtime\n"
        "  stages         builder (line 1), runtime (line 2)\n"
        "  may use        20.0 GB\n"
        "  timeout        2h 00m\n"
        "  peak_disk:     tolerance 2%\n"
        "  image_size:    tolerance 1%\n"
        "  layers:        3, tolerance 0\n"
        "  context_size:  tolerance 5%\n"
    )


def test_validate_tells_everything_that_a_config_may_say(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ci-budget.yml").write_text(
        "version: 1\n"
        "defaults: {warn_at: 90%, tolerance: {build_seconds: 30s}}\n"
        "images:\n"
        "  web:\n"
        "    budgets: {peak_disk: 30GB, image_size: off, wasted_bytes: 1MB}\n"
        "    tolerance: {peak_disk: [2%, 100MB]}\n"
        "    stages: {builder: {budgets: {added_disk: 1GB}, tolerance: {layers: 1}}}\n"
        "    disk: {budget: 20GB}\n"
        "  bare: {warn_at: off, timeout: 90s}\n"
    )
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == (
        "ci-budget.yml is valid: 2 images\n"
        "disk: auto, reserve 5.00 GB, free factor 2, sequential\n"
        "\n"
        "web\n"
        "  builds               Dockerfile\n"
        "  stages               builder (line 1), runtime (line 2)\n"
        "  may use              20.0 GB\n"
        "  warns                from 90% of a limit\n"
        "  timeout              2h 00m\n"
        "  peak_disk:           30.0 GB, tolerance 2% or 100 MB\n"
        "  image_size:          off\n"
        "  layers:              tolerance 0\n"
        "  context_size:        tolerance 5%\n"
        "  build_seconds:       tolerance 30 s\n"
        "  wasted_bytes:        1.00 MB\n"
        "  builder added_disk:  1.00 GB\n"
        "  builder layers:      tolerance 1\n"
        "\n"
        "bare\n"
        "  builds          Dockerfile\n"
        "  stages          builder (line 1), runtime (line 2)\n"
        "  may use         no disk budget given\n"
        "  timeout         1m 30s\n"
        "  peak_disk:      tolerance 2%\n"
        "  image_size:     tolerance 1%\n"
        "  layers:         tolerance 0\n"
        "  context_size:   tolerance 5%\n"
        "  build_seconds:  tolerance 30 s\n"
        "note: web may peak at 30.0 GB, but its build may use 20.0 GB only; the disk budget is met first\n"
        "note: bare has no disk budget; `check` needs disk.budget, or the image's own peak_disk budget\n"
    )


def test_validate_as_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    tolerance = {"percent": 0.0, "amount": 0}
    assert data["images"][0]["limits"].pop("layers") == {"budget": 3, "tolerance": tolerance, "disabled": False}
    assert list(data["images"][0].pop("limits")) == ["peak_disk", "image_size", "context_size"]
    assert data == {
        "valid": True,
        "file": "ci-budget.yml",
        "disk": {
            "mode": "auto",
            "budget": 20_000_000_000,
            "reserve": 5_000_000_000,
            "free_factor": 2.0,
            "order": "sequential",
        },
        "images": [
            {
                "name": "web",
                "context": ".",
                "dockerfile": "Dockerfile",
                "target": "runtime",
                "disk_budget": 20_000_000_000,
                "timeout": 7200,
                "stages": [
                    {"name": "builder", "line": 1, "limits": {}},
                    {"name": "runtime", "line": 2, "limits": {}},
                ],
            }
        ],
        "notes": [],
    }


def test_an_invalid_config_as_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("ci-budget.yml").write_text("version: 1\nimages: {web: {targt: x, timeout: soon}}\n")
    assert main(["validate", "--format", "json"]) == ExitCode.CONFIG
    told = capsys.readouterr()
    messages = [
        "images.web.timeout: 'soon' is not a duration; write 90s, 2m or 1h30m",
        "images.web: unknown key 'targt'; did you mean 'target'?",
    ]
    assert json.loads(told.out) == {
        "valid": False,
        "problems": [{"file": "ci-budget.yml", "line": 2, "message": message} for message in messages],
    }
    assert told.err == "".join(f"ci-budget.yml:2: {message}\n" for message in messages)


def test_init_validate_schema_from_a_bare_repository(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    for arguments, start in [
        (["init"], f"wrote {tmp_path}/ci-budget.yml with 1 image:\n"),
        (["validate"], "ci-budget.yml is valid: 1 image\n"),
        (["schema"], '{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n'),
    ]:
        done = run_python(
            "-m", "ci_budget", *arguments, cwd=tmp_path, env={"DOCKER_HOST": "unix:///nowhere", "PATH": "/nowhere"}
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(start)


def run_python(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
