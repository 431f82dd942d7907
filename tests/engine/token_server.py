"""The authorization server that a registry with token authentication sends its clients to; the registry checks what
it signs. https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_ISSUER, SERVICE = "test-issuer", "test-registry"


class TokenServer:
    """Gives tokens to whoever shows `basic` (an Authorization header) or `refresh` (an identity token).

    `asked`: what it was asked, in order. `answer`: None, or the body that it sends instead of a token.
    """

    def __init__(self, folder: Path, *, basic: str, refresh: str) -> None:
        self._key, self._certificate = folder / "token.key", folder / "token.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2",
             "-keyout", self._key, "-out", self._certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self.basic, self.refresh = basic, refresh
        self.asked: list[dict[str, str]] = []
        self.answer: bytes | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.realm = f"http://localhost:{self._server.server_address[1]}/token"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def auth(self) -> dict[str, Any]:
        """The section of a registry's configuration."""
        return {
            "token": {
                "realm": self.realm,
                "service": SERVICE,
                "issuer": _ISSUER,
                "rootcertbundle": str(self._certificate),
            }
        }

    def token(self, scope: str) -> str:
        """A signed token for `repository:NAME:pull`."""
        kind, name, actions = scope.split(":")
        lines = self._certificate.read_text().splitlines()
        now = int(time.time())
        claims = {
            "iss": _ISSUER, "sub": "", "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(now),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key], input=signed.encode(), check=True, capture_output=True
        )
        return f"{signed}.{_encoded(done.stdout)}"


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._give(urlsplit(self.path).query, self.headers.get("Authorization", "") == server.basic)

        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._give(query, parse_qs(query).get("refresh_token") == [server.refresh])

        def _give(self, query: str, known: bool) -> None:
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            server.asked.append({"method": self.command, **asked})
            body = server.answer
            if body is None and known:
                body = json.dumps({"token": server.token(asked["scope"])}).encode()
            self.send_response(200 if body is not None else 401)
            self.end_headers()
            self.wfile.write(body or b'{"errors": [{"code": "UNAUTHORIZED", "message": "no such user"}]}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
