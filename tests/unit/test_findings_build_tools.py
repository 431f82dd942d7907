"""Compilers in a final image: where they are wanted, which there are, and a way to remove them that leaves the rest."""

from __future__ import annotations

import pytest

from ci_budget.core.findings.rule import Evidence
from ci_budget.core.findings.shell import compiles, only_installs, read_commands
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.layers.model import HistoryStep
from tests.unit.finding_samples import MB, Written, evidence, found

GCC: dict[str, Written] = {"usr/lib/gcc/x86_64-linux-gnu/12/cc1": 30 * MB}
INSTALL = "RUN apt-get update && apt-get install -y gcc"
SITE = "usr/local/lib/python3.11/site-packages"


def built(
    end: str, base: str = "debian:12", below: dict[str, Written] | None = None, install: str = INSTALL
) -> Evidence:
    """An image that installs gcc in a step of its own, with more instructions behind it."""
    return evidence(f"FROM {base}\n{install}\n{end}\n", {2: GCC}, base=below)


def only(given: Evidence) -> list[tuple[str, int | None, int | None]]:
    return [(one.severity, one.line, one.bytes) for one in found(given) if one.rule == "build-tools"]


@pytest.mark.parametrize(
    "end",
    [
        'ENTRYPOINT ["gcc"]',
        'CMD ["/usr/bin/make", "-C", "/src"]',
        "CMD exec cargo run",
        'CMD ["bash", "-c", "cd /src && g++-12 x.cc && ./a.out"]',
        'ENTRYPOINT ["tini", "--", "cc"]',
        'CMD ["bash"]',
    ],
)
def test_an_image_that_runs_a_compiler_or_is_for_a_person_at_a_shell_wants_it(end: str) -> None:
    assert only(built(end)) == []


@pytest.mark.parametrize(
    "end", ["EXPOSE 80", 'CMD ["app", "go"]', "CMD python make.py", 'CMD ["sh", "-c", "exec app"]']
)
def test_any_other_image_does_not(end: str) -> None:
    assert only(built(end)) == [("warning", 2, 30 * MB)]


@pytest.mark.parametrize(
    "base", ["gcc:13", "docker.io/library/rust:1-slim", "x/golang", "nvidia/cuda:12.4.1-devel-ubuntu22.04"]
)
def test_an_image_on_one_of_compilers_that_starts_nothing_else_is_one_itself(base: str) -> None:
    below: dict[str, Written] = {"usr/local/go/bin/go": 9 * MB, "usr/local/include/x.h": 2 * MB}
    assert only(built("LABEL a=b", base, below)) == []
    assert only(built('CMD ["app"]', base, below)) == [("note", 2, 30 * MB), ("note", 1, 11 * MB)]
    assert only(built('CMD ["app"]', "debian:12", below)) == [("warning", 2, 30 * MB)]


def test_of_an_image_that_was_not_built_here_the_history_tells_what_it_starts() -> None:
    for entry, rules in (('CMD ["gcc"]', []), ('ENTRYPOINT ["/app"]', ["build-tools"])):
        given = built("LABEL a=b")
        assert given.image is not None
        history = (*given.image.history, HistoryStep(entry, None))
        image = type(given.image)(given.image.image_id, given.image.layers, history, given.image.inherited)
        assert [one.rule for one in found(Evidence(report=given.report, image=image, waste=given.waste))] == rules


@pytest.mark.parametrize(
    ("install", "end", "severity"),
    [
        (INSTALL, "RUN pip install torch", "note"),
        (f"{INSTALL} && rm -rf /var/lib/apt/lists/*", "RUN pip install torch", "note"),
        (f"{INSTALL} && pip install torch", "", "warning"),  # that step may have needed it
        (INSTALL, "RUN pip install torch && make", "warning"),
        (INSTALL, "RUN pip install torch\nRUN ./configure && x", "warning"),
    ],
)
def test_what_compiles_in_the_container_may_want_it(install: str, end: str, severity: str) -> None:
    given = built(end, below={f"{SITE}/triton/backends/x.py": 9}, install=install)
    assert only(given) == [(severity, 2, 30 * MB)]
    (one,) = (one for one in found(given) if one.rule == "build-tools")
    assert one.mend.startswith("Keep it if the program compiles at run time; else build") is (severity == "note")


