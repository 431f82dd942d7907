"""Advice in measured bytes: one rule a module."""
