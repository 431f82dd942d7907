"""What is reached over HTTP: GitHub, registries."""
