"""Pure logic: no subprocess, network, clock, environment or file access."""
