"""The rules, one a module: what each looks for, how much that costs in bytes, and the mend."""
