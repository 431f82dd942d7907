"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ci_budget.core.text.plain_text import plain_line
from ci_budget.core.text.units import format_seconds, format_size

_STEP_WIDTH = 48


class Progress:
    """Says what is going on. `levels` gives (bytes now, peak, budget or None) while a build is watched."""

    def __init__(self, stream: TextIO, *, live: bool, colour: bool) -> None:
        self._console = Console(
            file=stream, force_terminal=live, no_color=not colour, markup=False, highlight=False, soft_wrap=not live
        )
        self._live = (
            Live(self, console=self._console, auto_refresh=True, refresh_per_second=5, transient=True) if live else None
        )
        self._doing = ""
        self._since = time.monotonic()
        self.levels: Callable[[], tuple[int, int, int | None]] | None = None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A lasting line."""
        self._console.print(Text(plain_line(text)))

    def doing(self, text: str) -> None:
        """What goes on now: the live line's head on a terminal, a plain line elsewhere."""
        self._doing, self._since = plain_line(text), time.monotonic()
        if self._live is None:
            self._console.print(Text(self._doing))

    def __rich__(self) -> Text:
        elapsed = format_seconds(time.monotonic() - self._since)
        head = self._doing if len(self._doing) <= _STEP_WIDTH else f"{self._doing[: _STEP_WIDTH - 3]}..."
        line = f"{head}  {elapsed}"
        levels = self.levels  # looked up once: another thread may take it away
        if levels is not None:
            now, peak, budget = levels()
            of = f" / budget {format_size(budget)}" if budget is not None else ""
            line += f"  disk {format_size(now)} / peak {format_size(peak)}{of}"
        return Text(line, no_wrap=True, overflow="ellipsis")
