"""Our list of the build context against the files that `COPY . /` really gives."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from ci_budget.edges.context_files import measure_context, read_ignore_rules
from ci_budget.edges.processes import Completed, run
from ci_budget.errors import ConfigError
from tests import context_table
from tests.context_table import write_tree
from tests.engine.context_cases import KINDS, Case, list_seeds, make_case
from tests.engine_access import Engine
from tests.ignore_table import TABLE

MOST_REFUSED = 3
"""As many of the cases that we refuse on the way are given to the engine, one by one."""

Entries = dict[str, tuple[str, int | str]]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_what_copy_copies(kind: str, engine: Engine, tmp_path: Path) -> None:
    """Fifteen cases with exceptions and fifteen without; what we refuse on the way is refused by the engine."""
    lacking = {True: 15, False: 15}
    cases, refused, expected = [], [], dict[int, Entries]()
    for seed in list_seeds(kind):
        place = tmp_path / str(seed)
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
            break
    assert lacking == {True: 0, False: 0}, "the seeds of this kind do not give enough cases"
    done = build_all(engine, tmp_path, cases)
    assert done.exit_code == 0, done.complaint
    differences = []
    for case in cases:
        copied = list_copied(tmp_path / f"{case.seed}.tar")
        if copied != expected[case.seed]:
            lost = sorted(copied.items() - expected[case.seed].items())
            surplus = sorted(expected[case.seed].items() - copied.items())
            differences.append(f"{case}\n  lacking: {lost}\n  surplus: {surplus}")
    assert not differences, "\n".join(differences)
    for case in refused[:MOST_REFUSED]:
        assert build_all(engine, tmp_path, [case]).exit_code != 0, f"the engine takes what we refuse: {case}"


def test_table_holds_on_the_engine(engine: Engine, tmp_path: Path) -> None:
    cases = []
    for number, row in enumerate(TABLE):
        context, dockerfile = tmp_path / str(number), tmp_path / f"{number}.Dockerfile"
        for path in row.paths:
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            (context / path).write_text("x")
        dockerfile.write_text("FROM scratch\nCOPY . /\n")
        dockerfile.with_name(f"{dockerfile.name}.dockerignore").write_bytes(row.rules)
        cases.append(Case(seed=number, kind=row.name, context=context, dockerfile=dockerfile))
    done = build_all(engine, tmp_path, cases)
    assert done.exit_code == 0, done.complaint
    for number, row in enumerate(TABLE):
        copied = list_copied(tmp_path / f"{number}.tar")
        assert {path for path, (kind, _) in copied.items() if kind == "file"} == set(row.kept), row.name


def test_sources_stand_for_what_copy_takes(engine: Engine, tmp_path: Path) -> None:
    context = tmp_path / "context"
    write_tree(context)
    cases = []
    for number, row in enumerate(context_table.TABLE):
        dockerfile = tmp_path / f"{number}.Dockerfile"
        dockerfile.write_text(f"FROM scratch\nCOPY {row.words} /out/\n")
        cases.append(Case(seed=number, kind=row.words, context=context, dockerfile=dockerfile))
    done = build_all(engine, tmp_path, cases)
    assert done.exit_code == 0, done.complaint
    for number, row in enumerate(context_table.TABLE):
        with tarfile.open(tmp_path / f"{number}.tar") as tar:
            files = [tar.extractfile(member) for member in tar if member.isreg()]
            contents = {file.read().decode() for file in files if file is not None}
        assert contents == set(row.names.split()), row.words


def list_ours(case: Case) -> Entries:
    """Files with their sizes, symbolic links with their targets, directories."""
    measure = measure_context(case.context, read_ignore_rules(case.context, case.dockerfile))
    return {
        **{path: ("file", size) for path, size in measure.listing()},
        **{path: ("link", target) for path, target in measure.links.items()},
        **dict.fromkeys(measure.directories, ("directory", 0)),
    }


def list_copied(archive: Path) -> Entries:
    """The same of what `COPY . /` put into an image."""
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


def build_all(engine: Engine, folder: Path, cases: list[Case]) -> Completed:
    """Build all cases with one client; each one's files go to `SEED.tar`."""
    targets = {
        f"case-{case.seed}": {
            "context": str(case.context),
            "dockerfile": str(case.dockerfile),
            "output": [f"type=tar,dest={folder}/{case.seed}.tar"],
        }
        for case in cases
    }
    definition = folder / "bake.json"
    definition.write_text(json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}))
    command = ["docker", "buildx", "bake", "--progress=plain", "--file", definition]
    return run(command, check=False, env=engine.env, cwd=folder, timeout=300)
