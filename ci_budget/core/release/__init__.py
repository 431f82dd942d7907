"""The release gate: whether an image in a registry is the one that was measured, and within what a release may cost."""
