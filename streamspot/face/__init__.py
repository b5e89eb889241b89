"""Where a face is: detection, tracking and alignment."""
