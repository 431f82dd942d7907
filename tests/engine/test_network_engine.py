"""The sandbox's network: it works where forwarding is off and everything is dropped, and the host's stays as it was."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci_budget.edges.sandbox.private_network import remove_orphans
from ci_budget.edges.sites.state import locked, network_folder
from tests.engine.background import GATEWAY, RunningCheck, WebServer, running_check
from tests.engine.lanes import disown, owned_ids
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project
from tests.engine_access import CLONE

OUTSIDE = "198.18.213"  # a /30 between the test and its namespace


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """An empty project whose base image is there."""
    return Project(folder=tmp_path / "project", budget="300MB")


def out(*words: str) -> str:
    """What a command prints; raises AssertionError with its complaint when it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A network namespace of the test's own: its only way out is the test's web server."""

    name: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Runs a command inside. As `ip netns exec`, with a /sys of its own, but with the control groups as outside."""
        return (
            "nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--propagation", "slave", "sh", "-ec",
            "mount --rbind /sys/fs/cgroup /mnt; mount -t sysfs sysfs /sys; mount --rbind /mnt /sys/fs/cgroup;"
            'exec "$@"',
            "sh",
        )  # fmt: skip

    def out(self, *words: str) -> str:
        """What a command prints inside."""
        return out("ip", "netns", "exec", self.name, *words)

    def picture(self) -> dict[str, object]:
        """Everything in it that a run must leave as it was."""
        return {
            "forwarding": self.out("cat", "/proc/sys/net/ipv4/ip_forward").strip(),
            "rules": rules(self.out("iptables-save")),
            "links": sorted(link["ifname"] for link in json.loads(self.out("ip", "-json", "link", "show"))),
            "routes": self.out("ip", "-4", "route", "show", "table", "all"),
        }


# What a published port and a network of its own add on the host's engine: tests beside these run such containers.
_OF_A_CONTAINER = re.compile(r" -[ds] \S+/(?:32|128)\b|\bbr-[0-9a-f]{12}\b")


