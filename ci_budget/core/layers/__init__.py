"""What the layers of an image hold, and what of it is wasted."""
