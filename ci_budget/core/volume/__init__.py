"""A filesystem of its own for Docker's data: which commands make it, and what stands in their way."""
