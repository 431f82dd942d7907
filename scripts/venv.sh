#!/usr/bin/env bash
# Make or refresh .venv from requirements-dev.lock, with the package itself installed editable.
#
#   scripts/venv.sh [PYTHON]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${1:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "venv: $python is $("$python" --version 2>&1), Python 3.11 or later is needed: make PYTHON=python3.12 …" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  scripts/debian-packages.sh python3-venv
fi
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  rm -rf .venv
  "$python" -m venv .venv
fi
pip=(.venv/bin/python -m pip --quiet --quiet --disable-pip-version-check --retries 5)
"${pip[@]}" install --require-hashes --requirement requirements-dev.lock
"${pip[@]}" install --no-deps --no-build-isolation --editable .
