"""Is this host fit to build on? Facts in, findings out; the facts are gathered by an edge."""
