"""Data sets: one on-disk form, and readers of the official layouts."""
