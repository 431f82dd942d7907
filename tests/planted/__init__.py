"""Pairs of Dockerfiles: a good one, and the same with one cause of growth planted in it."""
