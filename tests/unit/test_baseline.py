"""The baseline file: look-up, strictness about damaged files, atomic change, and how values get in."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.records.baseline import Baseline, find_entry, parse_baseline, render_baseline
from ci_budget.core.records.baseline_update import accept_report
from ci_budget.core.records.report import Failure, ImageReport, Report, SmokeReport
from ci_budget.edges.files.baseline_file import change_baseline, read_baseline
from ci_budget.errors import ConfigError, ExitCode
from tests.unit.report_samples import (
    GB,
    MB,
    SANDBOX,
    STARTED,
    baseline,
    entry,
    fingerprint,
    limits,
    measured,
    metrics,
    stage,
)

FILE = ".ci-budget/baseline.json"
WHOLE = render_baseline(baseline(entry(stages={"builder": {"peak_disk": 4 * GB}})))
MEND = (
    "Restore the committed file (`git checkout -- .ci-budget/baseline.json`), or remove it and record the values "
    "anew: `ci-budget check`, then `ci-budget baseline update`."
)


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(WHOLE)
    return found | changes


def damaged(place: list[Any], value: Any) -> bytes:
    """The whole file with one value replaced."""
    found: Any = document()
    whole = found
    for part in place[:-1]:
        found = found[part]
    found[place[-1]] = value
    return json.dumps(whole, indent=2).encode()


def refusal(data: bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_baseline(data, FILE)
    assert caught.value.exit_code == ExitCode.CONFIG
    return caught.value


def test_what_is_written_is_read_back() -> None:
    found = parse_baseline(WHOLE.encode(), FILE)
    assert found == baseline(entry(stages={"builder": {"peak_disk": 4 * GB}}))
    assert render_baseline(found) == WHOLE


def test_the_text_of_the_file() -> None:
    assert render_baseline(baseline(entry({"layers": 8, "image_size": GB}))) == (
        "{\n"
        '  "images": {\n'
        '    "app": [\n'
        "      {\n"
        '        "bases": [],\n'
        '        "commit": "0123456789abcdef0123456789abcdef01234567",\n'
        '        "fingerprint": {\n'
        '          "block_size": 4096,\n'
        '          "cache": "cold",\n'
        '          "disk_mode": "sandbox",\n'
        '          "filesystem": "ext4",\n'
        '          "method": 1,\n'
        '          "order": "sequential",\n'
        '          "platform": "linux/amd64",\n'
        '          "storage_driver": "overlay2"\n'
        "        },\n"
        '        "image_id": null,\n'
        '        "inventory": null,\n'
        '        "metrics": {\n'
        '          "image_size": 1000000000,\n'
        '          "layers": 8\n'
        "        },\n"
        '        "recorded": "2026-02-01T10:00:00Z",\n'
        '        "stages": {},\n'
        '        "versions": null\n'
        "      }\n"
        "    ]\n"
        "  },\n"
        '  "schema_version": 1\n'
        "}\n"
    )


@pytest.mark.parametrize("length", range(1, len(WHOLE) - 2, 7))
def test_a_file_cut_off_anywhere_is_refused(length: int) -> None:
    error = refusal(WHOLE[:length].encode())
    assert error.file == FILE
    assert error.mend == MEND
    assert "cut off" in error.what or "is empty" in error.what


def test_a_cut_off_file_says_where_and_what_to_do() -> None:
    assert str(refusal(WHOLE[: WHOLE.index('"method"') + 12].encode())) == (
        f"{FILE}:12: this baseline is cut off in the middle: it ends inside the JSON\n  {MEND}"
    )


def test_other_versions_say_different_things() -> None:
    last = WHOLE.count("\n")
    newer = refusal(json.dumps(document(schema_version=2), indent=2).encode())
    older = refusal(json.dumps(document(schema_version=0), indent=2).encode())
    assert (newer.what, newer.line, newer.mend) == (
        "this baseline was written by a newer ci-budget: its format is version 2, and this one reads version 1",
        last - 1,
        f"Upgrade ci-budget to the release that wrote it. Or: {MEND}",
    )
    assert (older.what, older.line, older.mend) == (
        "this baseline was written by an older ci-budget: its format is version 0, and this one reads version 1 only",
        last - 1,
        MEND,
    )


@pytest.mark.parametrize(
    ("data", "said", "line"),
    [
        (b"", "this baseline is empty: it was cut off, or never written", None),
        (b" \n", "this baseline is empty: it was cut off, or never written", None),
        (b"\xff\xfe{}", "this baseline is no text in UTF-8", 1),
        (b"not json", "this baseline is no JSON: Expecting value", 1),
        (b"[]", "this is no baseline of ci-budget: it has no schema_version", 1),
        (b"null", "this is no baseline of ci-budget: it has no schema_version", 1),
        (b"{}", "this is no baseline of ci-budget: it has no schema_version", 1),
        (b'{"schema_version": "1"}', "this baseline's schema_version is no whole number", 1),
        (b'{"schema_version": true}', "this baseline's schema_version is no whole number", 1),
        (b'{"schema_version": 1, "schema_version": 1}',
         "this baseline cannot be read: the key 'schema_version' stands twice in one object", None),
        (b'{"schema_version": NaN}', "this baseline cannot be read: NaN is no number", None),
        (b"[" * 100_000, "this baseline cannot be read: it is nested too deeply", None),
        (b'{\n<<<<<<< HEAD\n"schema_version": 1\n=======\n"schema_version": 1\n>>>>>>> other\n}',
         "this baseline has merge conflict markers", 2),
        (WHOLE.encode() + b"{", "this baseline is no JSON: Extra data", 30),
        (b" " * 16_000_001, "this baseline is larger than 16,000,000 bytes and is not read", None),
    ],
)  # fmt: skip
def test_damaged_files(data: bytes, said: str, line: int | None) -> None:
    error = refusal(data)
    assert (error.what, error.mend) == (said, MEND)
    assert error.line == (WHOLE.count("\n") + 1 if line == 30 else line)


APP = ["images", "app", 0]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ([*APP, "metrics", "layers"], "8", "images.app[0].metrics.layers: Input should be a valid integer"),
        ([*APP, "metrics", "layers"], 8.5, "images.app[0].metrics.layers: Input should be a valid integer"),
        ([*APP, "metrics", "layers"], True, "images.app[0].metrics.layers: Input should be a valid integer"),
        ([*APP, "metrics", "layers"], None, "images.app[0].metrics.layers: Input should be a valid integer"),
        ([*APP, "metrics", "layers"], -1, "images.app[0].metrics.layers: Input should be greater than or equal to 0"),
        ([*APP, "metrics", "layers"], 2**63, "images.app[0].metrics.layers: Input should be less than or equal to"),
        ([*APP, "metrics"], [], "images.app[0].metrics: Input should be an object"),
        ([*APP, "surprise"], 1, "images.app[0].surprise: Extra inputs are not permitted"),
        ([*APP, "fingerprint", "disk_mode"], "moon", "images.app[0].fingerprint.disk_mode: Input should be 'sandbox'"),
        (["images"], [], "images: Input should be an object"),
        (["surprise"], 1, "surprise: Extra inputs are not permitted"),
    ],
)
def test_values_of_other_kinds_name_their_place_and_line(place: list[Any], value: Any, said: str) -> None:
    data = damaged(place, value)
    error = refusal(data)
    assert error.what.startswith(f"this baseline has values that ci-budget never writes: {said}")
    lines = data.decode().splitlines()
    assert error.line is not None
    assert f'"{place[-1]}"' in lines[error.line - 1]


def test_a_metric_that_does_not_exist() -> None:
    error = refusal(damaged([*APP, "metrics", "peak_dsk"], 1))
    assert error.what == "the baseline of the image 'app' has a metric that ci-budget does not know: peak_dsk"
    error = refusal(damaged([*APP, "stages", "builder", "context_size"], 1))
    assert error.what == (
        "the baseline of the stage 'builder' of the image 'app' has a metric that ci-budget does not know: context_size"
    )


def test_two_entries_for_one_setup() -> None:
    found = document()
    found["images"]["app"] *= 2
    error = refusal(json.dumps(found, indent=2).encode())
    assert error.what == (
        "the image 'app' has two baseline entries for the same setup "
        "(linux/amd64, sandbox, overlay2, ext4 (4096), sequential, cold, method 1)"
    )
    assert error.line == 33


def test_the_nearest_comparable_entry_counts() -> None:
    here = entry({"image_size": 1}, recorded="2026-01-01T00:00:00Z")
    host = entry({"image_size": 2}, recorded="2026-03-01T00:00:00Z", at=fingerprint(disk_mode="host"))
    later = entry({"image_size": 3}, recorded="2026-04-01T00:00:00Z", at=fingerprint(disk_mode="host", method=2))
    arm = entry({"peak_disk": 4}, at=fingerprint(platform="linux/arm64"))
    entries = [arm, later, host, here]

    def value(metric: str, **now: Any) -> int | tuple[str, ...] | None:
        match = find_entry(entries, fingerprint(**now), metric)
        return None if match is None else match.differs or match.value

    assert value("image_size") == 1
    assert value("image_size", disk_mode="host") == 2
    assert value("image_size", disk_mode="remote") == 2, "one field differs: the one recorded last"
    assert value("image_size", platform="linux/arm64") is None, "an entry of this platform has no image_size"
    assert value("peak_disk", platform="linux/s390x") == ("platform",)
    assert value("peak_disk") is None
    assert value("layers") is None


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert read_baseline(tmp_path) == Baseline()
    assert read_baseline(tmp_path, Path("none")) == Baseline()
    with pytest.raises(ConfigError, match=re.escape(f"there is no baseline file {tmp_path}/other.json")):
        read_baseline(tmp_path, tmp_path / "other.json")


@pytest.mark.parametrize("kind", ["folder", "dangling", "device"])
def test_a_baseline_that_is_no_file_is_no_empty_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere" if kind == "dangling" else "/dev/null")
    with pytest.raises(ConfigError):
        read_baseline(tmp_path)


def _add(path: Path, name: str) -> None:
    change_baseline(path, lambda before: Baseline(images={**before.images, name: [entry()]}))


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE
    second = threading.Thread(target=_add, args=(path, "second"))

    def change(before: Baseline) -> Baseline:
        second.start()
        second.join(0.3)  # it would be done by now if it did not have to wait
        return Baseline(images={**before.images, "first": [entry()]})

    change_baseline(path, change)
    second.join(60)
    assert sorted(read_baseline(tmp_path).images) == ["first", "second"]
    assert [file.name for file in path.parent.iterdir()] == ["baseline.json"]


def test_a_change_that_fails_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    _add(path, "app")
    before = path.read_bytes()

    def fail(_: Baseline) -> Baseline:
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        change_baseline(path, fail)
    path.write_bytes(before[:-9])
    with pytest.raises(ConfigError, match="cut off"):
        _add(path, "other")
    assert path.read_bytes() == before[:-9]


def report(*images: ImageReport, **changes: Any) -> Report:
    options = GateOptions(**changes)
    return judge_run(list(images), started=STARTED, commit="f" * 40, options=options)


def judged(image: ImageReport | None = None, **held: Any) -> ImageReport:
    return judge_image(image or measured(), limits=limits(**held), baselines=[], options=GateOptions())


def said(before: Baseline, found: Report, *raised: str) -> list[tuple[str | None, str, str, int | None]]:
    _, changes = accept_report(before, found, raise_metrics=raised)
    return [(change.stage, change.metric, change.kind, change.after) for change in changes]


def test_a_first_report_is_recorded_whole() -> None:
    image = judged(
        measured(image_id="sha256:1", stages=[stage(peak_disk=GB, build_seconds=3), stage("no", 1, reached=False)])
    )
    after, changes = accept_report(Baseline(), report(image))
    assert after.images == {
        "app": [
            entry(stages={"builder": {"peak_disk": GB}}, recorded=STARTED).model_copy(
                update={"commit": "f" * 40, "image_id": "sha256:1"}
            )
        ]
    }
    assert {change.kind for change in changes} == {"added"}


def test_lower_values_are_accepted_and_higher_ones_only_when_named() -> None:
    before = baseline(entry({"peak_disk": 4 * GB, "image_size": 3 * GB, "layers": 7, "context_size": 400_000}))
    found = report(judged())
    kept = [
        (None, "peak_disk", "kept", 4 * GB),
        (None, "image_size", "lowered", 2 * GB),
        (None, "layers", "kept", 7),
        (None, "context_size", "same", 400_000),
    ]
    assert said(before, found) == kept
    raised = said(before, found, "peak_disk")
    assert raised == [(None, "peak_disk", "raised", 5 * GB), *kept[1:]]
    after, _ = accept_report(before, found)
    assert after.images["app"][0].metrics == {
        "peak_disk": 4 * GB,
        "image_size": 2 * GB,
        "layers": 7,
        "context_size": 400_000,
    }


def test_stages_follow_the_same_rule() -> None:
    before = baseline(entry(stages={"builder": {"peak_disk": GB, "layers": 3}, "gone": {"layers": 1}}))
    found = report(judged(measured(stages=[stage(peak_disk=2 * GB, layers=2), stage("new", 1, layers=1)])))
    stages = [change for change in said(before, found) if change[0] is not None]
    assert stages == [
        ("builder", "peak_disk", "kept", GB),
        ("builder", "layers", "lowered", 2),
        ("new", "layers", "added", 1),
        ("gone", "layers", "dropped", None),
    ]
    after, _ = accept_report(before, found, raise_metrics=["peak_disk"])
    assert after.images["app"][0].stages == {"builder": {"peak_disk": 2 * GB, "layers": 2}, "new": {"layers": 1}}


def test_another_setup_gets_an_entry_of_its_own() -> None:
    before = baseline(entry())
    found = report(judged(measured(fingerprint=fingerprint(disk_mode="host"))))
    after, _ = accept_report(before, found)
    assert [found.fingerprint.disk_mode for found in after.images["app"]] == ["sandbox", "host"]


def test_nothing_new_changes_nothing() -> None:
    before = baseline(entry())
    after, changes = accept_report(before, report(judged()))
    assert after == before
    assert {change.kind for change in changes} == {"same"}


def test_a_value_that_was_not_measured_and_not_gated_stays() -> None:
    before = baseline(entry())
    image = judge_image(
        measured(metrics=metrics(peak_disk=None), fingerprint=SANDBOX),
        limits=limits(disabled=("peak_disk",)),
        baselines=[],
        options=GateOptions(),
    )
    assert said(before, report(image))[0] == (None, "peak_disk", "unmeasured", 5 * GB)


def test_a_failed_gate_may_be_accepted() -> None:
    image = judged(budgets={"image_size": MB})
    assert image.exit_code == 1
    assert said(Baseline(), report(image))[1] == (None, "image_size", "added", 2 * GB)


FAILED = Failure(kind="ceiling", message="RUN fill hit the ceiling")
SMOKE = SmokeReport(command=["true"], passed=False, exit_code=1, seconds=1, gpu="off", message="")
UNMEASURED = measured(metrics=metrics(peak_disk=None))
OVER_BUDGET = {"budgets": {"image_size": MB, "peak_disk": GB}}


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (report(judged(UNMEASURED, budgets={"peak_disk": GB})),
         "this run ended with exit 3 (not-measured): its values are no baseline"),
        (report(judged(measured(failure=Failure(kind="build", message="no")))),
         "this run ended with exit 4 (build-failed): its values are no baseline"),
        (report(), "this run ended with exit 3 (not-measured): its values are no baseline"),
        (report(judged(UNMEASURED, **OVER_BUDGET)), "the image 'app' gives no baseline: peak_disk was not measured"),
        (report(judged(measured(failure=FAILED))), "the image 'app' gives no baseline: RUN fill hit the ceiling"),
        (report(judged(measured(failure=FAILED)), exit_zero=True),
         "the image 'app' gives no baseline: RUN fill hit the ceiling"),
        (report(judged(measured(smoke=SMOKE))), "the image 'app' gives no baseline: its smoke test failed"),
        (report(judged(measured("bad", metrics=metrics(layers=None)), budgets={"layers": 1}),
                judged(budgets={"image_size": MB})),
         "the image 'bad' gives no baseline: layers was not measured"),
        (report(judged(measured(fingerprint=None))),
         "the image 'app' gives no baseline: the report does not say where it was built"),
    ],
)  # fmt: skip
def test_reports_that_give_no_baseline(found: Report, refused: str) -> None:
    with pytest.raises(ConfigError) as caught:
        accept_report(baseline(entry()), found)
    assert caught.value.what == refused


def test_a_metric_to_raise_must_exist() -> None:
    with pytest.raises(ConfigError, match="'image-sise' is no metric of a baseline; did you mean 'image_size'"):
        accept_report(Baseline(), report(judged()), raise_metrics=["image-sise"])
