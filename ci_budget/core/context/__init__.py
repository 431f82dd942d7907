"""The build context: ignore rules, and what a Dockerfile can use of it."""
