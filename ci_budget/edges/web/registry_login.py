"""Who we are at a registry: docker's own logins, from its config.json and its credential helpers.

Format: github.com/docker/cli, cli/config (`auths`, `credHelpers`, `credsStore`); helpers: the protocol of
github.com/docker/docker-credential-helpers (`docker-credential-NAME get`).
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_LARGEST_CONFIG = 4 * 2**20
_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", re.ASCII)
_NOT_FOUND = b"credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - the name by which a helper says that the secret is an identity token
_HELPER_TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user and a password; or an identity token, which an authorization server changes into an access token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


def find_login(host: str, folder: Path | None = None) -> Login | None:
    """The login for a registry (`host[:port]`); None where docker has none. `folder`: $DOCKER_CONFIG, else ~/.docker.

    Raises UnmeasuredError when docker's config, or the helper that it names, gives no usable answer.
    """
    file = (folder or _config_folder()) / "config.json"
    config = _read(file)
    helpers = _mapping(config.get("credHelpers"))
    key = _HUB_KEY if host == _HUB else host
    helper = helpers.get(host) or helpers.get(key) or config.get("credsStore")
    if helper:
        return _ask_helper(str(helper), key, file)
    auths = _mapping(config.get("auths"))
    for name, entry in auths.items():
        if name == key or _host_of(name) == (_host_of(_HUB_KEY) if host == _HUB else host):
            return _stored(_mapping(entry), host, file)
    return None


def _config_folder() -> Path:
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else Path.home() / ".docker"


def _read(file: Path) -> Mapping[str, Any]:
    if not os.path.lexists(file):
        return {}
    try:
        found = json.loads(read_bounded(file, _LARGEST_CONFIG))
    except (ValueError, RecursionError) as error:
        raise UnmeasuredError("docker's config is no JSON", file=file) from error
    if not isinstance(found, dict):
        raise UnmeasuredError("docker's config is no JSON object", file=file)
    return found


def _stored(entry: Mapping[str, Any], host: str, file: Path) -> Login | None:
    token = entry.get("identitytoken")
    if token:
        return Login(identity_token=str(token))
    if not entry.get("auth"):
        return None
    try:
        user, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
    except ValueError as error:
        raise UnmeasuredError(f"docker's login for {host} cannot be read", file=file, mend=_again(host)) from error
    if not colon:
        raise UnmeasuredError(f"docker's login for {host} has no password", file=file, mend=_again(host))
    return Login(user=user, password=password.rstrip("\0"))


def _ask_helper(name: str, key: str, file: Path) -> Login | None:
    if not _HELPER.fullmatch(name):
        raise UnmeasuredError(f"docker's config names the credential helper {name[:60]!r}, which is no name", file=file)
    program = f"docker-credential-{name}"
    done = run([program, "get"], check=False, stdin=key.encode(), timeout=_HELPER_TIMEOUT)
    if done.exit_code != 0:
        if _NOT_FOUND in done.stdout + done.stderr:
            return None
        raise UnmeasuredError(
            f"the credential helper {program} gave no login for {key}: {done.complaint[:300]}", mend=_again(key)
        )
    try:
        found = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnmeasuredError(f"the credential helper {program} gave no login that can be read") from None
    return Login(identity_token=secret) if user == _TOKEN_USER else Login(user=user, password=secret)


def _host_of(name: str) -> str:
    """`https://host/v1/` -> `host`, as docker's ConvertToHostname does it."""
    return re.sub(r"^https?://", "", name).partition("/")[0]


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _again(host: str) -> str:
    return f"Log in again: `docker login {host}`."
