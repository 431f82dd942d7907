"""What goes and in which order, and what never does."""

from __future__ import annotations

from ci_budget.core.prune_plan import (
    CacheEntry,
    PruneKind,
    PruneRules,
    PruneStep,
    Stock,
    StoredImage,
    expected_steps,
    is_needed,
    plan_steps,
)

HOUR = 3600
NOW = 10_000 * HOUR


def image(ident: str, *names: str, hours: int = 500, in_use: bool = False, size: int = 10) -> StoredImage:
    return StoredImage(id=ident, names=names, size=size, last_used=NOW - hours * HOUR, in_use=in_use)


def cache(ident: str, hours: int, *, size: int = 100, in_use: bool = False, shared: bool = False) -> CacheEntry:
    return CacheEntry(id=ident, size=size, last_used=NOW - hours * HOUR, in_use=in_use, shared=shared)


STOCK = Stock(
    leftovers=(("sandbox 1a2b3c4d", 7),),
    seeds={"old-seed-of-32-characters": 30, "new": 40},
    cache=[cache("a", 72), cache("b", 600), cache("c", 71), cache("d", 600, in_use=True), cache("e", 600, shared=True)],
    images=[
        image("sha256:app", "app:1", "app:2", hours=200),
        image("sha256:older", "older:1", hours=300),
        image("sha256:fresh", "fresh:1", hours=167),
        image("sha256:running", "running:1", in_use=True),
        image("sha256:base", "python:3.11-slim", hours=100),
        image("sha256:dangling0123456789"),
        image("sha256:held", in_use=True),
        image("sha256:ours", "ci-budget.local/image-web:measured"),
        image("sha256:ours-running", "ci-budget.local/image-api:measured", in_use=True),
        image("sha256:ours-and-theirs", "ci-budget.local/image-web:x", "web:1", hours=1),
    ],
    engine_disk="/var/lib/docker",
    state_disk="/",
)
ENGINE = PruneRules(engine=True, protected=frozenset({"sha256:base"}))


def labels(rules: PruneRules, stock: Stock = STOCK) -> list[tuple[str, str]]:
    return [(step.kind.value, step.label) for step in plan_steps(stock, rules, now=NOW)]


def test_without_engine_only_our_own_goes() -> None:
    assert labels(PruneRules(bases=True)) == [
        ("leftovers", "sandbox 1a2b3c4d"),
        ("leftovers", "ci-budget.local/image-web:measured"),
        ("leftovers", "ci-budget.local/image-api:measured"),
        ("leftovers", "ci-budget.local/image-web:x"),
        ("seeds", "seed old-seed-of-"),
        ("seeds", "seed new"),
    ]


def test_our_name_on_an_image_of_others_goes_and_the_image_stays() -> None:
    steps = plan_steps(STOCK, PruneRules(), now=NOW)
    (shared,) = [step for step in steps if step.key == "sha256:ours-and-theirs"]
    assert (shared.names, shared.size) == (("ci-budget.local/image-web:x",), 0)


def test_with_engine_everything_old_goes_in_order_and_bases_stay() -> None:
    assert labels(ENGINE)[6:] == [
        ("build cache", "2 records unused for 576h or longer"),
        ("build cache", "1 record unused for 72h or longer"),
        ("dangling images", "dangling0123"),
        ("unused images", "older:1"),
        ("unused images", "app:1, app:2"),
    ]


def test_bases_go_last_and_only_when_asked() -> None:
    asked = PruneRules(engine=True, bases=True, protected=frozenset({"sha256:base"}))
    assert labels(asked)[-2:] == [("unused images", "app:1, app:2"), ("base images", "python:3.11-slim")]
    in_use = Stock(seeds={}, images=[image("sha256:base", "python:3", in_use=True)], state_disk="/")
    assert labels(asked, in_use) == []


def test_a_dangling_base_is_a_base() -> None:
    stock = Stock(seeds={}, images=[image("sha256:base")], state_disk="/")
    assert labels(ENGINE, stock) == []


def test_patterns_keep_images_whatever_their_age() -> None:
    rules = PruneRules(engine=True, protected=ENGINE.protected, keep=("app:*", "*/python:*"))
    assert ("unused images", "older:1") in labels(rules)
    assert ("unused images", "app:1, app:2") not in labels(rules)


def test_ages_can_be_nought() -> None:
    rules = PruneRules(engine=True, cache_older=0, unused_older=0, protected=ENGINE.protected)
    assert labels(rules)[6] == ("build cache", "4 records unused for 0h or longer")
    assert ("unused images", "fresh:1") in labels(rules)


def test_shared_cache_frees_nothing_and_cache_in_use_is_not_counted() -> None:
    steps = [step for step in plan_steps(STOCK, ENGINE, now=NOW) if step.kind is PruneKind.CACHE]
    assert [(step.key, step.size, step.disk) for step in steps] == [
        (str(576 * HOUR), 100, "/var/lib/docker"),
        (str(72 * HOUR), 100, "/var/lib/docker"),
    ]


def step(kind: PruneKind, size: int, disk: str = "/") -> PruneStep:
    return PruneStep(kind=kind, key=str(size), label=str(size), size=size, disk=disk)


def test_a_target_ends_the_list_and_leftovers_always_go() -> None:
    steps = (step(PruneKind.LEFTOVERS, 1), step(PruneKind.SEEDS, 5), step(PruneKind.SEEDS, 6), step(PruneKind.CACHE, 9))
    assert expected_steps(steps, {"/": 100}, None) == steps
    assert expected_steps(steps, {"/": 100}, 100) == steps[:1]
    assert expected_steps(steps, {"/": 100}, 106) == steps[:2]
    assert expected_steps(steps, {"/": 100}, 107) == steps[:3]


def test_each_filesystem_has_its_own_need() -> None:
    steps = (step(PruneKind.SEEDS, 50, "/"), step(PruneKind.CACHE, 50, "/data"))
    assert expected_steps(steps, {"/": 10, "/data": 100}, 60) == steps[:1]
    assert is_needed(steps[1], {"/data": 59}, 60)
    assert not is_needed(steps[1], {"/data": 60}, 60)
