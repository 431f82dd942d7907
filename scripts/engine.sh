#!/usr/bin/env bash
# The Docker engine for development and tests.
#
#   scripts/engine.sh up       an engine is reachable afterwards, and .engine/env tells a shell how
#   scripts/engine.sh down     ends the engine that `up` started; one that was there before stays as it is
#   scripts/engine.sh status   says which engine is in use; exit status 1 when there is none
#
# An engine >= 23 with buildx >= 0.15 that the docker CLI reaches is used as it is. Otherwise one is unpacked from
# Debian packages into .engine/ and run from there, as root: data, sockets, containerd and CLI plugins all lie there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
clone=$(dirname "$here")
engine=$clone/.engine
smallest_engine=23.0
smallest_buildx=0.15
id=$(printf '%s' "$clone" | cksum | cut -d ' ' -f 1)
cgroup=dev-engine-$id
second_bridge=dev$id
comment="dev-engine $id"
socket_room=70 # of the 107 bytes of a unix socket's path; the rest is what containerd and dockerd append
run=$engine/run # sockets and process ids; by a short link to it when the clone's path is long
if [ "${#run}" -gt "$socket_room" ]; then run=/run/dev-engine-$id; fi
# shellcheck source=scripts/engine-network.sh
. "$here/engine-network.sh"

say() { echo "engine: $*"; }
die() {
  echo "engine: $*" >&2
  exit 1
}

# --- Which engine -----------------------------------------------------------------------------------------------

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

own_docker() {
  PATH=$engine/bin:$PATH DOCKER_CONFIG=$engine/config DOCKER_HOST=unix://$run/docker.sock DOCKER_CONTEXT='' \
    "$engine/bin/docker" "$@"
}

