"""The files that the tool reads and writes, bounded and whole."""
