"""Every rule on evidence made by hand: what it says in full, and where it must be silent.

The texts are in `golden/findings.txt`; CI_BUDGET_REGENERATE_GOLDEN=1 writes it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ci_budget.core.config.model import IgnoredFinding
from ci_budget.core.findings.all_rules import ALL, find_all
from ci_budget.core.findings.names import RULE_NAMES
from ci_budget.core.findings.rule import Evidence
from ci_budget.core.inventory.model import BaseRecord, Inventory, SameContent
from ci_budget.core.layers.model import Entry, Kind
from ci_budget.core.records.report import Base, Metrics, PeakMetric, StepReport, TimelinePoint
from ci_budget.edges.files.config_file import load_config
from ci_budget.edges.files.context_files import measure_context, read_ignore_rules
from ci_budget.edges.files.context_texts import read_program_texts
from tests.unit.finding_samples import MB, TODAY, Written, context, evidence, found, told

GOLDEN = Path(__file__).parent / "golden" / "findings.txt"
REGENERATE = os.environ.get("CI_BUDGET_REGENERATE_GOLDEN") == "1"  # before conftest clears the environment

PACKAGES = "opt/venv/lib/python3.11/site-packages"
LISTS: dict[str, Written] = {"var/lib/apt/lists/deb_main_Packages": 40 * MB}
COMPILER: dict[str, Written] = {
    "usr/lib/gcc/x86_64-linux-gnu/12/cc1": 30 * MB,
    "usr/bin/x86_64-linux-gnu-ld.bfd": 2 * MB,
    "usr/include/stdio.h": 3 * MB,
    "usr/lib/x86_64-linux-gnu/libc.a": 5 * MB,
    "usr/bin/git": 4 * MB,
}
DRIVERS = "/usr/local/cuda-12/lib64"
BIG: dict[str, Written] = {"opt/data": 60 * MB}


def one_run(
    command: str, files: dict[str, Written], base: dict[str, Written] | None = None, **parts: object
) -> Evidence:
    """A debian image with one RUN that wrote these files."""
    return evidence(f"FROM debian:12\nRUN {command}\n", {2: files}, base=base, **parts)


def two_steps(first: str, second: str, lower: dict[str, Written], upper: dict[str, Written]) -> Evidence:
    """A debian image with two steps."""
    return evidence(f"FROM debian:12\n{first}\n{second}\n", {2: lower, 3: upper})


def inventory(**parts: object) -> Inventory:
    """An inventory of nothing but these parts."""
    return Inventory.model_validate({"image_id": f"sha256:{1:064x}", "size": 0, **parts})


def twice() -> Evidence:
    """A large file that two steps bring."""
    same = SameContent(size=30 * MB, sha256="0" * 64, paths=["opt/b/lib.so", "opt/a/lib.so"])
    return evidence(
        "FROM debian:12\nCOPY a /opt/a\nCOPY b /opt/b\n",
        {2: {"opt/a/lib.so": 30 * MB}, 3: {"opt/b/lib.so": 30 * MB}},
        inventory=inventory(same_content=[same]),
    )


def folder_twice(*paths: str) -> Evidence:
    """A folder of small files that a COPY and a RUN bring."""
    same = SameContent(size=12 * MB, sha256="0" * 64, paths=sorted(paths), files=300)
    lower, upper = paths
    return evidence(
        "FROM debian:12\nCOPY a /opt/a\nRUN cp -r x y\n",
        {2: {f"{lower}one/f": 5 * MB}, 3: {f"{upper}one/f": 5 * MB}},
        inventory=inventory(same_content=[same]),
    )


def venv(*, peak_ms: int | None) -> Evidence:
    """A virtual environment copied between stages; the peak at a time, the copy's step from 2 to 3 seconds."""
    report: dict[str, object] = {}
    if peak_ms is not None:
        timeline = [TimelinePoint(t_ms=t, used=100 * MB) for t in (0, 1000, 2000, 3000, 4000)]
        timeline.append(TimelinePoint(t_ms=peak_ms, used=200 * MB))
        report = {
            "steps": [StepReport(name="copy", stage="stage-1", line=4, start_ms=2000, end_ms=3000)],
            "timeline": timeline,
            "metrics": Metrics(peak_disk=PeakMetric(unit="bytes", value=200 * MB, observed=200 * MB)),
        }
    return evidence(
        "FROM debian:12 AS builder\nRUN python3 -m venv /venv\nFROM debian:12\nCOPY --from=builder /venv /venv\n",
        {4: {"venv/pyvenv.cfg": 100, "venv/lib/python3.11/site-packages/x.so": 50 * MB}},
        report=report,
    )


def copied(folder: str, *files: str) -> Evidence:
    """A folder with installed packages that comes from another stage."""
    return evidence(
        f"FROM debian:12 AS builder\nRUN install\nFROM debian:12\nCOPY --from=builder {folder} {folder}\n",
        {4: dict.fromkeys(files, 50 * MB)},
    )


def peak(command: str, *, temporary: int, kept: int = 20 * MB) -> Evidence:
    """One RUN that keeps and gives back so much, on a base of 100 MB."""
    top = 100 * MB + kept + temporary
    return evidence(
        f"FROM debian:12\nRUN {command}\n",
        {2: {"opt/x": kept}},
        report={
            "steps": [StepReport(name="run", stage="stage-0", line=2, start_ms=10, end_ms=90, added=kept, peak=top)],
            "timeline": [
                TimelinePoint(t_ms=0, used=100 * MB),
                TimelinePoint(t_ms=50, used=top, steps=[0]),
                TimelinePoint(t_ms=100, used=100 * MB + kept),
            ],
            "metrics": Metrics(peak_disk=PeakMetric(unit="bytes", value=top, observed=top)),
        },
    )