own_answers() { [ -S "$run/docker.sock" ] && own_docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The docker CLI as this user has it, also in a shell that has read .engine/env.
user_docker() {
  local path=:$PATH:
  path=${path//:$engine\/bin:/:}
  path=${path#:}
  (
    case ${DOCKER_HOST:-} in unix://"$run"/docker.sock) unset DOCKER_HOST ;; esac
    case ${DOCKER_CONFIG:-} in "$engine"/config) unset DOCKER_CONFIG ;; esac
    PATH=${path%:} timeout 20 docker "$@"
  )
}

version_in() { grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)*' | head -n 1; }

# Prints the version of an engine that is there and fit; explains on stderr why one that is there is not used.
fit_user_engine() {
  local server buildx
  server=$(user_docker version --format '{{.Server.Version}}' 2>/dev/null | version_in) || return 1
  if ! at_least "$server" "$smallest_engine"; then
    say "the running engine is $server, older than $smallest_engine: not used" >&2
    return 1
  fi
  if ! buildx=$(user_docker buildx version 2>/dev/null | version_in) || ! at_least "$buildx" "$smallest_buildx"; then
    say "engine $server runs, but docker has no buildx >= $smallest_buildx (found: ${buildx:-none}): not used" >&2
    return 1
  fi
  echo "$server, buildx $buildx"
}

write_env() { # PATH DOCKER_HOST DOCKER_CONFIG [DOCKER_CONTEXT]
  mkdir -p "$engine"
  {
    echo "# made by scripts/engine.sh; read it with: . .engine/env"
    echo "export PATH=$1"
    if [ -n "$2" ]; then printf 'export DOCKER_HOST=%q\n' "$2"; else echo 'unset DOCKER_HOST'; fi
    [ -n "${4:-}" ] && printf 'export DOCKER_CONTEXT=%q\n' "$4"
    printf 'export DOCKER_CONFIG=%q\n' "$3"
  } >"$engine/env.new"
  mv "$engine/env.new" "$engine/env"
}

use_user_engine() {
  local host config context=''
  host=$(user_docker context inspect --format '{{.Endpoints.docker.Host}}')
  config=${DOCKER_CONFIG:-$HOME/.docker}
  [ "$config" = "$engine/config" ] && config=$HOME/.docker
  case $host in
    unix://*) ;;
    *) if [ -z "${DOCKER_HOST:-}" ]; then # an ssh or TLS context holds more than an address
      context=$(user_docker context show)
      host=
    fi ;;
  esac
  write_env "\"\$PATH\":$(printf %q "$(dirname "$(command -v docker)")")" "$host" "$config" "$context"
}

# --- The host's side of the private engine ----------------------------------------------------------------------

need_packages() {
  local pair missing=()
  for pair in iptables:iptables ip:iproute2 setsid:util-linux flock:util-linux update-ca-certificates:ca-certificates; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  "$here/debian-packages.sh" "${missing[@]}"
}

write_daemon_json() {
  local mtu route network
  route=$(ip -4 route show default | sed -nE 's/.* dev ([^ ]+).*/\1/p' | head -n 1)
  mtu=$(cat "/sys/class/net/${route:-lo}/mtu" 2>/dev/null || echo 1500)
  [ -n "$route" ] || mtu=1500
  network=''
  if is_second; then
    network="\"bridge\": \"$second_bridge\", \"iptables\": false, \"ip6tables\": false, \"ip-forward\": false, \"ip-masq\": false,"
  fi
  cat >"$engine/daemon.json" <<JSON
{
  "data-root": "$engine/data", "exec-root": "$run/exec", "pidfile": "$run/dockerd.pid",
  "hosts": ["unix://$run/docker.sock"], "containerd": "$run/containerd/containerd.sock",
  "storage-driver": "overlay2", "features": {"containerd-snapshotter": false},
  "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": "/$cgroup", $network
  "mtu": $mtu, "log-opts": {"max-size": "10m"}
}
JSON
}

# --- Processes --------------------------------------------------------------------------------------------------

# start NAME COMMAND…: a process that outlives the caller: its own session, no inherited descriptor, no terminal
start() {
  local name=$1
  shift
  # shellcheck disable=SC2016,SC2094 # expanded by the inner shell, which does not read the log
  PATH=$engine/bin:$PATH setsid bash -c '
    log=$1; shift
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
    cd / && exec "$@"' start "$engine/log/$name.log" "$@" </dev/null >>"$engine/log/$name.log" 2>&1 &
}

# The process in a pidfile, if it lives and runs a program of this engine (a process id may have a new owner).
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [ -n "$pid" ] || return 1
  case $(readlink "/proc/$pid/exe" 2>/dev/null) in "$engine"/root/*) echo "$pid" ;; *) return 1 ;; esac
}

wait_for() { # SECONDS COMMAND…
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

gone() { [ ! -e "/proc/$1" ]; }

# wait_until_up NAME PID SOCKET: returns 1 as soon as the process has ended
wait_until_up() {
  local deadline=$((SECONDS + 60))
  until [ -S "$3" ]; do
    if gone "$2" || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 15 "$engine/log/$1.log" >&2
      die "$1 did not start; its log is $engine/log/$1.log"
    fi
    sleep 0.1
  done
}

stop() { # PIDFILE SECONDS
  local pid
  if pid=$(alive "$1"); then
    kill "$pid" 2>/dev/null || true
    wait_for "$2" gone "$pid" || { kill -9 "$pid" 2>/dev/null || true; }
    wait_for 5 gone "$pid" || say "process $pid does not end"
  fi
  rm -f "$1"
}

# What a killed engine left behind: its own programs, and the processes of its containers and builds (by cgroup).
# Other engines may run from the same files (the sandboxes that ci-budget makes): the arguments tell them apart.
stray_processes() {
  local entry words
  for entry in /proc/[0-9]*; do
    if grep -qE ":/$cgroup(/|\$)" "$entry/cgroup" 2>/dev/null; then
      echo "${entry#/proc/}"
      continue
    fi
    case $(readlink "$entry/exe" 2>/dev/null) in "$engine"/root/*) ;; *) continue ;; esac
    words=$(tr '\0' ' ' <"$entry/cmdline" 2>/dev/null) || continue
    case $words in
      *"$engine/daemon.json"* | *"$engine/containerd"* | *"$engine/data/"* | *"$engine/run/"* | *"$run/"*) echo "${entry#/proc/}" ;;
    esac
  done
}

end_stray_processes() {
  local pid round
  for round in 1 2 3 4 5; do
    local any=
    for pid in $(stray_processes); do
      any=1
      kill -9 "$pid" 2>/dev/null || true
    done
    [ -n "$any" ] || return 0
    sleep "0.$round"
  done
  say "some processes of the engine do not end: $(stray_processes | tr '\n' ' ')"
}

mounts_below() { # deepest first; a mount point's blanks are written \040
  awk -v top="$1" '$5 == top || index($5, top "/") == 1 {print $5}' /proc/self/mountinfo | tac
}

end_mounts() {
  local place where
  for place in "$engine/data" "$engine/containerd" "$engine/run" "$run"; do
    while IFS= read -r where; do
      where=$(printf '%b' "$where")
      umount "$where" 2>/dev/null || umount -l "$where" || say "cannot unmount $where"
    done < <(mounts_below "$place")
  done
}

remove_cgroups() {
  local top
  for top in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    if [ -d "$top" ]; then find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}

# --- Commands ---------------------------------------------------------------------------------------------------

up_private() {
  local started=$SECONDS
  [ "$(id -u)" = 0 ] || die "no fit engine is reachable, and starting one needs root: run this as root, or start Docker >= $smallest_engine"
  need_packages
  "$here/engine-packages.sh" "$engine"
  mkdir -p "$engine/run"
  if [ "$run" != "$engine/run" ]; then ln -sfn "$engine/run" "$run"; fi
  if ! alive "$run/dockerd.pid" >/dev/null; then # it was killed, or the power went: begin from a clean table
    stop "$run/containerd.pid" 10
    end_stray_processes
    end_mounts
  fi
  mkdir -p "$engine/run/exec" "$engine/run/containerd" "$engine/data" "$engine/log"
  state_of_host
  if is_second; then make_second_bridge; fi
  write_daemon_json
  if ! alive "$run/containerd.pid" >/dev/null; then
    rm -f "$run"/containerd/*.sock*
    : >"$engine/log/containerd.log"
    cat >"$engine/containerd.toml" <<TOML
version = 3
root = "$engine/containerd"
state = "$run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = "$run/containerd/containerd.sock"
TOML
    start containerd "$engine/root/usr/bin/containerd" --config "$engine/containerd.toml" --log-level warn
    echo $! >"$run/containerd.pid"
    wait_until_up containerd $! "$run/containerd/containerd.sock"
  fi
  if ! alive "$run/dockerd.pid" >/dev/null; then
    rm -f "$run/docker.sock" "$run/dockerd.pid"
    : >"$engine/log/dockerd.log"
    start dockerd "$engine/root/usr/sbin/dockerd" --config-file "$engine/daemon.json" --log-level warn
    wait_until_up dockerd $! "$run/docker.sock"
  fi
  wait_for 30 own_answers || die "dockerd does not answer; its log is $engine/log/dockerd.log"
  write_env "$(printf %q "$engine/bin"):\"\$PATH\"" "unix://$run/docker.sock" "$engine/config"
  say "private engine $(own_docker version --format '{{.Server.Version}}') is up after $((SECONDS - started)) s"
}

up() {
  local found
  if own_answers; then
    say "private engine $(own_docker version --format '{{.Server.Version}}') is already up"
  elif found=$(fit_user_engine); then
    use_user_engine
    say "using the running engine $found"
  else
    up_private
  fi
  say "in a shell: . .engine/env"
}

down() {
  if [ ! -e "$engine/run" ]; then
    say "no private engine"
    rm -f "$engine/env"
    return
  fi
  [ "$(id -u)" = 0 ] || die "ending the private engine needs root"
  if own_answers; then # containers have nothing to save here: do not wait for them
    own_docker ps --quiet | xargs --no-run-if-empty "$engine/bin/docker" --host "unix://$run/docker.sock" kill >/dev/null || true
  fi
  stop "$run/dockerd.pid" 30
  stop "$run/containerd.pid" 10
  end_stray_processes
  end_mounts
  restore_host
  remove_cgroups
  rmdir /run/containerd/s /run/containerd 2>/dev/null || true
  rm -rf "$engine/run" "$engine/env"
  if [ -L "$run" ]; then rm -f "$run"; fi
  say "the private engine is down; its images stay in $engine/data (make clean removes them)"
}

status() {
  local found
  if own_answers; then
    say "private engine $(own_docker version --format '{{.Server.Version}}'), $(own_docker buildx version), unix://$run/docker.sock"
  elif found=$(fit_user_engine); then
    say "the running engine $found"
  else
    say "no engine; make engine starts one"
    return 1
  fi
}

locked() { # one at a time: several make calls may want the engine
  mkdir -p "$engine"
  if command -v flock >/dev/null; then
    exec 9>"$engine/lock"
    flock 9
  fi
  "$@"
}

case ${1:-} in
  up | down) locked "$1" ;;
  status) status ;;
  *)
    echo "usage: $0 up|down|status" >&2
    exit 2
    ;;
esac