def rules(saved: str) -> list[str]:
    """Rules, chains and policies of an `iptables-save`, without counters, single containers' and the sandboxes' own. A
    table that was merely looked at shows up with empty chains; these do not count."""
    found, table = [], ""
    for line in saved.splitlines():
        table = line if line.startswith("*") else table
        ours = "ci-budget:" in line or _OF_A_CONTAINER.search(line)
        if line.startswith(("-", ":")) and " ACCEPT [" not in line and not ours:
            found.append(f"{table} {line.partition(' [')[0]}")
    return found


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """No forwarding, FORWARD drops, an MTU of 1400, and a route that lies where the sandbox would go first."""
    name = f"test-{secrets.token_hex(3)}"
    outer, inner = f"{name}-o"[:15], f"{name}-i"[:15]
    out("ip", "netns", "add", name)
    try:
        made = Namespace(name=name)
        out("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        out("ip", "address", "add", f"{OUTSIDE}.1/30", "dev", outer)
        out("ip", "link", "set", outer, "up")
        made.out("ip", "link", "set", "lo", "up")
        made.out("ip", "address", "add", f"{OUTSIDE}.2/30", "dev", inner)
        made.out("ip", "link", "set", inner, "mtu", "1400", "up")
        made.out("ip", "route", "add", "default", "via", f"{OUTSIDE}.1")
        made.out("ip", "route", "add", "10.213.0.0/24", "via", f"{OUTSIDE}.1")
        made.out("sysctl", "-qw", "net.ipv4.ip_forward=0")
        made.out("iptables", "-P", "FORWARD", "DROP")
        made.out("iptables", "-A", "FORWARD", "-s", "192.0.2.7", "-j", "ACCEPT")
        yield made
    finally:
        shutil.rmtree(f"/run/ci-budget/.net-{Path('/run/netns', name).stat().st_ino}", ignore_errors=True)
        out("ip", "netns", "delete", name)  # the cable goes with it
        subprocess.run(["ip", "link", "delete", outer], capture_output=True)


def test_builds_reach_the_network_where_forwarding_is_off_and_dropped(
    project: Project, namespace: Namespace, leftovers: LeftoverWatch
) -> None:
    before = namespace.picture()
    assert (before["forwarding"], before["rules"].count("*filter :FORWARD DROP")) == ("0", 1)  # type: ignore[attr-defined]
    with WebServer(f"{OUTSIDE}.1") as web:
        fetch = (
            f"timeout 120 wget -q -O- http://{OUTSIDE}.1:{web.port}"
            "/$(cat /sys/class/net/eth0/mtu)$(ip -4 -o address show eth0 | awk '{ print \"/\" $4 }')"
        )
        project.write(f"FROM test/busybox\nRUN {fetch}\n")
        with running_check(project, prefix=namespace.prefix) as check:
            done = check.finish()
        assert done.exit_code == 0, done.stdout + done.stderr
        (path,) = web.paths
        mtu, address = path.split("/")[1:3]
        assert mtu == "1400"
        assert address.startswith("10.213.1."), "10.213.0.0/24 is routed elsewhere"
        assert namespace.picture() == before

        project.write(f"FROM test/busybox\nRUN {fetch}\n", network="none")
        refused = project.check(prefix=namespace.prefix)
        assert refused.exit_code == 4, refused.stdout + refused.stderr
        assert len(web.paths) == 1
        assert namespace.picture() == before


def bridge_of(check: RunningCheck) -> str:
    """The bridge of the sandbox that a running check owns."""
    (ident,) = owned_ids(Path("/proc", str(check.process.pid)))
    return f"cib{ident}"


def network_of(bridge: str) -> dict[str, Any]:
    """A sandbox's bridge and rules as the kernel has them."""
    ident = bridge.removeprefix("cib")
    (link,) = json.loads(out("ip", "-json", "address", "show", "dev", bridge))
    return {
        "index": link["ifindex"],
        "addresses": [address["local"] for address in link["addr_info"] if address["family"] == "inet"],
        "rules": [line for line in out("iptables-save").splitlines() if f"ci-budget:{ident}" in line],
    }


def test_a_living_sandbox_keeps_its_network_while_others_come_and_go(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leftovers: LeftoverWatch
) -> None:
    """One check is held in the middle of a step; beside it one runs through, one is killed, one mends what that left.

    The one that mends has another state directory: what it finds there says nothing of those that live.
    """
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "state"))
    write = "dd if=/dev/zero of=/x bs=1M count=40"
    with WebServer() as web:
        url = f"http://{GATEWAY}:{web.port}"
        project.write(
            f"FROM test/busybox\nRUN {write} && wget -q -O- {url}/hold-$WHO && wget -q -O- {url}/after-$WHO\n"
        )
        second = Project(folder=tmp_path / "second", budget=project.budget)
        second.write(f"FROM test/busybox\nRUN {write} && wget -q -O- {url}/second\n")
        with running_check(project) as held:
            web.wait_for("/hold", held)
            bridge = bridge_of(held)
            network = network_of(bridge)
            assert len(network["rules"]) == 3

            beside = second.check()
            assert beside.exit_code == 0, beside.stdout + beside.stderr
            assert network_of(bridge) == network

            dying = Project(folder=tmp_path / "dying", budget=project.budget)
            dying.write(f"FROM test/busybox\nRUN wget -q -O- {url}/hold-dying\n")
            with running_check(dying) as killed:
                web.wait_for("/hold-dying", killed)
                left = bridge_of(killed)
                assert len(network_of(left)["rules"]) == 3
                assert killed.kill().exit_code == -signal.SIGKILL

            mending = second.check(env={"CI_BUDGET_STATE": str(tmp_path / "other-state")})
            assert mending.exit_code == 0, mending.stdout + mending.stderr
            assert not Path(f"/sys/class/net/{left}").exists()
            assert network_of(bridge) == network

            web.release()
            done = held.finish()
        assert done.exit_code == 0, done.stdout + done.stderr
        assert [path for path in web.paths if path.startswith("/after")] == ["/after-"]

        alone = second.check()

    assert "removed what the killed run" in alone.stderr
    figures = [run.metric("peak_disk")["value"] for run in (done, beside, mending, alone)]
    assert max(figures) - min(figures) < MB, figures
    assert abs(figures[0] - 40 * MIB - done.image["bases"][0]["size"]) < MB


