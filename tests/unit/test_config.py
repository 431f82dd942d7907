"""What a config resolves to: typed values, defaults, and who wins where a limit is given twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ci_budget.core.config.limits import Budgets, StageBudgets, StageTolerances, Tolerances
from ci_budget.core.config.model import Config
from ci_budget.core.config.names import Secret, joined_path, read_secret
from ci_budget.core.records.metrics import METRIC_NAMES, STAGE_METRIC_NAMES
from ci_budget.core.text.units import Tolerance


def config_of(image: dict[str, Any] | None = None, **rest: Any) -> Config:
    return Config.model_validate({"version": 1, "images": {"web": image or {}}, **rest})


def test_defaults() -> None:
    config = config_of()
    web = config.images["web"]
    assert (web.context_path, web.dockerfile_path, web.target) == (".", "Dockerfile", None)
    assert (web.timeout, web.network, web.frontend, web.platform) == (7200, "default", "auto", None)
    assert (config.disk.mode, config.disk.reserve, config.disk.free_factor) == ("auto", 5_000_000_000, 2)
    assert (config.disk.order, config.disk.seeds_limit) == ("sequential", 20_000_000_000)
    assert (config.limits_from, config.require_baseline) == ("base", False)
    assert config.gate_warm == ["image_size", "layers", "context_size"]
    assert config.warn_share_of("web") is None
    assert {metric: config.tolerance_of("web", metric) for metric in METRIC_NAMES} == {
        "peak_disk": Tolerance(percent=Decimal(2)),
        "image_size": Tolerance(percent=Decimal(1)),
        "layers": Tolerance(),
        "context_size": Tolerance(percent=Decimal(5)),
        "compressed_size": None,
        "peak_inodes": None,
        "build_seconds": None,
        "wasted_bytes": None,
    }


def test_every_metric_may_have_limits() -> None:
    assert tuple(Budgets.model_fields) == METRIC_NAMES
    assert tuple(Tolerances.model_fields) == METRIC_NAMES
    assert tuple(StageBudgets.model_fields) == STAGE_METRIC_NAMES
    assert tuple(StageTolerances.model_fields) == STAGE_METRIC_NAMES


@pytest.mark.parametrize(
    ("metric", "written", "value"),
    [
        ("peak_disk", "15GB", 15_000_000_000),
        ("image_size", "15GiB", 16_106_127_360),
        ("context_size", "0.4MB", 400_000),
        ("wasted_bytes", 0, 0),
        ("layers", "10", 10),
        ("peak_inodes", 500_000, 500_000),
        ("build_seconds", "1h30m", 5400),
        ("build_seconds", "90", 90),
        ("compressed_size", "off", "off"),
        ("layers", False, "off"),
    ],
)
def test_budgets_are_typed(metric: str, written: object, value: object) -> None:
    assert config_of({"budgets": {metric: written}}).budget_of("web", metric) == value


@pytest.mark.parametrize(
    ("metric", "written", "value"),
    [
        ("peak_disk", "2.5%", Tolerance(percent=Decimal("2.5"))),
        ("peak_disk", "10MB", Tolerance(amount=10_000_000)),
        ("peak_disk", ["2%", "10MB"], Tolerance(percent=Decimal(2), amount=10_000_000)),
        ("peak_disk", ["2%", "3%", 5], Tolerance(percent=Decimal(3), amount=5)),
        ("layers", "1", Tolerance(amount=1)),
        ("build_seconds", ["10%", "30s"], Tolerance(percent=Decimal(10), amount=30)),
        ("image_size", "off", "off"),
    ],
)
def test_tolerances_are_typed(metric: str, written: object, value: object) -> None:
    assert config_of({"tolerance": {metric: written}}).tolerance_of("web", metric) == value


def test_the_nearest_tolerance_wins() -> None:
    config = config_of(
        {
            "tolerance": {"image_size": "3%"},
            "stages": {"own": {"tolerance": {"image_size": "4%", "added_disk": "5%"}}, "bare": {}},
        },
        defaults={"tolerance": {"image_size": "2%", "peak_disk": "7%"}},
    )
    found = {
        (stage, metric): config.tolerance_of("web", metric, stage)
        for stage in (None, "own", "bare", "unnamed")
        for metric in ("image_size", "peak_disk")
    }
    percents = {place: one.percent if isinstance(one, Tolerance) else None for place, one in found.items()}
    assert percents == {
        (None, "image_size"): 3,
        (None, "peak_disk"): 7,
        ("own", "image_size"): 4,
        ("own", "peak_disk"): 7,
        ("bare", "image_size"): 3,
        ("bare", "peak_disk"): 7,
        ("unnamed", "image_size"): 3,
        ("unnamed", "peak_disk"): 7,
    }
    assert config.tolerance_of("web", "added_disk", "own") == Tolerance(percent=Decimal(5))
    assert config.tolerance_of("web", "added_disk", "bare") is None


@pytest.mark.parametrize(
    ("image", "stage", "disabled"),
    [
        ({}, None, False),
        ({"budgets": {"peak_disk": "off"}}, None, True),
        ({"tolerance": {"peak_disk": "off"}}, None, True),
        ({"budgets": {"peak_disk": "1GB"}, "tolerance": {"peak_disk": "off"}}, None, False),
        ({"budgets": {"peak_disk": "off"}, "tolerance": {"peak_disk": "2%"}}, None, True),
        ({"budgets": {"peak_disk": "off"}}, "builder", True),
        ({"tolerance": {"peak_disk": "off"}}, "builder", True),
        ({"budgets": {"peak_disk": "off"}, "stages": {"builder": {"budgets": {"peak_disk": 1}}}}, "builder", False),
        (
            {"budgets": {"peak_disk": "off"}, "stages": {"builder": {"tolerance": {"peak_disk": "1%"}}}},
            "builder",
            False,
        ),
        ({"budgets": {"peak_disk": "1GB"}, "stages": {"builder": {"budgets": {"peak_disk": "off"}}}}, "builder", True),
        ({"stages": {"builder": {"tolerance": {"peak_disk": "off"}}}}, "builder", True),
    ],
)
def test_off_takes_a_metric_out_of_the_gate(image: dict[str, Any], stage: str | None, disabled: bool) -> None:
    assert config_of(image).is_disabled("web", "peak_disk", stage) is disabled


def test_off_in_the_defaults_is_overruled_by_the_image() -> None:
    config = config_of({"tolerance": {"layers": "1"}}, defaults={"tolerance": {"layers": "off", "image_size": "off"}})
    assert not config.is_disabled("web", "layers")
    assert config.is_disabled("web", "image_size")


@pytest.mark.parametrize(
    ("image", "disk", "budget"),
    [
        ({}, {}, None),
        ({}, {"budget": "25GB"}, 25_000_000_000),
        ({"disk": {"budget": "10GB"}}, {"budget": "25GB"}, 10_000_000_000),
        ({"budgets": {"peak_disk": "15GB"}}, {"budget": "25GB"}, 25_000_000_000),
        ({"budgets": {"peak_disk": "15GB"}}, {}, 15_000_000_000),
        ({"budgets": {"peak_disk": "15GB"}, "stages": {"b": {"budgets": {"peak_disk": "16GB"}}}}, {}, 15_000_000_000),
        ({"stages": {"b": {"budgets": {"peak_disk": "16GB"}}}}, {}, None),
        ({"budgets": {"peak_disk": "off"}}, {}, None),
        ({"budgets": {"peak_disk": 0}}, {}, None),
    ],
)
def test_disk_budget(image: dict[str, Any], disk: dict[str, Any], budget: int | None) -> None:
    assert config_of(image, disk=disk).disk_budget_of("web") == budget


@pytest.mark.parametrize(
    ("default", "own", "share"),
    [(None, None, None), ("90%", None, 90), ("90%", "80%", 80), ("90%", "off", None), (None, "99.5%", Decimal("99.5"))],
)
def test_warn_share(default: str | None, own: str | None, share: Decimal | int | None) -> None:
    config = config_of({"warn_at": own} if own else {}, defaults={"warn_at": default} if default else {})
    assert config.warn_share_of("web") == share


def test_stage_names_count_without_case() -> None:
    config = config_of({"stages": {"Builder": {"budgets": {"layers": 3}}}})
    assert config.budget_of("web", "layers", "builder") == 3
    assert config.budget_of("web", "layers", "other") is None


@pytest.mark.parametrize(
    ("context", "dockerfile", "path"),
    [
        (".", "Dockerfile", "Dockerfile"),
        ("services/web", "Dockerfile", "services/web/Dockerfile"),
        ("services/web/", "../Dockerfile.web", "services/Dockerfile.web"),
        ("./a/../b", "./x//Dockerfile", "b/x/Dockerfile"),
    ],
)
def test_a_dockerfile_is_relative_to_its_context(context: str, dockerfile: str, path: str) -> None:
    assert config_of({"context": context, "dockerfile": dockerfile}).images["web"].dockerfile_path == path


@pytest.mark.parametrize("path", ["..", "a/../..", "./..", "a/b/../../../a"])
def test_no_path_leaves_the_root(path: str) -> None:
    with pytest.raises(ValueError, match="leaves the folder of the config"):
        joined_path(path)


@pytest.mark.parametrize(
    ("written", "flag"),
    [
        ("id=token", "id=token"),
        ("id=token,env=TOKEN", "id=token,env=TOKEN"),
        ("id=netrc,src=/home/me/.netrc", "id=netrc,src=/home/me/.netrc"),
        ("type=file,id=netrc,source=.netrc", "id=netrc,src=.netrc"),
    ],
)
def test_secrets(written: str, flag: str) -> None:
    assert read_secret(written).flag == flag


@pytest.mark.parametrize("written", ["env=TOKEN", "id=", "id=a b", "id=a,env=B,src=C", "id=a,mode=0400", "id=a,x", 5])
def test_no_secrets(written: object) -> None:
    with pytest.raises(ValueError, match="is not a secret; write id=NAME,env=VARIABLE or id=NAME,src=FILE"):
        read_secret(written)


def test_a_config_is_written_and_read_back() -> None:
    config = config_of(
        {
            "budgets": {"peak_disk": "15GB", "layers": "off"},
            "tolerance": {"image_size": ["1.5%", "10MB"], "layers": "off"},
            "stages": {"builder": {"tolerance": {"build_seconds": "30s"}}},
            "build_args": {"A": None, "B": "3.10"},
            "secrets": ["id=a,env=B"],
            "warn_at": "90%",
            "smoke": {"command": ["true"], "timeout": "3m"},
        },
        disk={"free_factor": "1.5", "budget": "20GB"},
        findings={"ignore": [{"rule": "apt-leftovers", "reason": "vendored", "until": "2027-01-31"}]},
    )
    assert config.images["web"].secrets == [Secret(id="a", env="B")]
    written = json.loads(config.model_dump_json(exclude_unset=True))
    assert Config.model_validate(written) == config