SWEEPING = "FROM debian:12\nWORKDIR /app\nCOPY . .\nRUN pip install .\n"
TREE = {
    ".git/objects/pack/one.pack": 2 * MB,
    "app/main.py": 3000,
    "app/__pycache__/main.pyc": 40_000,
    "data/zones.csv": 600_000,
    "docs/guide.md": 30_000,
    "sprints_01/latency.csv": 50_000,
    "tests/test_main.py": 10_000,
    "pyproject.toml": 900,
    "README.md": 700,
}
TEXTS = {"app/main.py": "read('data/zones.csv')", "pyproject.toml": "[project]"}


def ballast(dockerfile: str = SWEEPING) -> Evidence:
    """A context with everything that a build does not need."""
    return evidence(dockerfile, {}, context=context(dockerfile, TREE, texts=TEXTS))


CASES: dict[str, Callable[[], Evidence]] = {
    "apt: lists and archives": lambda: one_run(
        "apt-get update && apt-get install -y curl",
        {**LISTS, "var/cache/apt/archives/curl.deb": 3 * MB, "usr/bin/curl": MB},
    ),
    "apt: update in a step of its own": lambda: two_steps(
        "RUN apt-get update", "RUN apt-get install -y curl", LISTS, {"usr/bin/curl": MB}
    ),
    "pip": lambda: one_run("pip install x", {"root/.cache/pip/http-v2/a/b/c/d/e/body": 9 * MB}),
    "pip, moved": lambda: one_run("pip install x", {"srv/pc/http-v2/a/0/1/2/f/a012f.body": 9 * MB}),
    "uv": lambda: one_run("uv pip install x", {"root/.cache/uv/archive-v0/x/y": 9 * MB}),
    "uv, moved": lambda: one_run("UV_CACHE_DIR=/c uv pip install x", {"c/archive-v0/x/y": 9 * MB}),
    "conda": lambda: one_run("conda install x", {"opt/conda/pkgs/x-1.conda": 9 * MB}),
    "npm": lambda: one_run("npm ci", {"root/.npm/_cacache/content-v2/x": 9 * MB}),
    "npm, moved": lambda: one_run("npm ci --cache /c", {"c/_cacache/content-v2/x": 9 * MB}),
    "yarn": lambda: one_run("yarn install", {"srv/.yarn/cache/x.zip": 9 * MB, "srv/yarn.lock": 9}),
    "apk": lambda: one_run("apk add curl", {"var/cache/apk/APKINDEX.1.tar.gz": 2 * MB}),
    "apt in a script": lambda: evidence(
        "FROM debian:12\nRUN <<EOF\napt-get update\napt-get install -y curl\nEOF\n", {2: LISTS}
    ),
    "uv, of another user and whole": lambda: one_run("uv sync", {"home/app/.cache/uv/wheels-v5/pypi/x": 9 * MB}),
    "conda, of a user": lambda: one_run("micromamba install x", {"home/app/.conda/pkgs/x.conda": 9 * MB}),
    "poetry, beside its environments": lambda: one_run(
        "poetry install",
        {"root/.cache/pypoetry/artifacts/a/x.whl": 9 * MB, "root/.cache/pypoetry/virtualenvs/x/lib/y.so": 50 * MB},
    ),
    "dnf by another name": lambda: one_run("microdnf install -y curl", {"var/cache/yum/x.solv": 9 * MB}),
    "go": lambda: one_run(
        "go build", {"root/go/pkg/mod/x@v1/x.go": 5 * MB, "root/.cache/go-build/0a/x-d": 4 * MB, "srv/app": MB}
    ),
    "cargo": lambda: one_run("cargo build", {"usr/local/cargo/git/db/x/pack": 9 * MB}),
    "ccache": lambda: one_run("make", {"root/.cache/ccache/0/x": 9 * MB, "root/.nv/ComputeCache/1/x": 5 * MB}),
    "compiler": lambda: one_run("apt-get install -y build-essential", COMPILER),
    "compiler, by name": lambda: one_run(
        "apt-get update && apt-get install -y gcc libc6-dev:amd64 curl cmake=3.1 && make", COMPILER
    ),
    "compiler of Alpine": lambda: one_run("apk add --no-cache build-base curl && make", COMPILER),
    "headers alone": lambda: one_run("apt-get install -y libssl-dev", {"usr/include/openssl/ssl.h": 3 * MB}),
    "weights": lambda: one_run(
        "python download_models.py",
        {"models/a.safetensors": 50 * MB, "m/pytorch_model.bin": 8 * MB, "srv/app.bin": 7 * MB},
    ),
    "weights in a hub's cache": lambda: one_run(
        "python -c 'load()'", {"root/.cache/huggingface/hub/models--a--b/blobs/0af": 50 * MB}
    ),
    "weights of Ollama": lambda: one_run("ollama pull x", {f"models/blobs/sha256-{'0a' * 32}": 50 * MB}),
    "weights copied": lambda: evidence("FROM debian:12\nCOPY m.onnx /m.onnx\n", {2: {"m.onnx": 5 * MB}}),
    "deleted": lambda: two_steps("RUN fetch", "RUN rm -rf /opt/data", BIG, {"opt/data": None}),
    "apt: lists deleted in a step of their own": lambda: two_steps(
        "RUN apt-get update", "RUN rm -rf /var/lib/apt/lists/*", LISTS, dict.fromkeys(LISTS)
    ),
    "deleted by the step that needs it": lambda: two_steps(
        "RUN fetch", "RUN unpack /opt/data && rm /opt/data", BIG, {"opt/data": None}
    ),
    "deleted steps later": lambda: evidence(
        "FROM debian:12\nRUN fetch\nRUN unpack\nRUN rm /opt/data\n", {2: BIG, 3: {"opt/y": 9}, 4: {"opt/data": None}}
    ),
    "deleted, copied before": lambda: two_steps("COPY data /opt/data", "RUN rm /opt/data", BIG, {"opt/data": None}),
    "moved in a later step": lambda: two_steps(
        "COPY data /opt/data", "RUN mv /opt/data /srv", BIG, {"opt/data": None, "srv/data": 60 * MB}
    ),
    "replaced by a file": lambda: two_steps(
        "RUN fetch", "RUN rm -r /opt/d && build /opt/d", {"opt/d/x": 9 * MB, "opt/d/y": 5 * MB}, {"opt/d": 9}
    ),
    "chmod": lambda: two_steps(
        "COPY x /opt/x", "RUN chmod -R 755 /opt", {"opt/x": (9 * MB, 0o644)}, {"opt/x": (9 * MB, 0o755)}
    ),
    "chmod of what a RUN wrote": lambda: two_steps(
        "RUN make", "RUN chmod 755 /opt/x", {"opt/x": (9 * MB, 0o644)}, {"opt/x": (9 * MB, 0o755)}
    ),
    "chmod of the base": lambda: one_run("chmod -R 777 /", {"bin/sh": (4 * MB, 0o777)}),
    "overwritten": lambda: two_steps("RUN make", "RUN make again", BIG, {"opt/data": 61 * MB}),
    "overwritten in the base": lambda: one_run("apt-get upgrade", {"bin/sh": 51 * MB}, base={"bin/sh": 50 * MB}),
    "same content": twice,
    "CUDA twice": lambda: one_run(
        "pip install torch",
        {f"{PACKAGES}/nvidia/cublas/lib/libcublas.so.12": 90 * MB},
        base={f"{DRIVERS[1:]}/libcublas.so.12.1": 80 * MB, f"{DRIVERS[1:]}/libnpp.so": 9 * MB},
    ),
    "CUDA twice, wheels anywhere": lambda: one_run(
        "pip install --target /app torch",
        {"app/nvidia/cublas/lib/libcublas.so.12": 90 * MB},
        base={f"{DRIVERS[1:]}/libcublas.so.12.1": 80 * MB},
    ),
    "static libraries": lambda: one_run("pip install x", {f"{PACKAGES}/x/lib/libx.a": 9 * MB}),
    "test suites": lambda: one_run("pip install x", {f"{PACKAGES}/x/tests/data.py": 9 * MB}),
    "byte code": lambda: one_run("pip install x", {f"{PACKAGES}/x/__pycache__/x.cpython-311.pyc": 9 * MB}),
    "a folder that comes twice": lambda: folder_twice("opt/a/", "opt/b/"),
    "an environment that comes twice": lambda: folder_twice("opt/a/lib/site-packages/", "opt/b/lib/site-packages/"),
    "a package in two environments": lambda: folder_twice("opt/a/site-packages/x/", "opt/b/site-packages/x/"),
    "venv": lambda: venv(peak_ms=None),
    "venv, its packages alone": lambda: copied(
        "/usr/local/lib/python3.11/site-packages", "usr/local/lib/python3.11/site-packages/x.so"
    ),
    "venv, a user's packages": lambda: copied("/root/.local", "root/.local/lib/python3.11/site-packages/x.so"),
    "venv, in a folder": lambda: copied("/app", "app/.venv/lib/python3.11/site-packages/x.so", "app/.venv/pyvenv.cfg"),
    "venv at the peak": lambda: venv(peak_ms=2500),
    "venv before the peak": lambda: venv(peak_ms=3500),
    "temporary files of pip": lambda: peak("pip install torch", temporary=80 * MB),
    "temporary files of a download": lambda: peak("curl -o x.tgz URL && tar xf x.tgz && rm x.tgz", temporary=80 * MB),
    "temporary files of anything": lambda: peak("make", temporary=80 * MB),
    "context": ballast,
    "context, files no COPY uses": lambda: ballast("FROM debian:12\nCOPY app pyproject.toml /app/\n"),
    "steps": lambda: evidence(
        "FROM debian:12\nRUN one\nRUN two\nRUN rm /opt/data\n",
        {2: BIG, 3: {"opt/more": MB}, 4: {"opt/data": None}},
    ),
    "base": lambda: evidence(
        "FROM python:3.11-slim\n",
        {},
        report={"bases": [Base(reference="docker.io/library/python:3.11-slim", size=130 * MB)]},
    ),
    "base by an argument": lambda: evidence("ARG BASE=python:3.11-slim\nFROM ${BASE} AS one\nFROM ${BASE}\n", {}),
    "base, digest known": lambda: evidence(
        "FROM debian:12\n",
        {},
        inventory=inventory(bases=[BaseRecord(reference="docker.io/library/debian:12", digest="sha256:" + "a" * 64)]),
    ),
}

