"""Sizes and foreign text, read and written."""
