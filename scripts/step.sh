#!/usr/bin/env bash
# Run one step of the Makefile: say its name, and afterwards how long it took and whether it failed.
#
#   scripts/step.sh [--whole] NAME COMMAND…
#
# --whole: what it prints comes in one piece at its end; for a step that others run beside.
whole=
if [ "$1" = --whole ]; then
  whole=yes
  shift
fi
name=$1
shift
echo "== $name"
start=$SECONDS
if [ -n "$whole" ]; then
  said=$("$@" 2>&1)
  status=$?
  printf '%s\n' "$said"
else
  "$@"
  status=$?
fi
if [ "$status" = 0 ]; then
  echo "== $name: $((SECONDS - start)) s"
else
  echo "== $name: failed with exit status $status after $((SECONDS - start)) s" >&2
fi
exit "$status"
