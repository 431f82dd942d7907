"""A small GitHub that remembers: comments, pull requests, artifacts, issues; and it can be told to misbehave.

Its answers are GitHub's own examples with other values, so that Prism can hold them against the description.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.github_api.description import cut_description, example

TOKEN = "t0ken"
BOT = "github-actions[bot]"


@dataclass(kw_only=True)
class Fault:
    """An answer that is given instead of the right one, `times` times. `lost`: the change is made, the answer lost."""

    method: str
    path: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "trouble"
    times: int = 1
    lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    token: str
    body: Any


class Examples:
    """GitHub's examples, filled with other values."""

    def __init__(self, cut: dict[str, Any]) -> None:
        self._comment = example(cut, "issue-comment")
        self._pull = example(cut, "pull-request-simple-items")[0]
        self._artifact = example(cut, "artifact-paginated")["artifacts"][0]
        self._issue = {key: value for key, value in example(cut, "issue").items() if key != "pull_request"}
        self._user = example(cut, "private-user-response-with-public-profile-information")

    def user(self, login: str) -> dict[str, Any]:
        return {**self._user, "login": login}

    def comment(self, ident: int, login: str, body: str) -> dict[str, Any]:
        return {**self._comment, "id": ident, "body": body, "user": {**self._comment["user"], "login": login}}

    def pull(self, number: int, sha: str, label: str) -> dict[str, Any]:
        head = {**self._pull["head"], "sha": sha, "label": label}
        return {**self._pull, "number": number, "head": head, "requested_teams": []}  # the example's team has no type

    def artifact(self, ident: int, name: str, data: bytes, *, expired: bool) -> dict[str, Any]:
        return {**self._artifact, "id": ident, "name": name, "size_in_bytes": len(data), "expired": expired}

    def issue(self, number: int, login: str, given: Mapping[str, Any]) -> dict[str, Any]:
        user = {**self._issue["user"], "login": login}
        shown = {key: given[key] for key in ("title", "body", "state") if key in given}
        return {**self._issue, "state": "open", "number": number, "user": user, **shown}


