"""The live line, while the thread that builds and the one that draws look at the same things."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from ci_budget.edges.progress import Progress

Levels = Callable[[], tuple[int, int, int | None]]


class _TakenAway(Progress):
    """Its levels are there for one look: the build ends right after it."""

    looks: list[Levels | None]

    @property
    def levels(self) -> Levels | None:
        return self.looks.pop() if self.looks else None

    @levels.setter
    def levels(self, value: Levels | None) -> None:
        self.looks = [value]


def test_levels_that_are_taken_away_meanwhile() -> None:
    progress = _TakenAway(io.StringIO(), live=False, colour=False)
    progress.levels = lambda: (1_000_000, 2_000_000, 3_000_000)
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as drawn:
        console.print(progress)
    assert drawn.get().strip().endswith("disk 1.00 MB / peak 2.00 MB / budget 3.00 MB")
    with console.capture() as drawn:
        console.print(progress)
    assert "disk" not in drawn.get()


def test_names_of_steps_are_no_commands() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False, colour=False)
    progress.doing("[2/3] RUN echo '##[error]x'\n::error::y")
    progress.say("::warning::z")
    assert stream.getvalue() == "[2/3] RUN echo '# #[error]x'\\n::error::y\n| ::warning::z\n"
