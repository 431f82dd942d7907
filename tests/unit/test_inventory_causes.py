"""What is behind a step that grew: an instruction of another stage, or one before it; and where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.inventory.building import describe_instructions
from ci_budget.core.inventory.causes import Behind, Causes
from ci_budget.core.inventory.inputs import Inputs, key_instructions, less_names
from ci_budget.core.inventory.model import BaseRecord, Inventory
from ci_budget.core.records.report import Cause, Contributor
from ci_budget.core.render.growth import tell_cause, tell_contributor
from ci_budget.core.stages.planning import plan_stages
from ci_budget.edges.files.context_files import measure_context
from ci_budget.edges.files.context_hash import hash_contents

MB = 10**6
OWN = frozenset({"src/Dockerfile"})
BUILDER = """\
FROM debian AS builder
COPY src /src
RUN make
FROM debian
COPY --from=builder /out /opt
"""
KEPT = {1: 50, 2: 1, 3: 5}


@dataclass(kw_only=True)
class Side:
    """A Dockerfile, what each of its lines kept (MB), its files, and the identity of its base."""

    text: str = BUILDER
    kept: Mapping[int, float] = field(default_factory=lambda: KEPT)
    files: Mapping[str, str] = field(default_factory=lambda: {"src/a": "1"})
    arguments: Mapping[str, str] = field(default_factory=dict)
    base: str = "sha256:one"

    def inventory(self, folder: Path) -> Inventory:
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        parsed = parse_dockerfile(self.text.encode(), "Dockerfile")
        plan = plan_stages(
            parsed, target=None, build_args=self.arguments, platform="linux/amd64", build_contexts=()
        )  # fmt: skip
        measure = measure_context(folder, IgnoreRules())
        contents = hash_contents(folder, measure) or {}
        inputs = Inputs(measure=measure, contents=contents, arguments=self.arguments, own_files=OWN)
        records = [
            one.model_copy(update={"kept": round(self.kept[one.line] * MB) if one.line in self.kept else None})
            for one in key_instructions(describe_instructions(parsed), parsed, plan, inputs)
        ]
        bases = [BaseRecord(reference=one.reference, image_id=self.base) for one in plan.externals]
        return Inventory(image_id="sha256:any", size=1, instructions=records, bases=bases)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def behind(
    folder: Path, before: Side, after: Side, delta: float = 9, line: int = 5, whole: float | None = None
) -> Behind:
    """What is behind what the last line of the last stage brought."""
    sides = before.inventory(folder / "before"), after.inventory(folder / "after")
    stage = next(one.stage for one in sides[1].instructions if one.line == line)
    return Causes(*less_names(*sides)).find(
        stage, line, round(delta * MB), round((delta if whole is None else whole) * MB)
    )


def told(folder: Path, before: Side, after: Side, delta: float = 9, **more: float | int) -> tuple[str, str]:
    """The same as the report's first line and its list have it."""
    found = behind(folder, before, after, delta, **more)  # type: ignore[arg-type]
    item = Contributor(
        kind=found.drifted or "this-change", name="/x", before=None, after=None, delta=round(delta * MB),
        stage="stage-1", line=5, cause=found.cause, changed_line=found.changed_line, changed=found.changed,
    )  # fmt: skip
    return (tell_cause(found.cause, "Dockerfile") if found.cause else "", tell_contributor(item))


def test_a_changed_step_of_the_builder(folder: Path) -> None:
    after = Side(text=BUILDER.replace("make", "make debug"), kept={**KEPT, 3: 14})
    assert told(folder, Side(), after) == (
        "the RUN in Dockerfile:3 (stage builder) changed and keeps 9.00 MB more",
        "+9.00 MB /x (this change, line 5, by line 3 of builder)",
    )