class StandIn:
    """The state of acme/widgets and of those who write to it."""

    def __init__(self) -> None:
        self.examples = Examples(cut_description())
        self.base = ""
        self.storage = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.login: str | None = None
        self.rights = {"read", "write"}
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.pulls: list[dict[str, Any]] = []
        self.artifacts: dict[int, list[dict[str, Any]]] = {}
        self.archives: dict[int, bytes] = {}
        self.issues: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.storage_refuses_tokens = True
        self._last = 1000

    def next_id(self) -> int:
        """A number that no other thing has."""
        self._last += 1
        return self._last

    def add_comment(self, number: int, login: str, body: str) -> dict[str, Any]:
        """Somebody's comment."""
        made = self.examples.comment(self.next_id(), login, body)
        self.comments.setdefault(number, []).append(made)
        return made

    def add_pull(self, number: int, sha: str, label: str = "mallory:change") -> None:
        """An open pull request."""
        self.pulls.append(self.examples.pull(number, sha, label))

    def add_artifact(self, run: int, name: str, data: bytes, *, expired: bool = False) -> None:
        """What a run left."""
        ident = self.next_id()
        self.artifacts.setdefault(run, []).append(self.examples.artifact(ident, name, data, expired=expired))
        self.archives[ident] = data

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for with a method, in order."""
        return [request.path for request in self.requests if request.method == method]

    def bodies(self, number: int) -> list[str]:
        """The comments of a pull request."""
        return [str(comment["body"]) for comment in self.comments.get(number, [])]

    def answer(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """Status, headers, and JSON or bytes."""
        self.requests.append(request)
        fault = next((one for one in self.faults if one.times > 0 and _fits(one, request)), None)
        if fault is not None:
            fault.times -= 1
            if fault.lost:
                self._answer(request)
            return fault.status, dict(fault.headers), {"message": fault.message, "documentation_url": "https://x"}
        return self._answer(request)

    def _answer(self, request: Request) -> tuple[int, dict[str, str], Any]:
        if request.token != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials", "documentation_url": "https://x", "status": "401"}
        if "write" not in self.rights and request.method != "GET":
            return 403, {}, {"message": "Resource not accessible by integration", "documentation_url": "https://x"}
        path = request.path
        if path == "/user":
            if self.login is None:
                return 403, {}, {"message": "Resource not accessible by integration", "documentation_url": "https://x"}
            return 200, {}, self.examples.user(self.login)
        path = path.removeprefix("/repos/acme/widgets")
        if path == request.path:
            return 404, {}, {"message": "Not Found", "documentation_url": "https://x"}
        for pattern, method in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found is not None and method.startswith(f"{request.method.lower()}_"):
                status, headers, body = getattr(self, method)(request, *(int(group) for group in found.groups()))
                return status, headers, body
        return 404, {}, {"message": "Not Found", "documentation_url": "https://x"}

    def get_comments(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        return self._page(request, self.comments.get(number, []))

    def post_comment(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        if len(request.body["body"]) > 65_536:
            return 422, {}, {"message": "Validation Failed", "errors": [], "documentation_url": "https://x"}
        return 201, {}, self.add_comment(number, self.login or BOT, request.body["body"])

    def patch_comment(self, request: Request, ident: int) -> tuple[int, dict[str, str], Any]:
        for comments in self.comments.values():
            for comment in comments:
                if comment["id"] == ident:
                    comment["body"] = request.body["body"]
                    return 200, {}, comment
        return 404, {}, {"message": "Not Found", "documentation_url": "https://x"}

    def delete_comment(self, request: Request, ident: int) -> tuple[int, dict[str, str], Any]:
        for comments in self.comments.values():
            comments[:] = [comment for comment in comments if comment["id"] != ident]
        return 204, {}, b""

    def get_pulls(self, request: Request) -> tuple[int, dict[str, str], Any]:
        wanted = request.query.get("head")
        return self._page(request, [pull for pull in self.pulls if wanted in (None, pull["head"]["label"])])

    def get_artifacts(self, request: Request, run: int) -> tuple[int, dict[str, str], Any]:
        wanted = request.query.get("name")
        found = [one for one in self.artifacts.get(run, []) if wanted in (None, one["name"])]
        status, headers, page = self._page(request, found)
        return status, headers, {"total_count": len(found), "artifacts": page}

    def get_archive(self, request: Request, ident: int) -> tuple[int, dict[str, str], Any]:
        return 302, {"Location": f"{self.storage}/archives/{ident}?sig=secret"}, b""

    def get_issues(self, request: Request) -> tuple[int, dict[str, str], Any]:
        return self._page(request, [issue for issue in self.issues if issue["state"] == "open"])

    def post_issue(self, request: Request) -> tuple[int, dict[str, str], Any]:
        made = self.examples.issue(len(self.issues) + 1, self.login or BOT, request.body)
        self.issues.append(made)
        return 201, {}, made

    def patch_issue(self, request: Request, number: int) -> tuple[int, dict[str, str], Any]:
        issue = next(one for one in self.issues if one["number"] == number)
        issue.update(request.body)
        return 200, {}, issue

    def _page(self, request: Request, items: list[Any]) -> tuple[int, dict[str, str], list[Any]]:
        size, number = (int(request.query.get(name, default)) for name, default in (("per_page", 30), ("page", 1)))
        headers = {}
        if len(items) > size * number:
            rest = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
            headers["Link"] = (
                f'<{self.base}{request.path}?{rest}&page={number + 1}>; rel="next", <{self.base}>; rel="x"'
            )
        return 200, headers, items[size * (number - 1) : size * number]


_ROUTES = [
    (r"/issues/(\d+)/comments", "get_comments"),
    (r"/issues/(\d+)/comments", "post_comment"),
    (r"/issues/comments/(\d+)", "patch_comment"),
    (r"/issues/comments/(\d+)", "delete_comment"),
    (r"/pulls", "get_pulls"),
    (r"/actions/runs/(\d+)/artifacts", "get_artifacts"),
    (r"/actions/artifacts/(\d+)/zip", "get_archive"),
    (r"/issues", "get_issues"),
    (r"/issues", "post_issue"),
    (r"/issues/(\d+)", "patch_issue"),
]


def _fits(fault: Fault, request: Request) -> bool:
    return fault.method == request.method and re.search(fault.path, request.path) is not None


@contextmanager
def serving(state: StandIn, *, prefix: str = "") -> Iterator[str]:
    """The address of the server, as long as the block lasts; `prefix` stands before each path, as at a GHES."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(length)
            status, headers, body = 404, {}, {"message": f"nothing at {parts.path}"}
            if parts.path.startswith(prefix):
                request = Request(
                    method=self.command,
                    path=parts.path.removeprefix(prefix),
                    query=dict(parse_qsl(parts.query)),
                    token=self.headers.get("Authorization") or "",
                    body=json.loads(data) if data else None,
                )
                status, headers, body = state.answer(request)
            if status == 0:  # the connection breaks without an answer
                self.close_connection = True
                return
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if not isinstance(body, bytes):
                self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            if status != 204:
                self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the server's names

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests read `requests`."""

    with _running(Handler) as address:
        yield f"{address}{prefix}"


@contextmanager
def storage(state: StandIn) -> Iterator[str]:
    """Where archives lie: another server, which must never see the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = re.fullmatch(r"/archives/(\d+)\?sig=secret", self.path)
            data = state.archives.get(int(known[1]), b"") if known else b""
            leaked = state.storage_refuses_tokens and "Authorization" in self.headers
            self.send_response(400 if leaked or known is None else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with _running(Handler) as address:
        yield address


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
