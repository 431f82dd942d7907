"""What the README claims, measured: ratios within one run, never in the test suite."""
