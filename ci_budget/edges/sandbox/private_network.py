"""A bridge of the sandbox's own with NAT to the outside; the host's and its engine's network stay as they are.

The private engine must not manage the firewall itself (it would rewrite the host engine's rules),
so this module adds one masquerade rule and two accepts, each with the sandbox's comment, and takes
exactly these away again. Forwarding in the kernel is switched on where it was off, and off again by
the last sandbox that needed it. Which sandboxes live is kept for the network namespace, not for a
state directory: all of them share its firewall and its forwarding switch.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci_budget.edges.processes import run
from ci_budget.edges.sites.state import Claim, living_ids, locked, network_folder
from ci_budget.errors import UnmeasuredError

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_DEFAULT_MTU = 1500
_POOLS = ("10.213.0.0/16", "172.29.0.0/16", "192.168.240.0/20", "10.89.0.0/16", "100.88.0.0/16")
_IPTABLES = ("iptables", "-w", "30")
_RESTORE = ("iptables-restore", "--wait", "30", "--noflush")
_BRIDGE = re.compile(r"cib[0-9a-f]{8}")
_PAIRED = re.compile(r"veth[0-9a-f]{7}")  # github.com/moby/moby/libnetwork/netutils, GenerateIfaceName
_SETTLED = 1.0  # seconds
_WAS_OFF = "forwarding-was-off"


@dataclass(frozen=True, kw_only=True)
class PrivateNetwork:
    """A bridge's name, its address with prefix length, and the MTU to hand to the engine."""

    bridge: str
    address: str
    mtu: int


def create_network(claim: Claim) -> PrivateNetwork:
    """A bridge on a free subnet, with NAT. However far it came, `remove_network` takes it away."""
    with _exclusively():
        subnet = free_subnet()
        mtu = default_mtu()
        address = f"{subnet.network_address + 1}/{subnet.prefixlen}"
        steps = (
            f"link add name {claim.bridge} mtu {mtu} type bridge",
            f"address add {address} dev {claim.bridge}",
            f"link set dev {claim.bridge} up",
        )
        run(["ip", "-batch", "-"], stdin="".join(f"{step}\n" for step in steps).encode("ascii"))
        mark = ("-m", "comment", "--comment", claim.comment)
        for rule in (
            ("-t", "nat", "-I", "POSTROUTING", "1", "-s", str(subnet), "!", "-o", claim.bridge, *mark,
             "-j", "MASQUERADE"),
            ("-I", "FORWARD", "1", "-i", claim.bridge, "!", "-o", claim.bridge, *mark, "-j", "ACCEPT"),
            ("-I", "FORWARD", "1", "-o", claim.bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", *mark,
             "-j", "ACCEPT"),
        ):  # fmt: skip
            run([*_IPTABLES, *rule])
        if _FORWARD.read_text(encoding="ascii").strip() == "0":
            (network_folder() / _WAS_OFF).touch()
            _FORWARD.write_text("1\n", encoding="ascii")
    return PrivateNetwork(bridge=claim.bridge, address=address, mtu=mtu)


def remove_network(claim: Claim) -> None:
    """Take away this sandbox's rules and bridge, whatever is there of them; restore forwarding after the last one."""
    with _exclusively():
        _drop_rules(marked_rules(claim.comment))
        if claim.bridge in _links():
            _delete_bridge(claim.bridge)
        _restore_forwarding(living_ids() - {claim.id})


def marked_rules(comment: str) -> list[tuple[str, list[str]]]:
    """The firewall rules that carry `comment` (or any of ours with `comment` = "ci-budget:"): table and rule words."""
    found = []
    for table in ("nat", "filter"):
        saved = run([*_IPTABLES, "-t", table, "-S"], check=False)
        for line in saved.text.splitlines():
            if comment in line and line.startswith("-A "):
                words = shlex.split(line)
                mark = words[words.index("--comment") + 1] if "--comment" in words else ""
                if mark == comment or (comment.endswith(":") and mark.startswith(comment)):
                    found.append((table, words[1:]))
    return found


