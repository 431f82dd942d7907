"""How many examples the property tests try.

A small, repeatable number by default; `CI_BUDGET_PROPERTY_EXAMPLES=10000` tries that many new ones and prints
what reproduces a failure. The variable is read before the tests' clean environment takes it away.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_COUNT = os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES")
_SLOW = [HealthCheck.too_slow]  # a busy machine is no defect

settings.register_profile("few", max_examples=60, derandomize=True, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "many", max_examples=int(_COUNT or 60), deadline=None, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile("many" if _COUNT else "few")
