"""One algebra of column changes, used by contracts and by dataset changes."""