def host_network() -> dict[str, object]:
    """The host's firewall and bridges, sandboxes' own left out; an interface made anew has another number."""
    links = json.loads(out("ip", "-json", "-details", "address", "show"))
    return {
        "v4": rules(out("iptables-save")),
        "v6": rules(out("ip6tables-save")),
        "bridges": {
            link["ifname"]: (link["ifindex"], [found["local"] for found in link["addr_info"]])
            for link in links
            if link.get("linkinfo", {}).get("info_kind") == "bridge" and not link["ifname"].startswith(("cib", "br-"))
        },
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    }


def test_the_host_engines_network_stays_as_it_was(project: Project, leftovers: LeftoverWatch) -> None:
    before = host_network()
    assert before["bridges"], "the host's engine has no bridge, so this test shows nothing"
    with WebServer() as web:
        project.write(f"FROM test/busybox\nRUN wget -q -O- http://{GATEWAY}:{web.port}/hold\n")
        with running_check(project) as check:
            web.wait_for("/hold", check)
            assert host_network() == before, "while it runs"
            web.release()
            done = check.finish()
    assert done.exit_code == 0, done.stdout + done.stderr
    assert host_network() == before


def test_what_a_killed_engine_left_plugged_into_its_bridge_goes_with_it(leftovers: LeftoverWatch) -> None:
    ident = secrets.token_hex(4)
    bridge, near, far = f"cib{ident}", f"near{secrets.token_hex(3)}", f"far{secrets.token_hex(3)}"
    disown(ident)
    owner = network_folder() / f"{ident}.owner"
    with locked(owner):  # while it lives, no check beside takes away one half of this
        for words in (
            ["add", bridge, "type", "bridge"],
            ["add", near, "type", "veth", "peer", "name", far],
            ["set", near, "master", bridge],
        ):
            subprocess.run(["ip", "link", *words], check=True)
        owner.unlink()

    remove_orphans()

    links = {path.name for path in Path("/sys/class/net").iterdir()}
    assert links & {bridge, near, far} == set()


def test_a_pair_that_a_killed_engine_had_not_plugged_in_goes_with_its_bridge(namespace: Namespace) -> None:
    """In a namespace of its own: no run beside this one sees the pairs."""
    bridge = f"cib{secrets.token_hex(4)}"
    disown(bridge.removeprefix("cib"))
    pairs = (("veth1111111", "veth1111112"), ("near", "far"), ("veth2222221", "veth2222222"))
    namespace.out("ip", "link", "add", "veth0000001", "type", "veth", "peer", "name", "veth0000002")  # older
    namespace.out("ip", "link", "add", bridge, "type", "bridge")
    for near, far in pairs:
        namespace.out("ip", "link", "add", near, "type", "veth", "peer", "name", far)
    namespace.out("ip", "link", "set", "veth2222221", "up")  # somebody uses it

    remove = "from ci_budget.edges.sandbox.private_network import remove_orphans; remove_orphans()"
    namespace.out("env", f"PYTHONPATH={CLONE}", sys.executable, "-c", remove)

    links = {link["ifname"] for link in json.loads(namespace.out("ip", "-json", "link", "show"))}
    kept = {"veth0000001", "veth0000002", "near", "far", "veth2222221", "veth2222222"}
    assert links & {bridge, "veth1111111", "veth1111112", *kept} == kept
