"""HTTP, bounded: one request, its whole answer, redirects only where that is safe. The only user of `requests`.

Proxies and certificate bundles come from the usual environment variables; a login in ~/.netrc is never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ci_budget import __version__
from ci_budget.core.text.plain_text import one_line
from ci_budget.errors import UnmeasuredError

if TYPE_CHECKING:
    import requests

TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces of an answer."""

_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)


class NoAnswerError(UnmeasuredError):
    """The connection failed or broke; a request that changes something may have been carried out."""


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """An answer. `headers` have names in lower case; `links` maps a relation of the Link header to its address."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    links: Mapping[str, str]


class HttpStream:
    """An answer that is read piece by piece, as it was sent."""

    def __init__(self, response: requests.Response, what: str) -> None:
        self.status = response.status_code
        self._raw = response.raw
        self._what = what

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Raises NoAnswerError when the connection breaks."""
        from urllib3.exceptions import HTTPError

        try:
            return bytes(self._raw.read(size, decode_content=False))
        except (HTTPError, OSError) as error:
            raise NoAnswerError(f"{self._what} broke off: {_reason(error)}") from error


class HttpClient:
    """Connections that are kept open between requests."""

    def __init__(self) -> None:
        import requests

        self._session = requests.Session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        most: int,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        may_leave: bool = False,
    ) -> HttpAnswer:
        """Send a request (`body` as JSON, or `form`) and read its answer of at most `most` bytes.

        `authorization` is sent to the scheme, host and port of `url` only. A redirect is followed to the same place,
        elsewhere only with `may_leave`, never from https to http, and never so that a change becomes a GET.
        Raises NoAnswerError when the connection fails, UnmeasuredError for a redirect that is not followed and for
        an answer that is too large.
        """
        with self._sent(
            method, url, headers, authorization, query=query, body=body, form=form, may_leave=may_leave
        ) as response:
            return _read(response, most, method)

    @contextmanager
    def stream(
        self, url: str, *, headers: Mapping[str, str] | None = None, authorization: str | None = None
    ) -> Iterator[HttpStream]:
        """GET something large, from wherever the server sends us; `authorization` stays with `url`'s own server.

        The answer is not unpacked, and how much of it is read is the caller's to bound. Raises as `send` does.
        """
        plain = {"Accept-Encoding": "identity", **(headers or {})}
        with self._sent("GET", url, plain, authorization, may_leave=True) as response:
            yield HttpStream(response, _shown("GET", response.url))

    @contextmanager
    def _sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        authorization: str | None,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        may_leave: bool = False,
    ) -> Iterator[requests.Response]:
        """The answer that is no redirect, closed afterwards."""
        import requests

        own = origin(url)
        try:
            for _ in range(_REDIRECTS):
                with self._session.request(
                    method,
                    url,
                    params=dict(query) if query else None,
                    json=body,
                    data=dict(form) if form else None,
                    headers={"User-Agent": f"ci-budget/{__version__}", **(headers or {})},
                    auth=_Authorization(authorization if origin(url) == own else None),
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    if response.status_code not in _MOVED or "location" not in response.headers:
                        yield response
                        return
                    url, query = _target(response, method, own, may_leave=may_leave), None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise NoAnswerError(f"{_shown(method, url)} got no answer: {_reason(error)}") from error
        except (requests.RequestException, ValueError) as error:
            raise UnmeasuredError(f"{_shown(method, url)} cannot be asked: {_reason(error)}") from error
        raise UnmeasuredError(f"{_shown(method, url)} is sent on from place to place without an end")


def origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port: what a token may be sent to."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


class _Authorization:
    """Sets the header. Given as `auth`, because requests would otherwise take a login from ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def _target(response: requests.Response, method: str, own: tuple[str, str], *, may_leave: bool) -> str:
    target = urljoin(response.url, response.headers["location"])
    known = urlsplit(target).scheme in ("https", own[0]) and urlsplit(target).scheme in ("http", "https")
    repeatable = method in ("GET", "HEAD") or response.status_code in (307, 308)
    if not known or not repeatable or not (may_leave or origin(target) == own):
        raise UnmeasuredError(
            f"{_shown(method, response.url)} is sent on to another address ({response.status_code})",
            mend="Was it renamed or moved? Use the new name.",
        )
    return target


def _read(response: requests.Response, most: int, method: str) -> HttpAnswer:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(65536):
        size += len(part)
        if size > most:
            raise UnmeasuredError(f"the answer to {_shown(method, response.url)} is larger than {most:,} bytes")
        parts.append(part)
    return HttpAnswer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=b"".join(parts),
        links={name: link["url"] for name, link in response.links.items() if "url" in link},
    )


def _shown(method: str, url: str) -> str:
    """The request without its query, which may hold a signature."""
    parts = urlsplit(url)
    return one_line(f"{method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")[:300]


def _reason(error: Exception) -> str:
    """What went wrong in short: the innermost reason, without the address that requests repeats."""
    cause: BaseException = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    inner = getattr(cause, "reason", None)
    text = str(inner if isinstance(inner, BaseException) else cause)
    return one_line(text.rpartition(": ")[2] if ">: " in text else text)[:200]
