"""A registry of container images, read only: OCI distribution-spec v1.1, token authentication as Docker does it.

https://distribution.github.io/distribution/spec/auth/token/. Whatever comes back is untrusted: bounded, and believed
only where its digest is the one that was asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit

from ci_budget.core.layers.image_config import LARGEST_DOCUMENT, check_content, check_digest
from ci_budget.core.layers.manifest import INDEX_TYPES, MANIFEST_TYPES, Blob
from ci_budget.core.stages.references import ImageReference
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.units import format_size
from ci_budget.edges.web.http import HttpAnswer, HttpClient, HttpStream, NoAnswerError
from ci_budget.edges.web.registry_login import Login, find_login
from ci_budget.errors import UnmeasuredError

_HUB, _HUB_SERVER = "docker.io", "registry-1.docker.io"
_ACCEPT = {"Accept": ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))}
_LARGEST_TOKEN = 2**20
_PARAMETER = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"|([a-z_]+)=([^\s",]+)', re.IGNORECASE)
_CHUNK = 2**20
_CLIENT = "ci-budget"


class Registry:
    """One repository of one registry (`reference.name`), with docker's own login for it.

    https always, plain http only for this machine (`localhost`, a loopback address) and for what `insecure` names: the
    daemon's insecure-registries, asked for when https gets no answer.
    """

    def __init__(
        self,
        reference: ImageReference,
        *,
        insecure: Callable[[], tuple[str, ...]] = tuple,
        login: Callable[[str], Login | None] = find_login,
    ) -> None:
        self.host, _, self._repository = reference.name.partition("/")
        self._insecure = insecure
        self._login = login
        self._client = HttpClient()
        self._authorization: str | None = None
        self._base: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def document(self, reference: str) -> tuple[str, bytes]:
        """A manifest or an index by tag or digest: its digest, computed from what was received, and its bytes.

        Raises UnmeasuredError when the registry has none, refuses, or sends something else than was asked for.
        """
        what = f"manifest {reference}" if ":" in reference else f"tag '{reference}'"
        answer = self._get(f"manifests/{reference}", what)
        if ":" in reference:
            return reference, check_content(answer.body, check_digest(reference))
        return f"sha256:{hashlib.sha256(answer.body).hexdigest()}", answer.body

    def blob(self, blob: Blob) -> bytes:
        """A small blob, such as a config. Raises UnmeasuredError for a large one, and for one with another content."""
        if blob.size > LARGEST_DOCUMENT:
            raise UnmeasuredError(f"the blob {blob.digest} has {format_size(blob.size)}, too large for a config")
        return check_content(self._get(f"blobs/{blob.digest}", f"blob {blob.digest}", may_leave=True).body, blob.digest)

    @contextlib.contextmanager
    def open_blob(self, blob: Blob) -> Iterator[BlobStream]:
        """A blob as a stream. Call its `finish` after reading, which tells whether it was whole."""
        url, what = f"{self._address()}blobs/{blob.digest}", f"blob {blob.digest}"
        for last in (False, True):
            with self._client.stream(url, authorization=self._authorization) as stream:
                if stream.status == 200:
                    yield BlobStream(stream, blob)
                    return
                if stream.status != 401 or last:
                    raise self._refused(stream.status, what, b"")
            self._log_in(self._get_challenge(what))  # the token's time was over
        raise AssertionError

    def _get(self, path: str, what: str, *, may_leave: bool = False) -> HttpAnswer:
        url = f"{self._address()}{path}"
        for last in (False, True):
            answer = self._client.send(
                "GET", url, most=LARGEST_DOCUMENT, headers=_ACCEPT if "manifests/" in path else None,
                authorization=self._authorization, may_leave=may_leave,
            )  # fmt: skip
            if answer.status == 200:
                return answer
            if answer.status != 401 or last:
                raise self._refused(answer.status, what, answer.body)
            self._log_in(answer.headers.get("www-authenticate", ""))
        raise AssertionError

    def _address(self) -> str:
        """The repository's address with the scheme that the registry speaks; found out once."""
        if self._base is None:
            server = _HUB_SERVER if self.host == _HUB else self.host
            try:
                self._ping(f"https://{server}/v2/")
                scheme = "https"
            except NoAnswerError:
                if not (is_loopback(server) or is_insecure(server, self._insecure())):
                    raise
                self._ping(f"http://{server}/v2/")
                scheme = "http"
            self._base = f"{scheme}://{server}/v2/{self._repository}/"
        return self._base

    def _ping(self, url: str) -> HttpAnswer:
        return self._client.send("GET", url, most=_LARGEST_TOKEN, authorization=None)

    def _get_challenge(self, what: str) -> str:
        answer = self._ping(f"{self._address().partition('/v2/')[0]}/v2/")
        challenge = answer.headers.get("www-authenticate", "")
        if not challenge:
            raise self._refused(401, what, b"")
        return challenge

    def _log_in(self, challenge: str) -> None:
        """Answer a WWW-Authenticate header: by the login itself, or by a token that it is changed for."""
        kind, _, rest = challenge.strip().partition(" ")
        login = self._login(self.host)
        if kind.lower() == "basic":
            if login is None or login.identity_token:
                raise self._refused(401, self._repository, b"")
            self._authorization = login.basic
            return
        said = {(one[0] or one[2]).lower(): one[1] or one[3] for one in _PARAMETER.findall(rest)}
        realm = said.get("realm", "")
        if kind.lower() != "bearer" or not self._may_ask(realm):
            raise UnmeasuredError(f"the registry {self.host} asks for a login in a way that ci-budget does not know")
        self._authorization = f"Bearer {self._token(realm, said.get('service', ''), login)}"

    def _token(self, realm: str, service: str, login: Login | None) -> str:
        asked = {"service": service, "scope": f"repository:{self._repository}:pull", "client_id": _CLIENT}
        if login is not None and login.identity_token:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": login.identity_token}
            answer = self._client.send("POST", realm, most=_LARGEST_TOKEN, form=form)
        else:
            given = login.basic if login is not None else None
            answer = self._client.send("GET", realm, most=_LARGEST_TOKEN, query=asked, authorization=given)
        if answer.status != 200:
            raise self._refused(answer.status, self._repository, answer.body)
        try:
            found = json.loads(answer.body)
            token = str(found.get("token") or found["access_token"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnmeasuredError(f"the registry {self.host} gave a token that cannot be read") from None
        if not token.isascii() or not token.isprintable():
            raise UnmeasuredError(f"the registry {self.host} gave a token that cannot be read")
        return token

    def _may_ask(self, realm: str) -> bool:
        """Whether the login may be sent there: by https, or by http to the machine that is asked by http anyway."""
        parts, own = urlsplit(realm), urlsplit(self._address())
        if parts.username or not parts.hostname:
            return False
        return parts.scheme == "https" or (parts.scheme == own.scheme == "http" and parts.hostname == own.hostname)

    def _refused(self, status: int, what: str, body: bytes) -> UnmeasuredError:
        name = f"{self.host}/{self._repository}"
        if status in (401, 403):
            return UnmeasuredError(
                f"the registry {self.host} does not let us read {name}{_reason(body)}",
                mend=f"Log in (`docker login {self.host}`) as somebody who may pull it, and check the name.",
            )
        if status == 404:
            return UnmeasuredError(f"the registry {self.host} has no {what} of {name}", mend="Check name and tag.")
        later = " Try again later." if status == 429 or status >= 500 else ""
        return UnmeasuredError(f"the registry {self.host} answered {status} for {name}{_reason(body)}.{later}")


class BlobStream:
    """The bytes of a blob as they are stored; more than its size is refused, another content is found at the end."""

    def __init__(self, stream: HttpStream, blob: Blob) -> None:
        self._stream, self._blob = stream, blob
        self._hash = hashlib.new(blob.digest.partition(":")[0])
        self._taken = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; all that is left where it is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        found = self._stream.read(size)
        self._taken += len(found)
        if self._taken > self._blob.size:
            raise UnmeasuredError(f"the blob {self._blob.digest} is longer than its manifest says")
        self._hash.update(found)
        return found

    def finish(self) -> None:
        """Read the rest. Raises UnmeasuredError when the whole was not what the digest names."""
        while self.read(_CHUNK):
            pass
        found = self._hash.hexdigest()
        if self._taken != self._blob.size or found != self._blob.digest.partition(":")[2]:
            raise UnmeasuredError(
                f"the blob {self._blob.digest} came with another content than its name says, or cut off "
                f"({self._taken:,} of {self._blob.size:,} bytes)"
            )


def is_loopback(server: str) -> bool:
    """Whether `host[:port]` is this machine itself."""
    host = urlsplit(f"//{server}").hostname or ""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def is_insecure(server: str, insecure: tuple[str, ...]) -> bool:
    """Whether `host[:port]` is among a daemon's insecure-registries: names as written, or networks of addresses."""
    host = urlsplit(f"//{server}").hostname or ""
    for one in insecure:
        if one in (server, host):
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(one):
                return True
    return False


def _reason(body: bytes) -> str:
    """What the registry said, on one short line; empty where it gave no reason."""
    try:
        first = json.loads(body)["errors"][0]
        text = f"{first['code']}: {first.get('message') or ''}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return ""
    return f" ({shorten(one_line(text.strip(': ')), 200)})"
