"""Mends for what was copied, and for permissions: the author's own instruction, stage and line, ready to paste."""

from __future__ import annotations

import pytest

from ci_budget.core.findings.rule import Evidence
from ci_budget.core.inventory.model import Inventory, SameContent
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Kind, Layer
from ci_budget.core.layers.waste import measure_waste
from tests.unit.finding_samples import MB, Written, evidence, found

OWNED = tuple[int, int, int]
"""Mode, owner, group."""
PLAIN: OWNED = (0o644, 0, 0)


def with_owners(given: Evidence, layers: dict[int, dict[str, OWNED]]) -> Evidence:
    """The same with files of 3 MB of these modes and owners in the own layers."""
    assert given.image is not None
    own = [
        Layer(
            f"sha256:{number:064x}",
            tuple(
                Entry(path.rstrip("/"), Kind.FOLDER, 0, *owned)
                if path.endswith("/")
                else Entry(path, Kind.FILE, 3 * MB, *owned)
                for path, owned in files.items()
            ),
        )
        for number, files in layers.items()
    ]
    image = ImageLayers(given.image.image_id, (given.image.layers[0], *own), given.image.history, 1)
    return Evidence(
        report=given.report, dockerfile=given.dockerfile, plan=given.plan, image=image, waste=measure_waste(image)
    )


def mend_of(dockerfile: str, layers: dict[int, dict[str, OWNED]], rule: str = "permission-copies") -> str:
    """The mend of the one finding of a rule; `layers` by the lines that brought them."""
    given = with_owners(evidence(dockerfile, {line: {} for line in layers}), layers)
    (one,) = (one for one in found(given) if one.rule == rule)
    return one.mend


USERS = "FROM debian:12\nRUN useradd app\n"


@pytest.mark.parametrize(
    ("copy", "change", "after", "mend"),
    [
        ("COPY srv ./srv/", "chown -R app:app /x && chmod -R 755 /x", (0o755, 7, 8),
         "--chown=app:app --chmod=755 srv ./srv/"),
        ("COPY --chmod=700 --link a b /srv/", "chown -R app:app /x", (0o644, 7, 8), "--link --chown=7:8 a b /srv/"),
        ("COPY srv /srv/", "chown -R app /x", (0o644, 7, 0), "--chown=7:0 srv /srv/"),
        ("COPY srv /srv/", "chown -R $U:$G /x", (0o644, 7, 8), "--chown=7:8 srv /srv/"),
        ('COPY ["a b", "/srv/c d/"]', "chmod u=rx,go=rx /x", (0o555, 0, 0), '--chmod=555 ["a b", "/srv/c d/"]'),
    ],
)  # fmt: skip
def test_a_copy_is_written_out_with_its_authors_own_words(copy: str, change: str, after: OWNED, mend: str) -> None:
    given = mend_of(f"{USERS}{copy}\nRUN {change}\n", {3: {"srv/a": PLAIN}, 4: {"srv/a": after}})
    assert given == f"Write line 3 as: COPY {mend}. Take line 4 out."


def test_a_user_that_is_made_behind_the_copy_has_no_name_yet() -> None:
    layers = {2: {"srv/a": PLAIN}, 3: {"srv/a": (0o644, 7, 8)}}
    given = mend_of('FROM debian:12\nCOPY a /srv/\nRUN useradd app && chown app:app "/srv/b c"\n', layers)
    assert given == "Write line 2 as: COPY --chown=7:8 a /srv/. Take it out of line 3: chown app:app '/srv/b c'"


def test_the_mode_of_some_files_is_given_where_they_come_from() -> None:
    layers = {2: {"srv/a": PLAIN, "srv/run": PLAIN}, 3: {"srv/run": (0o755, 0, 0)}}
    given = mend_of("FROM debian:12\nCOPY . /srv\nRUN chmod +x /srv/run\n", layers)
    assert given == (
        "Give the files their mode where they come from, COPY keeps it: chmod +x ./run (with Git: git update-index "
        "--chmod=+x ./run). Take line 3 out."
    )
    text = "FROM debian:12 AS b\nRUN make\nFROM debian:12\nCOPY --from=b /out /srv\nRUN chmod +x /srv/run\n"
    given = mend_of(text, {4: layers[2], 5: layers[3]})
    assert given == (
        "Give the files their mode where they are made, at the end of the RUN of line 2 in stage b: && chmod +x "
        "/out/run. Take line 5 out."
    )


