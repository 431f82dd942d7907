#!/usr/bin/env bash
# Run one step of the Makefile: say its name, and afterwards how long it took and whether it failed.
#
#   scripts/step.sh NAME COMMAND…
name=$1
shift
echo "== $name"
start=$SECONDS
"$@"
status=$?
if [ "$status" = 0 ]; then
  echo "== $name: $((SECONDS - start)) s"
else
  echo "== $name: failed with exit status $status after $((SECONDS - start)) s" >&2
fi
exit "$status"
