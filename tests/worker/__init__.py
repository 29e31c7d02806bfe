"""Jobs and workers, on every store with its doorbell."""
