"""What was measured over time: rows of the history, trends over them, and the last build of each image."""
