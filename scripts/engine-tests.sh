#!/usr/bin/env bash
# The tests with a real engine, in two processes: those that make sandboxes, and beside them those that only use the
# engine which all share (marked `shared`). What the second one printed is shown when both have ended.
#
#   scripts/engine-tests.sh PYTEST_OPTION…
set -u
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
beside=
trap 'if [ -n "$beside" ]; then kill "$beside" 2>/dev/null; fi; rm -rf "$scratch"' EXIT

.venv/bin/python -m pytest tests -m shared --basetemp="$scratch/shared" "$@" >"$scratch/log" 2>&1 &
beside=$!
.venv/bin/python -m pytest tests/engine tests/action -m "not shared" "$@"
status=$?
wait "$beside"
status_beside=$?
beside=
echo "== beside them, on the engine that all share"
cat "$scratch/log"
[ "$status" = 0 ] && [ "$status_beside" = 0 ]
