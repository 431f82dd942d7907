"""What grew, on real builds: against another revision, and against the inventory that lies beside the baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MIB, Project, Result, run_tool
from tests.engine.test_pull_request_engine import Repository

pytestmark = pytest.mark.beside

BEFORE = "FROM test/busybox\nCOPY size /size\nRUN dd if=/dev/zero of=/made bs=1M count=$(cat /size)\nRUN echo a > /a\n"


@pytest.fixture
def repository(tmp_path: Path, busybox_base: str) -> Repository:
    """A project whose second step writes as much as a file of its context says."""
    project = Project(folder=tmp_path / "project")
    project.write(BEFORE)
    (project.folder / "size").write_text("4")
    (project.folder / ".dockerignore").write_text(".git\n.ci-budget\n")
    return Repository(project)


def _told(done: Result) -> list[tuple[str, str, int, int | None]]:
    found = done.image["contributors"]
    assert sum(item["delta"] for item in found) == done.metric("image_size")["delta"]
    return [(item["kind"], item["name"], item["delta"], item["line"]) for item in found if abs(item["delta"]) > 1000]


def test_against_another_revision(repository: Repository, leftovers: LeftoverWatch) -> None:
    project = repository.project
    commit = repository.commit("base")
    (project.folder / "size").write_text("7")
    (project.folder / "Dockerfile").write_text(BEFORE + "RUN dd if=/dev/zero of=/more bs=1M count=5\n")
    (project.folder / "notes").mkdir()
    (project.folder / "notes" / "words").write_bytes(bytes(5000))
    status = repository.git("status", "--porcelain")
    log = repository.git("log", "--all", "--oneline")

    done = project.check("--against", "main", "--sarif", "--junit")

    assert done.exit_code == 1, done.stdout + done.stderr
    assert done.report["against"] == {"revision": "main", "commit": commit}
    assert f"Compared with main ({commit[:12]}), built in this run" in done.words
    size = done.metric("image_size")
    assert size["value"] - size["baseline"] == 8 * MIB
    assert _told(done) == [
        ("this-change", "/more", 5 * MIB, 5),
        ("this-change", "/made", 3 * MIB, 3),
    ]
    assert done.metric("layers")["message"].endswith(
        "; what changed: line 5 brings one (`RUN dd if=/dev/zero of=/more bs=1M count=5`)"
    )
    assert done.metric("context_size")["message"].endswith("; what changed: +5.00 kB notes/words (new)")
    assert done.metric("peak_disk")["delta"] == pytest.approx(8 * MIB, abs=MIB)
    assert (done.folder / "report.sarif").exists()
    assert (done.folder / "junit.xml").exists()
    assert repository.git("status", "--porcelain") == status
    assert repository.git("log", "--all", "--oneline") == log
    assert repository.git("worktree", "list").count("\n") == 0
    leftovers.assert_none()


def test_a_pull_request_against_the_committed_inventory(repository: Repository) -> None:
    project = repository.project
    drifting = BEFORE.replace(
        "RUN echo a > /a",
        "RUN --mount=type=secret,id=amount dd if=/dev/zero of=/outside bs=1M count=$(wc -c < /run/secrets/amount)",
    )
    project.write(drifting, secrets=["id=amount,env=AMOUNT"])
    first = project.check(env={"AMOUNT": "four"})
    assert first.exit_code == 0, first.stdout + first.stderr
    done = run_tool(project.folder, "baseline", "update", "--report", first.folder)
    assert done.returncode == 0, done.stderr
    repository.commit("base")

    def grow() -> None:
        (project.folder / "Dockerfile").write_text(drifting + "RUN head -c 5000000 /dev/urandom > /more\n")
        (stored,) = (project.folder / ".ci-budget" / "inventory").iterdir()
        stored.write_bytes(b"a proposal cannot change what it is compared with")

    checked = project.check(env={**repository.propose(grow), "AMOUNT": "sixsix"})
    assert checked.exit_code == 1, checked.stdout + checked.stderr
    assert _told(checked) == [
        ("this-change", "/more", 5_000_000, 5),
        ("dependency-drift", "/outside", 2 * MIB, 4),
    ]
    assert "why: image_size +7.10 MB: +5.00 MB /more (new, this change, line 5)" in checked.words
    assert "What changed in the image (this change +5.00 MB, dependency drift +2.10 MB):" in checked.words


BUILDER = """\
FROM test/busybox AS builder
RUN echo a > /a
RUN mkdir /out && head -c 2000000 /dev/urandom > /out/tool
RUN echo b > /b
FROM test/busybox
COPY --from=builder /out /opt
"""


def test_growth_in_a_builder_stage_is_told_by_the_step_that_made_it(repository: Repository) -> None:
    project = repository.project
    project.write(BUILDER)
    repository.commit("base")
    grown = BUILDER.replace("> /out/tool", "> /out/tool && head -c 5000000 /dev/urandom > /out/debug")
    (project.folder / "Dockerfile").write_text(grown)

    done = project.check("--against", "main")

    assert done.exit_code == 1, done.stdout + done.stderr
    (found,) = done.image["contributors"]
    assert (found["kind"], found["name"], found["delta"], found["line"]) == ("this-change", "/opt/debug", 5_000_000, 6)
    assert found["cause"] == {
        "stage": "builder", "line": 3, "command": "RUN", "change": "changed", "after": None, "delta": 5_000_000
    }  # fmt: skip
    assert (
        "why: image_size +5.00 MB: `RUN mkdir /out && head -c 2000000 /dev/urandom > /out/too...` in Dockerfile:3 "
        "(stage builder) changed and keeps 5.00 MB more: +5.00 MB /opt/debug (new, this change, line 6, by line 3 of "
        "builder)"
    ) in done.words
