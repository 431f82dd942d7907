"""Lock the requirements: python requirements/lock.py (needs uv on the PATH and a package index).

Writes, for CPython 3.11 on x86-64 Linux:
- light.txt, full.txt: what `Dockerfile` installs, each file of the index by SHA-256, less the packages in NAME.without;
- before/light.txt, before/full.txt: the same versions with nothing left out, as `Dockerfile.before` installs them;
- before/light-first.txt, before/full-first.txt: the part of it that `Dockerfile.before` has in a layer of its own.
"""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIRST = {"light": ("numpy", "scipy"), "full": ("torch",)}


def compile_lock(source: Path, *options: str) -> list[dict[str, Any]]:
    """The packages of a pylock.toml (PEP 751) that uv resolves from `source`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pylock.toml"
        command = ["uv", "pip", "compile", "--quiet", "--system-certs", "--python-version", "3.11"]
        command += ["--python-platform", "x86_64-manylinux_2_28", "--format", "pylock.toml", *options]
        subprocess.run([*command, str(source), "-o", str(output)], check=True, cwd=HERE)
        packages: list[dict[str, Any]] = tomllib.loads(output.read_text())["packages"]
    return packages


def hashed(package: dict[str, Any]) -> str:
    files = package.get("wheels") or [package["sdist"]]
    hashes = sorted(file["hashes"]["sha256"] for file in files)
    return " \\\n".join([pinned(package), *(f"    --hash=sha256:{value}" for value in hashes)])


def pinned(package: dict[str, Any]) -> str:
    return f"{package['name']}=={package['version']}"


def write(name: str, lines: list[str]) -> None:
    path = HERE / name
    path.write_text("\n".join(["# made by requirements/lock.py", *lines]) + "\n")
    print(f"{path.relative_to(HERE.parent)}: {len(lines)} packages")


def main() -> None:
    for variant, first in FIRST.items():
        source = HERE / f"{variant}.in"
        packages = compile_lock(source)
        write(f"before/{variant}.txt", [pinned(package) for package in packages])
        write(f"before/{variant}-first.txt", [pinned(package) for package in packages if package["name"] in first])
        without = HERE / f"{variant}.without"
        if without.exists():
            with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=HERE) as constraints:
                constraints.write("\n".join(map(pinned, packages)))
                constraints.flush()
                packages = compile_lock(source, "--excludes", str(without), "-c", constraints.name)
        write(f"{variant}.txt", [hashed(package) for package in packages])


if __name__ == "__main__":
    main()
