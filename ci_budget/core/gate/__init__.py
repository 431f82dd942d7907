"""Limits, verdicts, exit codes."""