@pytest.mark.parametrize(
    "path",
    [
        "usr/local/go/pkg/tool/linux_amd64/compile",
        "opt/go/pkg/tool/linux_amd64/compile",
        "usr/lib/go-1.24/pkg/tool/linux_arm64/compile",
        "root/.rustup/toolchains/stable-x86_64-unknown-linux-gnu/lib/librustc_driver-1.so",
        "usr/local/rustup/toolchains/1.80.0/bin/rustc",
        "home/app/.cargo/bin/rustup",
        "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd.rlib",
    ],
)
def test_toolchains_of_go_and_rust(path: str) -> None:
    given = evidence("FROM debian:12\nRUN curl x | sh\n", {2: {path: 9 * MB}})
    assert only(given) == [("warning", 2, 9 * MB)]


@pytest.mark.parametrize(
    "path", ["root/.cargo/bin/rg", "srv/go/app/server", "opt/mango/pkg/x/y", "usr/local/bin/gofer"]
)
def test_what_was_built_with_them_is_none(path: str) -> None:
    assert found(evidence("FROM debian:12\nRUN x\n", {2: {path: 9 * MB}})) == []


def test_toolchains_that_were_unpacked_are_removed_by_their_folders() -> None:
    files: dict[str, Written] = {
        "opt/go/pkg/tool/linux_amd64/compile": 9 * MB,
        "opt/go/src/fmt/print.go": MB,
        "root/.rustup/toolchains/x/bin/rustc": 5 * MB,
        "root/.cargo/bin/rustup": 5 * MB,
        "root/.cargo/bin/mine": 5 * MB,
    }
    (one,) = found(evidence("FROM debian:12\nRUN sh install.sh && make\n", {2: files}))
    assert one.bytes == 20 * MB
    assert one.mend.endswith("in that RUN: && rm -rf /opt/go /root/.cargo/bin/rustup /root/.rustup")


def test_libraries_that_came_with_headers_stay_when_these_go() -> None:
    names = (
        "libpq5",
        "libpq-dev",
        "libssl-dev",
        "libldap-2.5-0",
        "libasan8",
        "libgomp1",
        "libc-dev-bin",
        "libjs-jquery",
    )
    packages = [
        {"manager": "dpkg", "name": name, "version": "1", "size": 1, "layer": layer, "path": "x"}
        for name, layer in [*((name, 1) for name in (*names, "gcc-12")), ("libz1", 0)]
    ]
    inventory = Inventory.model_validate({"image_id": f"sha256:{1:064x}", "size": 0, "packages": packages})
    for named, kept in (("libpq-dev:amd64", "libgomp1 libldap-2.5-0 libpq5"), ("libc6-dev", "libgomp1")):
        command = f"RUN apt-get install -y gcc {named} && pip install psycopg2"
        (one,) = found(evidence(f"FROM debian:12\n{command}\n", {2: GCC}, inventory=inventory))
        removed = f"apt-get purge -y --auto-remove gcc {named.partition(':')[0]} && rm -rf /var/cache/apt/*"
        assert one.mend.endswith(f"in that RUN: && apt-mark manual {kept} && {removed}")


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("A=1 gcc 'a b';make # c", [("gcc", "a b"), ("make",)]),
        ("if x; then (cd y && z); fi", [("x",), ("cd", "y"), ("z",), ("fi",)]),
        ("a \\\n b\nc", [("a", "b"), ("c",)]),
        ("echo 'never closed", []),
    ],
)
def test_commands_of_a_shell_text(text: str, commands: list[tuple[str, ...]]) -> None:
    assert list(read_commands(text)) == commands


@pytest.mark.parametrize(
    "text", ["x86_64-linux-gnu-gcc x", "cd a && ./configure", "python setup.py install", "go build"]
)
def test_what_compiles(text: str) -> None:
    assert compiles(text)
    assert not only_installs(f"apt-get update && {text}")


def test_what_only_installs() -> None:
    assert only_installs("set -eux; apt-get update; apt-get install -y gcc; rm -rf /var/lib/apt/lists/*")
    assert not only_installs("rm -rf /x")
    assert not compiles("pip install make")
