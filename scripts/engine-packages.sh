#!/usr/bin/env bash
# Unpack Docker from Debian packages into a private folder, without touching the system's packages or apt sources.
#
#   scripts/engine-packages.sh FOLDER
#
# FOLDER/root then holds the unpacked packages, FOLDER/bin one link a program, FOLDER/config the CLI plugins.
# The mirror is the machine's own; only the suite changes: testing first, then unstable, then the machine's suite.
# A package counts when its program runs here and is new enough; otherwise the next suite is tried.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 FOLDER" >&2
  exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd -P)
apt_state=$folder/apt
root=$folder/root
stamp=$folder/unpacked
retries=(-o Acquire::Retries=5 -o Acquire::http::Timeout=60 -o Acquire::https::Timeout=60)

say() { echo "engine: $*"; }
die() {
  echo "engine: $*" >&2
  exit 1
}

private_apt() {
  local tool=$1
  shift
  "$tool" -q "${retries[@]}" -o "Dir::Etc::SourceList=$apt_state/sources.list" -o Dir::Etc::SourceParts=- \
    -o "Dir::State::Lists=$apt_state/lists" -o "Dir::Cache=$apt_state/cache" -o APT::Get::List-Cleanup=0 \
    -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

# The archive's address as the machine's own apt sources give it, for example http://deb.debian.org/debian
own_mirror() {
  local codename=$1
  apt-get --print-uris update 2>/dev/null |
    sed -nE "s#^'([^']+)/dists/($codename|stable|testing|unstable|sid)/InRelease'.*#\1#p" | head -n 1
}

use_suite() {
  local suite=$1 mirror=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg options=
  [ -e "$keyring" ] && options="[signed-by=$keyring] "
  mkdir -p "$apt_state/lists/partial" "$apt_state/cache/archives/partial" "$apt_state/debs/$suite"
  echo "deb $options$mirror $suite main" >"$apt_state/sources.list"
  if [ ! -e "$apt_state/updated-$suite" ]; then
    say "reading the package list of Debian $suite"
    private_apt apt-get update >"$apt_state/update.log" 2>&1 || {
      cat "$apt_state/update.log" >&2
      return 1
    }
    touch "$apt_state/updated-$suite"
  fi
}

# Name of the program that a package is needed for, its smallest version, and how it tells its version.
program_of() {
  case $1 in
    docker.io) echo "usr/sbin/dockerd 23.0 --version" ;;
    docker-cli) echo "usr/bin/docker 23.0 --version" ;;
    docker-buildx) echo "usr/libexec/docker/cli-plugins/docker-buildx 0.15 version" ;;
    docker-compose) echo "usr/libexec/docker/cli-plugins/docker-compose 2.0 version" ;;
    containerd) echo "usr/bin/containerd 1.7 --version" ;;
    tini) echo "usr/bin/tini 0.19 --version" ;;
    runc) echo "usr/sbin/runc 1.1 --version" ;;
    *) die "no program known for package $1" ;;
  esac
}

suites_for() {
  case $1 in
    runc | tini) echo "$2 testing unstable" ;; # the newer runc wants a newer glibc than Debian 12 has
    *) echo "testing unstable $2" ;;
  esac
}

first_version() { grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)*' | head -n 1; }

unpack() {
  local package=$1 suite=$2 stage program smallest flag version
  local -a found
  stage=$apt_state/stage
  rm -rf "$stage"
  mkdir -p "$stage"
  (cd "$apt_state/debs/$suite" && rm -f "${package}"_*.deb && private_apt apt-get download "$package") \
    >"$apt_state/download.log" 2>&1 || {
    say "$package is not to be had from $suite: $(tail -n 1 "$apt_state/download.log")"
    return 1
  }
  found=("$apt_state/debs/$suite/${package}"_*.deb)
  dpkg-deb -x "${found[0]}" "$stage" || return 1
  read -r program smallest flag <<<"$(program_of "$package")"
  if ! version=$("$stage/$program" "$flag" 2>"$apt_state/run.log" | first_version) || [ -z "$version" ]; then
    say "$package of $suite does not run here: $(head -n 1 "$apt_state/run.log")"
    return 1
  fi
  if ! dpkg --compare-versions "$version" ge "$smallest"; then
    say "$package of $suite is $version, older than $smallest"
    return 1
  fi
  cp -al "$stage/." "$root/" || return 1
  rm -rf "$stage" "${found[0]}"
  say "$package $version from $suite"
}

link_programs() {
  local file
  rm -rf "${folder:?}/bin"
  mkdir -p "$folder/bin" "$folder/config/cli-plugins"
  for file in "$root"/usr/bin/* "$root"/usr/sbin/*; do
    ln -sfnr "$file" "$folder/bin/$(basename "$file")"
  done
  ln -sfnr "$root/usr/bin/tini" "$folder/bin/docker-init"
  for file in "$root"/usr/libexec/docker/cli-plugins/*; do
    ln -sfnr "$file" "$folder/config/cli-plugins/$(basename "$file")"
  done
  [ -e "$folder/config/config.json" ] || echo '{}' >"$folder/config/config.json"
}

main() {
  local codename mirror package suite got
  if [ -e "$stamp" ] && "$folder/bin/dockerd" --version >/dev/null 2>&1; then
    return 0
  fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    die "no Docker engine (>= 23 with buildx >= 0.15) is reachable, and this is no Debian machine: install Docker yourself"
  fi
  codename=$(sed -nE 's/^VERSION_CODENAME="?([^"]*)"?/\1/p' /etc/os-release)
  mirror=$(own_mirror "$codename")
  [ -n "$mirror" ] || die "no Debian archive among the machine's apt sources: install Docker >= 23 with buildx >= 0.15 yourself"
  rm -rf "$root"
  mkdir -p "$root"
  for package in docker.io docker-cli docker-buildx docker-compose containerd tini runc; do
    got=
    for suite in $(suites_for "$package" "$codename"); do
      use_suite "$suite" "$mirror" && unpack "$package" "$suite" && got=1 && break
    done
    [ -n "$got" ] || die "no usable $package in Debian testing, unstable or $codename on this machine"
  done
  link_programs
  rm -rf "$apt_state"
  touch "$stamp"
}

main
