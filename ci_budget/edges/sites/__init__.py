"""Where builds run, what they leave there, and the watch on its disk."""
