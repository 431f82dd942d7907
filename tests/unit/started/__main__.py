"""Say what this process was started with, and end as the first argument says."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

umask = os.umask(0)
os.umask(umask)
world = {
    "words": sys.argv[1:],
    "file": sys.argv[0],
    "cwd": str(Path.cwd()),
    "first": sys.path[0],
    "environment": dict(os.environ),
    "descriptors": [name for name in os.listdir("/proc/self/fd") if Path("/proc/self/fd", name).exists()],  # noqa: PTH208
    "stdin": str(Path("/proc/self/fd/0").resolve()),
    "umask": umask,
    "session": os.getsid(0),
    "group": os.getpgid(0),
    "signals": {
        name: str(signal.getsignal(getattr(signal, name))) for name in ("SIGINT", "SIGTERM", "SIGPIPE", "SIGCHLD")
    },
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "threads": threading.active_count(),
    "main": sys.modules["__main__"].__name__,
    "unbuffered": sys.stdout.line_buffering,
}
print(json.dumps(world), flush=True)
print("said", file=sys.stderr)
match sys.argv[1]:
    case "exit":
        sys.exit(int(sys.argv[2]))
    case "raise":
        raise ValueError(sys.argv[2])
    case "kill":
        os.kill(os.getpid(), int(sys.argv[2]))