def test_a_step_that_shrank(folder: Path) -> None:
    after = Side(text=BUILDER.replace("make", "make small"), kept={**KEPT, 3: 1})
    assert told(folder, Side(), after, -4) == (
        "the RUN in Dockerfile:3 (stage builder) changed and keeps 4.00 MB less",
        "-4.00 MB /x (this change, line 5, by line 3 of builder)",
    )


def test_what_fell_where_the_step_keeps_more_altogether(folder: Path) -> None:
    after = Side(text=BUILDER.replace("make", "make debug"), kept={**KEPT, 3: 14})
    assert told(folder, Side(), after, -3, whole=9) == (
        "the RUN in Dockerfile:3 (stage builder) changed",
        "-3.00 MB /x (this change, line 5, by line 3 of builder)",
    )


def test_a_new_step(folder: Path) -> None:
    after = Side(text=BUILDER.replace("RUN make\n", "RUN make\nRUN model\n"), kept={**KEPT, 4: 9})
    assert told(folder, Side(), after, line=6) == (
        "the RUN in Dockerfile:4 (stage builder) is new and keeps 9.00 MB",
        "+9.00 MB /x (this change, line 5, by line 4 of builder)",
    )


def test_a_step_that_is_gone(folder: Path) -> None:
    before = Side(
        text=BUILDER.replace("RUN make\n", "RUN make\nRUN strip\n"), kept={**KEPT, 3: 14, 4: 5}
    )  # fmt: skip
    assert told(folder, before, Side(kept={**KEPT, 3: 14})) == (
        "a RUN behind Dockerfile:3 (stage builder) is gone",
        "+9.00 MB /x (this change, line 5, by a RUN of builder that is gone)",
    )


def test_files_that_pass_through_a_step_are_of_the_copy_that_reads_them(folder: Path) -> None:
    after = Side(files={"src/a": "2"}, kept={**KEPT, 2: 10, 3: 14})
    assert told(folder, Side(), after) == (
        "the COPY in Dockerfile:2 (stage builder) reads other files and brings 9.00 MB more",
        "+9.00 MB /x (this change, line 5, by line 2 of builder)",
    )


def test_a_small_file_that_makes_a_step_write_more(folder: Path) -> None:
    after = Side(files={"src/a": "2"}, kept={**KEPT, 3: 14})
    assert told(folder, Side(), after) == (
        "the RUN in Dockerfile:3 (stage builder) keeps 9.00 MB more",
        "+9.00 MB /x (this change, line 5, by line 3 of builder after other files in line 2)",
    )


def test_a_part_of_what_a_step_wrote(folder: Path) -> None:
    after = Side(text=BUILDER.replace("make", "make debug"), kept={**KEPT, 3: 14})
    assert told(folder, Side(), after, 4, whole=9)[0] == (
        "the RUN in Dockerfile:3 (stage builder) changed and keeps 9.00 MB more"
    )


def test_an_argument(folder: Path) -> None:
    text = BUILDER.replace("COPY src /src", "ARG SIZE")
    before = Side(text=f"ARG SIZE=1\n{text}", kept={4: 5, 2: 50})
    after = Side(text=f"ARG SIZE=2\n{text}", kept={4: 14, 2: 50})
    assert told(folder, before, after, line=6) == (
        "the RUN in Dockerfile:4 (stage builder) keeps 9.00 MB more",
        "+9.00 MB /x (this change, line 5, by line 4 of builder after a change in line 1)",
    )


def test_an_argument_that_the_base_is_named_by(folder: Path) -> None:
    text = "ARG TAG=1\nARG BASE=debian:$TAG\nARG OTHER=1\nFROM ${BASE}\nRUN a\n"
    after = Side(text=text.replace("TAG=1", "TAG=2").replace("OTHER=1", "OTHER=2"))
    cause = Cause(stage="stage-0", line=4, command="FROM", change="given")
    assert behind(folder, Side(text=text), after, line=4) == Behind(cause=cause, changed_line=1)


