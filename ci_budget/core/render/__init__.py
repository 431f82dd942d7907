"""Renderers: a report in, a string out."""