ALWAYS = ("base-not-pinned", "mergeable-steps")
"""What nearly every sample sets off beside what it is about."""


def render(name: str) -> str:
    about = {"steps": ("mergeable-steps",), **{name: ALWAYS[:1] for name in CASES if name.startswith("base")}}
    hidden = tuple(rule for rule in ALWAYS if rule not in about.get(name, ()))
    return "\n".join([f"# {name}", *(told(finding) for finding in found(CASES[name](), but=hidden))])


def test_the_whole_texts() -> None:
    text = "\n\n".join(render(name) for name in CASES) + "\n"
    if REGENERATE:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_rule_has_its_case_and_its_name() -> None:
    seen = {finding.rule for make in CASES.values() for finding in find_all(make(), today=TODAY).findings}
    assert seen == set(RULE_NAMES)
    assert tuple(rule.name for rule in ALL) == RULE_NAMES


SILENT: dict[str, Callable[[], Evidence]] = {
    "nothing measured": lambda: evidence("FROM debian:12\nRUN apt-get update\n"),
    "the base's own lists": lambda: one_run("true", {}, base=LISTS),
    "a little of everything": lambda: one_run("x", dict.fromkeys((*LISTS, "root/.cache/pip/http-v2/x"), 900000)),
    "a cache's look-alike": lambda: one_run("x", {"srv/pip/wheels": 9 * MB, "opt/pkgs/x": 9 * MB, "srv/http-v2/x": MB}),
    "folders that are named as uv's": lambda: one_run("x", {"srv/archive-v2/x": 9 * MB, "srv/wheels-v3/x.stl": 9 * MB}),
    "packages that Yarn's Plug'n'Play runs from": lambda: evidence(
        "FROM node:22\nCOPY . /app\nRUN yarn install\n",
        {2: {"app/main.js": 9}, 3: {"app/.yarn/cache/x.zip": 9 * MB, "app/.pnp.cjs": 10}},
    ),
    "weights that a package brings": lambda: one_run("pip install vad", {f"{PACKAGES}/vad/data/vad.onnx": 3 * MB}),
    "a plain .bin": lambda: one_run("make", {"opt/firmware.bin": 30 * MB}),
    "binutils that no compiler came with": lambda: one_run("x", {"usr/bin/strip": 3 * MB}),
    "what a package's interface is": lambda: one_run("x", {f"{PACKAGES}/numpy/testing/x.py": 30 * MB}),
    "deleted of the base": lambda: one_run("rm -rf /bin/sh", {"bin/sh": None}),
    "written and deleted in one step": lambda: one_run("fetch && rm /opt/data", {"opt/small": 10}),
    "a compiler in the builder": lambda: evidence(
        "FROM debian:12 AS builder\nRUN apt-get install -y gcc\nFROM debian:12\nCOPY --from=builder /opt/x /opt/x\n",
        {4: {"opt/x": 5 * MB}},
    ),
    "a program copied between stages": lambda: evidence(
        "FROM debian:12 AS builder\nRUN make\nFROM debian:12\nCOPY --from=builder /opt/x /opt/x\n",
        {4: {"opt/x": 50 * MB}},
    ),
    "a venv copied after the peak": lambda: venv(peak_ms=1500),
    "a compiler brought and taken away in one step": lambda: peak(
        "apt-get install -y gcc && make && apt-get purge -y gcc && pip install x", temporary=80 * MB
    ),
    "what apt and uv work with": lambda: peak("apt-get install -y x && uv pip install y", temporary=80 * MB),
    "hardly any temporary files": lambda: peak("pip install x", temporary=5 * MB),
    "a little that a package overwrites": lambda: one_run("apt-get install -y x", {"bin/sh": 5 * MB}),
    "records of what is installed": lambda: two_steps(
        "RUN apt-get install -y x",
        "RUN apt-get install -y y",
        {"var/lib/dpkg/status": 9 * MB},
        {"var/lib/dpkg/status": 9 * MB},
    ),
    "tests and byte code that are a small part": lambda: one_run(
        "pip install x",
        {f"{PACKAGES}/x.so": 200 * MB, f"{PACKAGES}/x/tests/x.py": 9 * MB, f"{PACKAGES}/x/__pycache__/x.pyc": 9 * MB},
    ),
    "a library that two packages bring": lambda: one_run(
        "pip install numpy scipy",
        {f"{PACKAGES}/numpy.libs/libgfortran.so": 3 * MB, f"{PACKAGES}/scipy.libs/libgfortran.so": 3 * MB},
        inventory=inventory(
            same_content=[
                SameContent(
                    size=3 * MB,
                    sha256="0" * 64,
                    paths=[f"{PACKAGES}/{name}.libs/libgfortran.so" for name in ("numpy", "scipy")],
                )
            ]
        ),
    ),
    "a folder that two packages bring": lambda: folder_twice(f"{PACKAGES}/one/_vendor/", f"{PACKAGES}/other/_vendor/"),
    "CUDA of the base alone": lambda: one_run("x", {"opt/x": 10}, base={f"{DRIVERS[1:]}/libcublas.so": 80 * MB}),
    "a context of nothing but what is used": lambda: evidence(
        "FROM debian:12\nCOPY app app\n", {}, context=context("FROM debian:12\nCOPY app app\n", {"app/x": MB})
    ),
}


