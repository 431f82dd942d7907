#!/usr/bin/env bash
# The base images for tests and the demo, in the engine that the environment names (see .engine/env).
#
#   scripts/base-image.sh busybox   test/busybox:latest: a static busybox with all its applets, about 2 MB
#   scripts/base-image.sh python    python:3.11-slim: pulled where a registry is reachable, otherwise a Debian 12
#                                   with Python 3.11, pip and venv made by debootstrap (private engine only)
#
# An image that is there is left alone. What was made is kept in .engine/cache/, so that it is made once a clone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
engine=$(dirname "$here")/.engine
cache=$engine/cache
python_image=python:3.11-slim
busybox_image=test/busybox:latest

say() { echo "base image: $*"; }
die() {
  echo "base image: $*" >&2
  exit 1
}
present() { docker image inspect "$1" >/dev/null 2>&1; }

busybox() {
  local folder=$cache/busybox applet
  present "$busybox_image" && return
  "$here/debian-packages.sh" busybox-static
  rm -rf "$folder"
  mkdir -p "$folder/bin" "$folder/etc" "$folder/root" "$folder/tmp"
  chmod 1777 "$folder/tmp"
  cp "$(dpkg-query -L busybox-static | grep -E '/bin/busybox$')" "$folder/bin/busybox"
  for applet in $("$folder/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$folder/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$folder/etc/passwd"
  echo 'root:x:0:' >"$folder/etc/group"
  tar -C "$folder" --owner=0 --group=0 --numeric-owner --mtime=@0 --sort=name -c . |
    docker import --change 'ENV PATH=/bin' --change 'CMD ["/bin/sh"]' - "$busybox_image" >/dev/null
  rm -rf "$folder"
  say "made $busybox_image"
}

own_mirror() { # the Debian archive of the machine's own apt sources
  apt-get --print-uris update 2>/dev/null |
    sed -nE "s#^'([^']+)/dists/(bookworm|trixie|stable|testing|unstable|sid)/InRelease'.*#\1#p" | head -n 1
}

# What reaches the network from this machine has to reach it from a build: certificates, apt's proxy, pip's index.
carry_over_network() {
  local folder=$1 proxy check valid index
  mkdir -p "$folder/usr/local/share/ca-certificates"
  python3 - "$folder" <<'PYTHON'
import os, pathlib, re, sys

image = pathlib.Path(sys.argv[1])
one = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
bundle = "etc/ssl/certs/ca-certificates.crt"
there = set(one.findall((image / bundle).read_text()))
own = dict.fromkeys(one.findall(pathlib.Path(os.environ.get("SSL_CERT_FILE") or f"/{bundle}").read_text()))
for number, certificate in enumerate(certificate for certificate in own if certificate not in there):
    (image / f"usr/local/share/ca-certificates/host-{number:03}.crt").write_text(certificate)
PYTHON
  chroot "$folder" update-ca-certificates >/dev/null 2>&1
  {
    echo 'Acquire::Retries "5";'
    proxy=$(apt-config shell proxy Acquire::http::Proxy)
    eval "$proxy"
    [ -z "${proxy:-}" ] || echo "Acquire::http::Proxy \"$proxy\";"
    check=$(apt-config shell valid Acquire::Check-Valid-Until) # an archive that stands still outlives its own date
    eval "$check"
    [ "${valid:-}" != false ] || echo 'Acquire::Check-Valid-Until "false";'
  } >"$folder/etc/apt/apt.conf.d/80-network"
  index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
  {
    echo '[global]'
    echo 'retries = 5'
    case ${PIP_INDEX_URL:-$index} in http*) echo "index-url = ${PIP_INDEX_URL:-$index}" ;; esac
  } >"$folder/etc/pip.conf"
}

make_python_tarball() {
  local folder=$engine/debian-python mirror
  [ "$(id -u)" = 0 ] || die "making $python_image needs root; or pull it where a registry is reachable"
  "$here/debian-packages.sh" debootstrap debian-archive-keyring
  mirror=$(own_mirror)
  [ -n "$mirror" ] || die "no registry has $python_image, and the machine's apt sources name no Debian archive"
  say "no registry has $python_image: making one with debootstrap (about a minute)"
  # shellcheck disable=SC2064 # the folder as it is now
  trap "umount -q '$folder/proc' '$folder/sys' 2>/dev/null || true; rm -rf '$folder'" EXIT
  rm -rf "$folder"
  mkdir -p "$cache"
  {
    debootstrap --foreign --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
      bookworm "$folder" "$mirror" &&
      printf '%s\n' force-unsafe-io path-exclude=/usr/share/{doc,man,locale,info}/'*' \
        >"$folder/etc/dpkg/dpkg.cfg.d/slim" && # as slim images do; and a lost power cut costs a minute, no data
      chroot "$folder" /debootstrap/debootstrap --second-stage
  } >"$cache/debootstrap.log" 2>&1 || {
    tail -n 15 "$cache/debootstrap.log" >&2
    die "debootstrap failed; its log is $cache/debootstrap.log"
  }
  carry_over_network "$folder"
  ln -s python3 "$folder/usr/bin/python"
  rm -f "$folder"/usr/lib/python3*/EXTERNALLY-MANAGED "$folder/var/cache/apt/"*.bin
  rm -rf "${folder:?}"/{var/cache/apt/archives/*.deb,var/lib/apt/lists/*,var/log/*,dev/*}
  tar -C "$folder" --one-file-system --numeric-owner --sort=name --exclude='./proc/*' --exclude='./sys/*' \
    -cf "$cache/debian-python.tar.new" .
  mv "$cache/debian-python.tar.new" "$cache/debian-python.tar"
  rm -rf "$folder"
}

python() {
  local bundle=/etc/ssl/certs/ca-certificates.crt
  present "$python_image" && return
  if timeout 300 docker pull -q "$python_image" >/dev/null 2>&1; then
    say "pulled $python_image"
    return
  fi
  case ${DOCKER_HOST:-} in
    unix://"$engine"/run/docker.sock | unix:///run/dev-engine-*) ;;
    *) die "no registry has $python_image; a stand-in is made in the private engine only (make engine)" ;;
  esac
  [ -e "$cache/debian-python.tar" ] || make_python_tarball
  docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' --change "ENV SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle PIP_CERT=$bundle" \
    --change 'CMD ["python3"]' "$cache/debian-python.tar" "$python_image" >/dev/null
  say "made $python_image"
}

case ${1:-} in
  busybox | python)
    command -v docker >/dev/null || die "no docker: read .engine/env first (make engine makes it)"
    mkdir -p "$cache"
    exec 9>"$cache/lock.$1"
    flock 9
    "$1"
    ;;
  *)
    echo "usage: $0 busybox|python" >&2
    exit 2
    ;;
esac
