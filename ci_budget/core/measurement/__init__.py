"""From samples and build events to a measured image."""
