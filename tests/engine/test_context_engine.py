"""Our list of the build context against the files that `COPY . /` really gives."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from ci_budget.edges.files.context_files import measure_context, read_ignore_rules
from ci_budget.edges.processes import run
from ci_budget.errors import ConfigError
from tests import context_table
from tests.context_table import write_tree
from tests.engine.context_cases import KINDS, Case, list_seeds, make_case
from tests.engine_access import Engine
from tests.ignore_table import TABLE

pytestmark = pytest.mark.beside

MOST_REFUSED = 3
"""As many of the cases that we refuse on the way are given to the engine, one by one."""

APART = ("per-Dockerfile ignore files", "mixed")
"""Kinds whose cases are built one by one, as main contexts; the others as named contexts of one build."""

Entries = dict[str, tuple[str, int | str]]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_what_copy_copies(kind: str, engine: Engine, tmp_path: Path) -> None:
    """Fifteen cases with exceptions and fifteen without; what we refuse on the way is refused by the engine."""
    cases, refused, expected = choose_cases(kind, tmp_path)
    build = build_apart if kind in APART else build_together
    copied = build(engine, tmp_path, cases)
    differences = []
    for case in cases:
        if copied[case.seed] != expected[case.seed]:
            lost = sorted(copied[case.seed].items() - expected[case.seed].items())
            surplus = sorted(expected[case.seed].items() - copied[case.seed].items())
            differences.append(f"{case}\n  lacking: {lost}\n  surplus: {surplus}")
    assert not differences, "\n".join(differences)
    for case in refused[:MOST_REFUSED]:
        with pytest.raises(AssertionError, match=r"failed to (solve|run Build function): "):
            build_apart(engine, tmp_path, [case])


def choose_cases(kind: str, folder: Path) -> tuple[list[Case], list[Case], dict[int, Entries]]:
    """The cases to compare, those that we refuse, and our own lists."""
    lacking = {True: 15, False: 15}
    cases, refused, expected = list[Case](), list[Case](), dict[int, Entries]()
    for seed in list_seeds(kind):
        place = folder / str(seed)
        place.mkdir()
        case = make_case(seed, place)
        try:
            has_exceptions = read_ignore_rules(case.context, case.dockerfile).has_exceptions
            if not lacking[has_exceptions]:
                continue
            expected[seed] = list_ours(case)
        except ConfigError as error:
            print(f"{case}\n  refused: {error}")
            refused.append(case)
            continue
        print(case)
        lacking[has_exceptions] -= 1
        cases.append(case)
        if not any(lacking.values()):
            return cases, refused, expected
    raise AssertionError(f"the seeds of this kind do not give enough cases: {lacking} are lacking")


def test_table_holds_on_the_engine(engine: Engine, tmp_path: Path) -> None:
    cases = []
    for number, row in enumerate(TABLE):
        context = tmp_path / str(number)
        for path in row.paths:
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            (context / path).write_text("x")
        (context / ".dockerignore").write_bytes(row.rules)
        cases.append(Case(seed=number, kind=row.name, context=context, dockerfile=context / "Dockerfile"))
    copied = build_together(engine, tmp_path, cases)
    for number, row in enumerate(TABLE):
        files = {path for path, (kind, _) in copied[number].items() if kind == "file"}
        assert files - {".dockerignore"} == set(row.kept), row.name


def test_sources_stand_for_what_copy_takes(engine: Engine, tmp_path: Path) -> None:
    context = tmp_path / "context"
    write_tree(context)
    stages = [f"FROM scratch AS s{number}\nCOPY {row.words} /out/\n" for number, row in enumerate(context_table.TABLE)]
    collected = "".join(f"COPY --from=s{number} / /{number}/\n" for number in range(len(stages)))
    (tmp_path / "Dockerfile").write_text(f"{''.join(stages)}FROM scratch\n{collected}")
    run_buildx(engine, tmp_path, "build", "--output=type=tar,dest=all.tar", "--file=Dockerfile", context)
    found: dict[int, set[str]] = {number: set() for number in range(len(stages))}
    with tarfile.open(tmp_path / "all.tar") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                found[int(member.name.split("/")[0])].add(file.read().decode())
    for number, row in enumerate(context_table.TABLE):
        assert found[number] == set(row.names.split()), row.words


def list_ours(case: Case) -> Entries:
    """Files with their sizes, symbolic links with their targets, directories."""
    measure = measure_context(case.context, read_ignore_rules(case.context, case.dockerfile))
    return {
        **{path: ("file", size) for path, size in measure.listing()},
        **{path: ("link", target) for path, target in measure.links.items()},
        **dict.fromkeys(measure.directories, ("directory", 0)),
    }


def build_together(engine: Engine, folder: Path, cases: list[Case]) -> dict[int, Entries]:
    """One build with the contexts by name, to which their `.dockerignore` applies as well; fast."""
    lines = [f"COPY --from=context-{case.seed} . /{case.seed}/\n" for case in cases]
    (folder / "together").mkdir()
    (folder / "together/Dockerfile").write_text("".join(("FROM scratch\n", *lines)))
    contexts = [f"--build-context=context-{case.seed}={case.context}" for case in cases]
    run_buildx(engine, folder, "build", "--output=type=tar,dest=all.tar", *contexts, "together")
    copied: dict[int, Entries] = {case.seed: {} for case in cases}
    for path, entry in list_copied(folder / "all.tar").items():
        seed, _, inside = path.partition("/")
        if inside:
            copied[int(seed)][inside] = entry
    return copied


def build_apart(engine: Engine, folder: Path, cases: list[Case]) -> dict[int, Entries]:
    """A build for each case, with `COPY . /` in its own Dockerfile; one client for all."""
    targets = {
        f"case-{case.seed}": {
            "context": str(case.context),
            "dockerfile": str(case.dockerfile),
            "output": [f"type=tar,dest={folder}/{case.seed}.tar"],
        }
        for case in cases
    }
    (folder / "bake.json").write_text(json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}))
    run_buildx(engine, folder, "bake", "--file=bake.json")
    return {case.seed: list_copied(folder / f"{case.seed}.tar") for case in cases}


def run_buildx(engine: Engine, folder: Path, *arguments: str | Path) -> None:
    """Run buildx in a folder. Raises AssertionError with what it said when it fails."""
    command = ["docker", "buildx", arguments[0], "--progress=plain", *arguments[1:]]
    done = run(command, check=False, env=engine.env, cwd=folder, timeout=500)
    assert done.exit_code == 0, done.complaint


def list_copied(archive: Path) -> Entries:
    """What `COPY . /` put into an image, as `list_ours`."""
    entries: Entries = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.removesuffix("/")
            if member.isdir():
                entries[path] = ("directory", 0)
            elif member.issym():
                entries[path] = ("link", member.linkname)
            elif member.islnk():
                entries[path] = entries[member.linkname]
            elif member.isreg():
                entries[path] = ("file", member.size)
    return entries
