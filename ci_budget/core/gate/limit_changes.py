"""What a pull request changes about its own limits: raised, removed, switched off, added, tightened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from ci_budget.core.config.model import Config
from ci_budget.core.gate.fingerprint import describe
from ci_budget.core.records.baseline import Baseline, BaselineEntry, same_setup
from ci_budget.core.records.report import METRIC_NAMES, STAGE_METRIC_NAMES, LimitChange, Unit, metric_unit
from ci_budget.core.text.units import Tolerance, format_distinct, format_value

Looser = Callable[[Any, Any], bool]
Texts = Callable[[Any, Any], tuple[str, str]]


def compare_limits(
    base_config: Config | None,
    head_config: Config | None,
    base_baseline: Baseline,
    head_baseline: Baseline,
    image: str,
) -> list[LimitChange]:
    """Every limit of `image` that differs between base and head, in the order of the config.

    A config or an image that one side lacks is one change: added (not loosened) or removed (loosened).
    """
    base = base_config if base_config is not None and image in base_config.images else None
    head = head_config if head_config is not None and image in head_config.images else None
    if base is None and head is None:
        return []
    if head is None:
        return [LimitChange(path=f"images.{image}", base="gated", head=None, loosened=True)]
    if base is None:
        return [LimitChange(path=f"images.{image}", base=None, head="new", loosened=False)]
    return [
        *_config_changes(base, head, image),
        *_baseline_changes(base_baseline.entries(image), head_baseline.entries(image), image),
    ]


def compare_run_limits(base_config: Config | None, head_config: Config | None) -> list[LimitChange]:
    """What changes for the run as a whole: its switches, the host's reserve, release budgets, removed images."""
    if base_config is None:
        return []
    if head_config is None:
        return [LimitChange(path="the whole config", base="present", head=None, loosened=True)]
    found = [
        *_change("limits_from", base_config.limits_from, head_config.limits_from, _is_head),
        *_change("require_baseline", base_config.require_baseline, head_config.require_baseline, _is_switched_off),
        *_change("gate_warm", tuple(base_config.gate_warm), tuple(head_config.gate_warm), _lacks_some, _list_text),
        *_change("disk.reserve", base_config.disk.reserve, head_config.disk.reserve, _is_lower, _size_text),
        *_change("disk.free_factor", base_config.disk.free_factor, head_config.disk.free_factor, _is_lower),
    ]
    for image in sorted(set(base_config.images) - set(head_config.images)):
        found.append(LimitChange(path=f"images.{image}", base="gated", head=None, loosened=True))
    for image, metric in _release_metrics(base_config, head_config):
        then, now = (_release_budget(config, image, metric) for config in (base_config, head_config))
        path = f"release.budgets.{image}.{metric}"
        found.extend(_change(path, then, now, _is_weaker_budget, _amounts(metric_unit(metric))))
    return found


def _config_changes(base: Config, head: Config, image: str) -> Iterator[LimitChange]:
    yield from _change(
        f"images.{image}.disk.budget",
        _given_disk_budget(base, image),
        _given_disk_budget(head, image),
        _is_weaker_budget,
        _size_text,
    )
    share = f"images.{image}.warn_at"
    yield from _change(share, base.warn_share_of(image), head.warn_share_of(image), _is_weaker_share, _percent_text)
    yield from _change(
        f"images.{image}.smoke", base.images[image].smoke, head.images[image].smoke, _is_removed_or_other, _smoke_text
    )
    stages = {name.lower(): name for config in (base, head) for name in config.images[image].stages}
    for stage in (None, *sorted(stages)):
        owner = f"images.{image}" if stage is None else f"images.{image}.stages.{stages[stage]}"
        for metric in METRIC_NAMES if stage is None else STAGE_METRIC_NAMES:
            texts = _amounts(metric_unit(metric))
            budget, new_budget = (config.budget_of(image, metric, stage) for config in (base, head))
            yield from _change(f"{owner}.budgets.{metric}", budget, new_budget, _is_weaker_budget, texts)
            pair = [config.tolerance_of(image, metric, stage) for config in (base, head)]
            if stage is not None and pair == [config.tolerance_of(image, metric) for config in (base, head)]:
                continue  # the stage follows its image, which is listed
            yield from _change(
                f"{owner}.tolerance.{metric}", pair[0], pair[1], _is_weaker_tolerance, _tolerances(metric)
            )


