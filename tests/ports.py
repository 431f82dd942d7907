"""Ports for servers of the tests that want to be told theirs, rather than take one that is free."""

from __future__ import annotations

import itertools
import socket

# Below those that the kernel gives to clients and to servers without a wish, of which one may come at any moment.
_PORTS = itertools.count(20_000)
_CLAIMS: list[socket.socket] = []


def free_port(host: str) -> int:
    """A port of `host` on which nobody listens, and that no other test is given while this process lives."""
    for port in _PORTS:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0ci-budget-test-port-{port}")  # the kernel drops it with the process
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return port
    raise AssertionError("unreachable")
