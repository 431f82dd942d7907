#!/usr/bin/env bash
# Write the hash-locked requirements anew, for Python 3.11 and later on Linux (x86_64 and aarch64).
#
#   scripts/lock.sh [--upgrade]
#
# requirements.lock        what ci-budget needs to run (the action and the image install it)
# requirements-build.lock  what installing ci-budget itself needs: its build backend
# requirements-dev.lock    all of the above, and what an editable install, the tests and the linters need
#
# Without --upgrade, versions that are locked already stay. uv is taken from PATH, else from a
# private virtual environment that is removed afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet uv
    uv="$work/venv/bin/uv"
fi

compile() { # OUTPUT SOURCE… and more options of uv
    local output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
        --output-file "$output" "$@" >/dev/null
    local text
    text=$(cat "$output")
    printf '# Made by scripts/lock.sh; do not edit.\n%s\n' "$text" >"$output"
}

# The machine's own pip settings may name files or folders of this machine: they are no part of a lock.
export UV_NO_CONFIG=1
unset UV_FIND_LINKS UV_CONSTRAINT PIP_FIND_LINKS PIP_CONSTRAINT || true

echo 'hatchling>=1.24' >"$work/build.in"
echo 'editables>=0.5' >"$work/dev.in" # an editable install asks for it
compile requirements.lock pyproject.toml "$@"
compile requirements-build.lock "$work/build.in" --constraint requirements.lock "$@"
compile requirements-dev.lock pyproject.toml --all-extras "$work/build.in" "$work/dev.in" \
    --constraint requirements.lock --constraint requirements-build.lock "$@"
wc -l requirements*.lock
