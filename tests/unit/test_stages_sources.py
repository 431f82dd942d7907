"""Images, named contexts, context paths and arguments that a build takes in from outside."""

from __future__ import annotations

import pytest

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.stages.planning import EdgeKind, plan_stages
from ci_budget.errors import ConfigError
from tests.unit.test_stages import SERVICE, plan

DIGEST = "sha256:" + "ab" * 32


def test_images_from_outside_are_written_out_with_stage_and_line() -> None:
    found = plan(SERVICE).externals
    assert [(one.reference, one.written, one.kind, one.stage, one.line, one.used) for one in found] == [
        ("docker.io/library/python:3.11", "python:3.11", EdgeKind.FROM, "builder", 3, True),
        ("docker.io/library/debian:latest", "debian", EdgeKind.FROM, "models", 8, True),
        ("docker.io/library/python:3.11-slim", "python:3.11-slim", EdgeKind.FROM, "runtime", 10, True),
        ("ghcr.io/tools/init:1", "ghcr.io/tools/init:1", EdgeKind.COPY, "runtime", 13, True),
    ]


def test_a_digest_pins_and_a_platform_is_kept() -> None:
    text = f"ARG D={DIGEST}\nFROM --platform=$BUILDPLATFORM a@$D AS x\nFROM --platform=linux/arm b\nCOPY --from=x / /\n"
    found = plan(text, platform="linux/arm64")
    assert [(one.reference, one.written, one.pinned, one.platform) for one in found.externals] == [
        (f"docker.io/library/a@{DIGEST}", "a@$D", True, "linux/arm64"),
        ("docker.io/library/b:latest", "b", False, "linux/arm/v7"),
    ]


def test_scratch_is_no_image() -> None:
    found = plan("FROM scratch\nCOPY --from=scratch / /\nCOPY a /\n")
    assert found.externals == ()
    assert [source.path for source in found.context_sources] == ["a"]


def test_paths_of_the_context_come_from_reached_stages_only() -> None:
    found = plan(SERVICE).context_sources
    assert [(one.command, one.path, one.stage, one.line) for one in found] == [
        ("copy", "requirements.txt", "builder", 4),
        ("copy", "pyproject.toml", "builder", 4),
        ("run", "src", "runtime", 12),
    ]
    assert [one.path for one in plan(SERVICE, target="models").context_sources] == []


def test_paths_of_the_context_are_clean_with_variables_and_flags() -> None:
    text = (
        "FROM scratch\nARG D=x\nENV F=$D/f\nCOPY --exclude=*.$D --parents ./$F/./y ../../up /d\nCOPY . /\n"
        'ADD ["a b", "git@host:repo.git", "https://x/y.git", "/d"]\nCOPY <<EOF real.txt /d/\nEOF\n'
    )
    found = plan(text, build_args={"D": "sub"}).context_sources
    assert [(one.path, one.text, one.excludes, one.parents) for one in found] == [
        ("sub/f/y", "./sub/f/./y", ("*.sub",), True),
        ("up", "../../up", ("*.sub",), True),
        (".", ".", (), False),
        ("a b", "a b", (), False),
        ("real.txt", "real.txt", (), False),
    ]


def test_what_only_the_base_image_knows_is_marked() -> None:
    text = "FROM python\nENV OWN=$HOME/x KNOWN=k\nCOPY $OWN ${KNOWN} $LANG.txt /d/\nFROM scratch\nCOPY $HOME.txt /\n"
    first = plan(text.partition("FROM scratch")[0])
    assert [(one.path, one.unresolved) for one in first.context_sources] == [
        (".", ("OWN",)),
        ("k", ()),
        (".txt", ("LANG",)),
    ]
    assert [(one.path, one.unresolved) for one in plan(text).context_sources] == [(".txt", ())]


def test_a_named_context_stands_in_for_a_stage_and_for_an_image() -> None:
    text = (
        "FROM base AS tools\nCOPY --from=docker.io/library/helper / /\nRUN x\n"
        "FROM python:3.11\nCOPY --from=tools / /\nRUN y\n"
    )
    found = plan(text, contexts=["tools", "docker.io/library/python:3.11"])
    assert found.contexts == ("tools", "docker.io/library/python:3.11")
    assert [stage.name for stage in found.order] == ["stage-1"]
    assert [(one.reference, one.used) for one in found.externals] == [("docker.io/library/helper:latest", False)]
    assert [(stage.replaced, stage.counts_from, stage.numbers_from) for stage in found.stages] == [
        (True, False, False),
        (False, True, False),
    ]


def test_what_only_a_replaced_stage_needs_is_looked_up_but_not_built() -> None:
    text = "FROM a AS one\nRUN x\nFROM b AS two\nCOPY --from=one / /\nFROM c\nCOPY --from=two / /\n"
    found = plan(text, contexts=["two"])
    assert [stage.name for stage in found.order] == ["stage-2"]
    assert [(one.written, one.used) for one in found.externals] == [("a", False), ("c", True)]


def test_a_named_context_may_be_for_one_platform() -> None:
    text = "FROM python\n"
    assert plan(text, contexts=["python::linux/amd64"]).externals == ()
    assert len(plan(text, contexts=["python::linux/arm64"]).externals) == 1


def test_build_arguments_count_where_they_are_declared() -> None:
    text = "ARG V=1\nFROM a:$V AS x\nFROM b:${W:-none}\nCOPY --from=x / /\n"
    found = plan(text, build_args={"V": "2", "W": "3"})
    assert [stage.image for stage in found.stages] == ["a:2", "b:none"]


def test_the_automatic_arguments_describe_the_platforms() -> None:
    text = "FROM a-$TARGETOS-$TARGETARCH-$TARGETVARIANT-$BUILDARCH:${TARGETPLATFORM//\\//-}\n"
    parsed = parse_dockerfile(text.encode(), "Dockerfile")
    found = plan_stages(
        parsed, target=None, build_args={}, platform="linux/arm/v6", build_contexts=(), build_platform="linux/amd64"
    )
    assert found.stages[0].image == "a-linux-arm-v6-amd64:linux-arm-v6"


def test_variables_of_a_stage_are_bounded() -> None:
    many = " ".join(f"A{n}=1" for n in range(2001))
    with pytest.raises(ConfigError, match="more than 2000 variables"):
        plan(f"FROM a\nENV {many}\n")
    doubled = "".join("ENV A=$A$A\n" for _ in range(40))
    with pytest.raises(ConfigError, match=r"^Dockerfile:\d+: failed to expand .*more than 64 KiB"):
        plan(f"FROM scratch\nENV A=xx\n{doubled}")
