# shellcheck shell=bash
# What the private engine changes on the host's network, and how it is put back. Read by engine.sh, which sets the
# variables below.
#
# A lone engine makes docker0 and its own rules, as everywhere. Where docker0 is there already, it belongs to another
# engine: then ours gets a bridge and three firewall rules of its own, and leaves the other's alone.

: "${engine:?}" "${run:?}" "${second_bridge:?}" "${comment:?}"

state_of_host() { # remembered once a boot, so that `down` can put it back
  local boot
  boot=$(cat /proc/sys/kernel/random/boot_id)
  if [ -e "$run/host" ] && [ "$(sed -n 1p "$run/host")" = "$boot" ]; then return; fi
  {
    echo "$boot"
    cat /proc/sys/net/ipv4/ip_forward
    iptables -S FORWARD | sed -n 's/^-P FORWARD //p'
    if ip link show docker0 >/dev/null 2>&1; then echo second; else echo only; fi
  } >"$run/host"
}

is_second() { [ "$(sed -n 4p "$run/host" 2>/dev/null)" = second ]; }

free_subnet() { # the first three numbers of a /24 that no address and no route of the host lies in
  local n routes
  routes=$(
    ip -4 route
    ip -4 addr
  )
  for n in $(seq 31 99); do
    if ! grep -qE "(^| )(172\.$n\.|172\.16\.0\.0/12)" <<<"$routes"; then
      echo "172.$n.0"
      return
    fi
  done
  die "found no free subnet for the engine's bridge"
}

firewall_rules() { # -I or -D: NAT for the second engine's bridge
  local how=$1 subnet=$2
  iptables -w -t nat "$how" POSTROUTING -s "$subnet.0/24" ! -o "$second_bridge" -m comment --comment "$comment" -j MASQUERADE
  iptables -w "$how" FORWARD -i "$second_bridge" -m comment --comment "$comment" -j ACCEPT
  iptables -w "$how" FORWARD -o "$second_bridge" -m comment --comment "$comment" -j ACCEPT
}

# Another engine owns docker0 and the DOCKER chains: leave them alone and make a bridge with NAT beside them.
make_second_bridge() {
  local subnet
  remove_second_bridge
  subnet=$(free_subnet)
  ip link add "$second_bridge" type bridge
  ip addr add "$subnet.1/24" dev "$second_bridge"
  ip link set "$second_bridge" up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  firewall_rules -I "$subnet"
}

remove_second_bridge() {
  local rule table
  for table in nat filter; do
    while rule=$(iptables -w -t "$table" -S | grep -m 1 -F -- "\"$comment\""); do
      eval "iptables -w -t $table ${rule/#-A/-D}"
    done
  done
  ip link del "$second_bridge" 2>/dev/null || true
}

own_bridges() { # user-defined networks' bridges, read from the engine's own database (it may be dead)
  grep -aoE '"BridgeName":"br-[0-9a-f]{12}"' "$engine/data/network/files/local-kv.db" 2>/dev/null |
    cut -d '"' -f 4 | sort -u
}

# dockerd leaves its chains and docker0 behind when it ends.
remove_docker_network() {
  local tool table rule chain bridge
  for tool in iptables ip6tables; do
    for table in filter nat raw mangle; do
      while rule=$($tool -w -t $table -S 2>/dev/null | grep -m 1 -E '^-A .*(-[io] (docker0|br-[0-9a-f]{12})|-j DOCKER)'); do
        eval "$tool -w -t $table ${rule/#-A/-D}" || break
      done
      for chain in $($tool -w -t $table -S 2>/dev/null | sed -nE 's/^-N (DOCKER.*)/\1/p'); do
        $tool -w -t $table -F "$chain"
      done
      for chain in $($tool -w -t $table -S 2>/dev/null | sed -nE 's/^-N (DOCKER.*)/\1/p'); do
        $tool -w -t $table -X "$chain"
      done
    done
  done
  for bridge in docker0 $(own_bridges); do ip link del "$bridge" 2>/dev/null || true; done
}

restore_host() {
  [ -e "$run/host" ] || return 0
  if is_second; then
    remove_second_bridge
  else
    remove_docker_network
    iptables -w -P FORWARD "$(sed -n 3p "$run/host")"
  fi
  sed -n 2p "$run/host" >/proc/sys/net/ipv4/ip_forward
  rm -f "$run/host"
}
