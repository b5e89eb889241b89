"""Data sets: the form in which they are kept, and readers of the formats in which they come."""
