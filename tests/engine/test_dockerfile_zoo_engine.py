"""Dockerfiles of many kinds through the whole gate: each step runs once, and the report has its place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import Project, Result
from tests.engine_access import Engine

pytestmark = pytest.mark.beside

UNNAMED = """\
FROM test/busybox
RUN echo ran-0 && echo 0 > /zero

FROM test/busybox
COPY --from=0 /zero /zero
RUN echo ran-1 && \\
    cp /zero /one

FROM test/busybox AS aside
RUN echo ran-never

FROM test/busybox
# a comment
COPY --from=1 /one /one
RUN echo ran-2
"""

ONE_NAME = """\
FROM test/busybox AS part
RUN true
RUN echo ran-0 && echo 0 > /zero
FROM part AS part
RUN true
RUN echo ran-1 && dd if=/dev/zero of=/one bs=1M count=5
FROM test/busybox AS last
COPY --from=part /zero /one /
RUN echo ran-2
"""

ONBUILD = """\
FROM test/onbuild AS app
RUN test -e /triggered && echo ran-0
FROM app
RUN echo ran-1
"""

HEREDOCS = """\
# escape=`
FROM test/busybox AS documents
RUN <<EOF
echo ran-0
echo "FROM nothing" > /from
EOF
COPY <<one.txt <<"two.txt" /texts/
first $HOME
one.txt
second $HOME
two.txt
FROM documents
RUN grep -q '^second [$]HOME' /texts/two.txt && `

    echo ran-1
RUN ["/bin/sh", "-c", "echo ran-2"]
"""


def _long() -> tuple[str, list[tuple[str, int]]]:
    """A Dockerfile of 12 stages and 200 lines, and its steps with their lines."""
    lines: list[str] = []
    steps = []
    for stage in range(12):
        base = "test/busybox" if stage % 3 == 0 else f"s{stage - 1}"
        lines.append(f"FROM {base} AS s{stage}")
        if stage % 3 == 0:
            steps.append((f"s{stage}", len(lines)))
        if stage >= 3:
            lines.append(f"COPY --from=s{stage - 3} /file{stage - 3} /copied{stage}")
            steps.append((f"s{stage}", len(lines)))
        lines.append(f"RUN echo ran-{stage} && \\")
        steps.append((f"s{stage}", len(lines)))
        lines += [f"    echo {number} >> /file{stage} && \\" for number in range(10)]
        lines += ["    true", "", "# between the stages"]
    for stage in range(3, 11):  # so that the target needs all of them
        lines.append(f"COPY --from=s{stage} /file{stage} /all/")
        steps.append(("s11", len(lines)))
    lines += ["# padding"] * (200 - len(lines))
    return "\n".join(lines) + "\n", steps


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """An empty project whose base image is there."""
    return Project(folder=tmp_path / "project")


@pytest.fixture
def onbuild_base(engine: Engine, busybox_base: str) -> Iterator[None]:
    """The image test/onbuild, with triggers."""
    text = b"FROM test/busybox\nONBUILD RUN echo ran-trigger && echo x > /triggered\nONBUILD ENV TRIGGERED=yes\n"
    engine.docker("buildx", "build", "--builder", "default", "--quiet", "--tag", "test/onbuild", "-", stdin=text)
    yield
    engine.docker("image", "rm", "test/onbuild")


def _places(done: Result) -> list[tuple[str, int]]:
    """Stage and line of the steps, in the order in which they ran."""
    return [(step["stage"], step["line"]) for step in done.image["steps"] if step["line"] is not None]


def _runs(done: Result) -> Counter[str]:
    """How often each step's own text stands in the build logs."""
    logs = [path.read_text() for path in (done.folder / "logs").rglob("*") if path.is_file()]
    return Counter(line for text in logs for line in re.findall(r"^ran-\w+$", text, re.MULTILINE))


def test_unnamed_stages(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(UNNAMED)

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert _places(done) == [
        ("stage-0", 1),
        ("stage-0", 2),
        ("stage-1", 5),
        ("stage-1", 6),
        ("stage-3", 14),
        ("stage-3", 15),
    ]
    assert _runs(done) == {"ran-0": 1, "ran-1": 1, "ran-2": 1}
    assert [(stage["name"], stage["reached"]) for stage in done.image["stages"]] == [
        ("stage-0", True),
        ("stage-1", True),
        ("aside", False),
        ("stage-3", True),
    ]
    assert [stage["metrics"]["layers"]["value"] for stage in done.image["stages"] if stage["reached"]] == [2, 3, 3]


def test_stages_with_one_name(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(ONE_NAME)

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert _places(done) == [
        ("part", 1),
        ("part", 2),
        ("part", 3),
        ("part", 5),
        ("part", 6),
        ("last", 8),
        ("last", 9),
    ]
    assert _runs(done) == {"ran-0": 1, "ran-1": 1, "ran-2": 1}
    first, second, _ = done.image["stages"]
    assert (first["metrics"]["layers"]["value"], second["metrics"]["layers"]["value"]) == (3, 5)
    assert first["metrics"]["added_disk"]["value"] < 1_000_000 < second["metrics"]["added_disk"]["value"]


def test_triggers_of_the_base(project: Project, onbuild_base: None, leftovers: LeftoverWatch) -> None:
    project.write(ONBUILD)

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert _places(done) == [("app", 1), ("app", 1), ("app", 2), ("stage-1", 4)]
    assert _runs(done) == {"ran-trigger": 1, "ran-0": 1, "ran-1": 1}


def test_heredocs(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(HEREDOCS)

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert _places(done) == [("documents", 2), ("documents", 3), ("documents", 7), ("stage-1", 13), ("stage-1", 16)]
    assert _runs(done) == {"ran-0": 1, "ran-1": 1, "ran-2": 1}


def test_twelve_stages(project: Project, leftovers: LeftoverWatch) -> None:
    text, steps = _long()
    assert text.count("\n") == 200
    project.write(text)

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert _runs(done) == {f"ran-{stage}": 1 for stage in range(12)}
    seen = _places(done)
    assert len(seen) == len(set(seen))
    # The stages that start from the base share its FROM, which the engine looks at once.
    repeated = [place for place in steps if place[0] in ("s3", "s6", "s9") and place not in seen]
    assert seen == [place for place in steps if place not in repeated]
    assert len(repeated) == 3
