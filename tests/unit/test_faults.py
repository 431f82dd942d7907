"""The table of faults believes nothing: a fault that did not fire, a wrong exit code, anything left or lost is told."""

from __future__ import annotations

import signal

import pytest

from faults.__main__ import MODULES, all_faults, choose
from faults.document import render
from faults.fault import Evidence, Fault, Row, judge, plain, shell_code
from faults.ground import Ground
from faults.overshoot import Overshoot


def _never(ground: Ground) -> Evidence:
    raise AssertionError("nothing is injected here")


FAULT = Fault(family="Killed", name="sigterm-build", text="SIGTERM | twice", inject=_never, signal=signal.SIGTERM)
GOOD = Evidence(fired="it said so", outcome="cleaned up", exit_code=143, expected=(143,), seconds=0.81)


@pytest.mark.parametrize(
    ("change", "left", "lost", "trouble"),
    [
        ({}, [], [], ()),
        ({"fired": ""}, [], [], ("nothing shows that the fault fired",)),
        ({"exit_code": 0}, [], [], ("exit code 0, and 143 would be right",)),
        ({"expected": (2, 3)}, [], [], ("exit code 143, and 2 or 3 would be right",)),
        ({"problems": ("it took 6 s",)}, [], [], ("it took 6 s",)),
        ({}, ["mount: /m"], [], ("left behind: mount: /m",)),
        ({}, [], ["file /f"], ("lost: file /f",)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    change: dict[str, object], left: list[str], lost: list[str], trouble: tuple[str, ...]
) -> None:
    row = judge(FAULT, Evidence(**{**GOOD.__dict__, **change}), left, lost)
    assert row.trouble == trouble


def test_faults_are_chosen_by_name_and_module() -> None:
    names = [fault.name for fault in all_faults()]
    assert len(names) == len(set(names)) >= 40
    assert choose([]) == all_faults()
    assert choose(["clocks"]) == MODULES["clocks"].FAULTS
    assert [fault.name for fault in choose(["clock-back", "sigkill-build"])] == ["sigkill-build", "clock-back"]
    assert choose(["sigkill-built"]) == []


def test_every_phase_is_killed_by_every_signal() -> None:
    names = {fault.name for fault in all_faults()}
    phases = ("filesystem", "engine", "import", "targets", "build", "export", "reading", "smoke", "report", "mending")
    assert {f"{number}-{phase}" for number in ("sigint", "sigterm", "sigkill") for phase in phases} <= names


def test_cells_are_plain() -> None:
    path = "/home/x/main/.engine/faults/tmpab_12/37-project/Dockerfile"
    assert plain(f"no\n such file:  {path}") == "no such file: …/project/Dockerfile"
    assert plain("sandbox 1a2b3c4d is gone") == "sandbox ID is gone"
    assert len(plain("x y " * 100)) == 190
    assert [shell_code(code) for code in (0, 143, -9)] == [0, 143, 137]


def test_the_page() -> None:
    row = Row(fault=FAULT, evidence=GOOD)
    page = render(
        [row],
        [
            Overshoot(budget=1_500_000_000, bytes=0, rate=9e8, exit_code=1),
            Overshoot(budget=1_500_000_000, bytes=412_000_000, rate=2.1e9, exit_code=1),
        ],
        [Overshoot(budget=1_500_000_000, bytes=0, rate=1.8e9, exit_code=1)],
    )
    assert (
        "1 faults, all of them fired; nothing left, nothing lost. The slowest clean-up after SIGTERM took 0.8 s" in page
    )
    assert "## Killed\n" in page
    assert "| `sigterm-build` | SIGTERM \\| twice | it said so | cleaned up | 143 | none | none |\n" in page
    failed = Row(fault=FAULT, evidence=None, trouble=("the fault did not fire: it was over",))
    page = render([row, failed], [], [])
    assert "**1 of 2 faults are not as they must be.**" in page
    assert (
        "| `sigterm-build` | SIGTERM \\| twice |  | **FAILED**: the fault did not fire: it was over |  | none" in page
    )


def test_the_overshoot() -> None:
    page = render(
        [],
        [Overshoot(budget=1_500_000_000, bytes=412_000_000, rate=2.1e9, exit_code=1)],
        [Overshoot(budget=1_500_000_000, bytes=0, rate=1.8e9, exit_code=1)],
    )
    assert "| host | 1.50 GB | 2,100 MB/s | 412 MB | 1 |\n| sandbox | 1.50 GB | 1,800 MB/s | 0 bytes | 1 |\n" in page
    assert "Here the worst was 412 MB beyond the budget; keep" in page
