"""Ratios against peers and ceilings, measured in one run: `make bench`."""
