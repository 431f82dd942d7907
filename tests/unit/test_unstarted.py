"""A container that never ran: the image's fault, or that of the engine and what it runs on."""

from __future__ import annotations

import pytest

from ci_budget.edges.engine.facts import ContainerEnd, read_unstarted

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("reason", "code", "end"),
    [
        (f'{RUNC}exec: "a": executable file not found in $PATH', 127,
         (127, 'exec: "a": executable file not found in $PATH')),
        (f'{RUNC}exec: "/a": permission denied', 126, (126, 'exec: "/a": permission denied')),
        ("crun: executable file `a` not found in $PATH: No such file or directory", 127,
         (127, "crun: executable file `a` not found in $PATH: No such file or directory")),
        ("unable to find user app: no matching entries in passwd file", 128,
         (126, "unable to find user app: no matching entries in passwd file")),
        (f"{RUNC}error during container init: error running prestart hook #0: load library failed: libnvidia-ml.so.1: "
         "no such file or directory", 127, None),
        (f'{RUNC}exec: "a": of some other kind', 128, None),
        ("no space left on device", 0, None),
    ],
)  # fmt: skip
def test_whose_fault_it_is(reason: str, code: int, end: tuple[int, str] | None) -> None:
    expected = ContainerEnd(exit_code=end[0], log=end[1]) if end is not None else None
    assert read_unstarted(reason, {"ExitCode": code}) == expected
