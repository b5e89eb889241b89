"""Finished expressions in the forms of other programs."""