def remove_orphans() -> None:
    """Take away bridges and rules of sandboxes whose process is gone, whichever state directory they belonged to."""
    with _exclusively():
        living = living_ids()
        rules = marked_rules("ci-budget:")
        marks = [rule[rule.index("--comment") + 1].removeprefix("ci-budget:") for _, rule in rules]
        _drop_rules([rule for rule, mark in zip(rules, marks, strict=True) if mark not in living])
        for name in _links():
            if _BRIDGE.fullmatch(name) and name.removeprefix("cib") not in living:
                _delete_bridge(name)
        _restore_forwarding(living)


def _drop_rules(rules: Sequence[tuple[str, list[str]]]) -> None:
    """Take them away at one go, since each change takes the kernel a while; one by one where some are gone already."""
    lines = []  # no word of ours needs quotes, and iptables-restore knows no others than "
    for table in dict.fromkeys(table for table, _ in rules):
        lines += [f"*{table}", *(f"-D {' '.join(rule)}" for named, rule in rules if named == table), "COMMIT"]
    wanted = "".join(f"{line}\n" for line in lines).encode("utf-8")
    if rules and run(_RESTORE, check=False, stdin=wanted).exit_code != 0:
        for table, rule in rules:
            run([*_IPTABLES, "-t", table, "-D", *rule], check=False)


def _delete_bridge(name: str) -> None:
    """The bridge, and first what is plugged into it: an engine that was killed leaves the pair of a step's network."""
    made = next((int(link["ifindex"]) for link in _shown() if link["ifname"] == name), None)
    for link in _shown("master", name):
        run(["ip", "link", "delete", "dev", str(link["ifname"])], check=False)
    run(["ip", "link", "delete", "dev", name], check=False)
    if made is not None:
        _delete_unplugged(made)


def _delete_unplugged(since: int) -> None:
    """The pairs that a killed engine had made and not yet plugged in, which bear no name of ours.

    They are younger than its bridge (`since`: the bridge's index; indices only grow), and stay as they are: an engine
    that lives plugs its own in, or moves one end away, within milliseconds.
    """
    found = _unplugged(since)
    if found:
        time.sleep(_SETTLED)
        for _, name in sorted(found & _unplugged(since)):
            run(["ip", "link", "delete", "dev", name], check=False)


def _unplugged(since: int) -> set[tuple[int, str]]:
    """Index and name of both ends of pairs named as engines name them that lie here, down and without a bridge."""
    loose = {
        str(link["ifname"]): link
        for link in _shown("type", "veth")
        if int(link["ifindex"]) > since
        and _PAIRED.fullmatch(str(link["ifname"]))
        and "master" not in link
        and "UP" not in link["flags"]
    }
    return {(int(link["ifindex"]), name) for name, link in loose.items() if link.get("link") in loose}


def _shown(*which: str) -> list[dict[str, Any]]:
    """What `ip link show` tells of these interfaces; nothing where it fails."""
    found: list[dict[str, Any]] = json.loads(run(["ip", "-json", "link", "show", *which], check=False).text or "[]")
    return found


def _exclusively() -> contextlib.AbstractContextManager[None]:
    return locked(network_folder() / "lock")


def _restore_forwarding(living: set[str]) -> None:
    mark = network_folder() / _WAS_OFF
    if mark.exists() and not living:
        _FORWARD.write_text("0\n", encoding="ascii")
        mark.unlink()


def _links() -> dict[str, int]:
    """The interfaces and their MTU, as this network namespace has them (/sys may show another one's)."""
    return {str(link["ifname"]): int(link["mtu"]) for link in json.loads(run(["ip", "-json", "link", "show"]).text)}


def free_subnet() -> ipaddress.IPv4Network:
    """A /24 that overlaps no route of this machine, in any table. Raises UnmeasuredError when there is none."""
    taken = []
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).text or "[]"):
        with contextlib.suppress(ValueError):  # "default", unreachable types
            network = ipaddress.IPv4Network(str(route.get("dst", "")), strict=False)
            if network.prefixlen > 0:
                taken.append(network)
    for pool in _POOLS:
        for subnet in ipaddress.IPv4Network(pool).subnets(new_prefix=24):
            if not any(subnet.overlaps(network) for network in taken):
                return subnet
    raise UnmeasuredError("every private subnet that the sandbox could use is routed already on this machine")


def default_mtu() -> int:
    """The MTU of the interface that carries the default route; 1500 without one."""
    links = _links()
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "default"]).text or "[]"):
        if route.get("dev") in links:
            return links[route["dev"]]
    return _DEFAULT_MTU
