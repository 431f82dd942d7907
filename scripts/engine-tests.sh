#!/usr/bin/env bash
# The tests with a real engine, in two processes: those that kill runs or look at the whole host, and beside them those
# that mind neither (marked `beside`; with seeds and sandboxes of their own). What the second one printed is shown when
# both have ended.
#
#   scripts/engine-tests.sh PYTEST_OPTION…
set -u
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
beside=
trap 'if [ -n "$beside" ]; then kill "$beside" 2>/dev/null; fi; rm -rf "$scratch"' EXIT

export TESTS_LANES=$scratch
TESTS_LANE=beside .venv/bin/python -m pytest tests/engine tests/action -m beside --basetemp="$scratch/beside" "$@" >"$scratch/log" 2>&1 &
beside=$!
.venv/bin/python -m pytest tests/engine tests/action -m "not beside" --basetemp="$scratch/alone" "$@"
status=$?
wait "$beside"
status_beside=$?
beside=
echo "== beside them"
cat "$scratch/log"
[ "$status" = 0 ] && [ "$status_beside" = 0 ]
