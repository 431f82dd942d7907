"""Processes that must not outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.living import lives

_PARENT = """
import time
from ci_budget.edges.processes import ended_with_us, start
print(start(ended_with_us(["sleep", "300"])).pid, flush=True)
time.sleep(300)
"""


def test_a_child_that_is_ended_with_us_ends_also_when_we_are_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        command = Path(f"/proc/{child}/cmdline")
        while command.read_bytes() != b"\0".join((b"sleep", b"300", b"")):  # until setpriv has become it
            time.sleep(0.01)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    lived = lives(child)
    if lived:
        os.kill(child, signal.SIGKILL)
    assert not lived
