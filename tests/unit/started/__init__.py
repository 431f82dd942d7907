"""A package that the tests of the command server run."""
