"""A database's refusals in words: what failed, why, and what to do next. Never with the URL's password."""

from __future__ import annotations

from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.edges.history.address import Address
from ci_budget.errors import UnmeasuredError

WAIT = 10
"""Seconds that a busy database, or a server that does not answer, is waited for."""

_SQLITE = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_READONLY": "readonly",
    "SQLITE_PERM": "readonly",
    "SQLITE_CANTOPEN": "unopened",
    "SQLITE_FULL": "full",
    "SQLITE_CORRUPT": "damaged",
    "SQLITE_NOTADB": "damaged",
    "SQLITE_IOERR": "broken",
}
_POSTGRES = {
    "55P03": "locked",
    "40P01": "locked",
    "57014": "locked",
    "25006": "readonly",
    "42501": "readonly",
    "53100": "full",
    "XX001": "damaged",
    "XX002": "damaged",
    "28P01": "login",
    "28000": "login",
    "3D000": "unopened",
}
_SAID = {
    "locked": f"is locked by another process, for longer than {WAIT} s",
    "readonly": "may not be written",
    "unopened": "cannot be opened",
    "full": "is full: its disk has no room left",
    "damaged": "is damaged, or no history of ci-budget",
    "broken": "cannot be read or written",
    "login": "does not let this user in",
    "unreachable": "cannot be reached",
    "refused": "refuses",
}


def fault(address: Address, error: BaseException) -> UnmeasuredError:
    """The error of the driver as one for a person. Raise it `from None`: the driver's text may hold the URL."""
    kind = _kind(address, error)
    said = shorten(one_line(address.scrub(" ".join(str(error).split()))), 300)
    return UnmeasuredError(f"the history {address.shown} {_SAID[kind]} ({said})", mend=_mend(kind, address))


def _kind(address: Address, error: BaseException) -> str:
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        return next((kind for start, kind in _SQLITE.items() if name.startswith(start)), "refused")
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _POSTGRES.get(state, "refused")
    if isinstance(error, OSError):
        return "unopened"
    said = str(error)
    if "password authentication failed" in said or "no password supplied" in said:
        return "login"
    if address.file is None and "does not exist" in said:
        return "unopened"
    return "unreachable" if address.file is None else "refused"


def _mend(kind: str, address: Address) -> str:
    refill = "`ci-budget report --import FOLDER` fills a new one from kept report.json files."
    if address.file is None:
        return {
            "login": "Give the right user in history.url and the password in PGPASSWORD or ~/.pgpass.",
            "unopened": "Create the database, or correct history.url.",
            "readonly": "Give this user the right to create and write tables there.",
            "full": "Make room on the server's disk.",
            "damaged": f"Mend or drop the database; {refill}",
            "unreachable": "Start the server, or correct history.url.",
        }.get(kind, "See the server's log.")
    return {
        "locked": f"Try again when it has ended; `fuser {address.file}` names it.",
        "readonly": f"Make {address.file} and its folder writable for this user, or name another with history.url.",
        "unopened": f"Make its folder {address.file.parent} there and accessible, or name another with history.url.",
        "full": "Make room (`ci-budget prune`), or name a file on another disk with history.url.",
        "damaged": f"Move it away (`mv {address.file} {address.file}.damaged`); {refill}",
    }.get(kind, "See that its disk is whole and has room.")
