"""Owners of the outside world: one module for each outside thing."""
