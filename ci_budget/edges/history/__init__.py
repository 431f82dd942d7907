"""The database of past runs."""
