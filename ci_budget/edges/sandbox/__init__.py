"""The sandbox: a private engine on a filesystem of a fixed size."""