def test_a_mode_without_execution_is_none_for_folders() -> None:
    layers = {2: {"srv/d/": (0o755, 0, 0), "srv/d/a": PLAIN}, 3: {"srv/d/a": (0o600, 0, 0)}}
    given = mend_of("FROM debian:12\nCOPY d /srv/d\nRUN chmod 600 /srv/d/a\n", layers)
    assert given == "Give the files their mode where they come from, COPY keeps it: chmod 600 d/a. Take line 3 out."


def test_what_a_run_made_is_changed_there() -> None:
    layers = {2: {"opt/x": PLAIN}, 3: {"opt/x": (0o600, 7, 8)}}
    text = "FROM debian:12\nRUN make\nRUN {}chown app:app /opt/x && chmod 600 /opt/x\n"
    same = "Change them in the RUN that writes them, line 2: && chown {} /opt/x && chmod 600 /opt/x. "
    assert mend_of(text.format(""), layers) == f"{same.format('app:app')}Take line 3 out."
    out = "Take it out of line 3: chown app:app /opt/x && chmod 600 /opt/x"
    assert mend_of(text.format("useradd app && "), layers) == f"{same.format('7:8')}{out}"


def test_of_an_image_that_was_not_built_here_the_history_names_the_step() -> None:
    layers = {2: {"srv/a": PLAIN}, 3: {"srv/a": (0o755, 7, 8)}}
    given = with_owners(evidence("FROM debian:12\nCOPY a /srv/\nRUN chown 7:8 /srv/a\n", {2: {}, 3: {}}), layers)
    image = given.image
    assert image is not None
    image = ImageLayers(
        image.image_id, image.layers, tuple(HistoryStep(one.created_by, one.layer) for one in image.history), 1
    )
    (one,) = found(Evidence(report=given.report, image=image, waste=given.waste))
    assert one.mend == (
        "Give them their owner and mode in `COPY a /srv/`: COPY --chown=USER:GROUP --chmod=MODE SOURCE TARGET. "
        "Take the change out of `RUN chown 7:8 /srv/a`."
    )


def test_a_stage_is_found_by_its_line_where_two_have_one_name() -> None:
    text = "FROM debian:12 AS b\nRUN one\nFROM debian:12 AS b\nRUN two\nFROM b\nRUN x\nCOPY --from=b /out /opt/app\n"
    given = evidence(text, {7: {"opt/app/x.a": 1, "opt/app/site-packages/x.a": 9 * MB}})
    (one,) = (one for one in found(given) if one.rule == "static-libraries")
    assert one.mend == "End the RUN of line 4 in stage b with: && find /out/site-packages -name '*.a' -delete"


STAGE = "FROM debian:12 AS b\nRUN make out\nRUN other\nFROM debian:12\nCOPY --from=b /out /opt/app\nRUN {}\n"
LOWER: dict[str, Written] = {"opt/app/bin/y": 5 * MB, "opt/app/doc/x": 6 * MB}


def one_mend(dockerfile: str, wrote: dict[int, dict[str, Written]], rule: str) -> str:
    (one,) = (one for one in found(evidence(dockerfile, wrote)) if one.rule == rule)
    return one.mend


def test_what_is_deleted_of_a_stages_copy_is_deleted_in_the_stage() -> None:
    gone: dict[str, Written] = {"opt/app/doc": None}
    assert one_mend(STAGE.format("rm -r /opt/app/doc"), {5: LOWER, 6: gone}, "deleted-later") == (
        "Delete it before it is copied: end the RUN of line 2 in stage b with: && rm -rf /out/doc. Take line 6 out."
    )
    assert one_mend(STAGE.format("use && rm -r /opt/app"), {5: LOWER, 6: {"opt/app": None}}, "deleted-later") == (
        "Do not copy what is deleted again: take line 5 out, and mount it for the step that needs it: RUN "
        "--mount=type=bind,from=b,source=/out,target=/opt/app ... Take the deletion out of line 6."
    )


def test_what_is_deleted_of_the_contexts_copy_is_left_out_of_it() -> None:
    text = "FROM debian:12\nWORKDIR /opt\nCOPY . app\nRUN rm -r /opt/app/doc\n"
    assert one_mend(text, {3: LOWER, 4: {"opt/app/doc": None}}, "deleted-later") == (
        "Do not copy it in line 3: name it in the ignore file: doc. Take line 4 out."
    )