def test_what_a_later_step_only_changes_the_mode_of_is_the_earlier_steps() -> None:
    given = two_steps(
        "COPY m.onnx /m.onnx", "RUN chmod 644 /m.onnx", {"m.onnx": (9 * MB, 0o600)}, {"m.onnx": (9 * MB, 0o644)}
    )
    assert {(one.rule, one.line) for one in found(given)} == {("permission-copies", 3), ("model-weights", 2)}
    longer = two_steps("COPY m.onnx /m.onnx", "RUN fetch", {"m.onnx": 9 * MB}, {"m.onnx": 10 * MB})
    assert {(one.rule, one.line) for one in found(longer)} == {("overwritten-later", 3), ("model-weights", 3)}


def test_what_the_base_brought_stays_the_bases_when_its_mode_changes() -> None:
    lists: dict[str, Written] = {"var/lib/apt/lists/deb_main_Packages": (40 * MB, 0o600)}
    assert found(one_run("chmod -R go-r /var/lib/apt", lists, base=LISTS)) == []
    weights = one_run("chmod -R a+w /m", {"m/a.onnx": (9 * MB, 0o666)}, base={"m/a.onnx": (9 * MB, 0o644)})
    assert [one.rule for one in found(weights)] == ["permission-copies"]


OTHER_CACHES = {
    "composer": "root/.composer/cache/files/a/b.zip",
    "maven": "root/.m2/repository/org/x/x.jar",
    "gradle": "root/.gradle/caches/modules-2/x.jar",
    "bundler": "usr/local/bundle/cache/x.gem",
    "nuget": "root/.nuget/packages/x/1/x.dll",
    "bun": "root/.bun/install/cache/x@1/x.js",
    "go": "root/go/pkg/mod/cache/download/x.zip",
    "pdm": "root/.cache/pdm/http/x",
    "pipenv": "root/.cache/pipenv/x",
    "zypper": "var/cache/zypp/packages/x.rpm",
    "pacman": "var/cache/pacman/pkg/x.pkg.tar.zst",
}


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("manager", "folder", "path"),
    [
        ("pip", "x/pip", "http/0/a/1/b/2/0a1b2"),
        ("pip", "srv/pc", "wheels/0a/1b/2c/3d4e5f/x-1-py3-none-any.whl"),
        ("poetry", "x/pypoetry/cache", "repositories/PyPI/_http/0/a/1/x"),
        ("poetry", "home/app/xdg/pypoetry/artifacts", f"0a/1b/2c/{HEX[:58]}/x.whl"),
        ("poetry", "srv/pc", f"artifacts/0a/1b/2c/{HEX[:58]}/x.whl"),
        ("pnpm", "srv/store", "v10/files/0a/x"),
        ("pnpm", "home/app/.local/share/pnpm/store", "v3/files/0a/x"),
        ("yarn", "srv/yc", "v6/npm-lodash-4.17.21-0a-integrity/node_modules/lodash/x.js"),
        ("yarn", "usr/local/share/.cache/yarn", "v6/x"),
        ("go", "srv/gc", f"0a/{HEX}-d"),
        ("go", "srv/mods", "golang.org/x/text@v0.3.7/x.go"),
        ("go", "srv/mods", "cache/download/golang.org/x/text/@v/v0.3.7.zip"),
        ("cargo", "srv/ch/registry", "cache/index.crates.io-6f17d22bba15001f/x.crate"),
        ("uv", "home/app/.cache/uv", "x"),
        ("npm", "srv/nc", "_cacache/x"),
    ],
)
def test_caches_in_other_places(manager: str, folder: str, path: str) -> None:
    (one,) = found(one_run("x", {f"{folder}/{path}": 9 * MB}))
    assert one.message == f"{manager} leaves its cache behind `RUN x`: 9.00 MB in /{folder}."
    assert f"/{folder}" in one.mend or "RUN with: && " in one.mend


