"""GitHub's REST API for one repository: retried where GitHub asks for it, every refusal said in plain words.

Rules followed: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api (rate
limits, `Retry-After`, redirects). What comes back is untrusted and bounded.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.edges.web.http import HttpAnswer, HttpClient, NoAnswerError, origin
from ci_budget.errors import ConfigError, UnmeasuredError

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of one JSON answer that are read."""

PER_PAGE = 100
MOST_PAGES = 1000
"""GitHub's largest page, and where a listing without an end is given up."""

_TRIES = 5
_LONGEST_WAIT = 300.0
_SECONDARY_WAIT = 60.0
_SERVER_ERRORS = (500, 502, 503, 504)
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class MaybeDoneError(UnmeasuredError):
    """A request that creates something got no answer: it may have been carried out, so it is not sent again."""


class RefusedError(UnmeasuredError):
    """GitHub said no. `status` is 401, 403, 404, 410, 422 or another one from 400 on."""

    def __init__(self, status: int, what: str, *, mend: str | None = None) -> None:
        super().__init__(what, mend=mend)
        self.status = status


class GitHubApi:
    """GitHub's API at `url` (GITHUB_API_URL; also that of a GitHub Enterprise Server) for one repository.

    A GET, PATCH or DELETE is sent again after 5xx and broken connections; a POST is not (MaybeDoneError), as it may
    have been carried out. Rate limits (429, and a 403 that is one) are waited for with `Retry-After` obeyed. All
    waits together last at most five minutes. `path` is relative to the repository where it does not start with `/`.
    """

    def __init__(
        self,
        *,
        url: str,
        repository: str,
        token: str,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise ConfigError(f"'{shorten(one_line(url))}' is no address of GitHub's API")
        if not _REPOSITORY.fullmatch(repository) or repository.split("/")[1] in (".", ".."):
            raise ConfigError(f"'{shorten(one_line(repository))}' is no repository; write OWNER/NAME")
        if not token or not token.isascii() or not token.isprintable():
            raise ConfigError("the token is empty or holds characters that no token has")
        self._base = url.rstrip("/")
        self.repository = repository
        self._authorization = f"Bearer {token}"
        self._sleep = sleep
        self._now = now
        self._waited = 0.0
        self._client = HttpClient()

    def __enter__(self) -> GitHubApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, *, right: str) -> Any:
        """The JSON at a path. `right` is the permission that the message of a refusal names."""
        return _json(self._request("GET", self._url(path), right=right))

    def pages(self, path: str, *, right: str, within: str | None = None, **query: str | int) -> Iterator[Any]:
        """Every item of a listing, from all pages; `within`: the key of the list where a page is an object."""
        url = self._url(path)
        asked: Mapping[str, str | int] | None = {**query, "per_page": PER_PAGE}
        for _ in range(MOST_PAGES):
            answer = self._request("GET", url, right=right, query=asked)
            page = _json(answer)
            items = page.get(within) if within is not None and isinstance(page, dict) else page
            if not isinstance(items, list):
                raise UnmeasuredError(f"GitHub's answer for {path} is no list")
            yield from items
            if "next" not in answer.links:
                return
            url, asked = answer.links["next"], None
            if origin(url) != origin(self._base):
                raise UnmeasuredError("GitHub's next page is at another address; it is not asked for")
        raise UnmeasuredError(f"GitHub's list {path} has more than {MOST_PAGES} pages")

    def post(self, path: str, body: Mapping[str, Any], *, right: str) -> Any:
        """Create something. Raises MaybeDoneError where it is not known whether that was done."""
        return _json(self._request("POST", self._url(path), right=right, body=body))

    def patch(self, path: str, body: Mapping[str, Any], *, right: str) -> Any:
        """Change something."""
        return _json(self._request("PATCH", self._url(path), right=right, body=body))

    def delete(self, path: str, *, right: str) -> None:
        """Remove something."""
        self._request("DELETE", self._url(path), right=right)

    def download(self, path: str, *, right: str, most: int) -> bytes:
        """A file of at most `most` bytes from wherever the API sends us; the token stays with the API."""
        return self._request("GET", self._url(path), right=right, most=most, may_leave=True).body

    def _url(self, path: str) -> str:
        return self._base + path if path.startswith("/") else f"{self._base}/repos/{self.repository}/{path}"

    def _request(
        self,
        method: str,
        url: str,
        *,
        right: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        most: int = LARGEST_ANSWER,
        may_leave: bool = False,
    ) -> HttpAnswer:
        said = ""
        for turn in range(_TRIES):
            wait: float | None = None
            try:
                answer = self._client.send(
                    method,
                    url,
                    most=most,
                    headers=_HEADERS,
                    authorization=self._authorization,
                    query=query,
                    body=body,
                    may_leave=may_leave,
                )
            except NoAnswerError as error:
                said, in_doubt = error.what, True
            else:
                wait = self._rate_limit(answer)
                in_doubt = answer.status in _SERVER_ERRORS
                if wait is None and not in_doubt:
                    return self._accepted(answer, what=f"{method} {urlsplit(url).path}", right=right)
                said = f"GitHub answered {answer.status} to {method} {urlsplit(url).path}"
            if in_doubt and method == "POST":
                raise MaybeDoneError(said, mend="Run the command again: it looks first at what is there.")
            wait = wait if wait is not None else float(2**turn)
            if turn == _TRIES - 1 or self._waited + wait > _LONGEST_WAIT:
                said += f", wants {wait:.0f} s of patience," if wait > _LONGEST_WAIT - self._waited else ""
                break
            self._waited += wait
            self._sleep(wait)
        raise UnmeasuredError(
            f"{said} and still does so after {turn + 1} tries in {self._waited:.0f} s",
            mend="Try again later; https://www.githubstatus.com says whether GitHub has trouble.",
        )

    def _rate_limit(self, answer: HttpAnswer) -> float | None:
        """Seconds that GitHub asks us to wait; None where it does not."""
        after = _number(answer.headers.get("retry-after"))
        if answer.status in _SERVER_ERRORS:
            return after
        used_up = answer.headers.get("x-ratelimit-remaining") == "0"
        secondary = b"secondary rate limit" in answer.body[:10_000].lower()
        if answer.status != 429 and not (answer.status == 403 and (after is not None or used_up or secondary)):
            return None
        reset = _number(answer.headers.get("x-ratelimit-reset"))
        if after is None and used_up and reset is not None:
            return max(1.0, reset - self._now() + 1)
        return after if after is not None else _SECONDARY_WAIT

    def _accepted(self, answer: HttpAnswer, *, what: str, right: str) -> HttpAnswer:
        status = answer.status
        if 200 <= status < 300:
            return answer
        said = _message(answer)
        if status == 401:
            mend = "It has expired, was revoked, or belongs to another server. Give a valid one."
            raise RefusedError(status, f"GitHub does not accept the token ({what}: {said})", mend=mend)
        if status == 403:
            mend = (
                f"Give the job the permission `{right}`. A run for a fork's pull request never gets it: "
                "workflows/pr-comment.yml is made for those."
            )
            raise RefusedError(status, f"the token may not do this ({what}: {said})", mend=mend)
        if status in (404, 410):
            mend = f"Check the number and the repository, and that the token has the permission `{right}`."
            raise RefusedError(status, f"{self.repository} has no such thing ({what}: {said})", mend=mend)
        raise RefusedError(status, f"GitHub refused {what} with {status}: {said}")


def _json(answer: HttpAnswer) -> Any:
    try:
        return json.loads(answer.body) if answer.body else None
    except (ValueError, RecursionError) as error:
        raise UnmeasuredError(f"GitHub answered {answer.status} with something that is no JSON") from error


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None


def _message(answer: HttpAnswer) -> str:
    """What GitHub said, on one short line."""
    try:
        said = json.loads(answer.body)
        text = str(said["message"])
        if isinstance(said.get("errors"), list):
            text += f" {json.dumps(said['errors'])}"
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        text = answer.body[:200].decode("utf-8", "replace") or "it gave no reason"
    return shorten(one_line(text), 300)
