"""A Docker engine: its API, its builder, its images."""