def test_a_base_of_another_name(folder: Path) -> None:
    text = "FROM debian:1\nRUN a\n"
    after = Side(text=text.replace(":1", ":2"), kept={1: 59})
    found = behind(folder, Side(text=text), after, line=1)
    assert found == Behind(cause=Cause(stage="stage-0", line=1, command="FROM", change="given", delta=9 * MB))
    drifted = Side(text=text, kept={1: 59}, base="sha256:two")
    assert behind(folder / "before", Side(text=text), drifted, line=1) == Behind()


@pytest.mark.parametrize("line", ["ENV A=1", "ARG A=1", "RUN clean"])
def test_a_step_after_one_that_is_gone(folder: Path, line: str) -> None:
    after = Side(text="FROM debian\nRUN make\n", kept={})
    found = behind(folder, Side(text=f"FROM debian\n{line}\nRUN make\n", kept={}), after, line=2)
    gone = Cause(stage="stage-0", line=None, command=line[:3], change="gone", after=1)
    assert found == Behind(changed=gone)
    item = Contributor(kind="this-change", name="/x", before=None, after=9, delta=9 * MB, line=2, changed=found.changed)
    one = f"{'an' if line[0] in 'AE' else 'a'} {line[:3]}"
    assert tell_contributor(item) == f"+9.00 MB /x (new, this change, line 2, after {one} behind line 1 went)"


def test_a_step_after_an_argument_with_another_value(folder: Path) -> None:
    text = "FROM debian\nARG SIZE=1\nRUN a\nRUN make\nRUN b\n"
    after = Side(text=text, kept={}, arguments={"SIZE": "2"})
    assert told(folder, Side(text=text, kept={}), after) == (
        "", "+9.00 MB /x (this change, line 5, after another value in line 2)"
    )  # fmt: skip


def test_a_builder_s_step_after_one_that_is_gone(folder: Path) -> None:
    before = Side(text=BUILDER.replace("COPY", "ENV A=1\nCOPY"), kept={1: 50, 3: 1, 4: 5})
    assert told(folder, before, Side(kept={**KEPT, 3: 14})) == (
        "the RUN in Dockerfile:3 (stage builder) keeps 9.00 MB more",
        "+9.00 MB /x (this change, line 5, by line 3 of builder after an ENV behind line 1 of builder went)",
    )


NINE_MORE = "the RUN in Dockerfile:{} changed and keeps 9.00 MB more"


