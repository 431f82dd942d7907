"""Where the history lies: the default file, or the URL of the config; and how it is named without its password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ci_budget.errors import ConfigError

FILE_NAME: Final = "history.sqlite"
VARIABLES: Final = (
    "PGPASSWORD", "PGPASSFILE", "PGUSER", "PGHOST", "PGPORT", "PGDATABASE", "PGSSLMODE", "PGSSLROOTCERT",
)  # fmt: skip
"""libpq's variables; whoever starts us again (sudo, a container) has to hand them on."""

_MEND: Final = (
    "Write postgresql://USER@HOST:PORT/DATABASE (the password in PGPASSWORD or ~/.pgpass), or sqlite:////ABSOLUTE/FILE."
)
_SECRET = re.compile(r"pass|secret|token|key", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Address:
    """A database. `file`: of SQLite, else None. `shown`: fit for a person; `url` may hold a password."""

    shown: str
    file: Path | None = None
    url: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def scrub(self, text: str) -> str:
        """The text without any secret of the URL: a driver may quote what it was given."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def history_address(url: str | None, state: Path) -> Address:
    """The database of `url`; without one the file in the state directory.

    Raises ConfigError for a URL of another kind; the message does not quote it.
    """
    if url is None:
        return Address(shown=str(state / FILE_NAME), file=state / FILE_NAME)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError("history.url is no URL", mend=_MEND) from None
    if parts.scheme == "sqlite":
        path = unquote(parts.path[1:])
        if parts.netloc or not path or path == ":memory:" or parts.query:
            raise ConfigError("history.url names no file for SQLite", mend=_MEND)
        return Address(shown=path, file=Path(path))
    if parts.scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError("history.url is neither a PostgreSQL nor an SQLite URL", mend=_MEND)
    if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        raise ConfigError("history.url has '@' or '#' in a wrong place; in a password write %40 and %23", mend=_MEND)
    query = dict(parse_qsl(parts.query))
    place = f"{host or query.get('host', 'localhost')}{f':{port}' if port else ''}{parts.path}"
    user = f"{unquote(parts.username)}@" if parts.username else ""
    return Address(
        shown=f"postgresql://{user}{place}",
        url=f"postgresql+psycopg{url[len(parts.scheme) :]}",
        secrets=_secrets(parts.password, query),
    )


def kept_by_root(address: Address, state: Path) -> Address:
    """For a reader: the history of root's runs (a sandbox needs root), whose state directory is `state`, where this
    user's own does not exist."""
    system = state / FILE_NAME
    if address.file is None or address.file.exists() or not _is_readable(system):
        return address
    return Address(shown=str(system), file=system)


def _secrets(password: str | None, query: Mapping[str, str]) -> tuple[str, ...]:
    found = [value for name, value in query.items() if _SECRET.search(name)]
    if password:
        found += [password, unquote(password)]
    return tuple(sorted({secret for secret in found if secret}, key=len, reverse=True))


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