@pytest.mark.parametrize(
    "path",
    [
        "srv/0a/x.bin",
        f"srv/blobs/0a/{HEX}",
        "srv/artifacts/a/b/x",
        "srv/v1/files/x",
        "srv/mail/a@b.c/x",
        "opt/registry/cache/x/y",
    ],
)
def test_no_caches(path: str) -> None:
    assert found(one_run("x", {path: 9 * MB})) == []


@pytest.mark.parametrize("manager", OTHER_CACHES)
def test_caches_of_other_managers(manager: str) -> None:
    (one,) = found(one_run("x", {OTHER_CACHES[manager]: 9 * MB}))
    assert (one.rule, one.bytes, one.line) == ("package-caches", 9 * MB, 2)
    assert one.message.startswith(f"{manager} leaves its cache behind `RUN x`: 9.00 MB in /")


def test_copies_of_what_lies_in_a_cache_are_no_finding_beside_the_cache() -> None:
    """As uv installs where it cannot link."""
    cache = "home/app/.cache/uv/archive-v0/x/"
    assert {one.rule for one in found(folder_twice(cache, "srv/e/lib/"))} == {"package-caches"}


def test_lists_of_an_image_that_was_not_built_here_are_not_deleted_before_the_install() -> None:
    given = two_steps("RUN apt-get update", "RUN apt-get install -y curl", LISTS, {"usr/bin/curl": MB})
    (one,) = found(replace(given, dockerfile=None, plan=None))
    assert one.mend.startswith("Put the update into the RUN that installs")
    (one,) = found(one_run("./setup.sh", LISTS))
    assert one.mend == "End this RUN with: && rm -rf /var/lib/apt/lists/* /var/cache/apt/*"


def test_a_mounted_cache_belongs_to_the_user_whose_it_is() -> None:
    given = one_run("pip install x", {"home/app/.cache/pip/http-v2/x": 9 * MB})
    assert given.image is not None
    base, own = given.image.layers
    layers = (base, replace(own, entries=tuple(entry._replace(uid=1000) for entry in own.entries)))
    (one,) = found(replace(given, image=replace(given.image, layers=layers)))
    mount = "RUN --mount=type=cache,target=/home/app/.cache/pip,uid=1000"
    assert one.mend == f"Install with `pip install --no-cache-dir`, or mount the cache: {mount}"


def test_what_is_linked_to_from_outside_of_a_cache_stays_without_it() -> None:
    """As uv and pnpm install: the cache's names come first, and so carry the bytes."""
    cache, inside = "root/.cache/uv/archive-v0/x", "root/.cache/uv/wheels-v5/pypi/x"
    given = one_run("uv pip install --system x", {f"{cache}/a.so": 50 * MB, f"{cache}/b.so": 9 * MB})
    assert given.image is not None
    base, own = given.image.layers
    links = (Entry(f"{inside}/b.so", Kind.FILE, same_as=f"{cache}/b.so"),)
    links += (Entry("usr/lib/python3/site-packages/a.so", Kind.FILE, same_as=f"{cache}/a.so"),)
    layers = (base, replace(own, entries=(*own.entries, *links)))
    (one,) = found(replace(given, image=replace(given.image, layers=layers)))
    assert (one.rule, one.bytes) == ("package-caches", 9 * MB)