class TestWhichStageWasWhich:
    """Stages are paired by what they do and by who takes from them; a name or a number alone is none."""

    def test_one_with_another_name(self, folder: Path) -> None:
        text = BUILDER.replace("builder", "compile").replace("make", "make debug")
        assert told(folder, Side(), Side(text=text, kept={**KEPT, 3: 14})) == (
            NINE_MORE.format("3 (stage compile)"), "+9.00 MB /x (this change, line 5, by line 3 of compile)",
        )  # fmt: skip

    def test_one_that_has_a_name_now(self, folder: Path) -> None:
        before = Side(text=BUILDER.replace(" AS builder", "").replace("=builder", "=0"))
        after = Side(text=BUILDER.replace("make", "make debug"), kept={**KEPT, 3: 14})
        assert told(folder, before, after)[0] == NINE_MORE.format("3 (stage builder)")

    def test_one_with_another_number(self, folder: Path) -> None:
        text = BUILDER.replace(" AS builder", "").replace("=builder", "=0")
        more = f"FROM alpine\nRUN echo\n{text.replace('=0', '=1').replace('make', 'other')}COPY --from=0 /a /a\n"
        after = Side(text=more, kept={2: 1, 5: 14})
        assert told(folder, Side(text=text), after, line=7)[0] == NINE_MORE.format(5)

    @pytest.mark.parametrize("place", ["/opt", "/usr"])
    def test_by_its_use_where_nothing_of_it_is_the_same(self, folder: Path, place: str) -> None:
        text = (
            BUILDER.replace("builder", "go").replace("COPY src /src", "WORKDIR /src").replace("debian AS", "golang AS")
        )
        text = text.replace("make", "go build").replace("/out /opt", f"/out {place}")
        assert told(folder, Side(), Side(text=text, kept={1: 90, 2: 0, 3: 14}))[0] == NINE_MORE.format("3 (stage go)")

    def test_its_use_counts_more_than_what_it_does(self, folder: Path) -> None:
        text = BUILDER.replace(" AS builder", "").replace("=builder", "=0")
        stage = text.partition("FROM debian\nCOPY --")[0]
        more = stage + text.replace("make", "make debug").replace("=0", "=1") + "COPY --from=0 /lint /lint\n"
        after = Side(text=more, kept={**KEPT, 5: 1, 6: 14})
        assert told(folder, Side(text=text), after, line=8)[0] == NINE_MORE.format(6)

    def test_two_that_changed_places(self, folder: Path) -> None:
        one, two = "FROM debian\nRUN one\nRUN a\n", "FROM debian\nRUN two\nRUN b\n"
        end = "FROM debian\nCOPY --from={} /one /\nCOPY --from={} /two /\n"
        before = Side(text=one + two + end.format(0, 1), kept={2: 1, 3: 5, 5: 1, 6: 5})
        after = Side(text=two + one.replace("RUN a", "RUN c") + end.format(1, 0), kept={2: 1, 3: 5, 5: 1, 6: 14})
        assert told(folder, before, after, line=8)[0] == NINE_MORE.format(6)

    def test_two_that_changed_names(self, folder: Path) -> None:
        text = "FROM debian AS a\nRUN one\nRUN a\nFROM debian AS b\nRUN two\nRUN b\n"
        text += "FROM debian\nCOPY --from=a /one /\nCOPY --from=b /two /\n"
        changed = text.replace("=a", "=c").replace("=b", "=a").replace("=c", "=b").replace("AS a", "AS c")
        changed = changed.replace("AS b", "AS a").replace("AS c", "AS b").replace("RUN a", "RUN more")
        kept = {2: 1, 3: 5, 5: 1, 6: 20}
        after = Side(text=changed, kept={**kept, 3: 14})
        assert told(folder, Side(text=text, kept=kept), after, line=8)[0] == NINE_MORE.format("3 (stage b)")

    def test_one_that_was_split(self, folder: Path) -> None:
        text = BUILDER.replace("RUN make", "RUN lib\nRUN make")
        after = text.replace("builder\nCOPY src /src\nRUN lib", "deps\nCOPY src /src\nRUN more\nFROM deps AS builder")
        before = Side(text=text, kept={1: 50, 2: 1, 3: 3, 4: 5})
        assert told(folder, before, Side(text=after, kept={1: 50, 2: 1, 3: 12, 5: 14}), line=7)[0] == (
            NINE_MORE.format("3 (stage deps)")
        )

    def test_two_that_are_one_now(self, folder: Path) -> None:
        text = BUILDER.replace("RUN make", "RUN lib\nRUN make")
        before = text.replace("builder\nCOPY src /src\nRUN lib", "deps\nCOPY src /src\nRUN lib\nFROM deps AS builder")
        after = Side(text=text.replace("RUN lib", "RUN more"), kept={1: 50, 2: 1, 3: 12, 4: 14})
        assert told(folder, Side(text=before, kept={1: 50, 2: 1, 3: 3, 5: 5}), after, line=6)[0] == (
            NINE_MORE.format("3 (stage builder)")
        )

    def test_a_new_one_that_a_copy_takes_from_now(self, folder: Path) -> None:
        text = BUILDER.replace("RUN make", "RUN lib\nRUN make") + "COPY --from=builder /lib /lib\n"
        before = Side(text=text, kept={1: 50, 2: 1, 3: 3, 4: 5})
        after = "FROM debian AS deps\nRUN more\n" + text.replace("RUN lib\n", "").replace("=builder /lib", "=deps /lib")
        for kept, cause in (({1: 50, 2: 12, 3: 50, 4: 1, 5: 5, 8: 12}, True), ({1: 50, 2: 12, 8: 20}, False)):
            found = behind(folder / str(cause), before, Side(text=after, kept=kept), line=8).cause
            assert (found is not None) is cause
            if found:
                assert (
                    tell_cause(found, "Dockerfile") == "the RUN in Dockerfile:2 (stage deps) is new and keeps 12.0 MB"
                )

    def test_two_with_little_in_common_are_two(self, folder: Path) -> None:
        one = "FROM debian AS lint\nWORKDIR /app\nRUN one\nRUN two\nRUN three\nRUN four\n"
        two = "FROM debian AS docs\nWORKDIR /app\nRUN a\nRUN b\nRUN c\nRUN d\n"
        before = Side(text=f"{one}FROM debian\nCOPY --from=lint /r /r\n", kept={6: 1})
        after = Side(text=f"{two}FROM debian\nRUN other\nRUN more\nCOPY --from=docs /d /d\n", kept={6: 10, 10: 10})
        assert told(folder, before, after, line=10, delta=10)[0] == (
            "the RUN in Dockerfile:6 (stage docs) is new and keeps 10.0 MB"
        )

    def test_a_name_alone_is_no_change(self, folder: Path) -> None:
        after = Side(text=BUILDER.replace("builder", "compile"), kept={**KEPT, 3: 14})
        assert told(folder, Side(), after) == (
            "the RUN in Dockerfile:3 (stage compile) keeps 9.00 MB more",
            "+9.00 MB /x (dependency drift, line 5, by line 3 of compile)",
        )


