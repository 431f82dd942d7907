# ruff: noqa: E501 - whole expected texts
"""Bad configs, each with the whole text of its error, and what a good one is read into."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.core.config.text import ConfigProblemsError, parse_config
from ci_budget.core.config.yaml_tree import Problem
from ci_budget.errors import ExitCode

FILE = "ci-budget.yml"


def image(text: str) -> str:
    """A config whose image `web` has these lines; they start on line 4."""
    body = "".join(f"    {line}\n" for line in text.splitlines())
    return f"version: 1\nimages:\n  web:\n{body}"


def error_of(text: bytes | str) -> ConfigProblemsError:
    with pytest.raises(ConfigProblemsError) as caught:
        parse_config(text, FILE)
    return caught.value


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

BAD: list[tuple[str, bytes | str, str]] = [
    ("empty", "", "ci-budget.yml: the file is empty"),
    ("only a comment", "# nothing\n", "ci-budget.yml: the file is empty"),
    ("a list", "- web\n", "ci-budget.yml:1: a config is a mapping of keys to values, this is a list; start with 'version: 1'"),
    ("text", "web", "ci-budget.yml:1: a config is a mapping of keys to values, this is text; start with 'version: 1'"),
    ("null", "~\n", "ci-budget.yml:1: a config is a mapping of keys to values, this is empty; start with 'version: 1'"),
    ("no version", "images: {web: {}}", "ci-budget.yml:1: 'version' is missing; write 'version: 1' as the first line"),
    ("newer version", "# ours\nversion: 3\nnew_key: 1\n", "ci-budget.yml:2: version 3 is newer than this ci-budget reads (1); update ci-budget"),
    ("no version number", "version: one\nimages: {web: {}}", "ci-budget.yml:1: version: 'one' is not a version; write 'version: 1'"),
    ("version 0", "version: 0\nimages: {web: {}}", "ci-budget.yml:1: version: '0' is not a version; write 'version: 1'"),
    ("no images", "version: 1\n", "ci-budget.yml:1: 'images' is missing"),
    ("images without value", "version: 1\nimages:\n", "ci-budget.yml:2: 'images' is empty; give it a value or remove the key"),
    ("no image", "version: 1\nimages: {}\n", "ci-budget.yml:2: images is empty; at least one entry is needed"),
    ("images as a list", "version: 1\nimages: [web]\n", "ci-budget.yml:2: images: a list is not a mapping; write keys and values below it"),
    ("image without value", "version: 1\nimages:\n  web:\n", "ci-budget.yml:3: images: 'web' is empty; give it a value or remove the key"),
    ("image as text", "version: 1\nimages:\n  web: x\n", "ci-budget.yml:3: images.web: 'x' is not a mapping; write keys and values below it"),
    ("mistyped top key", "version: 1\nimage: {web: {}}\n", "ci-budget.yml:2: unknown key 'image'; did you mean 'images'?"),
    ("mistyped key", image("budget: {peak_disk: 1GB}"), "ci-budget.yml:4: images.web: unknown key 'budget'; did you mean 'budgets'?"),
    ("mistyped with a dash", image("build-args: {A: b}"), "ci-budget.yml:4: images.web: unknown key 'build-args'; did you mean 'build_args'?"),
    ("mistyped metric", image("budgets:\n  peak: 3GB"), "ci-budget.yml:5: images.web.budgets: unknown metric 'peak'; did you mean 'peak_disk'?"),
    ("metric one level too high", image("image_size: 3GB"), "ci-budget.yml:4: images.web: unknown key 'image_size'; it belongs under 'budgets'"),
    ("stage key", image("stages:\n  builder:\n    limits: {}"), "ci-budget.yml:6: images.web.stages.builder: unknown key 'limits'; known keys: budgets, tolerance"),
    ("unknown metric of a stage", image("stages:\n  b: {budgets: {context_size: 1}}"), "ci-budget.yml:5: images.web.stages.b.budgets: unknown metric 'context_size'; known metrics: peak_disk, added_disk, image_size, layers, build_seconds"),
    ("no size", image("budgets:\n  image_size: 15 apples"), "ci-budget.yml:5: images.web.budgets.image_size: '15 apples' is not a size; write a number with a unit, such as 15GB or 400MiB"),
    ("negative size", image("budgets:\n  image_size: -1"), "ci-budget.yml:5: images.web.budgets.image_size: '-1' is not a size; write a number with a unit, such as 15GB or 400MiB"),
    ("size too large", image("budgets:\n  image_size: 99999PB"), "ci-budget.yml:5: images.web.budgets.image_size: '99999PB' is larger than any filesystem"),
    ("size as a list", image("budgets:\n  image_size: [1GB]"), "ci-budget.yml:5: images.web.budgets.image_size is a list; write a size such as 15GB or 400MiB"),
    ("size on a count", image("budgets:\n  layers: 1GB"), "ci-budget.yml:5: images.web.budgets.layers: '1GB' is not a count; write a whole number, such as 10"),
    ("size on a duration", image("budgets:\n  build_seconds: 1GB"), "ci-budget.yml:5: images.web.budgets.build_seconds: '1GB' is not a duration; write 90s, 2m or 1h30m"),
    ("budget without value", image("budgets:\n  layers:"), "ci-budget.yml:5: images.web.budgets: 'layers' is empty; give it a value or remove the key"),
    ("no tolerance", image("tolerance: {peak_disk: lots}"), "ci-budget.yml:4: images.web.tolerance.peak_disk: 'lots' is no tolerance; write 2%, 10MB or both in a list"),
    ("a tolerance of parts of a byte", image("tolerance: {peak_disk: 0.3B}"), "ci-budget.yml:4: images.web.tolerance.peak_disk: '0.3B' names parts of a byte; write whole bytes, or fewer decimals"),
    ("empty tolerance", image("tolerance: {peak_disk: []}"), "ci-budget.yml:4: images.web.tolerance.peak_disk: an empty list is no tolerance; write 2%, 10MB or both in a list"),
    ("no percentage", image("warn_at: 90"), "ci-budget.yml:4: images.web.warn_at: '90' is not a percentage; write a number with a percent sign, such as 2%"),
    ("share over 100", image("warn_at: 120%"), "ci-budget.yml:4: images.web.warn_at: '120%' is no share of a limit; write more than 0% and at most 100%"),
    ("no duration", image("timeout: soon"), "ci-budget.yml:4: images.web.timeout: 'soon' is not a duration; write 90s, 2m or 1h30m"),
    ("no time at all", image("timeout: 0"), "ci-budget.yml:4: images.web.timeout must be more than 0; write 90s, 2m or 1h30m"),
    ("context above", image("context: ../other"), "ci-budget.yml:4: images.web.context: '../other' leaves the folder of the config; name a path inside it"),
    ("absolute context", image("context: /etc"), "ci-budget.yml:4: images.web.context: '/etc' is absolute; write a path relative to the config's folder"),
    ("remote context", image("context: https://example.org/x.git"), "ci-budget.yml:4: images.web.context: 'https://example.org/x.git' is remote; check the repository out and name a folder of it"),
    ("dockerfile above", image("context: a\ndockerfile: ../../Dockerfile"), "ci-budget.yml:5: images.web.dockerfile: '../../Dockerfile' leaves the folder of the config; name a path inside it"),
    ("named context above", image("build_contexts: {lib: ../lib}"), "ci-budget.yml:4: images.web.build_contexts.lib: '../lib' leaves the folder of the config; name a path inside it"),
    ("image name", "version: 1\nimages: {'-web': {}}", "ci-budget.yml:2: images.-web: '-web' is not an image name; at most 128 letters, digits, '.', '_', '-' and '/' may stand in it"),
    ("image name upwards", "version: 1\nimages: {a/../b: {}}", "ci-budget.yml:2: images.a/../b: 'a/../b' is not an image name; each part between '/' must be a name of its own"),
    ("platform", image("platform: amd64"), "ci-budget.yml:4: images.web.platform: 'amd64' is not a platform; write one such as linux/amd64 or linux/arm64/v8"),
    ("secret", image("secrets: [token]"), "ci-budget.yml:4: images.web.secrets.0: 'token' is not a secret; write id=NAME,env=VARIABLE or id=NAME,src=FILE"),
    ("secret argument", image("build_args: {TOKEN: x}\nsecret_build_args: [TOKNE]"), "ci-budget.yml:5: images.web.secret_build_args.0: 'TOKNE' is not in build_args; did you mean 'TOKEN'?"),
    ("smoke command as text", image("smoke: {command: python -V}"), "ci-budget.yml:4: images.web.smoke.command: 'python -V' is not a list; write it as [a, b] or with one '- ' a line"),
    ("no smoke command", image("smoke: {gpu: auto}"), "ci-budget.yml:4: images.web.smoke: 'command' is missing"),
    ("gpu", image("smoke: {command: [x], gpu: yes}"), "ci-budget.yml:4: images.web.smoke.gpu: 'yes' is not one of auto, required, off"),
    ("stage twice", image("stages:\n  Builder: {}\n  builder: {}"), "ci-budget.yml:6: images.web.stages.builder is the same stage as 'Builder'; stage names count without case"),
    ("disk mode", "version: 1\ndisk: {mode: sandbx}\nimages: {web: {}}", "ci-budget.yml:2: disk.mode: 'sandbx' is not one of auto, sandbox, host; did you mean 'sandbox'?"),
    ("no disk at all", "version: 1\ndisk: {budget: 0}\nimages: {web: {}}", "ci-budget.yml:2: disk.budget must be more than 0; write a size such as 15GB or 400MiB"),
    ("factor", "version: 1\ndisk: {free_factor: 0.5}\nimages: {web: {}}", "ci-budget.yml:2: disk.free_factor: '0.5' is not a factor; write a number from 1 to 100, such as 2 or 1.5"),
    ("switch", "version: 1\nrequire_baseline: 1\nimages: {web: {}}", "ci-budget.yml:2: require_baseline: '1' is neither true nor false"),
    ("rule", "version: 1\nfindings: {ignore: [{rule: apt-leftover, reason: x}]}\nimages: {web: {}}", "ci-budget.yml:2: findings.ignore.0.rule: 'apt-leftover' is not one of model-weights, apt-leftovers, package-caches, build-tools, permission-copies, deleted-later, overwritten-later, duplicate-content, venv-copy, temporary-peak, static-libraries, packaged-tests, bytecode, context-ballast, mergeable-steps, base-not-pinned; did you mean 'apt-leftovers'?"),
    ("day", "version: 1\nfindings: {ignore: [{rule: bytecode, reason: x, until: soon}]}\nimages: {web: {}}", "ci-budget.yml:2: findings.ignore.0.until: 'soon' is not a day; write one such as 2026-12-31"),
    ("release of another image", "version: 1\nimages: {web: {}}\nrelease: {budgets: {wbe: {layers: 1}}}", "ci-budget.yml:3: release.budgets.wbe is not an image of this config; did you mean 'web'?"),
    ("duplicate key", image("target: a\ntarget: b"), "ci-budget.yml:5: the key 'target' is given twice; it was already given on line 4"),
    ("unclosed list", "version: 1\nimages: [web\n", "ci-budget.yml:2: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that starts on line 2)"),
    ("tab", "version: 1\nimages:\n\tweb: {}\n", "ci-budget.yml:3: not valid YAML: found character that cannot start any token"),
    ("tag", "version: !!int 1\n", "ci-budget.yml:1: the YAML tag 'tag:yaml.org,2002:int' is not supported"),
    ("object tag", "version: 1\nimages: !!python/object/apply:os.system [id]\n", "ci-budget.yml:2: the YAML tag 'tag:yaml.org,2002:python/object/apply:os.system' is not supported"),
    ("merge key", "version: 1\nx: &x {a: b}\nimages: {web: {<<: *x}}\n", "ci-budget.yml:3: the YAML merge key '<<' is not supported; write the keys out"),
    ("two documents", "version: 1\n---\nversion: 1\n", "ci-budget.yml:2: more than one YAML document; only one is read"),
    ("list as a key", "version: 1\n? [a]\n: b\n", "ci-budget.yml:2: a list or a mapping as a key; a key must be text"),
    ("alias as a key", "version: &v 1\n*v : b\n", "ci-budget.yml:2: the alias '*v' as a key; a key must be text"),
    ("unknown alias", "version: *v\n", "ci-budget.yml:1: the alias '*v' is not defined above"),
    ("alias in itself", "version: 1\nimages: &i {web: *i}\n", "ci-budget.yml:2: the alias '*i' stands inside of what it names"),
    ("alias bomb", BOMB, "ci-budget.yml:5: more than 50,000 values, aliases counted in full"),
    ("too many values", "- x\n" * 60_000, "ci-budget.yml:50000: more than 50,000 values, aliases counted in full"),
    ("too deep", "[" * 100_000, "ci-budget.yml:1: nested more than 20 levels deep"),
    ("too deep by indentation", "".join(f"{' ' * depth}a:\n" for depth in range(100)), "ci-budget.yml:21: nested more than 20 levels deep"),
    ("too large", "#" * 1_000_001, "ci-budget.yml: the file is larger than 1,000,000 bytes"),
    ("long key", "a" * 201 + ": 1\n", "ci-budget.yml:1: a key of more than 200 characters"),
    ("NUL", b"version: 1\nimages: \0\n", "ci-budget.yml:2: the file holds a NUL byte; is it a text file?"),
    ("escaped NUL", 'version: 1\nimages: {web: {target: "a\\0"}}\n', "ci-budget.yml:2: an escaped NUL character in a value"),
    ("control character", "version: 1\nimages: \x1b[2J\n", "ci-budget.yml:2: not valid YAML: the character '\\x1b' is not allowed"),
    ("not UTF-8", b"version: 1\nimages: \xff\n", "ci-budget.yml:2: the file is not UTF-8 text"),
    ("UTF-16", "version: 1\n".encode("utf-16"), "ci-budget.yml:1: the file is not UTF-8 text"),
    ("workflow command in a key", 'version: 1\nimages: {web: {}}\n"a\\n::error::b": 1\n', "ci-budget.yml:3: unknown key 'a\\n::error::b'; known keys: version, disk, defaults, images, require_baseline, gate_warm, limits_from, findings, history, release"),
    ("workflow command in a value", image('budgets: {image_size: "1\\n::error::b"}'), "ci-budget.yml:4: images.web.budgets.image_size: '1\\n::error::b' is not a size; write a number with a unit, such as 15GB or 400MiB"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [pytest.param(text, message, id=name) for name, text, message in BAD])
def test_bad_config(text: bytes | str, expected: str) -> None:
    error = error_of(text)
    assert str(error) == expected
    assert error.exit_code == ExitCode.CONFIG


def test_all_problems_of_a_file_are_told_in_one_run() -> None:
    error = error_of(
        image("budget: {peak_disk: 1GB}\nbudgets:\n  peak: 3GB\n  layers: 1GB\n  context_size:\ntarget: a\ntarget: b")
    )
    assert str(error) == (
        "ci-budget.yml:4: images.web: unknown key 'budget'; did you mean 'budgets'?\n"
        "ci-budget.yml:6: images.web.budgets: unknown metric 'peak'; did you mean 'peak_disk'?\n"
        "ci-budget.yml:7: images.web.budgets.layers: '1GB' is not a count; write a whole number, such as 10\n"
        "ci-budget.yml:8: images.web.budgets: 'context_size' is empty; give it a value or remove the key\n"
        "ci-budget.yml:10: the key 'target' is given twice; it was already given on line 9"
    )
    assert error.problems[0] == Problem(line=4, message="images.web: unknown key 'budget'; did you mean 'budgets'?")


def test_many_problems_are_counted() -> None:
    lines = str(error_of("version: 1\nimages: {web: {}}\n" + "".join(f"k{n}: 1\n" for n in range(30)))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "ci-budget.yml: and 10 more problems"


def test_scalars_stay_as_they_were_written() -> None:
    text = image("build_args: {PYTHON: 3.10, DEBUG: yes, OCTAL: 010, EMPTY: '', HOST: , DATE: 2026-01-02}\ntarget: 0")
    web = parse_config(text, FILE).config.images["web"]
    assert web.build_args == {
        "PYTHON": "3.10",
        "DEBUG": "yes",
        "OCTAL": "010",
        "EMPTY": "",
        "HOST": None,
        "DATE": "2026-01-02",
    }
    assert web.target == "0"


def test_aliases_are_read() -> None:
    text = "version: 1\nimages:\n  a: &a {budgets: &b {layers: 3}}\n  b: *a\n  c: {budgets: *b}\n"
    config = parse_config(text, FILE).config
    assert [config.budget_of(name, "layers") for name in "abc"] == [3, 3, 3]


def test_lines_lead_to_keys() -> None:
    parsed = parse_config(image("context: .\nbudgets:\n  peak_disk: 1GB\nsecrets:\n  - id=a\n  - id=b"), FILE)
    assert parsed.line_of("images", "web", "budgets", "peak_disk") == 6
    assert parsed.line_of("images", "web", "secrets", 1) == 9
    assert parsed.line_of("images", "web", "smoke", "timeout") == 3, "the nearest part around it"
    assert parsed.line_of("release") == 1


def test_byte_order_mark_and_crlf() -> None:
    assert parse_config("\ufeffversion: 1\r\nimages: {web: {}}\r\n".encode(), FILE).config.version == 1


def test_the_readme_s_config_is_read() -> None:
    text = (Path(__file__).parents[1] / "fixtures" / "configs" / "design.yml").read_bytes()
    config = parse_config(text, FILE).config
    assert config.disk_budget_of("audio-voice") == 25_000_000_000
    assert config.budget_of("audio-voice", "context_size") == 400_000
    assert config.budget_of("audio-voice", "peak_disk", "BUILDER") == 12_000_000_000
