"""One Dockerfile as text: instructions, directives, expansion, copies of it."""