class TestDrift:
    def test_a_step_that_was_given_the_same(self, folder: Path) -> None:
        assert told(folder, Side(), Side(kept={**KEPT, 3: 14})) == (
            "the RUN in Dockerfile:3 (stage builder) keeps 9.00 MB more",
            "+9.00 MB /x (dependency drift, line 5, by line 3 of builder)",
        )

    def test_beside_a_change_that_comes_later(self, folder: Path) -> None:
        text = BUILDER.replace("RUN make\n", "RUN make\nRUN one\n")
        after = Side(text=text.replace("one", "two"), kept={**KEPT, 3: 14})
        assert told(folder, Side(text=text), after, line=6) == (
            "the RUN in Dockerfile:3 (stage builder) keeps 9.00 MB more",
            "+9.00 MB /x (dependency drift, line 5, by line 3 of builder)",
        )

    def test_the_base_of_the_builder(self, folder: Path) -> None:
        after = Side(kept={**KEPT, 1: 59, 3: 14}, base="sha256:two")
        assert told(folder, Side(), after) == (
            "the FROM in Dockerfile:1 (stage builder) brings 9.00 MB more",
            "+9.00 MB /x (base image drift, line 5, by line 1 of builder)",
        )


class TestNothingIsSaid:
    """Where more than one instruction can be it."""

    @pytest.mark.parametrize(
        "after",
        [
            Side(text=BUILDER.replace("RUN make", "RUN one"), kept={**KEPT, 2: 6, 3: 10}),  # two share it
            Side(text=BUILDER.replace("RUN make", "RUN one")),  # no step keeps more, but the base is another
            Side(text=BUILDER.replace("RUN make", "RUN one"), kept={}),  # nobody has read them
            Side(text=BUILDER.replace("RUN make", "RUN one"), kept={**KEPT, 3: 8}),  # it does not suffice
            Side(
                text=BUILDER.replace("RUN make", "RUN one"), files={"src/a": "2"}, kept={**KEPT, 3: 13}
            ),  # or the COPY
            Side(files={"src/a": "2"}, kept={**KEPT, 3: 99}),  # far more than was taken, and another one changed
            Side(text=BUILDER.replace("/out /opt", "/ /opt"), kept={**KEPT, 3: 99}),  # the COPY itself takes more
        ],
    )
    def test_of_the_builder(self, folder: Path, after: Side) -> None:
        after.base = "sha256:two"
        assert behind(folder, Side(), after) == Behind()

    def test_where_two_stages_without_a_name_may_be_the_one(self, folder: Path) -> None:
        text = BUILDER.replace(" AS builder", "").replace("--from=builder", "--from=0")
        one = text.replace("make", "one").replace("/out /opt", "/other /opt")
        more = one.partition("FROM debian\nCOPY --from")[0] + text.replace("--from=0", "--from=1")
        after = Side(text=more.replace("make", "two") + "COPY --from=0 /b /b\n", kept={2: 1, 3: 9, 5: 1, 6: 9})
        before = Side(text=text.replace("/out /opt", "/out /"))
        assert behind(folder, before, after, line=8) == Behind()
        sides = before.inventory(folder / "old"), after.inventory(folder / "new")
        assert Causes(*less_names(*sides)).keep_more(9 * MB) == []

    def test_of_an_older_inventory(self, folder: Path) -> None:
        sides = [Side(), Side(text=BUILDER.replace("make", "make debug"), kept={**KEPT, 3: 14})]
        before, after = (side.inventory(folder / str(at)) for at, side in enumerate(sides))
        old = [one.model_copy(update={"own_sha256": None, "command": ""}) for one in before.instructions]
        assert Causes(before.model_copy(update={"instructions": old}), after).find("stage-1", 5, MB, MB) == Behind()