@pytest.mark.parametrize(
    ("step", "more", "came", "mend"),
    [
        ("RUN huggingface-cli download x --local-dir /m", 0, "fetched in the build", "take line 2 out"),
        ("RUN pip install x && wget -O /m/a.onnx URL", 9, "fetched in the build", "take the download out of line 2"),
        ("ADD https://x.org/a.onnx /m/", 0, "fetched in the build", "take line 2 out"),
        ("ADD --chmod=644 https://x.org/a.onnx /m/", 0, "fetched in the build", "take line 2 out"),
        ('ADD ["https://x.org/a.onnx", "/m/"]', 0, "fetched in the build", "take line 2 out"),
        ("COPY a.onnx /m/", 0, "copied into the image", "take line 2 out"),
        ("COPY . /m", 9, "copied into the image", "name a.onnx in the ignore file"),
        ("COPY --from=x:1 /x /m", 9, "copied into the image", "leave them out of what line 2 copies"),
    ],
)
def test_how_weights_came_and_what_to_do_about_the_step(step: str, more: int, came: str, mend: str) -> None:
    files: dict[str, Written] = {"m/a.onnx": 9 * MB} | ({"m/other": more} if more else {})
    given = evidence(f"FROM debian:12\n{step}\n", {2: files})
    (one,) = found(given)
    assert f"Model weights are {came}: 9.00 MB by " in one.message
    assert one.mend == (
        f"Fetch them at run time onto a volume instead: {mend}, declare VOLUME /m, and download there when the "
        "container first starts."
    )


def test_temporary_files_of_a_systems_packages_and_of_a_step_that_failed_are_no_advice() -> None:
    step = "apt-get update && apt-get install -y gcc && pip install x"
    assert found(peak(step, temporary=390 * MB)) == []
    assert [one.rule for one in found(peak(step, temporary=410 * MB))] == ["temporary-peak"]
    given = peak("pip install x", temporary=410 * MB)
    failed = given.report.model_copy(update={"exit_code": 4})
    assert found(replace(given, report=failed)) == []


@pytest.mark.parametrize(
    "path",
    [
        "models/net.keras",
        "models/classifier.joblib",
        "models/inference.pdiparams",
        "root/.cache/huggingface/xet/chunk-cache/a",
    ],
)
def test_weights_of_other_kinds(path: str) -> None:
    (one,) = found(one_run("x", {path: 9 * MB}))
    assert (one.rule, one.bytes) == ("model-weights", 9 * MB)


@pytest.mark.parametrize(
    "text",
    [
        "FROM debian:12\nRUN pip install --compile x\n",
        "FROM debian:12\nRUN pip install x && python -m compileall -q /opt\n",
        "FROM debian:12\nRUN uv sync --compile-bytecode\n",
        "FROM debian:12 AS b\nENV UV_COMPILE_BYTECODE=1\nFROM debian:12\nCOPY --from=b /opt /opt\n",
        "FROM debian:12\nRUN <<EOF\npython -m compileall /opt\nEOF\n",
        "FROM debian:12\nARG UV_COMPILE_BYTECODE=true\nRUN uv sync\n",
    ],
)
def test_byte_code_that_was_compiled_on_purpose(text: str) -> None:
    line = max(number for number, one in enumerate(text.split("\n"), 1) if one.startswith(("RUN", "COPY")))
    files: dict[int, dict[str, Written]] = {line: {f"{PACKAGES}/x/__pycache__/x.cpython-311.pyc": 9 * MB}}
    assert [one.rule for one in found(evidence(text, files)) if one.rule != "venv-copy"] == []
    plain = re.sub(r"--compile(-bytecode)?|.*UV_COMPILE_BYTECODE.*|python -m compileall", "", text)
    given = evidence(plain.replace("\n\n", "\n"), {line - text.count("\nENV") - text.count("\nARG"): files[line]})
    assert [one.rule for one in found(given) if one.rule != "venv-copy"] == ["bytecode"]


NASTY = "opt/a\n::error::b\x1b[2J"


@pytest.mark.parametrize("end", ["x.a", "tests/x.py", "cc.pyc", "y.onnx", ".cache/pip/http-v2/x", "z"])
def test_no_text_has_control_characters_or_line_breaks(end: str) -> None:
    """Whatever paths and Dockerfile texts have in them."""
    path = f"{NASTY}/site-packages/x\r/{end}"
    run = f"RUN <<EOF\nrm -r '/{path}'\x1b[31m\nEOF"
    same = SameContent(size=9 * MB, sha256="0" * 64, paths=[f"{path}.1", path])
    files: dict[str, Written] = {path: (9 * MB, 0o600), f"{path}.1": 9 * MB}
    for first in ("RUN x\x1b\t y", 'COPY ["a\\nb", "/c\\u001b"]', "COPY --from=b /x /y"):
        for upper in ({path: None}, {path: (9 * MB, 0o644)}, {path: (9 * MB + 1, 0o600)}):
            given = evidence(
                f"FROM debian:12 AS b\nRUN q\x07\nFROM debian:12\n{first}\n{run}\n{run}\n",
                {4: files, 5: upper, 9: {f"{path}.2": 9 * MB}},
                inventory=inventory(same_content=[same]),
            )
            texts = [text for one in find_all(given, today=TODAY).findings for text in (one.message, one.mend)]
            assert len(texts) >= 4
            assert [text for text in texts if not text.isprintable()] == []


@pytest.mark.parametrize("name", SILENT)
def test_silent(name: str) -> None:
    assert [told(finding) for finding in found(SILENT[name]())] == []


PARTED = ["USER x", "COPY y z", "ENV a=b", "WORKDIR /x", "ARG a=b", 'SHELL ["/bin/bash", "-c"]', "LABEL a=b"]


