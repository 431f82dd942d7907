"""Where faults are injected: a state directory, projects and an engine of their own, looked over after each fault."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci_budget.edges.sites.state import locked
from faults.fault import Fault, NotFiredError, Row, judge
from faults.holds import Hold, hold
from faults.keepsakes import Keepsakes, plant_keepsakes, remove_keepsakes
from tests.engine.background import RunningCheck, running_check
from tests.engine.leftovers import MARKER, LeftoverWatch
from tests.engine.projects import Project, Result
from tests.engine_access import Engine, find_engine

BASE = "test/busybox"
SLEEP = "86421"  # seconds that no other process of this machine sleeps
_STEERING = ("GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "CI_BUDGET_", "BUILDX_", "BUILDKIT_")
_FOREIGN = "a file that is none of the tool's\n"


@dataclass(kw_only=True)
class Ground:
    """One folder for everything; `state` is the tool's state directory in it."""

    folder: Path
    engine: Engine
    keepsakes: Keepsakes
    _scratch: frozenset[Path] = frozenset()
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def state(self) -> Path:
        """As the tool names it, being told so by CI_BUDGET_STATE."""
        return self.folder / "ci-budget"

    def fresh(self, name: str) -> Path:
        """A path below the folder that nobody used yet."""
        return self.folder / f"{next(self._numbers)}-{name}"

    def project(
        self, dockerfile: str, *, budget: str = "300MB", disk: dict[str, Any] | None = None, **image: Any
    ) -> Project:
        """A project, with a file of the user's in its report folder; what lies in it must stay as it is."""
        made = Project(folder=self.fresh("project"), budget=budget)
        made.write(dockerfile, disk=disk, **image)
        made.report_folder.mkdir()
        (made.report_folder / "notes.txt").write_text(_FOREIGN)
        self.keep(made)
        return made

    def keep(self, project: Project) -> None:
        """Hold the project's files and its report folder's to what they are now."""
        self.keepsakes.keep_files(project.folder)
        self.keepsakes.keep_files(project.report_folder)

    def hold(self, program: str, words: str = "") -> contextlib.AbstractContextManager[Hold]:
        """A program that waits when it is first called with `words`."""
        return hold(self.fresh("hold"), program, words)

    def without_seeds(self) -> None:
        """Make the next run plant its sandbox anew."""
        shutil.rmtree(self.state / "seeds", ignore_errors=True)

    def sandbox_id(self) -> str:
        """The id of the one sandbox that lives, or lies, in the state directory."""
        (folder,) = (one for one in (self.state / "sandboxes").iterdir() if one.is_dir())
        return folder.name

    def daemon(self, name: str) -> int:
        """The pid of the one sandbox's `dockerd` or `containerd`."""
        return int(Path("/run/ci-budget", self.sandbox_id(), f"{name}.pid").read_text())

    def with_seed(self, project: Project) -> None:
        """Make sure, by a run, that there is a seed; the usual projects share one."""
        if not list((self.state / "seeds").glob("*.ext4")):
            self.next_run(project)

    def next_run(self, project: Project | None = None, *arguments: str, env: dict[str, str] | None = None) -> Result:
        """The run after a fault, which must pass. Raises AssertionError with what it said when it does not."""
        done = (project or self.project(f"FROM {BASE}\nRUN true\n")).check(*arguments, env=env)
        if done.exit_code != 0:
            raise AssertionError(f"the next run exited {done.exit_code}:\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def running(self, project: Project, *arguments: str, env: dict[str, str] | None = None) -> Iterator[RunningCheck]:
        """A check in the background that has ended afterwards."""
        with running_check(project, *arguments, env=env) as check:
            yield check

    def try_out(self, fault: Fault) -> Row:
        """Inject one fault and look at everything afterwards."""
        self.keepsakes = Keepsakes.take(self.engine)
        watch = LeftoverWatch.start(self.engine)
        self._scratch = frozenset(Path(tempfile.gettempdir()).glob("ci-budget-*"))
        try:
            evidence = fault.inject(self)
        except NotFiredError as error:
            return Row(fault=fault, evidence=None, trouble=(f"the fault did not fire: {error}",))
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            return Row(fault=fault, evidence=None, trouble=(f"{type(error).__name__}: {error}",))
        left = self._left(watch)
        deadline = time.monotonic() + 5  # somebody else's run may just be ending
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            left = self._left(watch)
        return judge(fault, evidence, left, self.keepsakes.lost(self.state))

    def _left(self, watch: LeftoverWatch) -> list[str]:
        scratch = (path for path in Path(tempfile.gettempdir()).glob("ci-budget-*-*-*") if path not in self._scratch)
        return [
            *watch.new(),
            *(f"unfinished seed: {path}" for path in (self.state / "seeds").glob("*.partial")),
            *(f"scratch: {path}" for path in scratch if not Path("/proc", path.name.split("-")[3]).exists()),
        ]


@contextlib.contextmanager
def open_ground(root: Path) -> Iterator[Ground]:
    """A ground below `root`; the environment is the engine's, without what steers the tool, until it is left."""
    for name in list(os.environ):
        if name.startswith(_STEERING) or name in ("CI", "DOCKER_BUILDKIT"):
            del os.environ[name]
    engine = find_engine()
    os.environ.update(engine.env)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "lock"), tempfile.TemporaryDirectory(dir=root, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ["CI_BUDGET_STATE"] = str(folder / "ci-budget")
        os.environ[MARKER.name] = MARKER.value
        (folder / "ci-budget").mkdir()
        plant_keepsakes(engine)
        try:
            yield Ground(folder=folder, engine=engine, keepsakes=Keepsakes.take(engine))
        finally:
            remove_keepsakes(engine)
