"""`python -m benchmarks [NAME ...]`: all benchmarks, or the named ones, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import context, history, layers, merge, overhead, planted, startup

ALL: dict[str, Callable[[], None]] = {
    "startup": startup.main,
    "context": context.main,
    "history": history.main,
    "layers": layers.main,
    "merge": merge.main,
    "overhead": overhead.main,
    "planted": planted.main,
}


def main() -> int:
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark '{unknown[0]}'; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    sys.argv[1:] = []
    for name in names:
        print(f"== {name}")
        ALL[name]()
    return 0


sys.exit(main())