@pytest.mark.parametrize("between", PARTED)
def test_steps_with_something_between_stay_apart(between: str) -> None:
    text = f"FROM debian:12\nRUN one\n{between}\nRUN two\n"
    assert found(evidence(text, {}), but=("base-not-pinned",)) == []


@pytest.mark.parametrize(
    ("step", "mend"),
    [
        ("b 2>&1 && c | d", "a && b 2>&1 && c | d && z"),
        ("b || true", "set -e; (a); (set +e; b || true); (z)"),
        ("b; c", "set -e; (a); (set +e; b; c); (z)"),
        ("set -eux; b; c", "set -e; (a); (set -eux; b; c); (z)"),
        ("x" * 600, f"a && {'x' * 600} && z"),
    ],
)
def test_steps_are_joined_so_that_nothing_else_changes(step: str, mend: str) -> None:
    (finding,) = found(evidence(f"FROM debian:12\nRUN a\nRUN {step}\nRUN z\n", {}), but=("base-not-pinned",))
    lines = "set -e; (what line 2 runs); (what line 3 runs); (what line 4 runs)"
    assert finding.mend == f"Join them: RUN {mend if len(mend) < 500 else lines}"


CACHE = "--mount=type=cache,target=/root/.cache/pip"


@pytest.mark.parametrize(
    "steps",
    [
        f"RUN a\nRUN {CACHE} b",  # a would run again whenever b does, without a cache
        "RUN --network=none a\nRUN b",
        f"RUN {CACHE} a\nRUN --mount=type=bind,target=/x {CACHE} b",
        "RUN <<EOF\na\nEOF\nRUN b",
        'RUN ["a"]\nRUN b',
        "RUN a # why\nRUN b",
        "RUN a &\nRUN b",
        'SHELL ["powershell", "-Command"]\nRUN a\nRUN b',
    ],
)
def test_steps_that_are_better_apart(steps: str) -> None:
    assert found(evidence(f"FROM debian:12\n{steps}\n", {}), but=("base-not-pinned",)) == []


def test_steps_with_the_same_mounts_are_joined_with_them() -> None:
    text = f"FROM debian:12\nRUN x\nRUN {CACHE} a\nRUN {CACHE} b\n"
    (finding,) = found(evidence(text, {}), but=("base-not-pinned",))
    assert (finding.line, finding.mend) == (3, f"Join them: RUN {CACHE} a && b")


@pytest.mark.parametrize("step", ["cd /src && make", "make && cd /x && make", "export A=1 && make", "A=1 && make $A"])
def test_what_a_shell_does_to_itself_ends_with_its_step(step: str) -> None:
    given = evidence(f"FROM debian:12\nRUN A=1 make\nRUN {step}\nRUN z\n", {})
    (finding,) = (one for one in find_all(given, today=TODAY).findings if one.rule == "mergeable-steps")
    assert finding.mend == f"Join them: RUN A=1 make && ({step}) && z"


def test_steps_of_stages_that_are_not_in_the_image_do_not_count() -> None:
    text = "FROM debian:12 AS tools\nRUN one\nRUN two\nFROM debian:12\nCOPY --from=tools /x /x\n"
    assert found(evidence(text, {}), but=("base-not-pinned",)) == []


def test_a_stage_below_the_target_counts() -> None:
    text = "FROM debian:12 AS below\nRUN one\nRUN two\nFROM below\nCOPY x /x\n"
    (finding,) = found(evidence(text, {2: BIG, 3: {"opt/data": None}}), but=("base-not-pinned", "deleted-later"))
    assert (finding.rule, finding.stage, finding.line, finding.bytes) == ("mergeable-steps", "below", 2, 60 * MB)


def test_a_pinned_base_an_unreached_one_and_a_stage_are_silent() -> None:
    digest = "a" * 64
    for pinned in (
        f"ARG D=sha256:{digest}\nFROM debian@${{D}}\n",
        f"ARG B=x:1@sha256:{digest}\nFROM $B\n",
        "FROM scratch\n",
    ):
        assert found(evidence(pinned, {}), but=()) == []
    text = f"FROM alpine AS unused\nFROM debian@sha256:{digest} AS used\nFROM used\n"
    assert found(evidence(text, {}), but=()) == []


def test_the_largest_comes_first() -> None:
    given = one_run("x", {**LISTS, **COMPILER, "models/a.gguf": 70 * MB})
    assert [(one.rule, one.bytes) for one in find_all(given, today=TODAY).findings] == [
        ("model-weights", 70 * MB),
        ("apt-leftovers", 40 * MB),
        ("build-tools", 40 * MB),
        ("base-not-pinned", None),
    ]


def entry(rule: str, until: date | None = None) -> IgnoredFinding:
    return IgnoredFinding.model_validate({"rule": rule, "reason": "it is cached", "until": until})


@pytest.mark.parametrize(
    ("until", "rules", "notes"),
    [
        (None, [], ["1 finding of apt-leftovers ignored: it is cached"]),
        (TODAY, [], ["1 finding of apt-leftovers ignored until 2026-03-01: it is cached"]),
        (
            date(2026, 2, 28),
            ["apt-leftovers"],
            [
                "findings of apt-leftovers were ignored until 2026-02-28 (it is cached); that day is over, so they "
                "are shown again"
            ],
        ),
    ],
)
def test_an_ignored_rule(until: date | None, rules: list[str], notes: list[str]) -> None:
    given = find_all(
        one_run("x", LISTS), ignored=[entry("apt-leftovers", until), entry("base-not-pinned")], today=TODAY
    )
    assert [finding.rule for finding in given.findings] == rules
    assert [note for note in given.notes if "base-not" not in note] == notes