def _given_disk_budget(config: Config, image: str) -> int | None:
    return config.images[image].disk.budget or config.disk.budget


def _baseline_changes(
    base: Sequence[BaselineEntry], head: Sequence[BaselineEntry], image: str
) -> Iterator[LimitChange]:
    single = len(base) <= 1 and len(head) <= 1
    fingerprints = [entry.fingerprint for entry in base]
    fingerprints += [entry.fingerprint for entry in head if entry.fingerprint not in fingerprints]
    for fingerprint in fingerprints:
        then, now = same_setup(base, fingerprint), same_setup(head, fingerprint)
        before, after = _values(then), _values(now)
        setup = "" if single and then is not None and now is not None else f" ({describe(fingerprint)})"
        for name in [*before, *(name for name in after if name not in before)]:
            texts = _amounts(metric_unit(name.rpartition(".")[2]))
            path = f"baseline of {image}: {name}{setup}"
            yield from _change(path, before.get(name), after.get(name), _is_weaker_budget, texts)


def _values(entry: BaselineEntry | None) -> dict[str, int]:
    if entry is None:
        return {}
    stages = {f"{stage}.{name}": value for stage, values in entry.stages.items() for name, value in values.items()}
    return entry.metrics | stages


def _release_metrics(*configs: Config) -> list[tuple[str, str]]:
    images = sorted({image for config in configs for image in config.release.budgets})
    return [(image, metric) for image in images for metric in METRIC_NAMES]


def _release_budget(config: Config, image: str, metric: str) -> int | str | None:
    budgets = config.release.budgets.get(image)
    return None if budgets is None else budgets.of(metric)


def _plain_text(base: Any, head: Any) -> tuple[str, str]:
    return str(base).lower(), str(head).lower()


def _change(path: str, base: Any, head: Any, looser: Looser, texts: Texts = _plain_text) -> Iterator[LimitChange]:
    """The change from `base` to `head`, when there is one; None on either side: not set there."""
    if base == head:
        return
    before, after = texts(base, head)
    yield LimitChange(
        path=path,
        base=None if base is None else before,
        head=None if head is None else after,
        loosened=looser(base, head),
    )


def _amounts(unit: Unit) -> Texts:
    def text(base: Any, head: Any) -> tuple[str, str]:
        if isinstance(base, int) and isinstance(head, int):
            before, after = format_distinct([base, head], unit)
            return before, after
        before, after = (format_value(side, unit) if isinstance(side, int) else str(side) for side in (base, head))
        return before, after

    return text


_size_text = _amounts("bytes")


def _percent_text(base: Any, head: Any) -> tuple[str, str]:
    return f"{base} %", f"{head} %"


def _list_text(base: Any, head: Any) -> tuple[str, str]:
    return ", ".join(base) or "none", ", ".join(head) or "none"


def _smoke_text(base: Any, head: Any) -> tuple[str, str]:
    before, after = ("" if side is None else f"{' '.join(side.command)} (gpu {side.gpu})" for side in (base, head))
    return before, after


def _tolerances(metric: str) -> Texts:
    def one(side: Any) -> str:
        if not isinstance(side, Tolerance):
            return str(side)
        amount = format_value(side.amount, metric_unit(metric))
        parts = [f"{side.percent:f} %"] if side.percent else []
        return " or ".join([*parts, *([amount] if side.amount or not parts else [])])

    return lambda base, head: (one(base), one(head))


def _is_lower(base: int | Decimal, head: int | Decimal) -> bool:
    return head < base


def _is_head(_: str, head: str) -> bool:
    return head == "head"


def _is_switched_off(_: bool, head: bool) -> bool:
    return not head


def _lacks_some(base: tuple[str, ...], head: tuple[str, ...]) -> bool:
    return bool(set(base) - set(head))


def _is_removed_or_other(base: object, _: object) -> bool:
    return base is not None


def _is_weaker_budget(base: int | str | None, head: int | str | None) -> bool:
    if not isinstance(base, int):
        return head == "off"
    return not isinstance(head, int) or head > base


def _is_weaker_share(base: Decimal | None, head: Decimal | None) -> bool:
    return base is not None and (head is None or head > base)


def _is_weaker_tolerance(base: Tolerance | str | None, head: Tolerance | str | None) -> bool:
    if not isinstance(base, Tolerance):
        return False
    return not isinstance(head, Tolerance) or head.percent > base.percent or head.amount > base.amount
