"""Faults injected into real runs of ci-budget, one module a family: `python -m faults` writes docs/reliability.md.

A row counts only when it is proven that its fault fired. What must hold then: the exit code, nothing left behind,
nothing lost.
"""
