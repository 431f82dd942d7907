"""What a real check leaves in the history, and what becomes of it when the history cannot be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ci_budget.core.text.units import format_size
from ci_budget.edges.history.address import Address
from ci_budget.edges.history.database import open_history
from tests.engine.projects import Project, run_tool
from tests.unit.history_samples import built, night, recorded, write_report

pytestmark = pytest.mark.beside

DOCKERFILE = """\
FROM {base} AS builder
RUN mkdir -p /out/lib && dd if=/dev/zero of=/out/lib/big bs=1M count=20
FROM {base}
COPY --from=builder /out /opt
"""


def test_a_check_is_recorded_and_a_damaged_history_does_not_stop_it(busybox_base: str, tmp_path: Path) -> None:
    project = Project(folder=tmp_path / "web", budget="200MB")
    project.write(DOCKERFILE.format(base=busybox_base))
    config = project.folder / "ci-budget.yml"
    kept, damaged = tmp_path / "kept.sqlite", tmp_path / "damaged.sqlite"
    damaged.write_text("no database at all\n" * 100)
    config.write_text(f"{config.read_text()}\nhistory: {{url: 'sqlite:///{damaged}'}}\n")

    done = project.check()
    assert done.exit_code == 0
    assert {"report.json", "report.md", "report.html", "inventory.json.zst"} <= {
        file.name for file in done.folder.iterdir()
    }
    assert (
        f"ci-budget: this run is not recorded: the history {damaged} is damaged, or no history of ci-budget (file is "
        f"not a database)\n  Move it away (`mv {damaged} {damaged}.damaged`)" in done.stderr
    )
    page = (done.folder / "report.html").read_text()
    assert '"name":"opt/lib/big"' in page or '"name":"opt/lib/"' in page  # the treemap, from the inventory
    assert "RUN mkdir -p /out/lib" in page

    config.write_text(config.read_text().replace(str(damaged), str(kept)))
    warm = project.check("--warm", "--disk-budget", "3GB")
    assert (warm.exit_code, "not recorded" in warm.stderr) == (0, False)
    told = report(project.folder)
    assert told.returncode == 0
    shown = format_size(warm.metric("image_size")["value"])
    assert f"| `web` | no-baseline | image_size | {shown} | 0 | - | - | - | - |" in told.stdout


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("mount -t tmpfs -o size=24k none {place}", "is full: its disk has no room left (database or disk is full)"),
        (
            "mount -t tmpfs none {place} && cp {old} {place}/history.sqlite && mount -o remount,ro {place}",
            "may not be written (attempt to write a readonly database)",
        ),
        ("mount -t tmpfs -o ro none {place}", "cannot be opened (unable to open database file)"),
    ],
    ids=["full", "read-only", "read-only and not there"],
)
def test_a_disk_that_takes_nothing(tmp_path: Path, mount: str, said: str) -> None:
    """In a mount namespace of its own, where the kernel itself refuses."""
    place = tmp_path / "disk"
    place.mkdir()
    old = tmp_path / "old.sqlite"
    with open_history(Address(shown="old", file=old), "", write=True) as history:
        history.record(*recorded(night(0, built())))
    write_report(tmp_path / "second", night(1, built()))
    command = f'{mount.format(place=place, old=old)} && exec "$@"'
    words = ("--import", str(tmp_path / "second"), "--days", "3650")
    done = report(
        tmp_path, *words, history=place / "history.sqlite", prefix=("unshare", "--mount", "sh", "-c", command, "sh")
    )
    assert done.returncode == 3
    assert f"ci-budget: the history {place}/history.sqlite {said}" in done.stderr
    assert "Traceback" not in done.stderr


def report(
    folder: Path, *words: str, history: Path | None = None, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    given = {"CI_BUDGET_REPORT_HISTORY": f"sqlite:///{history}"} if history is not None else {}
    return run_tool(folder, "report", *words, env=given, prefix=prefix)