@pytest.mark.parametrize(
    ("lower", "upper", "mend"),
    [
        ("COPY --from=b /out /opt/app", "RUN strip /opt/app/bin/y", "Change them before they are copied: do what "
         "line 5 does to them at the end of the RUN of line 2 in stage b, where the first is /out/bin/y."),
        ("COPY out /opt/app", "RUN strip /opt/app/bin/y", "Where line 5 makes them anew, name them in the ignore file: "
         "out/bin/y. Else change them before they are copied: put line 4 and line 5 into a stage of their own (FROM "
         "debian:12 AS prepared), and take over what they leave: COPY --from=prepared /opt/app/bin/y /opt/app/bin/y"),
        ("COPY y /opt/app/bin/y", "COPY z /opt/app/bin/y", "Copy them once: take line 4 out, since line 5 brings all "
         "of it anew."),
        ("RUN npm ci", "COPY . /opt/app/", "Keep one of the two: name bin/y in the ignore file, or do not write them "
         "in line 4."),
        ("RUN make", "COPY --from=b /out /opt/app", "Bring them once: leave them out of what line 4 brings, since "
         "line 5 brings them anew."),
        ("RUN make", "RUN make", "Write them once: join this step with the one that wrote them first, line 4."),
    ],
)  # fmt: skip
def test_what_is_written_twice(lower: str, upper: str, mend: str) -> None:
    text = f"FROM debian:12 AS b\nRUN make out\nFROM debian:12\n{lower}\n{upper}\n"
    files: dict[str, Written] = {"opt/app/bin/y": 5 * MB}
    assert one_mend(text, {4: files, 5: {"opt/app/bin/y": 6 * MB}}, "overwritten-later") == mend


@pytest.mark.parametrize(
    ("copy", "more", "mend"),
    [
        ("COPY lib /opt/b/", 0, "Copy it once: take line 4 out, and put a link in its place: RUN mkdir -p /opt/b && "
         "ln -s /opt/a/x.so /opt/b/x.so"),
        ("COPY --from=b /out /opt/b", 9, "Copy it once: put a link in its place before it is copied, at the end of "
         "the RUN of line 2 in stage b: && rm -r /out/x.so && ln -s /opt/a/x.so /out/x.so"),
        ("COPY lib /opt/b/", 9, "Copy it once: leave /opt/b/x.so out of what line 4 brings, and put a link in its "
         "place: RUN mkdir -p /opt/b && ln -s /opt/a/x.so /opt/b/x.so"),
    ],
)  # fmt: skip
def test_what_is_copied_twice(copy: str, more: int, mend: str) -> None:
    same = SameContent(size=5 * MB, sha256="0" * 64, paths=["opt/a/x.so", "opt/b/x.so"])
    text = f"FROM debian:12 AS b\nRUN make out\nFROM debian:12\n{copy}\n"
    given = evidence(
        text,
        {4: {"opt/b/x.so": 5 * MB, "opt/b/y": more}},
        base={"opt/a/x.so": 5 * MB},
        inventory=Inventory.model_validate({"image_id": f"sha256:{1:064x}", "size": 0, "same_content": [same]}),
    )
    (one,) = found(given)
    assert (one.rule, one.mend) == ("duplicate-content", mend)


def test_a_folder_that_holds_more_is_not_taken_away() -> None:
    same = SameContent(size=5 * MB, sha256="0" * 64, paths=["opt/a/", "opt/b/"], files=1)
    given = evidence(
        "FROM debian:12\nRUN x\n",
        {2: {"opt/b/x": 5 * MB, "opt/b/y": 9}},
        base={"opt/a/x": 5 * MB},
        inventory=Inventory.model_validate({"image_id": f"sha256:{1:064x}", "size": 0, "same_content": [same]}),
    )
    (one,) = found(given)
    assert one.mend == "Bring these files once: 1 others lie beside them, so link to them one by one."


SITE = "opt/v/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        (f"{SITE}/x/libx.a", "find /v/lib/python3.11/site-packages -name '*.a' -delete"),
        ("opt/v/.cache/pip/http-v2/a/b/c/d/e/x", "rm -rf /v/.cache/pip"),
        (f"{SITE}/x/tests/x.py", "find /v/lib/python3.11/site-packages -mindepth 2 -depth -type d -name tests -exec "
         "rm -rf '{}' +"),
        (f"{SITE}/x/__pycache__/x.pyc", "find /v -xdev -depth -name __pycache__ -exec rm -rf '{}' +; set ENV "
         "PYTHONDONTWRITEBYTECODE=1 before it. The first start of a container is slower for it."),
    ],
)  # fmt: skip
def test_what_is_left_in_a_stage_goes_there(path: str, mend: str) -> None:
    text = "FROM debian:12 AS b\nRUN venv /v\nFROM debian:12\nCOPY --from=b /v /opt/v\n"
    (one,) = (one for one in found(evidence(text, {4: {path: 9 * MB}})) if one.rule != "venv-copy")
    assert one.mend == f"End the RUN of line 2 in stage b with: && {mend}"