def test_of_two_entries_the_one_that_still_holds_counts() -> None:
    entries = [entry("apt-leftovers", date(2026, 2, 28)), entry("apt-leftovers")]
    for order in (entries, entries[::-1]):
        given = find_all(one_run("x", LISTS), ignored=[*order, entry("base-not-pinned")], today=TODAY)
        assert given.findings == ()
        assert [note for note in given.notes if "base-not" not in note] == [
            "1 finding of apt-leftovers ignored: it is cached"
        ]


def test_a_reason_with_line_breaks_makes_no_lines() -> None:
    nasty = [
        one.model_copy(update={"reason": "a\n::error::b"})
        for one in (entry("apt-leftovers"), entry("bytecode", date(2020, 1, 1)))
    ]
    notes = find_all(one_run("x", LISTS), ignored=nasty, today=TODAY).notes
    assert len(notes) == 2
    assert all("a\\n::error::b" in note for note in notes)


def test_an_ignored_rule_that_finds_nothing_says_nothing() -> None:
    assert find_all(evidence("FROM scratch\n", {}), ignored=[entry("bytecode")], today=TODAY).notes == ()


EXAMPLE = Path(__file__).parents[2] / "examples" / "audio-voice"


def example(name: str, wrote: dict[str, dict[str, Written]]) -> Evidence:
    """The example's Dockerfile, its real context, and what the steps that begin so wrote."""
    text = (EXAMPLE / name).read_text()
    rules = read_ignore_rules(EXAMPLE, EXAMPLE / name)
    measured = measure_context(EXAMPLE, rules)
    use = context(text, {}, texts=read_program_texts(EXAMPLE, measured) or {})
    at = {}
    for start, files in wrote.items():
        (line,) = (number for number, one in enumerate(text.splitlines(), 1) if one.startswith(start))
        at[line] = files
    return evidence(text, at, context=replace(use, measure=measured), target=None)


def test_every_cause_of_the_incident_is_found_in_the_dockerfile_from_before() -> None:
    """Sizes as the full variant was measured: PyTorch, the other packages, models, build tools, the context."""
    nvidia: dict[str, Written] = {f"{PACKAGES}/nvidia/x{number}.so": 400 * MB for number in range(8)}
    given = example(
        "Dockerfile.before",
        {
            "RUN apt-get update": LISTS,
            "RUN apt-get install": {**COMPILER, "var/cache/apt/archives/gcc.deb": 90 * MB},
            "RUN pip install --upgrade": {"usr/local/lib/python3.11/dist-packages/pip/x.py": 9 * MB},
            'RUN pip install -r "/tmp/requirements/before/${VARIANT}-first': {
                **nvidia,
                f"{PACKAGES}/torch/lib/libtorch.so": 1100 * MB,
                f"{PACKAGES}/nvidia/libcufilt.a": 170 * MB,
                "root/.cache/pip/http-v2/0/1/2/3/4/0123": 2_500 * MB,
            },
            'RUN pip install -r "/tmp/requirements/before/${VARIANT}.txt': {
                f"{PACKAGES}/TTS/x.so": 1_400 * MB,
                f"{PACKAGES}/TTS/__pycache__/x.pyc": 200 * MB,
            },
            "RUN python scripts/download_models.py": {"app/models-data/f5-tts/model.safetensors": 2_800 * MB},
        },
    )
    listed = [(one.rule, one.line, one.bytes) for one in find_all(given, today=TODAY).findings]
    assert listed == [
        ("model-weights", 23, 2_800 * MB),
        ("package-caches", 16, 2_500 * MB),
        ("bytecode", 17, 200 * MB),
        ("static-libraries", 16, 170 * MB),
        ("apt-leftovers", 12, 90 * MB),
        ("apt-leftovers", 11, 40 * MB),
        ("build-tools", 12, 40 * MB),
        ("context-ballast", 19, listed[7][2]),
        ("mergeable-steps", 11, 0),
        ("mergeable-steps", 14, 0),
        ("base-not-pinned", 6, None),
    ]
    assert 1_850_000 < (listed[7][2] or 0) < 1_950_000
    (steps,) = (one for one in find_all(given, today=TODAY).findings if (one.rule, one.line) == ("mergeable-steps", 14))
    assert "4 layers of 8.58 GB, line 16 the largest with 6.97 GB" in steps.message


def test_the_optimised_dockerfile_has_nothing_to_mend_but_the_tag() -> None:
    """Files as its light variant has them; the tag is left on purpose, with a reason, in the project's own config."""
    files: dict[str, Written] = {
        f"{PACKAGES}/numpy/core.so": 30 * MB,
        f"{PACKAGES}/scipy/core.so": 90 * MB,
        f"{PACKAGES}/scipy/tests/test_x.py": 14 * MB,
        "opt/venv/lib/libresonator.so": 16_000,
        "usr/lib/x86_64-linux-gnu/libespeak-ng.so": 12 * MB,
        "var/lib/dpkg/status": 100_000,
    }
    given = example("Dockerfile", {"RUN --mount=type=bind,from=builder": files, "COPY app app": {"srv/app.py": 9000}})
    assert [one.rule for one in find_all(given, today=TODAY).findings] == ["base-not-pinned"]
    config = load_config(EXAMPLE.parents[1] / "ci-budget.yml").config
    assert find_all(given, ignored=config.findings.ignore, today=TODAY).findings == ()


def test_the_page_lists_every_rule_in_its_order() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "findings.md").read_text()
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == RULE_NAMES


def test_what_a_later_step_deletes_is_found_once() -> None:
    gone: dict[str, Written] = dict.fromkeys(LISTS)
    given = two_steps("RUN apt-get update", "RUN rm -r /var/lib/apt/lists", LISTS, gone)
    assert [finding.rule for finding in found(given)] == ["deleted-later"]