def test_a_copy_that_is_new_as_well(folder: Path) -> None:
    text = BUILDER.replace("RUN make\n", "RUN make\nRUN model\n") + "COPY --from=builder /model /model\n"
    assert told(folder, Side(), Side(text=text, kept={**KEPT, 4: 9}), line=7) == (
        "the RUN in Dockerfile:4 (stage builder) is new and keeps 9.00 MB",
        "+9.00 MB /x (this change, line 5, by line 4 of builder)",
    )


def test_of_two_copies_each_has_its_own_stage(folder: Path) -> None:
    text = "FROM debian AS a\nRUN a\nFROM debian AS b\nRUN b\nFROM debian\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    kept = {1: 50, 2: 5, 3: 50, 4: 5}
    after = Side(text=text.replace("RUN b", "RUN more"), kept={**kept, 4: 14})
    assert told(folder, Side(text=text, kept=kept), after, line=7)[0] == (
        "the RUN in Dockerfile:4 (stage b) changed and keeps 9.00 MB more"
    )


def test_of_two_steps_and_two_copies_that_moved_alike_none_is_said(folder: Path) -> None:
    text = "FROM debian AS a\nCOPY src /src\nRUN a\nRUN b\nFROM debian\nCOPY --from=a /a /\nCOPY --from=a /b /\n"
    before = Side(text=text, kept={1: 50, 2: 1, 3: 5, 4: 5}).inventory(folder / "before")
    after = Side(text=text, kept={1: 50, 2: 1, 3: 14, 4: 14}, files={"src/a": "2"}).inventory(folder / "after")
    causes = Causes(before, after)
    changed = Cause(stage="a", line=2, command="COPY", change="given")
    assert causes.find("stage-1", 7, 9 * MB, 9 * MB, [9 * MB]) == Behind(changed_line=2, changed=changed)
    one = causes.find("stage-1", 7, 9 * MB, 9 * MB, [MB]).cause
    assert one is not None
    assert one.line == 3


def test_a_mount_of_the_builder(folder: Path) -> None:
    text = BUILDER.replace("COPY --from=builder /out /opt", "RUN --mount=from=builder,target=/b cp -r /b/out /opt")
    after = Side(text=text.replace("make", "make debug"), kept={**KEPT, 3: 14})
    assert told(folder, Side(text=text), after)[0] == (
        "the RUN in Dockerfile:3 (stage builder) changed and keeps 9.00 MB more"
    )


