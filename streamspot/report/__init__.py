"""Reports: one self-contained page for a person, of numbers alone."""
