#!/usr/bin/env bash
# Install small Debian packages that are not there yet, and name them.
#
#   scripts/debian-packages.sh PACKAGE…
set -euo pipefail

options=(-q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
missing=()
if ! command -v dpkg-query >/dev/null; then
  # What is lacking fails where it is used, by its own name.
  echo "packages: not a Debian machine; these must be installed: $*"
  exit 0
fi
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "packages: ${missing[*]} are missing and installing them needs root" >&2
  exit 1
fi
echo "packages: installing ${missing[*]}"
exec 8>/run/debian-packages.lock # several steps may ask at a time, and apt-get update does not wait for another
flock 8
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
# An index that is out of date names files that the mirror has dropped: read it again only when that is so.
if ! install; then
  apt-get "${options[@]}" update >"$log" 2>&1 || true
  install || {
    cat "$log" >&2
    echo "packages: apt-get cannot install ${missing[*]}" >&2
    exit 1
  }
fi