def test_a_step_after_the_only_change_of_its_stage(folder: Path) -> None:
    text = "FROM debian\nARG SIZE=1\nLABEL a=1\nENV A=1\nRUN make\n"
    after = text.replace("SIZE=1", "SIZE=2").replace("a=1", "a=2")
    assert told(folder, Side(text=text, kept={}), Side(text=after, kept={})) == (
        "",
        "+9.00 MB /x (this change, line 5, after a change in line 2)",
    )


@pytest.mark.parametrize("older", [False, True])
def test_a_dockerfile_that_a_folder_takes_along(folder: Path, older: bool) -> None:
    text = "FROM debian\nCOPY src /src\nLABEL a=1\nRUN make\n"
    sides = [
        Side(text=text, kept={}, files={"src/a": "1", "src/Dockerfile": version}).inventory(folder / version)
        for version in ("1", "2")
    ]
    if older:
        records = [one.model_copy(update={"bare_own_sha256": None}) for one in sides[0].instructions]
        sides[0] = sides[0].model_copy(update={"instructions": records})
    before, after = less_names(*sides)
    assert (before.instructions == after.instructions) is not older
    assert Causes(before, after).find("stage-0", 4, 9 * MB, 9 * MB) == Behind()


def test_a_step_after_two_changes(folder: Path) -> None:
    text = "FROM debian\nARG SIZE=1\nLABEL a=1\nENV A=1\nRUN make\n"
    after = text.replace("SIZE=1", "SIZE=2").replace("A=1", "A=2")
    assert behind(folder, Side(text=text, kept={}), Side(text=after, kept={})) == Behind()


def test_a_stage_that_is_now_taken_from(folder: Path) -> None:
    text = "FROM debian AS small\nRUN a\nFROM debian AS full\nRUN b\nFROM small\nRUN c\n"
    after = Side(text=text.replace("FROM small", "FROM full"), kept={})
    assert behind(folder, Side(text=text, kept={}), after, line=4) == Behind(changed_line=5)


TWO = BUILDER.replace("FROM debian\nCOPY", "FROM debian AS other\nRUN other\nFROM debian\nCOPY")
TWO += "COPY --from=other /o /o\n"
BOTH_KEPT = {1: 50, 2: 1, 3: 5, 4: 50, 5: 5}


class TestWhatRaisesThePeak:
    def told(self, folder: Path, after: Side, rise: float) -> list[str]:
        before = Side(text=TWO, kept=BOTH_KEPT).inventory(folder / "before")
        found = Causes(*less_names(before, after.inventory(folder / "after"))).keep_more(round(rise * MB))
        return [tell_cause(one, "Dockerfile") for one in found]

    def test_all_that_keep_more_the_largest_first(self, folder: Path) -> None:
        after = Side(text=TWO.replace("make", "more"), kept={**BOTH_KEPT, 1: 50.1, 3: 14, 5: 25})
        assert self.told(folder, after, 30) == [
            "the RUN in Dockerfile:5 (stage other) keeps 20.0 MB more",
            "the RUN in Dockerfile:3 (stage builder) changed and keeps 9.00 MB more",
        ]

    def test_too_little_of_it(self, folder: Path) -> None:
        assert self.told(folder, Side(text=TWO, kept={**BOTH_KEPT, 3: 14}), 30) == []

    def test_what_only_took_another_s_place(self, folder: Path) -> None:
        after = Side(text=TWO.replace("RUN make", "RUN one\nRUN two"), kept={**BOTH_KEPT, 3: 1, 4: 5, 5: 50, 6: 5})
        assert self.told(folder, after, 5) == []

    def test_a_peak_that_fell(self, folder: Path) -> None:
        assert self.told(folder, Side(text=TWO, kept={**BOTH_KEPT, 3: 14}), -9) == []
