"""What a build of a Dockerfile comes to: stages, edges, steps, external images."""
