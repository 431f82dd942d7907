"""What image layers hold, from every source there is."""
