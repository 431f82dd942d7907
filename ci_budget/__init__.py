"""ci-budget: a build-budget gate for container images."""

__version__ = "0.1.0"
