"""One short module a command: effects in, exit code out."""
