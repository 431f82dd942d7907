"""The engine's list of stages against ours."""

from __future__ import annotations

import pytest

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.stages.targets import compare_targets, parse_targets
from ci_budget.errors import UnmeasuredError

TEXT = b"FROM --platform=$BUILDPLATFORM a:1 AS Builder\nRUN x\nFROM \\\n  builder\n"
# Printed by buildx 0.29.1 with engine 28.5.2 for TEXT; the sources are left out.
PRINTED = b"""{
  "targets": [
    {
      "name": "builder",
      "base": "a:1",
      "platform": "$BUILDPLATFORM",
      "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}
    },
    {
      "default": true,
      "base": "builder",
      "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}, {"start": {"line": 4}, "end": {"line": 4}}]}
    }
  ]
}"""


def test_equal_lists_have_no_difference() -> None:
    assert compare_targets(parse_dockerfile(TEXT, "Dockerfile"), parse_targets(PRINTED)) == []


def test_every_difference_is_named() -> None:
    ours = parse_dockerfile(b"\nFROM a:2 AS other\nFROM b\nFROM c\n", "Dockerfile")
    assert compare_targets(ours, parse_targets(PRINTED)) == [
        "we found 3 stages, the engine 2",
        "stage 0: name is 'other' for us, 'builder' for the engine",
        "stage 0: base is 'a:2' for us, 'a:1' for the engine",
        "stage 0: platform is '' for us, '$BUILDPLATFORM' for the engine",
        "stage 0: lines is (2, 2) for us, (1, 1) for the engine",
        "stage 1: base is 'b' for us, 'builder' for the engine",
        "stage 1: default is False for us, True for the engine",
        "stage 1: lines is (3, 3) for us, (3, 4) for the engine",
    ]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"targets": 1}', b'{"targets": [{"name": 1}]}', b"\xff\x1b[31m"])
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(UnmeasuredError) as caught:
        parse_targets(text)
    assert str(caught.value).startswith("the engine's list of stages (--call=targets) is not as expected: ")
    assert "\x1b" not in str(caught.value)
