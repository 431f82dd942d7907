"""What is said of a machine's GPU, from what `nvidia-smi` prints and how containers can be given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.core.config.model import Smoke
from ci_budget.edges.engine.gpu import Gpu, find_gpu
from ci_budget.edges.engine.smoke_test import require_gpu
from ci_budget.errors import UnmeasuredError

TWO = "NVIDIA H100 80GB HBM3, 550.54.15\nNVIDIA A10, 550.54.15\n"
CDI = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with one for CDI below it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "cdi").mkdir()
    return tmp_path


def install(machine: Path, output: str, exit_code: int = 0) -> None:
    """An `nvidia-smi` that answers the one question that is asked."""
    program = machine / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "--query-gpu=name,driver_version --format=csv,noheader" ] || exit 99\n'
        f"printf '%s' '{output}'\nexit {exit_code}\n"
    )
    program.chmod(0o755)


def find(machine: Path, *runtimes: str) -> Gpu | None:
    return find_gpu(runtimes, [machine / "none", machine / "cdi"])


class TestFind:
    def test_no_driver(self, machine: Path) -> None:
        assert find(machine, "nvidia") is None

    @pytest.mark.parametrize(
        ("output", "exit_code"),
        [(TWO, 9), ("", 0), ("No devices were found\n", 0)],
        ids=["failed", "nothing", "no-devices"],
    )
    def test_a_driver_without_a_gpu(self, machine: Path, output: str, exit_code: int) -> None:
        install(machine, output, exit_code)
        assert find(machine, "nvidia") is None

    def test_a_program_that_cannot_be_run(self, machine: Path) -> None:
        install(machine, TWO)
        (machine / "nvidia-smi").write_text("#!/no/such/interpreter\n")
        assert find(machine) is None

    def test_not_reachable(self, machine: Path) -> None:
        install(machine, TWO)
        found = find(machine, "runc")
        assert found == Gpu(models=("NVIDIA H100 80GB HBM3", "NVIDIA A10"), driver="550.54.15", access=None)
        assert found.describe() == "NVIDIA H100 80GB HBM3, NVIDIA A10, driver 550.54.15, not reachable from containers"

    def test_the_runtime(self, machine: Path) -> None:
        install(machine, TWO)
        found = find(machine, "nvidia", "runc")
        assert found is not None
        assert found.describe().endswith("driver 550.54.15, through the NVIDIA runtime")

    @pytest.mark.parametrize("name", ["nvidia.yaml", "nvidia.yml", "nvidia.json"])
    def test_cdi_goes_before_the_runtime(self, machine: Path, name: str) -> None:
        install(machine, TWO)
        (machine / "cdi" / name).write_text(CDI)
        found = find(machine, "nvidia")
        assert found is not None
        assert found.access == "cdi"
        assert found.describe().endswith("driver 550.54.15, through CDI")

    @pytest.mark.parametrize(("name", "text"), [("other.yaml", "kind: vendor.com/net\n"), ("nvidia.txt", CDI)])
    def test_what_is_no_description_of_a_gpu(self, machine: Path, name: str, text: str) -> None:
        install(machine, TWO)
        (machine / "cdi" / name).write_text(text)
        (machine / "cdi" / "folder.yaml").mkdir()
        (machine / "cdi" / "dangling.yaml").symlink_to("nowhere")
        found = find(machine)
        assert found is not None
        assert found.access is None


class TestRequire:
    UNREACHABLE = Gpu(models=("NVIDIA A10",), driver="550.54.15", access=None)

    @pytest.mark.parametrize("smoke", [None, "auto", "off"])
    def test_not_required(self, smoke: str | None) -> None:
        require_gpu(None if smoke is None else _smoke(smoke), None)

    def test_there_is_none(self) -> None:
        with pytest.raises(UnmeasuredError, match="this runner has none, or no driver for it") as error:
            require_gpu(_smoke("required"), None)
        assert error.value.mend is not None
        assert "gpu: auto" in error.value.mend

    def test_containers_cannot_reach_it(self) -> None:
        with pytest.raises(UnmeasuredError, match="containers cannot reach NVIDIA A10, driver ") as error:
            require_gpu(_smoke("required"), self.UNREACHABLE)
        assert error.value.mend is not None
        assert "nvidia-ctk cdi generate" in error.value.mend

    def test_it_is_there(self) -> None:
        require_gpu(_smoke("required"), Gpu(models=("NVIDIA A10",), driver="550.54.15", access="cdi"))


def _smoke(gpu: str) -> Smoke:
    return Smoke.model_validate({"command": ["true"], "gpu": gpu})
