"""Which images a change touches."""

from __future__ import annotations

import json

import pytest

from ci_budget.core.plan import Sources, plan_all, plan_change, render_json, render_outputs, render_text

IMAGES = [
    Sources(
        name="api",
        folders={"services/api": "its context"},
        files={"docker/api.Dockerfile": "its Dockerfile", "docker/api.Dockerfile.dockerignore": "its ignore file"},
        ignored=lambda path: path.startswith("services/api/docs/"),
    ),
    Sources(
        name="web",
        folders={"services/web": "its context"},
        whole_folders={"libs/shared": "its context 'shared'"},
        files={"services/web/Dockerfile": "its Dockerfile", "services/web/.dockerignore": "its ignore file"},
    ),
]
SHARED = {"ci-budget.yml": "the config", ".ci-budget": "the accepted values"}
BASE = "b" * 40


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ([], [None, None]),
        (["README.md", "services/apis/x", "services/other/api/x", "docker/web.Dockerfile"], [None, None]),
        (["services/api/main.py"], ["services/api/main.py changed (in its context)", None]),
        (["services/api/docs/a.md"], [None, None]),
        (["services/api/docs/a.md", "services/api/b"], ["services/api/b changed (in its context)", None]),
        (["docker/api.Dockerfile"], ["docker/api.Dockerfile changed (its Dockerfile)", None]),
        (
            ["docker/api.Dockerfile.dockerignore"],
            ["docker/api.Dockerfile.dockerignore changed (its ignore file)", None],
        ),
        (["services/web/.dockerignore"], [None, "services/web/.dockerignore changed (its ignore file)"]),
        (["libs/shared/a"], [None, "libs/shared/a changed (in its context 'shared')"]),
        # a folder that is a submodule, or has become a link
        (["services"], ["services changed (its context lies in it)", "services changed (its Dockerfile lies in it)"]),
        (["services/api"], ["services/api changed (its context)", None]),
        (["ci-budget.yml"], ["ci-budget.yml changed (the config)"] * 2),
        (
            [".ci-budget/baseline.json"],
            [".ci-budget/baseline.json changed (in the accepted values)"] * 2,
        ),
    ],
)
def test_what_a_change_touches(changed: list[str], reasons: list[str | None]) -> None:
    plan = plan_change(IMAGES, base=BASE, changed=changed, shared=SHARED)
    assert [image.reason for image in plan.images] == reasons


def test_a_context_at_the_root_is_touched_by_all_that_is_not_ignored() -> None:
    root = [Sources(name="all", folders={".": "its context"}, ignored=lambda path: path.endswith(".md"))]
    assert not plan_change(root, base=BASE, changed=["README.md"], shared=SHARED).touched
    assert plan_change(root, base=BASE, changed=["README.md", "x"], shared=SHARED).touched[0].reason == (
        "x changed (in its context)"
    )


def test_an_image_of_unknown_sources_is_always_touched() -> None:
    unknown = [Sources(name="far", folders={}, unknown="its context is not in the repository")]
    assert plan_change(unknown, base=BASE, changed=[], shared=SHARED).touched[0].reason == (
        "its context is not in the repository"
    )


def test_the_plan_as_text() -> None:
    plan = plan_change(IMAGES, base=BASE, changed=["services/web/a\n::error::b"], shared=SHARED)
    assert render_text(plan) == (
        "1 of 2 images to build since bbbbbbbbbbbb\n"
        "  build  web: services/web/a\\n::error::b changed (in its context)\n"
        "  skip   api: untouched\n"
    )


def test_the_plan_as_json_and_outputs() -> None:
    plan = plan_change(IMAGES, base=BASE, changed=["libs/shared/a"], shared=SHARED)
    assert json.loads(render_json(plan)) == {
        "base": BASE,
        "touched": ["web"],
        "untouched": ["api"],
        "matrix": {"include": [{"shard": "1", "image": "web"}]},
    }
    assert render_outputs(plan) == {
        "touched": "true",
        "images": "web",
        "matrix": '{"include": [{"shard": "1", "image": "web"}]}',
    }
    nothing = plan_change(IMAGES, base=BASE, changed=[], shared=SHARED)
    assert render_outputs(nothing) == {"touched": "false", "images": "", "matrix": '{"include": []}'}


def test_more_images_than_jobs_share_them() -> None:
    plan = plan_all([f"image-{number}" for number in range(1000)], base=None, reason="all")
    shards = json.loads(render_outputs(plan)["matrix"])["include"]
    names = [shard["image"].splitlines() for shard in shards]
    assert (len(shards), {len(group) for group in names}) == (256, {3, 4})
    assert sorted(name for group in names for name in group) == sorted(image.name for image in plan.touched)
    assert [shard["shard"] for shard in shards] == [str(number) for number in range(1, 257)]
    assert json.loads(render_json(plan_all("abc", base=None, reason="all"), shards=2))["matrix"] == {
        "include": [{"shard": "1", "image": "a\nc"}, {"shard": "2", "image": "b"}]
    }


def test_every_image_when_asked_for() -> None:
    plan = plan_all(["a", "b"], base=None, reason="every image was asked for")
    assert render_outputs(plan)["images"] == "a\nb"
    assert render_text(plan) == (
        "2 of 2 images to build\n  build  a: every image was asked for\n  build  b: every image was asked for\n"
    )
