"""What a run that did not pass says of it, in the words of the table."""

from __future__ import annotations

from faults.fault import Evidence
from tests.engine.projects import Result


def reason(done: Result) -> str:
    """The line with which the tool refused, or the report's failure."""
    failure = done.report["images"][0]["failure"] if done.report else None
    if failure:
        return str(failure["message"])
    told = [line for line in done.stderr.splitlines() if ": " in line and not line.startswith(" ")]
    return told[-1].removeprefix("ci-budget: ") if told else done.stderr


def traced(done: Result) -> tuple[str, ...]:
    """A traceback is no message for a person."""
    return ("a traceback",) if "Traceback" in done.stderr else ()


def refused(done: Result, fired: str, *expected: int, problems: tuple[str, ...] = ()) -> Evidence:
    """Nothing was built, in a sentence for a person."""
    built = ("something was built",) if "building stage" in done.stderr else ()
    return Evidence(
        fired=fired,
        outcome=f"nothing is built: {reason(done)}",
        exit_code=done.exit_code,
        expected=expected,
        problems=problems + built + traced(done),
    )


def passes(done: Result, fired: str, outcome: str, problems: tuple[str, ...] = ()) -> Evidence:
    """The run must pass, and `outcome` says why it could."""
    return Evidence(
        fired=fired, outcome=f"passes: {outcome}", exit_code=done.exit_code, expected=(0,), problems=problems
    )
