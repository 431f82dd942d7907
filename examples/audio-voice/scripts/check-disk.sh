#!/bin/sh
# The first thing to run when a disk fills up, and the thing to run from a timer before it does.
#
#   scripts/check-disk.sh [-w PERCENT] [-c PERCENT] [-n EXPECTED_GB] [-p PATH]
#
#   -w  warn at this share of blocks or inodes in use (80)      -n  room needed for a build: twice the expected image
#   -c  critical at this share (90)                                 size in GB must be free (not checked)
#   -p  folder to look at (Docker's data-root, else /var/lib/docker, else /)
#
# Exit status: 0 all well; 1 warning; 2 critical, or less than twice the expected image size is free; 3 usage, or the
# folder cannot be looked at.
set -eu
export LC_ALL=C

warn=80
critical=90
expected=
path=

usage() {
  sed -n '4,12s/^# \{0,1\}//p' "$0" >&2
  exit 3
}

number() {
  case $1 in
    '' | *[!0-9]*) usage ;;
  esac
}

while getopts w:c:n:p: option; do
  case $option in
    w) number "$OPTARG" && warn=$OPTARG ;;
    c) number "$OPTARG" && critical=$OPTARG ;;
    n) number "$OPTARG" && expected=$OPTARG ;;
    p) path=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || usage

if [ -z "$path" ]; then
  path=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || path=
  [ -n "$path" ] && [ -d "$path" ] || path=/var/lib/docker
  [ -d "$path" ] || path=/
fi
blocks=$(df -Pk -- "$path" 2>/dev/null | awk 'NR == 2 {print $2, $3, $4, $6}') || blocks=
if [ -z "$blocks" ]; then
  echo "check-disk: cannot look at $path" >&2
  exit 3
fi
inodes=$(df -Pi -- "$path" 2>/dev/null | awk 'NR == 2 {print $2, $3}') || inodes=

status=0
say() { # LEVEL MESSAGE
  case $1 in
    critical) status=2 ;;
    warning) [ "$status" -ge 1 ] || status=1 ;;
  esac
  printf '%-8s %s\n' "$1" "$2"
}

judge() { # WHAT USED TOTAL DETAIL
  [ "$3" -gt 0 ] || return 0
  percent=$((($2 * 100 + $3 - 1) / $3))
  level=ok
  [ "$percent" -lt "$warn" ] || level=warning
  [ "$percent" -lt "$critical" ] || level=critical
  say "$level" "$1: $percent % in use$4"
}

# shellcheck disable=SC2086 # numbers and a mount point, split on purpose
set -- $blocks
free_kb=$3
# What root keeps for itself is no use to anyone else: share of what can be had, as df shows it.
judge "disk of $path (mounted on $4)" "$2" "$(($2 + $3))" ", $(($3 * 1024 / 1000000)) MB free"
root_mount=$(df -Pk / | awk 'NR == 2 {print $6}')
if [ "$path" != / ] && [ "$4" = "$root_mount" ]; then
  say note "$path lies on the root disk: a build that fills it takes the machine down; give it a partition of its own"
fi
if [ -n "$inodes" ]; then
  # shellcheck disable=SC2086
  set -- $inodes
  case $1$2 in
    *[!0-9]*) ;; # a filesystem without a fixed number of inodes
    *) judge "inodes of $path" "$2" "$1" "" ;;
  esac
fi
if [ -n "$expected" ]; then
  needed_kb=$((expected * 2 * 1000000000 / 1024))
  level=ok
  [ "$free_kb" -ge "$needed_kb" ] || level=critical
  say "$level" "room for a build of $expected GB: $((expected * 2)) GB wanted, $((free_kb * 1024 / 1000000000)) GB free"
fi

if [ "$status" -gt 0 ]; then
  echo
  echo "Largest below $path:"
  du -xk -d 2 -- "$path" 2>/dev/null | sort -rn | sed -n '2,9p' |
    awk '{size = $1 / 1000 * 1.024; $1 = ""; printf "%10.0f MB %s\n", size, $0}'
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    echo
    docker system df
    echo
    echo "To give space back: docker builder prune --filter until=168h; docker system prune --filter until=168h"
  fi
fi
exit "$status"
